"""Durable files: a reader sees the old content or the new one, never a half."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from platformdirs import user_cache_dir

from knowledge.errors import UserError


class Tick(Protocol):
    """Progress of one stage: how many steps are done, of how many, a short note, and the figures, if there are any."""

    def __call__(self, done: int, total: int, note: str, figures: Mapping[str, Any] | None = None, /) -> None:
        """`figures` are a training's record so far: what training.json will hold. It goes on changing."""


def silent(done: int, total: int, note: str, figures: Mapping[str, Any] | None = None) -> None:
    """A Tick that shows nothing."""


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` through a temporary file that is fsynced and renamed.

    Raises UserError when the disk is full or the folder can't be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".writing-", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise unwritable(path, error) from error
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN is refused, since no reader agrees on it."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that Twofold wrote; UserError when it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: can't be read ({error}); delete it and run `twofold build` again") from error


def make_folder(path: Path, fill: Callable[[Path], None]) -> Path:
    """Create the folder `path` whole: `fill` writes into a temporary sibling that is renamed at the end.

    A folder already there is left as it is: it was made whole by an earlier run. Interrupted at any
    moment, `path` does not exist yet; what an earlier interruption left behind is cleared first. Of two
    processes that want the same folder one makes it, and the other waits.
    """
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_name(f".making-{path.name}.lock")):
            return path if path.exists() else _made(path, fill)
    except OSError as error:
        raise unwritable(path, error) from error


def _made(path: Path, fill: Callable[[Path], None]) -> Path:
    temporary = path.with_name(f".making-{path.name}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        fill(temporary)
        for file in sorted(temporary.rglob("*")):
            if file.is_file():
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
        os.rename(temporary, path)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(path.parent)
    return path


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold the file `lock`, which is there only while somebody holds it; whoever is killed lets go."""
    import fcntl

    while True:
        with lock.open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            try:
                gone = lock.stat().st_ino != os.fstat(held.fileno()).st_ino
            except FileNotFoundError:
                gone = True
            if gone:
                continue  # whoever held it before has taken it away
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def unwritable(path: Path, error: OSError) -> UserError:
    """The line for a file that the system would not write."""
    return UserError(f"{path}: can't be written ({error.strerror or error}); free some disk space or correct the "
                     "permissions, then run the same command again; it continues where it stopped")


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable, where the system allows it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows has no folder handles; the rename itself is atomic there
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def hash_bytes(*parts: bytes | str) -> str:
    """SHA-256 of the parts, each with its length, so that no two lists of parts share a hash."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


def hash_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of files, in the given order."""
    return hash_bytes(*(part for path in paths for part in (path.name, path.read_bytes())))


@contextmanager
def held(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the file `path`, which then says the number of this process; BlockingIOError if another does and no `wait`.

    The system lets go of it however the process ends.
    """
    import fcntl

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = path.open("a+")
    except OSError as error:
        raise unwritable(path, error) from error
    with opened:
        fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        opened.truncate(0)
        opened.write(str(os.getpid()))
        opened.flush()
        yield


def holder(path: Path) -> int | None:
    """The number of the process that holds `path` by `held`; None where none does."""
    import fcntl

    with suppress(FileNotFoundError, ValueError), path.open() as opened:
        number = int(opened.read())
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:  # held, so the number is the holder's own
            return number
    return None


def home() -> Path:
    """The cache folder: $TWOFOLD_HOME, else `twofold` where this system keeps a user's caches."""
    return Path(os.environ.get("TWOFOLD_HOME") or user_cache_dir("twofold", appauthor=False))
