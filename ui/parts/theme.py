"""Colours: the brand's as Streamlit's theme, readable on light and dark, and one colour a system for the charts."""

import colorsys
import json
import re
from collections.abc import Iterator, Mapping, Sequence

ACCENTS = {"light": "#0b6e75", "dark": "#3fb8bf"}
"""Where the brand gives none."""
BACKGROUNDS = {"light": "#ffffff", "dark": "#171614"}
TEXTS = {"light": "#2f2d2b", "dark": "#edebe8"}
OTHER_COLOUR = "#5b6b7a"
"""Of the experiment's further arms."""
SYSTEM_COLOURS = {"prompt-only": "#8a8f98", "rag-only": "#2f7ed8", "fine-tune-only": "#e08a1e", "hybrid": "#8250c4"}
"""Told apart by colour-blind eyes too, and readable on both backgrounds; every chart names the systems as well."""
VERDICT_COLOURS = {"better": "#1a8f5a", "worse": "#d1453b", "no difference shown": "#8a8f98"}
MEANINGS = {"red": ("#9e303b", "#f2919a"), "orange": ("#9b4519", "#f2a56d"), "yellow": ("#956b0f", "#fbd54f"),
            "blue": ("#244fb4", "#85b8f8"), "green": ("#0c5a44", "#7ed5b0"), "violet": ("#6f33b8", "#bf8ef7"),
            "gray": ("#686255", "#b8b3a8")}
"""What Streamlit writes errors, warnings and badges in, on light and on dark."""
READABLE = 4.5
"""The least contrast of a text with its background (WCAG 2.2, 1.4.3)."""
FADED, TINTED = 0.6, 0.2
"""How much of a text's colour Streamlit's muted text keeps, and of the accent's the ground of what is chosen."""
SHADE, HUE, TINT = {"light": 0.04, "dark": 0.08}, 0.1, {"light": 0.08, "dark": 0.18}
"""How far panels stand out, how much of the brand is in the dark, and of a meaning's colour in its ground."""
HEADINGS = ("2.5rem", "1.75rem", "1.5rem")
"""Sizes of the first three levels."""
STEPS = 20

_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def arguments(colours: Mapping[str, str]) -> list[str]:
    """The options for `streamlit run` that give the app its look; `colours` are those of brand.yaml."""
    options = ["--client.toolbarMode", "minimal", "--client.showErrorDetails", "none",
               "--client.showErrorLinks", "false", "--runner.magicEnabled", "false",
               "--theme.headingFontSizes", json.dumps(HEADINGS)]
    for ground in BACKGROUNDS:
        for name, value in look(colours, ground).items():
            options += [f"--theme.{ground}.{name}", value]
    return options


def look(colours: Mapping[str, str], ground: str) -> dict[str, str]:
    """Streamlit's theme options on the `light` or the `dark` ground.

    The brand's background and text are used where they suit the ground, its accent everywhere; each is made darker or
    lighter till it can be read. What isn't written #rrggbb is passed over.
    """
    page, ink = _page(colours, ground), _ink(ground)
    panel = _mix(page, ink, SHADE[ground])
    given = [*_given(colours, "text", "background"), TEXTS[ground]]
    text = _readable(next(colour for colour in given if contrast(colour, page) >= READABLE), (page, panel), ink, FADED)
    chosen = accent(colours, ground)
    options = {"backgroundColor": page, "secondaryBackgroundColor": panel, "textColor": text, "primaryColor": chosen,
               "linkColor": chosen, "codeBackgroundColor": panel, "codeTextColor": text,
               "dataframeHeaderBackgroundColor": panel, "borderColor": _mix(page, text, 2 * SHADE[ground] + 0.05),
               "baseRadius": "0.75rem"}
    for name, (on_light, on_dark) in MEANINGS.items():
        colour = on_light if ground == "light" else on_dark
        tint = _mix(page, colour, TINT[ground])
        options |= {f"{name}BackgroundColor": tint, f"{name}TextColor": _readable(colour, (page, panel, tint), ink)}
    return options


def style(colours: Mapping[str, str]) -> str:
    """The CSS for what Streamlit gives no option for: text on the accent, and coloured words in captions.

    Streamlit writes on the accent in white, and makes all of a caption equally pale.
    """
    light, dark = (look(colours, ground) for ground in BACKGROUNDS)
    on_accent = _either(light["backgroundColor"], dark["backgroundColor"])
    muted = _either(*(_mix(one["backgroundColor"], one["textColor"], FADED) for one in (light, dark)))
    return ("<style>"
            f'[data-testid^="stBaseButton-primary"] {{ color: {on_accent}; }}'
            f'[data-testid="stMultiSelect"] [data-tag] * {{ color: {on_accent}; }}'
            f'[data-testid="stCaptionContainer"] {{ color: {muted}; opacity: 1; }}'
            "</style>")


def accent(colours: Mapping[str, str], ground: str) -> str:
    """The accent on the `light` or the `dark` ground as #rrggbb: the brand's, or else its primary colour, readable."""
    page, ink = _page(colours, ground), _ink(ground)
    panel = _mix(page, ink, SHADE[ground])
    start = next(_given(colours, "accent", "primary"), ACCENTS[ground])
    return next(candidate for candidate in _towards(start, ink)
                if _holds(candidate, (page, panel, _mix(page, candidate, TINTED))))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours #rrggbb, 1 to 21 (WCAG 2.2, relative luminance)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _page(colours: Mapping[str, str], ground: str) -> str:
    """The brand's background where this ground can be so; else white, or a dark with a little of the brand in it."""
    for given in _given(colours, "background"):
        # Streamlit takes a theme for light or dark by its background's luminance.
        if (_luminance(given) > 0.5) == (ground == "light") and _carries(given, ground):
            return given
    usual = BACKGROUNDS[ground]
    brand = next(_given(colours, "primary", "accent"), usual)
    return _mix(usual, brand, HUE) if ground == "dark" else usual


def _carries(page: str, ground: str) -> bool:
    """Whether muted text can be read on this background and on its panels."""
    ink = _ink(ground)
    return _holds(ink, (page, _mix(page, ink, SHADE[ground])), FADED)


def _ink(ground: str) -> str:
    return "#000000" if ground == "light" else "#ffffff"


def _given(colours: Mapping[str, str], *names: str) -> Iterator[str]:
    """Those of the brand's colours that are written as a colour."""
    return (colours[name] for name in names if _HEX.fullmatch(colours.get(name, "")))


def _readable(colour: str, grounds: Sequence[str], ink: str, kept: float = 1) -> str:
    """The colour nearest to this one, on its way to `ink`, that can be read on all grounds, even faded."""
    return next((candidate for candidate in _towards(colour, ink) if _holds(candidate, grounds, kept)), ink)


def _towards(colour: str, ink: str) -> Iterator[str]:
    """The colour, and the same hue ever darker or lighter until it is `ink`."""
    yield colour
    hue, lightness, saturation = colorsys.rgb_to_hls(*(part / 255 for part in _parts(colour)))
    for step in range(1, STEPS + 1):
        nearer = lightness + ((ink == "#ffffff") - lightness) * step / STEPS
        yield "#" + "".join(f"{round(part * 255):02x}" for part in colorsys.hls_to_rgb(hue, nearer, saturation))


def _holds(colour: str, grounds: Sequence[str], kept: float = 1) -> bool:
    return all(contrast(_mix(ground, colour, kept), ground) >= READABLE for ground in grounds)


def _either(light: str, dark: str) -> str:
    """A colour in CSS, as the theme is that Streamlit shows."""
    return f"light-dark({light}, {dark})"


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
