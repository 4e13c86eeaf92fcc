"""What does training say of this hour of the week? References by hour, for data whose seasons would hide a drift.

Laws
- Rows of a window are held against training rows of the same hours, in the same proportion: a busy Monday morning is
  compared with Monday mornings. What is left to vary is what a week does not repeat, and `natural` is learnt from that.
- An hour with fewer than HOUR_ROWS_MIN training rows speaks with the voice of all hours: absence is no evidence.
- Hours are UTC; hour 0 is Monday from midnight to one.

A mixture of hours is a stratified estimate of shares, Σ w_h p_h, whose variance is that of m rows with 1/m = Σ w_h²/m_h
(Cochran 1977, stratified sampling); so it is given as counts of m rows and tested as such.
"""

import numpy as np
import numpy.typing as npt

from models.baseline import Counts, Index
from models.natural import beyond_noise

HOURS = 168
HOUR_S = 3600
THURSDAY_H = 72  # the epoch began on a Thursday
HOUR_ROWS_MIN = 30

Floats = npt.NDArray[np.float64]


def hour_of_week(at_s: Floats) -> Index:
    """0 … 167; at_s: seconds since the Unix epoch."""
    return ((at_s // HOUR_S).astype(np.int64) + THURSDAY_H).astype(np.intp) % HOURS


def by_hour(index: Index, hour: Index, bins: int) -> Counts:
    """Counts of each hour; index: bin of each row, hour: its hour of the week; shape (HOURS, bins)."""
    return np.bincount(hour * bins + index, minlength=HOURS * bins).astype(np.int64).reshape(HOURS, bins)


def mixture(hours: Counts, table: Counts, rows: Counts) -> Counts:
    """Training's counts for windows with so many rows in each hour; hours: shape (windows, HOURS), table: shape (HOURS, bins),
    rows: training rows of each hour; shape (windows, bins).
    """
    pooled, m = table.sum(axis=0), int(rows.sum())
    thin = rows < HOUR_ROWS_MIN
    shares = np.where(thin[:, None], pooled / max(m, 1), table / np.maximum(rows, 1)[:, None])
    n = hours.sum(axis=1)
    weights = hours / np.maximum(n, 1)[:, None]
    spread = (weights**2 / np.where(thin, max(m, 1), np.maximum(rows, 1))).sum(axis=1)
    size = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    mixed = np.rint(size[:, None] * np.array([_mixed(one, shares) for one in weights]).reshape(len(weights), -1))
    return np.asarray(np.where(n[:, None] > 0, mixed.astype(np.int64), pooled))


def _mixed(weights: Floats, shares: Floats) -> Floats:
    """Hour by hour, not by a matrix product: a window's last bits depend on no other window and on no library."""
    seen = np.flatnonzero(weights)
    return np.asarray((weights[seen, None] * shares[seen]).sum(axis=0))


def tolerance(index: Index, block: Index, hour: Index, bins: int) -> float:
    """How far blocks lie from the same hours of the rest by nature, in PSI; index: bin of each row, block: its block or −1."""
    table = by_hour(index, hour, bins)
    rows = np.bincount(hour, minlength=HOURS)
    windows, known = [], []
    for inside in _members(block):
        own, own_rows = by_hour(index[inside], hour[inside], bins), np.bincount(hour[inside], minlength=HOURS)
        windows.append(own.sum(axis=0))
        known.append(mixture(own_rows[None, :], table - own, rows - own_rows)[0])
    return beyond_noise(np.array(windows), np.array(known))


def _members(block: Index) -> list[Index]:
    order = np.argsort(block, kind="stable")
    borders = np.flatnonzero(np.diff(block[order])) + 1
    return [inside for inside in np.split(order, borders) if inside.size and block[inside[0]] >= 0]
