"""Every setting, metric, error code, bad input and record field is named on the reference page, as the code has it."""

from tests.reference import PAGE, page


def test_the_reference_page_is_what_the_code_says() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.reference` and read what changed"


def test_every_setting_says_what_it_is() -> None:
    assert "| |\n" not in page()
