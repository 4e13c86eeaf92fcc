"""Where and within what limits does this service try a version?"""

from models.trials import Trials
from models.verdict import Limits
from service.settings import Settings

# Enough to meet the categories and bins of a column, few enough that a model of 100 ms a row is through in seconds.
ROWS = 32


def trials_of(settings: Settings) -> Trials:
    """The same for the workers and for the commands, so that a version is tried once."""
    limits = Limits(
        memory_bytes=settings.trial_memory_bytes_max,
        cpu_s=settings.trial_cpu_s_max,
        wall_s=settings.trial_s_max,
        rows=ROWS,
    )
    return Trials(settings.trials_root, limits)
