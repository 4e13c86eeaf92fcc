"""Guessing gets a few tries and then one in a while, for each address apart."""

from monitoring.wrong_tokens import ADDRESSES_MAX, EACH_S, TRIES, WrongTokens


def test_a_few_tries_are_free_and_then_one_comes_back_at_a_time() -> None:
    wrong = WrongTokens()
    for _ in range(TRIES):
        assert wrong.wait_s("a", 0.0) == 0.0
        wrong.wrong("a", 0.0)
    assert wrong.wait_s("a", 0.0) == EACH_S
    assert wrong.wait_s("a", EACH_S) == 0.0
    wrong.wrong("a", EACH_S)
    assert wrong.wait_s("a", EACH_S) == EACH_S


def test_an_address_pays_for_itself_alone_and_all_is_forgotten_in_time() -> None:
    wrong = WrongTokens()
    for _ in range(TRIES):
        wrong.wrong("a", 0.0)
    assert wrong.wait_s("b", 0.0) == 0.0
    later_s = TRIES * EACH_S
    for _ in range(TRIES):
        assert wrong.wait_s("a", later_s) == 0.0
        wrong.wrong("a", later_s)


def test_no_more_addresses_are_remembered_than_the_limit() -> None:
    wrong = WrongTokens()
    for _ in range(TRIES):
        wrong.wrong("first", 0.0)
    for number in range(ADDRESSES_MAX - 1):
        wrong.wrong(f"{number}", 0.0)
    assert wrong.wait_s("first", 0.0) > 0
    wrong.wrong("one more", 0.0)
    assert wrong.wait_s("first", 0.0) == 0.0
