"""What a file says once it is converted, or why it can't be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Unreadable(Exception):
    """Why a file can't be read, in words for the person who wrote it."""


@dataclass(frozen=True)
class Converted:
    """What a file says: its text as Markdown and what it tells about itself; "" where it tells nothing."""

    text: str
    pages: tuple[int, ...] = ()
    """The character offset at which each page begins, where the format has pages."""
    title: str = ""
    language: str = ""
    """ISO 639-1, such as en."""
    tags: tuple[str, ...] = ()
    date: str = ""
    """ISO day."""
    flags: tuple[str, ...] = ()
    """One line each for a person about text that a reader of the file would not see."""
    left_out: tuple[str, ...] = ()
    """One line each for a person about what the file holds and the text does not."""

    @staticmethod
    def loaded(fields: Mapping[str, Any]) -> "Converted":
        """From JSON; TypeError, KeyError or ValueError where that is no converted file."""
        for name, kind in (("text", str), ("title", str), ("language", str), ("date", str)):
            if not isinstance(fields[name], kind):
                raise ValueError(name)
        return Converted(fields["text"], tuple(map(int, fields["pages"])), fields["title"], fields["language"],
                         tuple(map(str, fields["tags"])), fields["date"], tuple(map(str, fields["flags"])),
                         tuple(map(str, fields["left_out"])))
