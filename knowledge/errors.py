"""The one error that is shown to the user as a line."""


class UserError(Exception):
    """Something the user can mend: the message says what, where (file and line) and what to do next.

    Front doors print the message alone, without a traceback, and exit with code 2.
    """
