"""What do a version's labels say to its judgement: two checks, as findings like any other.

Laws
- `loss`: the realised loss is above the reference's; `estimate`: it is not what the scores promise. Both have the side
  `label` and the output's name as column.
- Drifted while the detector's alarm stands, and only then; so the interval that is shown explains and decides nothing.
  `effect`: how far the mean loss of the last seven days with labels lies off, as a share of the reference's loss;
  `statistic`: ln M of the detector; `p_value`: a bound on the chance of so large an M within 30 days.
- Without a reference of rows that the model was not trained on there is nothing to hold labels against: TooFewSamples,
  until enough of production's own were seen.
"""

from math import exp

from monitoring.labels.detector import DAYS, WEEK_DAYS
from monitoring.labels.learning import ROWS
from monitoring.labels.recent import WINDOW_S, Excess
from monitoring.labels.track import LabelRules, Track
from monitoring.verdict import LABEL, Check, Drifted, Finding, Stable, TooFewSamples, Verdict

LOSS, ESTIMATE = "loss", "estimate"


def findings_of(track: Track, rules: LabelRules, n_min: int) -> tuple[Finding, ...]:
    """Both checks of one version."""
    verdicts = zip((LOSS, ESTIMATE), _verdicts(track, rules, n_min), strict=True)
    name = track.ask.task.output
    return tuple(Finding(Check(LABEL, name, test, WINDOW_S), verdict, -1) for test, verdict in verdicts)


def _verdicts(track: Track, rules: LabelRules, n_min: int) -> tuple[Verdict, Verdict]:
    promise = track.promise
    if track.reference is None or promise is None:
        few = TooFewSamples(track.learning.rows, ROWS)
        return few, few
    detector, limits = track.detector, track.limits(rules)
    of_loss, of_estimate = detector.evidence
    return (
        _verdict(track.recent.of_loss(promise), detector.loss_standing, of_loss, limits.loss, n_min, DAYS / WEEK_DAYS),
        _verdict(
            track.recent.of_estimate(promise), detector.estimate_standing, of_estimate, limits.estimate, n_min, DAYS
        ),
    )


def _verdict(excess: Excess, standing: bool, evidence: float, tolerance: float, n_min: int, units: float) -> Verdict:
    if excess.n < n_min and not standing:
        return TooFewSamples(excess.n, n_min)
    kind = Drifted if standing else Stable
    return kind(
        n=excess.n,
        statistic=max(evidence, -1e6),
        df=0,
        p_value=min(1.0, units * exp(-max(evidence, 0.0))),
        significant=standing,
        effect=excess.effect,
        lower_bound=max(excess.at_least, tolerance) if standing else excess.at_least,
        tolerance=tolerance,
    )
