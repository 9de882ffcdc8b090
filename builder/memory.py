"""The most memory that this process has held so far."""

import resource
import sys
from pathlib import Path


def peak_memory() -> int:
    """Bytes of the resident set at its largest.

    On Linux VmHWM of proc_pid_status(5): what getrusage(2) tells there begins with what the parent process held.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
