"""The one error that is shown to the user as a line."""

from collections.abc import Sequence


class UserError(Exception):
    """Something the user can mend: the message says what, where (file and line) and what to do next.

    Front doors print the message alone, without a traceback, and exit with code 2.
    """


class JudgedFailure(UserError):
    """Something was judged and fell short, such as a new index that finds less; front doors exit with code 1."""

    def __init__(self, message: str, broke: Sequence[str] = ()) -> None:
        """`broke` are the questions that fell short."""
        super().__init__(message)
        self.broke = tuple(broke)
