"""When is a connection given up? The clock is a number here."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from service.connection import Stage
from service.http.patience import Look, Overdue, Patience, again, begin

RATE = 1000
PATIENCE = Patience(
    header_timeout_s=5, body_timeout_s=8, write_timeout_s=8, bytes_per_s_min=RATE, keep_alive_s=6, linger_s=2
)


def ends(looks: Sequence[Look]) -> tuple[int, Overdue] | None:
    """After how many seconds, one look a second, it is given up, and why."""
    watch = begin(looks[0], 0)
    for second, look in enumerate(looks[1:], 1):
        watch, overdue = again(PATIENCE, watch, look, second)
        if overdue is not None:
            return second, overdue
    return None


def test_each_stage_has_its_time() -> None:
    assert ends([Look(0, Stage.HEAD)] * 20) == (6, Overdue.HEAD)
    assert ends([Look(1, Stage.BODY)] * 20) == (9, Overdue.BODY)
    assert ends([Look(1, Stage.IDLE)] * 20) == (7, Overdue.IDLE)
    assert ends([Look(1, Stage.LINGER)] * 20) == (3, Overdue.LINGER)
    assert ends([Look(1, Stage.WORK)] * 2000) is None


def test_a_second_head_has_its_own_time() -> None:
    assert ends([*[Look(1, Stage.IDLE)] * 5, *[Look(2, Stage.HEAD)] * 20]) == (11, Overdue.HEAD)


@given(st.integers(RATE, 100 * RATE), st.integers(1, 2000))
def test_a_body_above_the_rate_is_never_given_up(rate: int, seconds: int) -> None:
    assert ends([Look(1, Stage.BODY, moved_bytes=second * rate) for second in range(seconds)]) is None


@given(st.integers(0, RATE - 100))
def test_a_body_below_the_rate_is_given_up(rate: int) -> None:
    found = ends([Look(1, Stage.BODY, moved_bytes=second * rate) for second in range(200)])
    assert found is not None
    assert found[1] is Overdue.BODY


def test_time_in_which_we_did_not_read_is_not_the_clients() -> None:
    paused = [Look(1, Stage.BODY, paused=True)] * 50
    assert ends(paused) is None
    assert ends([*paused, *[Look(1, Stage.BODY)] * 20]) == (58, Overdue.BODY)


def test_an_answer_that_nobody_reads_is_given_up_and_one_that_is_read_slowly_is_not() -> None:
    assert ends([Look(1, Stage.IDLE, unsent_bytes=10)] * 20) == (7, Overdue.IDLE)
    assert ends([Look(1, Stage.WORK, unsent_bytes=10**6)] * 20) == (9, Overdue.WRITE)
    sinking = [Look(1, Stage.WORK, unsent_bytes=10**6 - second * 2 * RATE) for second in range(400)]
    assert ends(sinking) is None


def test_a_full_buffer_of_another_answer_is_not_the_same_answer_unread() -> None:
    assert ends([Look(turn, Stage.WORK, unsent_bytes=10**6) for turn in range(50)]) is None
