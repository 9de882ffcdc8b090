"""Scanned pages to text by tesseract, where that program is installed."""

import io
import shutil
import subprocess
import time
from typing import Any

SECONDS = 100.0
"""For all pages of one file; the rest is named as scans."""
DOTS = 200
"""Per inch, at which a page is looked at."""
LANGUAGES = 4
"""Of those that are installed; each slows the reading."""


def program() -> str | None:
    """Where tesseract is installed; None where it isn't."""
    return shutil.which("tesseract")


class Reader:
    """Reads the scanned pages of one file, as long as time is left."""

    def __init__(self) -> None:
        self._program = program()
        self._left = SECONDS
        self._languages = ""

    @property
    def advice(self) -> str:
        """What a person can do about pages that were not read."""
        if self._program is None:
            return "install tesseract, or run text recognition (OCR) on it first"
        return "run text recognition (OCR) on it first"

    def read(self, page: Any) -> str:
        """The words of a page of pypdfium2; "" where there are none, or no program or time to read them."""
        if self._program is None or self._left <= 0:
            return ""
        start = time.monotonic()
        picture = io.BytesIO()
        page.render(scale=DOTS / 72, grayscale=True).to_pil().save(picture, "PNG")
        try:
            self._languages = self._languages or self._installed()
            done = subprocess.run([self._program, "stdin", "stdout", "-l", self._languages, "--dpi", str(DOTS)],
                                  input=picture.getvalue(), capture_output=True, timeout=self._left, check=False)
        except (OSError, subprocess.TimeoutExpired):
            self._left = 0.0
            return ""
        self._left -= time.monotonic() - start
        return done.stdout.decode("utf-8", errors="replace").replace("\f", "").strip() if done.returncode == 0 else ""

    def _installed(self) -> str:
        """The languages that tesseract has, in the form in which it takes them."""
        done = subprocess.run([str(self._program), "--list-langs"], capture_output=True, timeout=5, check=False)
        names = [name.strip() for name in done.stdout.decode(errors="replace").split("\n")[1:]]
        return "+".join([name for name in names if name and name != "osd"][:LANGUAGES]) or "eng"
