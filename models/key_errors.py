"""Errors of API keys, by who must act."""


class KeysError(Exception):
    """What was asked of the keys cannot be done."""


class KeysInvalid(KeysError):
    """The file of the keys, or what shall be put in it, contradicts itself. Who wrote it must mend it."""

    def __init__(self, where: str, found: str, expected: str) -> None:
        super().__init__(where, found, expected)
        self.where, self.found, self.expected = where, found, expected

    def __str__(self) -> str:
        return f"keys, {self.where}: found {self.found}, expected {self.expected}; the keys stay as they were"


class KeyUnknown(KeysError):
    """No live key has this id. `plumbline keys list` shows those that there are."""

    def __init__(self, identifier: str) -> None:
        super().__init__(identifier)
        self.identifier = identifier

    def __str__(self) -> str:
        return f"key {self.identifier!r}: not found among the live ones, expected an id of `plumbline keys list`"
