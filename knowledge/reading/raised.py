"""Raised figures: a power keeps its sign, a note's mark goes, lest £40 with a raised 1 become £401."""

import re

_UNIT = re.compile(r"(?:^|[\d\s/])[kcdmµ]?m$|\b(?:ft|in|yd|mi|x)$")
"""A unit or variable, of which a raised figure is the power."""


def raised(mark: str, before: str, text: str) -> str:
    """What is written for `mark` raised behind the words `before`.

    Nothing where it is a note's mark, which a note in `text`, the whole page, begins with.
    """
    note = rf"(?:^|\n|[.;:] )\s*[\[(]?{re.escape(mark)}[\])]?[.:]?\s+[^\W\d]"
    if not _UNIT.search(before) and (not mark.isdigit() or re.search(note, text)):
        return ""
    return f"^{mark}"
