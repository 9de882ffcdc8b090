"""Commands that the app starts: processes of their own, which go on when the page is closed."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from builder.workspace.folder import BUILDING
from knowledge.files import holder

LOG = "work.log"
ENDING = 20
"""Tenths of a second that a command which has said its last may take to end."""
SAYS = "twofold: "
"""How a command begins the line that says what went wrong."""


def start(folder: Path, *arguments: str, log: str = LOG) -> None:
    """Run `twofold ARGUMENTS` apart from this process; how far it is stands where every build writes it.

    What it says goes to a log in the workspace's built folder, which it holds for as long as it runs: while it does,
    nothing more is started, so a second click leaves it alone. Options come first, then the workspace's `folder`.
    """
    import fcntl

    built = folder / ".twofold"
    built.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "ui.cli", *arguments, "--", str(folder.resolve())]
    with (built / log).open("ab") as said:
        for tries in range(ENDING, -1, -1):
            try:
                fcntl.flock(said, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its process has it too, and lets go at its end
                break
            except BlockingIOError:
                if not tries:
                    return
                time.sleep(0.1)
        said.truncate(0)
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
                         start_new_session=True)


def fault_of(folder: Path, log: str = LOG) -> str:
    """What went wrong with the last command that the app started, in its own line; "" where nothing did."""
    said = folder / ".twofold" / log
    if not said.is_file():
        return ""
    lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix(SAYS) if lines and lines[-1].startswith(SAYS) else ""


def stop(folder: Path, what: str = BUILDING) -> None:
    """End what works on a workspace, whoever started it: a build, which carries on where it was, or a WATCHING one."""
    if number := holder(folder / ".twofold" / what):
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGTERM)
