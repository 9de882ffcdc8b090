"""Colours: the brand's accent as Streamlit options, and one colour a system for the charts."""

import re
from collections.abc import Mapping

ACCENTS = {"light": "#0b6e75", "dark": "#3fb8bf"}
"""Where the brand gives none."""
BACKGROUNDS = {"light": "#ffffff", "dark": "#171614"}
OTHER_COLOUR = "#5b6b7a"
"""Of the experiment's further arms."""
SYSTEM_COLOURS = {"prompt-only": "#8a8f98", "rag-only": "#2f7ed8", "fine-tune-only": "#e08a1e", "hybrid": "#8250c4"}
"""Told apart by colour-blind eyes too, and readable on both backgrounds; every chart names the systems as well."""
VERDICT_COLOURS = {"better": "#1a8f5a", "worse": "#d1453b", "no difference shown": "#8a8f98"}
READABLE = 4.5
"""The least contrast of an accent with its background, for it colours text as well (WCAG 2.2, 1.4.3)."""
STEPS = 20

_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def arguments(colours: Mapping[str, str]) -> list[str]:
    """The options for `streamlit run` that give the app its look; `colours` are those of brand.yaml.

    The brand's accent, or else its primary colour, is used where it is written #rrggbb; anything else is passed over.
    """
    options = ["--client.toolbarMode", "minimal", "--client.showErrorDetails", "none",
               "--runner.magicEnabled", "false"]
    for ground in ACCENTS:
        options += [f"--theme.{ground}.primaryColor", accent(colours, ground),
                    f"--theme.{ground}.baseRadius", "0.75rem"]
    return options


def accent(colours: Mapping[str, str], ground: str) -> str:
    """The accent on the `light` or the `dark` ground as #rrggbb: the brand's, made darker or lighter till readable."""
    given = [colours[name] for name in ("accent", "primary") if _HEX.fullmatch(colours.get(name, ""))]
    away = "#000000" if ground == "light" else "#ffffff"
    mixed = (_mix(colour, away, step / STEPS) for colour in given[:1] for step in range(STEPS + 1))
    return next((colour for colour in mixed if contrast(colour, BACKGROUNDS[ground]) >= READABLE), ACCENTS[ground])


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours #rrggbb, 1 to 21 (WCAG 2.2, relative luminance)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _mix(one: str, other: str, share: float) -> str:
    """`one` with this share of `other` in it."""
    pairs = zip(_parts(one), _parts(other), strict=True)
    return "#" + "".join(f"{round(left + (right - left) * share):02x}" for left, right in pairs)


def _parts(colour: str) -> list[int]:
    return [int(colour[place:place + 2], 16) for place in (1, 3, 5)]


def _luminance(colour: str) -> float:
    parts = [part / 255 for part in _parts(colour)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
