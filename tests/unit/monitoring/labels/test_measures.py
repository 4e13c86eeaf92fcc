import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from models.contract import Kind
from models.grades import Loss, bin_numbers, bins_of, graded, losses, predicted
from models.performance import Performance
from models.task import Task, TaskKind
from monitoring.labels.ask import Ask
from monitoring.labels.cohorts import Cohorts
from monitoring.labels.measures import Measure, measures_of
from monitoring.labels.promise import Promise
from monitoring.labels.rows import ROW
from service.featurelog.record import SchemaColumn
from tests.unit.monitoring.labels.made import BINARY, START_MINUTE, draw, performance

NUMBER = Task(kind=TaskKind.NUMBER, output="y")
EDGES = (-1.0, 0.0, 1.0)


def ask(task: Task, *, edges: tuple[float, ...] = (), scale: float = 1.0) -> Ask:
    return Ask(task, (SchemaColumn(task.output, Kind.FLOAT),), 0, (), edges, scale, None)


def cohorts_of(asked: Ask, scores: np.ndarray, hits: np.ndarray, *, rows_a_request: int = 1) -> Cohorts:
    rows = np.zeros(len(scores), dtype=ROW)
    rows["score"], rows["at_us"] = scores, START_MINUTE * 60_000_000
    rows["key"], rows["who"] = np.arange(len(scores)), np.arange(len(scores)) // rows_a_request
    cohorts = Cohorts()
    cohorts.predict(rows, asked, START_MINUTE)
    cohorts.grade(rows, hits, rows["at_us"] + 1, asked, START_MINUTE)
    return cohorts


def vector_of(asked: Ask, scores: np.ndarray, hits: np.ndarray, *, rows_a_request: int = 1) -> np.ndarray:
    return cohorts_of(asked, scores, hits, rows_a_request=rows_a_request).window(86_400, START_MINUTE, asked)


def of_probabilities(scores: np.ndarray, hits: np.ndarray, promise: Promise | None = None) -> dict[str, Measure]:
    cohorts = cohorts_of(ask(BINARY), scores, hits)
    ranks = cohorts.ranks_of(86_400, START_MINUTE)
    return named(measures_of(TaskKind.BINARY, cohorts.window(86_400, START_MINUTE, ask(BINARY)), promise, 1.0, ranks))


def named(measures: tuple[Measure, ...]) -> dict[str, Measure]:
    return {measure.name: measure for measure in measures}


def test_measures_of_probabilities_are_those_that_people_know() -> None:
    scores, hits = draw(20_000, np.random.default_rng(1))
    found = of_probabilities(scores, hits)
    assert found["auc"].realised == pytest.approx(roc_auc_score(hits, scores), abs=1e-3)
    assert found["log_loss"].realised == pytest.approx(log_loss(hits, scores), abs=1e-5)
    assert found["brier"].realised == pytest.approx(brier_score_loss(hits, scores), abs=1e-5)
    assert found["accuracy"].realised == pytest.approx(((scores >= 0.5) == hits).mean(), abs=1e-6)
    assert found["calibration_in_the_large"].realised == pytest.approx(hits.mean() - scores.mean(), abs=1e-5)
    low, high = found["calibration_slope"].low, found["calibration_slope"].high
    assert low is not None and high is not None and low < 1 < high
    error = found["calibration_error"]
    assert error.realised is not None and error.noise is not None
    assert error.realised < 1.5 * error.noise  # calibrated: what is seen is chance
    assert found["auc"].estimated is None


def test_the_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = dict.fromkeys(("auc", "log_loss", "brier", "accuracy", "calibration_in_the_large", "calibration_slope"), 0)
    scores, hits = draw(400_000, np.random.default_rng(2))
    whole = of_probabilities(scores, hits)
    for part in range(200):
        inside = slice(part * 2000, (part + 1) * 2000)
        found = of_probabilities(scores[inside], hits[inside])
        for name in held:
            low, high, truth = found[name].low, found[name].high, whole[name].realised
            assert low is not None and high is not None and truth is not None
            held[name] += low <= truth <= high
    assert all(182 <= n <= 199 for n in held.values()), held


@pytest.mark.parametrize(("centre", "spread"), [(-2, 1.3), (-2, 0.6), (0, 0.15), (-1.875, 0.05), (3, 0.01), (-9, 0.8)])
def test_auc_is_that_of_the_scores_however_narrow_or_rare_they_are(centre: float, spread: float) -> None:
    rng = np.random.default_rng(9)
    place = rng.normal(size=100_000)
    scores = 1 / (1 + np.exp(-(centre + spread * place)))
    hits = (rng.uniform(size=len(place)) < 1 / (1 + np.exp(2 - 1.3 * place))).astype(float)
    auc, truth = of_probabilities(scores, hits)["auc"], roc_auc_score(hits, scores)
    assert auc.realised == pytest.approx(truth, abs=1e-3)
    assert auc.low is not None and auc.high is not None and auc.low < truth < auc.high < auc.low + 0.04


@pytest.mark.parametrize(("spread", "said"), [(1.3, True), (0.05, False)])
def test_an_auc_on_wide_bins_holds_that_of_the_scores_or_is_no_number(spread: float, said: bool) -> None:
    """As of slices that were counted before there were ranks, and as estimates are made."""
    rng = np.random.default_rng(10)
    place = rng.normal(size=100_000)
    scores = 1 / (1 + np.exp(-(spread * place - 1.875)))
    hits = (rng.uniform(size=len(place)) < 1 / (1 + np.exp(2 - 1.3 * place))).astype(float)
    promise = Promise.of(Performance.of(BINARY, scores, hits, held_out=True))
    found = named(measures_of(TaskKind.BINARY, vector_of(ask(BINARY), scores, hits), promise, 1.0))["auc"]
    assert ((found.realised is not None), (found.estimated is not None)) == (said, said)
    if said:
        truth = roc_auc_score(hits, scores)
        for low, high in ((found.low, found.high), (found.estimated_low, found.estimated_high)):
            assert low is not None and high is not None and low < truth < high


def test_an_interval_has_a_width_or_is_none() -> None:
    scores, hits = draw(200, np.random.default_rng(11))
    one_hit = np.zeros(200)
    one_hit[int(hits.argmax())] = 1
    auc = of_probabilities(scores, one_hit)["auc"]
    assert auc.realised is not None
    assert (auc.low, auc.high) == (None, None)
    apart = of_probabilities(scores, (scores > 0.5).astype(float))  # never wrong at ½, and every hit above every miss
    for name in ("auc", "accuracy"):
        assert (apart[name].realised, apart[name].low, apart[name].high) == (1, None, None), name
    of_constant = of_probabilities(np.full(200, 0.1), hits)["auc"]
    assert (of_constant.realised, of_constant.low) == (0.5, None)
    for measure in of_probabilities(scores, hits, Promise.of(performance(5_000))).values():
        for low, at, high in (
            (measure.low, measure.realised, measure.high),
            (measure.estimated_low, measure.estimated, measure.estimated_high),
        ):
            assert (low is None) == (high is None)
            assert low is None or high is None or at is None or low < at < high, measure


def test_what_scores_promise_lies_in_the_interval_of_the_estimate() -> None:
    rng = np.random.default_rng(12)
    truth = of_probabilities(*draw(400_000, rng))
    scores, hits = draw(20_000, rng)
    held = dict.fromkeys(("auc", "accuracy", "log_loss", "brier"), 0)
    for seed in range(60):
        promise = Promise.of(performance(2_000, seed=100 + seed))
        for name, measure in of_probabilities(scores, hits, promise).items():
            if name in held:
                low, high, true = measure.estimated_low, measure.estimated_high, truth[name].realised
                assert low is not None and high is not None and true is not None
                held[name] += low <= true <= high
    assert all(n >= 54 for n in held.values()), held


def test_sums_of_squares_that_run_over_say_no_interval_in_whatever_order_they_came() -> None:
    rng = np.random.default_rng(13)
    asked = ask(NUMBER, edges=EDGES)
    rows = np.zeros(300_000, dtype=ROW)
    rows["at_us"], rows["who"] = START_MINUTE * 60_000_000, np.arange(len(rows)) // 1000
    true = rng.uniform(20, 60, len(rows))
    found = []
    for order in (range(300), reversed(range(300))):
        cohorts = Cohorts()
        for request in order:
            some = slice(request * 1000, (request + 1) * 1000)
            cohorts.grade(rows[some], true[some], rows["at_us"][some] + 1, asked, START_MINUTE)
        found.append(cohorts.window(86_400, START_MINUTE, asked))
    assert found[0].tolist() == found[1].tolist()
    measures = named(measures_of(TaskKind.NUMBER, found[0], None, 1.0))
    assert measures["rmse"].realised == pytest.approx(30.4, abs=0.5)
    assert (measures["rmse"].low, measures["rmse"].high) == (None, None)
    assert measures["mae"].low is not None


def test_rows_of_one_request_that_are_alike_are_one_witness() -> None:
    scores, hits = draw(500, np.random.default_rng(3))
    alike = vector_of(ask(BINARY), np.repeat(scores, 20), np.repeat(hits, 20), rows_a_request=20)
    found = named(measures_of(TaskKind.BINARY, alike, None, 1.0))["log_loss"]
    alone = named(measures_of(TaskKind.BINARY, vector_of(ask(BINARY), scores, hits), None, 1.0))["log_loss"]
    assert found.realised == pytest.approx(alone.realised, abs=1e-5)
    assert found.high == pytest.approx(alone.high, abs=2e-3)


def test_errors_of_numbers_are_told_in_their_own_unit() -> None:
    rng = np.random.default_rng(4)
    said = rng.normal(size=5000) * 30
    true = said + rng.normal(2, 6, 5000)
    found = named(measures_of(TaskKind.NUMBER, vector_of(ask(NUMBER, edges=EDGES, scale=30.0), said, true), None, 30.0))
    assert found["mae"].realised == pytest.approx(np.abs(said - true).mean(), rel=1e-4)
    assert found["rmse"].realised == pytest.approx(np.sqrt(((said - true) ** 2).mean()), rel=1e-4)
    assert found["bias"].realised == pytest.approx((said - true).mean(), rel=1e-3)
    for measure in found.values():
        assert measure.low is not None and measure.realised is not None and measure.high is not None
        assert measure.low < measure.realised < measure.high


def test_too_few_rows_are_no_number() -> None:
    scores, hits = draw(20, np.random.default_rng(5))
    found = measures_of(TaskKind.BINARY, vector_of(ask(BINARY), scores, hits), None, 1.0)
    assert all(measure.realised is None for measure in found)


@pytest.mark.parametrize("centre", [-2.0, -3.5, -1.0, -0.5])
def test_the_estimate_is_close_to_what_labels_say_later_when_cases_become_harder_or_easier(centre: float) -> None:
    """Reference centred at −2; the model is miscalibrated there and here alike: odds half as steep again, and moved."""
    rng = np.random.default_rng(6)

    def world(n: int, middle: float) -> tuple[np.ndarray, np.ndarray]:
        odds = rng.normal(middle, 1.3, n)
        return 1 / (1 + np.exp(-(1.5 * odds + 0.4))), (rng.uniform(size=n) < 1 / (1 + np.exp(-odds))).astype(float)

    learnt = Performance.of(BINARY, *world(100_000, -2.0), held_out=True)
    found = named(measures_of(TaskKind.BINARY, vector_of(ask(BINARY), *world(60_000, centre)), Promise.of(learnt), 1.0))
    for name, apart in (("auc", 0.02), ("brier", 0.012), ("accuracy", 0.02)):
        assert found[name].estimated == pytest.approx(found[name].realised, abs=apart), name
    assert found["log_loss"].estimated == pytest.approx(found["log_loss"].realised, rel=0.08)


def test_a_number_s_error_is_estimated_from_where_predictions_lie() -> None:
    rng = np.random.default_rng(7)

    def world(n: int, middle: float) -> tuple[np.ndarray, np.ndarray]:
        said = rng.normal(middle, 1, n)
        return said, said + rng.normal(size=n) * 0.3 * np.exp(0.4 * said)  # large predictions err more

    edges = tuple(np.quantile(world(10_000, 0.0)[0], np.arange(1, 10) / 10).tolist())
    learnt = Performance.of(NUMBER, *world(50_000, 0.0), held_out=True, edges=edges)
    shifted = vector_of(ask(NUMBER, edges=edges), *world(20_000, 0.7))
    found = named(measures_of(TaskKind.NUMBER, shifted, Promise.of(learnt), 1.0))
    assert found["mae"].estimated == pytest.approx(found["mae"].realised, rel=0.1)
    promised = Promise.of(learnt).mean
    assert (
        found["mae"].realised is not None and found["mae"].realised > 1.25 * promised
    )  # what blind trust would have said


def test_a_promise_is_kept_on_rows_like_those_it_was_learnt_from() -> None:
    promise = Promise.of(performance(50_000))
    scores, hits = draw(200_000, np.random.default_rng(8))
    bins, size = bin_numbers(TaskKind.BINARY, (), scores), bins_of(TaskKind.BINARY, ())
    found = losses(TaskKind.BINARY, scores, hits, 1.0)
    grades = predicted(bins, size) + graded(TaskKind.BINARY, bins, size, scores, hits, found, 1.0)
    assert promise.mean == pytest.approx(found[Loss.MAIN].mean(), abs=3 * promise.mean_error)
    assert grades[0] @ promise.loss / grades[0].sum() == pytest.approx(found[Loss.MAIN].mean(), rel=0.02)
