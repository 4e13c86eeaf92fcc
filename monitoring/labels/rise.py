"""Did a version's loss rise, as far as its labels and its scores say by now? What the gate of retrainings asks.

Laws
- ROSE: an alarm of labels stands that found more loss; or the mean loss that the scores of the last day promise is, less its
  error, above the reference's by more than days are tolerated to vary.
- NOT_RISEN is said by labels alone: enough of the last seven days, and none of that. A promise that did not rise is no witness:
  of features that are broken it knows nothing.
- Without a reference of rows that the model was not trained on nothing is known.
"""

from enum import StrEnum

from models.grades import Loss, Part
from monitoring.labels.cohorts import WINDOWS_S, grades_of
from monitoring.labels.measures import ROWS_MIN
from monitoring.labels.track import LabelRules, Track


class Rise(StrEnum):
    """Did the loss rise, realised or estimated?"""

    ROSE = "rose"
    NOT_RISEN = "not_risen"
    UNKNOWN = "unknown"


def rise_of(track: Track, closed: int, rules: LabelRules, n_min: int) -> Rise:
    """When the minute `closed` was the last one."""
    promise = track.promise
    if track.reference is None or promise is None:
        return Rise.UNKNOWN
    detector, recent = track.detector, track.recent
    found_more = detector.loss_standing or (detector.estimate_standing and recent.of_estimate(promise).effect > 0)
    if found_more or _promised_more(track, closed, rules):
        return Rise.ROSE
    return Rise.NOT_RISEN if recent.rows >= n_min else Rise.UNKNOWN


def _promised_more(track: Track, closed: int, rules: LabelRules) -> bool:
    promise, reference, day_s = track.promise, track.reference, WINDOWS_S[0]
    said = grades_of(track.cohorts.window(day_s, closed, track.ask))[Part.PREDICTED]
    rows = int(said.sum())
    if promise is None or reference is None or rows < ROWS_MIN:
        return False
    shares = said / rows
    days = [loss for length_s, loss, _ in reference.natural if length_s >= day_s]
    most = promise.mean * (1 + max([rules.tolerance, *days])) + promise.mean_error
    return float(shares @ promise.loss) - float(shares @ promise.errors[Loss.MAIN]) > most
