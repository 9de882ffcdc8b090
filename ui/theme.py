"""Colours: the brand's accent as Streamlit options, and one colour a system for the charts."""

import re
from collections.abc import Mapping

ACCENTS = {"light": "#0b6e75", "dark": "#3fb8bf"}
"""Where the brand gives none that can be read."""
BACKGROUNDS = {"light": "#ffffff", "dark": "#0e1117"}
SYSTEM_COLOURS = {"prompt-only": "#8a8f98", "rag-only": "#2f7ed8", "fine-tune-only": "#e08a1e", "hybrid": "#8250c4"}
"""Told apart by colour-blind eyes too, and readable on both backgrounds; every chart names the systems as well."""
VERDICT_COLOURS = {"better": "#1a8f5a", "worse": "#d1453b", "no difference shown": "#8a8f98"}
READABLE = 3.0
"""The least contrast of an accent with its background (WCAG 2.2, 1.4.11)."""

_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def arguments(colours: Mapping[str, str]) -> list[str]:
    """The options for `streamlit run` that give the app its look; `colours` are those of brand.yaml.

    The brand's accent, or else its primary colour, is used where it is written #rrggbb and is readable.
    """
    options = ["--client.toolbarMode", "minimal", "--client.showErrorDetails", "none"]
    for ground in ACCENTS:
        options += [f"--theme.{ground}.primaryColor", accent(colours, ground),
                    f"--theme.{ground}.baseRadius", "0.75rem"]
    return options


def accent(colours: Mapping[str, str], ground: str) -> str:
    """The accent on the `light` or the `dark` ground, as #rrggbb."""
    for name in ("accent", "primary"):
        colour = colours.get(name, "")
        if _HEX.fullmatch(colour) and contrast(colour, BACKGROUNDS[ground]) >= READABLE:
            return colour
    return ACCENTS[ground]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours #rrggbb, 1 to 21 (WCAG 2.2, relative luminance)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place:place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
