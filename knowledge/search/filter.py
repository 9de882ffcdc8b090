"""Which documents are searched, by what they tell about themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Filter:
    """Which documents are searched; what is left empty allows all."""

    folder: str = ""
    """Below documents/, such as repairs."""
    language: str = ""
    """ISO 639-1, such as en."""
    tag: str = ""
    since: str = ""
    """ISO day; a document without a date is left out."""
    until: str = ""

    def allows(self, path: str, settings: dict[str, Any]) -> bool:
        """Whether a document of this path and these settings is searched."""
        date = settings["date"]
        return (path.startswith(f"documents/{self.folder.strip('/')}/" if self.folder else "")
                and self.language in ("", settings["language"]) and (not self.tag or self.tag in settings["tags"])
                and (not (self.since or self.until) or bool(date) and self.since <= date <= (self.until or "9999")))


def kinds(documents: Mapping[str, Mapping[str, Any]]) -> str:
    """What a filter can name, given the settings of each document, in words."""
    folders = {path.rsplit("/", 1)[0].removeprefix("documents").strip("/") for path in documents if "://" not in path}
    told = {"folders": folders, "languages": {document["language"] for document in documents.values()},
            "tags": {tag for document in documents.values() for tag in document["tags"]},
            "days": {document["date"] for document in documents.values()}}
    return "; ".join(f"{name} {', '.join(sorted(values - {''})[:20]) or 'none'}" for name, values in told.items())
