from hypothesis import given
from hypothesis import strategies as st

from service.featurelog.commit import GroupCommit, Held

STEPS = st.lists(st.sampled_from(["write", "begin", "synced", "failed"]), max_size=40)


@given(STEPS)
def test_nobody_is_told_before_an_fsync_that_began_behind_their_record_and_after_a_failed_one_all_come_back(
    steps: list[str],
) -> None:
    commit: GroupCommit[int] = GroupCommit()
    number, untold, safe = 0, [], 0
    for step in steps:
        if step == "write":
            commit.hold([Held(b"x" * number, number)])
            untold.append(number)
            number += 1
        elif step == "begin":
            commit.begin()
            safe = len(untold)
        elif step == "synced":
            assert commit.synced() == untold[:safe]
            untold, safe = untold[safe:], 0
        else:
            held = commit.failed()
            assert [one.waiter for one in held] == untold
            assert commit.held_bytes == 0
            commit.hold(held)
            safe = 0
        assert commit.held_bytes == sum(untold)
