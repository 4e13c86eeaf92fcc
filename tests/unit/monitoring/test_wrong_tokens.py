"""Guessing gets a few tries and then one in a while, for each address apart."""

from monitoring.wrong_tokens import ADDRESSES_MAX, EACH_S, TRIES, WrongTokens


def test_a_few_tries_are_free_and_then_one_comes_back_at_a_time() -> None:
    wrong = WrongTokens()
    for number in range(TRIES):
        assert wrong.wait_s("a", 0.0) == 0.0
        wrong.wrong("a", b"%d" % number, 0.0)
    assert wrong.wait_s("a", 0.0) == EACH_S
    assert wrong.wait_s("a", EACH_S) == 0.0
    wrong.wrong("a", b"one more", EACH_S)
    assert wrong.wait_s("a", EACH_S) == EACH_S


def test_an_address_pays_for_itself_alone_and_all_is_forgotten_in_time() -> None:
    wrong = WrongTokens()
    for number in range(TRIES):
        wrong.wrong("a", b"%d" % number, 0.0)
    assert wrong.wait_s("b", 0.0) == 0.0
    later_s = TRIES * EACH_S
    for number in range(TRIES):
        assert wrong.wait_s("a", later_s) == 0.0
        wrong.wrong("a", b"later %d" % number, later_s)
    assert wrong.wait_s("a", later_s) == EACH_S


def test_no_more_addresses_are_remembered_than_the_limit() -> None:
    wrong = WrongTokens()
    for number in range(TRIES):
        wrong.wrong("first", b"%d" % number, 0.0)
    for number in range(ADDRESSES_MAX - 1):
        wrong.wrong(f"{number}", b"x", 0.0)
    assert wrong.wait_s("first", 0.0) > 0
    wrong.wrong("one more", b"x", 0.0)
    assert wrong.wait_s("first", 0.0) == 0.0


def test_one_wrong_token_again_and_again_closes_its_address_to_nobody() -> None:
    wrong = WrongTokens()
    for _ in range(100):
        wrong.wrong("a", b"old", 0.0)
    for number in range(TRIES - 1):
        assert wrong.wait_s("a", 0.0) == 0.0
        wrong.wrong("a", b"%d" % number, 0.0)
        wrong.wrong("a", b"old", 0.0)
    assert wrong.wait_s("a", 0.0) == EACH_S


def test_who_takes_turns_with_more_tokens_than_are_remembered_pays_for_each() -> None:
    wrong, now_s = WrongTokens(), 0.0
    for number in range(10 * (TRIES + 1)):
        now_s += wrong.wait_s("a", now_s)
        wrong.wrong("a", b"%d" % (number % (TRIES + 1)), now_s)
    assert now_s == (10 * (TRIES + 1) - TRIES) * EACH_S
