"""What differs between machines: cores, memory, vector units; the only home of calls that Linux alone has.

Imported before anything that computes, it also tells OpenMP's threads to sleep while they wait. By default they spin,
and one busy neighbour on a core then makes a training step ten times slower.
"""

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # a short look before they sleep, where nothing else runs
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read once, when torch or llama.cpp loads its OpenMP library


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def multiplies_in_bf16() -> bool:
    """Whether the CPU says that it multiplies in bf16; others can, slowly."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16"))


def peak_memory() -> int:
    """The most bytes that this process has held in memory so far.

    On Linux VmHWM of proc_pid_status(5): what getrusage(2) tells there begins with what the parent process held.
    """
    import resource

    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def keep_freed_memory() -> None:
    """Let glibc keep freed memory: handing it back after each step and clearing it again takes an eighth of the time.

    The settings are M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt(3); other C libraries are left alone.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(-1, 2**31 - 1)
        library.mallopt(-3, 2**30)


def limit(kind: str, most: int) -> None:
    """Lower a limit of this process for good, as setrlimit(2) names it: AS, FSIZE, CORE or CPU."""
    with suppress(ImportError, AttributeError, ValueError, OSError):  # Windows has none, macOS none of address space
        import resource

        number = getattr(resource, f"RLIMIT_{kind}")
        hard = resource.getrlimit(number)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(number, (most, hard if kind == "CPU" else most))
