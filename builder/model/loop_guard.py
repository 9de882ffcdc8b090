"""Keeps a reply from repeating itself; knows nothing of engines, and treats all systems alike."""

import re

LOOP = 8
"""Words: so many in a row that stand earlier in the reply are a loop, and end it."""


class Guard:
    """Reads a reply piece by piece; what it returns is safe to show, and `looped` says that the reply must stop.

    A loop is the last LOOP words standing earlier in the reply in the same order, or a few words said again at once.
    What may be the start of one is held back until it turns out not to be, so that a reader never sees the
    repetition. The same text gives the same reply however it was cut into pieces.
    """

    def __init__(self) -> None:
        """Start with an empty reply."""
        self.looped = False
        self._text = ""
        self._shown = 0

    def feed(self, piece: str) -> str:
        """Take the next piece of the reply and return the text that may be shown now."""
        shown = ""
        for character in piece:
            if self.looped:
                break
            self._text += character
            if character.isspace():
                shown += self._release()
        return shown

    def finish(self, finish: str) -> tuple[str, str]:
        """The whole reply and why it ended, given why the engine stopped: stop, length or cancelled."""
        if not self.looped:
            self._release()
        if self.looped:
            return self._text[: self._shown].strip(), "loop"
        if finish == "length":
            return whole_sentences(self._text), finish
        return self._text.strip(), finish

    def _release(self) -> str:
        words = list(re.finditer(r"\S+", self._text))
        said = [word.group().casefold() for word in words]
        repeated = _repeated(said)
        if repeated >= LOOP or _stuck(said):
            self.looped = True
            return ""
        end = words[-repeated].start() if repeated else len(self._text)
        shown, self._shown = self._text[self._shown : end], max(end, self._shown)
        return shown


def whole_sentences(text: str) -> str:
    """The text up to its last whole sentence; all of it where no sentence ends."""
    ends = [match.end() for match in re.finditer(r"[.!?…][\"')\]]*(?=\s|$)", text)]
    return (text[: ends[-1]] if ends else text).strip()


def _stuck(words: list[str]) -> bool:
    """Whether the last words were said just before: four to seven of them twice, one to three four times in a row."""
    for size in range(1, LOOP):
        times = 2 if size > 3 else 4
        tail = words[-size * times:]
        if len(tail) == size * times and tail == tail[-size:] * times:
            return True
    return False


def _repeated(words: list[str]) -> int:
    """How many of the last words, LOOP at most, stand earlier in the same order without overlapping."""
    for size in range(min(LOOP, len(words) // 2), 0, -1):
        tail, earlier = words[-size:], words[:-size]
        if any(earlier[start : start + size] == tail for start in range(len(earlier) - size + 1)):
            return size
    return 0
