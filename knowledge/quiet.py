"""Silence for what libraries print on the terminal while they load."""

import contextlib
import io
import threading
from collections.abc import Iterator

_ONE = threading.RLock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Throw away what this process prints on stdout and stderr in the block.

    Of several threads one comes after another: if two overlapped, the one that ended last would put the silence of the
    other back in place of the terminal.
    """
    with _ONE, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
