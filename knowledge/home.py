"""Where prepared models are kept between workspaces."""

import os
from pathlib import Path


def home() -> Path:
    """The cache folder: $TWOFOLD_HOME, else `twofold` in the user's cache folder."""
    if chosen := os.environ.get("TWOFOLD_HOME"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twofold"
