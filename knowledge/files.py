"""Durable files: a reader sees the old content or the new one, never a half."""

import hashlib
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from platformdirs import user_cache_dir

from knowledge.errors import UserError

BLOCK = 2**20
"""Bytes of a file that are in memory at once."""
LOOK = 0.001
"""Seconds that somebody who only looks at a lock has it for, or its holder takes to write its number."""


LEAVING = ".removing-"


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


def remove_folder(path: Path) -> None:
    """Remove a folder so that, however it ends, `path` is there whole or not at all."""
    try:
        if path.name.startswith(LEAVING):
            shutil.rmtree(path)
            return
        with _alone(path.with_name(f".making-{path.name}.lock")):
            leaving = path.with_name(LEAVING + path.name)
            shutil.rmtree(leaving, ignore_errors=True)
            path.rename(leaving)
        shutil.rmtree(leaving)
    except FileNotFoundError:
        return  # somebody else was quicker
    except OSError as error:
        raise unwritable(path, error) from error


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


def hash_bytes(*parts: bytes | str | Path) -> str:
    """SHA-256 of the parts, each with its length, so that no two lists of parts share a hash.

    A path stands for the file's content, which is read in blocks.
    """
    digest = hashlib.sha256()
    for part in parts:
        with part.open("rb") if isinstance(part, Path) else io.BytesIO(
                part.encode() if isinstance(part, str) else part) as content:
            digest.update(content.seek(0, os.SEEK_END).to_bytes(8, "big"))
            content.seek(0)
            while block := content.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


def hash_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of files, in the given order."""
    return hash_bytes(*(part for path in paths for part in (path.name, path)))


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
        if wait:
            fcntl.flock(opened, fcntl.LOCK_EX)
        else:
            _take(opened)
        opened.truncate(0)
        opened.write(str(os.getpid()))
        opened.flush()
        yield


def _take(opened: IO[Any]) -> None:
    """Lock an open file alone; BlockingIOError where somebody holds it. Who only looks, as `holder` does, shares it."""
    import fcntl

    while True:
        with suppress(BlockingIOError):
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)  # refused while somebody holds it, but not by a look
        fcntl.flock(opened, fcntl.LOCK_UN)
        time.sleep(LOOK)


def holder(path: Path) -> int | None:
    """The number of the process that holds `path` by `held`; None where none does."""
    import fcntl

    with suppress(FileNotFoundError), path.open() as opened:
        while True:
            try:
                fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                opened.seek(0)
                if number := opened.read().strip():
                    return int(number)
                time.sleep(LOOK)  # its holder is about to write
            else:
                return None
    return None


def home() -> Path:
    """The cache folder: $TWOFOLD_HOME, else `twofold` where this system keeps a user's caches."""
    return Path(os.environ.get("TWOFOLD_HOME") or user_cache_dir("twofold", appauthor=False))
