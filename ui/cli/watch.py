"""A folder kept indexed: whenever its files have changed and then been quiet, it is time again."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

QUIET = 1.0
"""Seconds without a change before what changed is read: an editor writes in several steps."""


def changes(folder: Path, quiet: float = QUIET) -> Iterator[None]:
    """Once at the start, and again each time that something below `folder` has changed; ends with Ctrl-C."""
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    changed = threading.Event()

    class Notice(FileSystemEventHandler):
        """Notices what is written, moved or removed; reading is no change."""

        def on_any_event(self, event: FileSystemEvent) -> None:
            if event.event_type not in ("opened", "closed_no_write"):
                changed.set()

    observer: Any = Observer()
    observer.schedule(Notice(), str(folder), recursive=True)
    observer.start()
    try:
        yield
        while True:
            changed.wait()
            while changed.is_set():
                changed.clear()
                changed.wait(quiet)
            yield
    finally:
        observer.stop()
        observer.join()
