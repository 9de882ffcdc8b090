"""Commands that the app starts: processes of their own, which go on when the page is closed."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from builder.workspace.folder import BUILDING
from knowledge.files import holder

LOG = "work.log"
SAYS = "twofold: "
"""How a command begins the line that says what went wrong."""


def start(folder: Path, *arguments: str, log: str = LOG) -> None:
    """Run `twofold ARGUMENTS` apart from this process; how far it is stands where every build writes it.

    What it says goes to a log in the workspace's built folder. Options come first, then the workspace's `folder`.
    """
    built = folder / ".twofold"
    built.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "ui.cli", *arguments, "--", str(folder.resolve())]
    with (built / log).open("wb") as said:
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
