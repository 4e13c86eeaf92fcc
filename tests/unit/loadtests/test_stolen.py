"""What the host took is told in seconds, and never falls."""

from loadtests.stolen import stolen_s


def test_the_time_that_the_host_took_only_grows() -> None:
    seen = [stolen_s() for _ in range(3)]
    assert seen[0] >= 0
    assert seen == sorted(seen)
