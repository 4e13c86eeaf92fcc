"""Who is compared, how each is run, and how many rows it is given time for."""

from dataclasses import dataclass

EVIDENTLY = ("evidently==0.7.23", "pandas==2.3.3")  # pandas 3 lacks a name that it imports
NANNYML = ("nannyml==0.13.1", "statsmodels==0.15.0")  # which it imports and does not declare
RIVER = ("river==0.26.1",)
ANY = 10**9
COLUMNS = 8  # of payments, which `rows_max` is about


@dataclass(frozen=True, slots=True)
class System:
    """`rows_max`: of one scenario of eight columns, where all of it would take too long (of fewer columns more rows); the
    tables say how much each one saw; `wide`: the same run as the one before, of which only the alarms of half of the columns
    count; `not_of_one`: why it is left out where there is one column alone, and that a loss.
    """

    name: str
    target: str
    variant: str
    note: str
    requirements: tuple[str, ...] = ()
    rows_max: int = ANY
    wide: bool = False
    not_of_one: str = ""

    def rows_of(self, columns: int) -> int:
        """How many rows it is given of a scenario with so many columns: what it costs is cells."""
        return max(self.rows_max, self.rows_max * COLUMNS // columns)


OURS = System("plumbline", "plumbline_fold.py", "minute", "the monitor's fold under its default rules")
SYSTEMS = (
    OURS,
    System(
        "Evidently, any column", "evidently_preset.py", "preset", "DataDriftPreset, a column drifts", EVIDENTLY, 60_000
    ),
    System(
        "Evidently, data set",
        "evidently_preset.py",
        "preset",
        "DataDriftPreset, half of the columns drift",
        EVIDENTLY,
        60_000,
        wide=True,
    ),
    System(
        "NannyML, univariate", "nannyml_default.py", "univariate", "Jensen–Shannon, 3 σ over chunks", NANNYML, 2_500_000
    ),
    System(
        "NannyML, PCA",
        "nannyml_default.py",
        "reconstruction",
        "reconstruction error, 3 σ over chunks",
        NANNYML,
        2_500_000,
        not_of_one="of one column it is exact",
    ),
    System(
        "NannyML, data quality",
        "nannyml_default.py",
        "quality",
        "missing values, 3 σ over chunks; unseen values, none",
        NANNYML,
        2_500_000,
        not_of_one="a loss is neither missing nor a text",
    ),
    System("river ADWIN", "river_detectors.py", "adwin", "one a numeric column", RIVER, 2_500_000),
    System("river KSWIN", "river_detectors.py", "kswin", "one a numeric column", RIVER, 20_000),
    System("river PageHinkley", "river_detectors.py", "page_hinkley", "one a numeric column", RIVER, 2_500_000),
    System("river HDDM_A", "river_detectors.py", "hddm_a", "bits: above the third quartile", RIVER, 2_500_000),
    System("river HDDM_W", "river_detectors.py", "hddm_w", "bits: above the third quartile", RIVER, 2_500_000),
    System("PSI > 0.2", "plain.py", "psi", "deciles, every 1 000 rows"),
    System("never", "plain.py", "never", "dummy"),
    System("always", "plain.py", "always", "dummy: at every chunk"),
    System("once a week", "plain.py", "periodic", "dummy: the calendar"),
)
