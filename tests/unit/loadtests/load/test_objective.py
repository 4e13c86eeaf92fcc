"""The verdict on a run: each way to miss is said, and silence is no success."""

import pytest

from loadtests.load.objective import Had, Met, Missed, NothingRight, Objective, judge, sentence

ASKED = Objective(p99_ms=100, errors_share=0.01)


def test_what_lies_on_the_bounds_is_met() -> None:
    assert judge(ASKED, Had(n=1000, errors=10, wrong=0, p99_ms=100.0)) == Met()


@pytest.mark.parametrize(
    ("had", "said"),
    [
        (Had(1000, 0, 0, 100.1), "p99 was 100.1 ms, expected at most 100 ms"),
        (Had(1000, 11, 0, 50.0), "11 requests went wrong (1.1 % of 1,000), expected at most 1 %"),
        (Had(1000, 0, 0, 50.0, raised=2), "2 exceptions of locust's users, expected none"),
        (Had(1000, 1, 1, 50.0), "1 answers with status 200 were wrong, expected none"),
    ],
)
def test_every_way_to_miss_is_said_with_its_figures(had: Had, said: str) -> None:
    assert judge(ASKED, had) == Missed((said,))


@pytest.mark.parametrize("n", [0, 17])
def test_a_run_in_which_nothing_went_right_is_not_good(n: int) -> None:
    assert judge(Objective(1e9, 1.0), Had(n, n, 0, None)) == NothingRight(n)


def test_no_share_of_errors_tolerates_a_wrong_answer() -> None:
    assert isinstance(judge(Objective(1e9, 1.0), Had(1000, 1, 1, 1.0)), Missed)


@pytest.mark.parametrize("bad", [(0, 0), (-1, 0), (100, -0.1), (100, 1.1)])
def test_an_objective_that_cannot_be_is_refused(bad: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Objective(*bad)


def test_each_verdict_has_its_headline() -> None:
    headlines = {sentence(one) for one in (Met(), Missed(("x",)), NothingRight(0))}
    assert len(headlines) == 3
