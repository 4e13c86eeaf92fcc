"""How large is the noncentrality of a χ² statistic at least?"""

from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy import special

# Above it scipy's inverse takes longer than a whole evaluation; the normal form is within 0.1 % there.
EXACT_G_MAX = 20_000.0

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def noncentrality_lower(statistic: Floats, df: Counts, confidence: float) -> Floats:
    """The λ with P(χ'²_df(λ) ≥ statistic) = 1 − confidence, 0 where even λ = 0 gives less.

    Exact by scipy's inverse of the noncentral χ² up to EXACT_G_MAX; above, the normal form G ~ N(df + λ, 2(df + 2λ))
    solved for λ.
    """
    lower = np.zeros_like(statistic)
    beyond = (df > 0) & (special.chdtr(np.maximum(df, 1), statistic) > confidence)
    exact, large = beyond & (statistic <= EXACT_G_MAX), beyond & (statistic > EXACT_G_MAX)
    lower[exact] = special.chndtrinc(statistic[exact], df[exact].astype(np.float64), confidence)
    z = float(special.ndtri(confidence))
    root = np.sqrt(2 * z * z + 2 * statistic[large] - df[large]) - z * sqrt(2)
    lower[large] = (root * root - df[large]) / 2
    return np.maximum(np.nan_to_num(lower), 0.0)
