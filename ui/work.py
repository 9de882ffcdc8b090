"""Commands that the app starts: processes of their own, which go on when the page is closed."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

LOG = "work.log"
SAYS = "twofold: "
"""How a command begins the line that says what went wrong."""


def start(folder: Path, *arguments: str) -> None:
    """Run `twofold ARGUMENTS` apart from this process; how far it is stands where every build writes it.

    What it says goes to a log in the workspace's built folder. Options come first, then the workspace's `folder`.
    """
    built = folder / ".twofold"
    built.mkdir(exist_ok=True)
    command = [sys.executable, "-c", "from ui.cli import main; main()", *arguments, "--", str(folder.resolve())]
    with (built / LOG).open("wb") as log:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                         start_new_session=True)


def fault_of(folder: Path) -> str:
    """What went wrong with the last command that the app started, in its own line; "" where nothing did."""
    log = folder / ".twofold" / LOG
    if not log.is_file():
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix(SAYS) if lines and lines[-1].startswith(SAYS) else ""


def stop(folder: Path) -> None:
    """End the build that works on a workspace, whoever started it; the same command carries on where it was."""
    import fcntl

    with suppress(OSError, ValueError), (folder / ".twofold" / "building").open() as held:
        number = int(held.read())
        try:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:  # held by the build itself, so the number is its own
            os.kill(number, signal.SIGTERM)
