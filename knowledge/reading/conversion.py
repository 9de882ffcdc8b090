"""Conversion in a child process: a file that crashes, hangs or swells its reader costs that file alone."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from knowledge.machine import limit
from knowledge.reading.converted import Converted, Unreadable

SECONDS = 30.0
"""Of computing for one file; the system ends the child then. The program that reads scans computes for itself."""
PATIENCE = 150.0
"""Seconds that one file may take with all that is waited for; the child is killed at their end."""
MEMORY = 2_000_000_000
"""Bytes of address space that the child may have."""
CHARACTERS = 20_000_000
"""Of text that one file may become."""


_START = ("import json, sys; sys.dont_write_bytecode = True; sys.path[:] = json.loads(sys.argv[1]); "
          "from knowledge.reading.conversion import serve; serve()")
_CLEAN = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""The child's environment; each thread of a numeric library would reserve memory."""
_KEPT = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PATH", "TESSDATA_PREFIX")
"""What the interpreter, and the program that reads scans, may need to start."""


def child_command() -> list[str]:
    """The command of a child, isolated from the user's settings, that finds the same packages as this process."""
    places = [str(Path(__file__).resolve().parents[2]), *(place for place in sys.path if os.path.isabs(place))]
    return [sys.executable, "-I", "-X", "utf8", "-c", _START, json.dumps(places)]


class Converter:
    """One child that converts file after file; started at its first, anew after it died. Used by one thread at a time.

    `command` and `seconds` are for tests.
    """

    def __init__(self, command: Sequence[str] | None = None, seconds: float = PATIENCE) -> None:
        self._command = list(command or child_command())
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None

    def convert(self, ending: str, data: bytes) -> Converted:
        """What the bytes of a file with this ending say; Unreadable with one line on why not."""
        child = self._child = self._child or self._started()
        assert child.stdin and child.stdout
        late = threading.Event()
        timer = threading.Timer(self._seconds, _stop, (child, late))
        timer.daemon = True
        timer.start()
        try:
            send(child.stdin, json.dumps({"ending": ending}).encode())
            send(child.stdin, data)
            answer = json.loads(receive(child.stdout))
        except (OSError, EOFError, ValueError):
            why = self._why(child, late.is_set())
            self.close()
            raise Unreadable(why) from None
        finally:
            timer.cancel()
        if "reason" in answer:
            if answer.get("spent"):
                self.close()  # what a full memory left behind is no start for the next file
            raise Unreadable(str(answer["reason"]))
        return Converted.loaded(answer)

    def close(self) -> None:
        """End the child, if there is one."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin and child.stdout
        child.kill()
        child.wait()
        child.stdout.close()
        with suppress(OSError):  # what was still to be sent has nobody to go to
            child.stdin.close()

    def _started(self) -> subprocess.Popen[bytes]:
        environment = _CLEAN | {name: os.environ[name] for name in _KEPT if name in os.environ}
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, env=environment, cwd=os.path.abspath(os.sep))

    def _why(self, child: subprocess.Popen[bytes], late: bool) -> str:
        with suppress(subprocess.TimeoutExpired):
            late = child.wait(1.0) == -signal.SIGXCPU or late
        if late:
            return f"took longer than {min(SECONDS, self._seconds):.0f} seconds; split it"
        return "crashed the program that reads it; save it again, or as text"


def _stop(child: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    child.kill()


def send(stream: IO[bytes], data: bytes) -> None:
    """Write one message: eight bytes of length, then the bytes."""
    stream.write(len(data).to_bytes(8, "big"))
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes:
    """Read one message; EOFError where the stream ends within it or it is none."""
    head = stream.read(8)
    size = int.from_bytes(head, "big")
    if len(head) < 8 or size > 13 * CHARACTERS:  # as many as JSON takes at most
        raise EOFError
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def serve() -> None:
    """The child: files in at stdin, what they say out at stdout, until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not pass for an answer
    limit_once()
    questions = sys.stdin.buffer
    while True:
        try:
            ending = json.loads(receive(questions))["ending"]
            data = receive(questions)
        except EOFError:
            return
        limit_seconds()
        send(answers, json.dumps(answer(ending, data)).encode())


def answer(ending: str, data: bytes) -> dict[str, Any]:
    """A file's text and the rest as JSON takes it, or the reason why there is none."""
    try:
        from knowledge.reading.formats import read

        made = read(ending, data)
    except Unreadable as error:
        return {"reason": str(error)}
    except MemoryError:
        return {"reason": f"needs more than {MEMORY // 1_000_000_000} GB of memory; split it", "spent": True}
    except RecursionError:
        return {"reason": "has too many nested parts; save it again in a simpler form"}
    except Exception as error:  # a parser may raise anything; the file is at fault, not the run
        return {"reason": f"can't be converted ({type(error).__name__}); save it again, or as text"}
    if len(made.text) > CHARACTERS:
        return {"reason": f"contains more than {CHARACTERS // 1_000_000} million characters; split it"}
    return asdict(made)


def limit_once() -> None:
    """What this process may never do again: take more memory than MEMORY, write files, leave a core behind."""
    for kind, most in (("AS", MEMORY), ("FSIZE", 0), ("CORE", 0)):
        limit(kind, most)


def limit_seconds() -> None:
    """Let this process compute for SECONDS from now."""
    limit("CPU", int(time.process_time() + SECONDS) + 1)
