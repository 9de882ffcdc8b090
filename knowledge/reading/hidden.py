"""Text that a person does not see and a model would read: named for the person, and kept out of what is indexed."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from knowledge.reading.hidden_files import Found, in_pages, in_sheets, in_slides, in_word

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

MOST = 20
"""Lines a person gets for one document."""
EXCERPT = 80

# Characters without a shape of their own, in runs; and controls, which no text holds.
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
                        "\U000e0000-\U000e01ef]+")
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_SELECTOR = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_TAG = re.compile("[\U000e0000-\U000e007f]")
_REGION = re.compile("[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")  # the flag of Wales
_EMOJI = re.compile("[\u200d\u20e3\u2190-\u2bff\ufe0f\U0001f000-\U0001faff]")
_JOINER = re.compile("[\u034f\u180e\u200b-\u200d]")
_JOINING = re.compile("[\u0590-\u109f\u1780-\u18af\u1900-\u1cff\ua800-\uabff\ufb1d-\ufdff\ufe70-\ufefc"
                      "\U00010800-\U00011fff\U0001e800-\U0001efff]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202c\u2066-\u2069]")
_TURNING = re.compile("[\u202b\u202d\u202e\u2067]")
_WORD = re.compile(r"[^\W\d_]{2,}")


def plain(text: str) -> str:
    """`text` as it is seen: without invisible characters that are no part of how its script or emoji is written.

    Soft hyphens, control characters and lone surrogates go too.
    """
    return _INVISIBLE.sub(_belonging, _CONTROL.sub("", text))


def flags(kind: str, data: bytes, text: str) -> tuple[str, ...]:
    """One line for each piece of hidden text in a document, at most MOST.

    `kind` is the file's ending, `data` the file, and `text` what it was converted to, before `plain`. Of a web
    page only its characters are looked at here: `without_hidden` names the rest.
    """
    look = {".docx": in_word, ".pptx": in_slides, ".xlsx": in_sheets, ".pdf": in_pages}.get(kind)
    lines = _lines(_characters(text))
    if kind in (".md", ".markdown"):
        lines += _lines(_markdown(text))
    try:
        lines += _lines(look(data)) if look else []
    except Exception as error:  # whatever a damaged file provokes in a parser: the look must not cost the document
        lines.append(f"could not be searched for hidden text to its end ({type(error).__name__})")
    return tuple(lines[:MOST])


def without_hidden(page: "BeautifulSoup") -> list[str]:
    """Remove from a parsed web page what is not shown; return a line for each part that held words, at most MOST.

    Only attributes and inline styles are read, not style sheets. White text that a style sheet may have put on
    a dark ground stays, and is named.
    """
    return _lines(list(_unshown(page)))


def _lines(found: Iterable[Found]) -> list[str]:
    """A line for each place and way of hiding, with all that is hidden there."""
    together: dict[tuple[str, str], str] = {}
    for where, what, text in found:
        if (_WORD.search(text) or _INVISIBLE.search(text)) and ((where, what) in together or len(together) < MOST):
            before = together.get((where, what), "")
            together[where, what] = f"{before} {text[:EXCERPT]}" if len(before) < EXCERPT else before
    return [f"{where}: {what}: “{_excerpt(text)}”" for (where, what), text in together.items()]


def _excerpt(text: str) -> str:
    """At most EXCERPT characters on one line, what can't be printed as escapes."""
    shown = "".join(character if character.isprintable() else character.encode("unicode_escape").decode()
                    for character in " ".join(text.split())[:EXCERPT])
    return shown if len(shown) <= EXCERPT else shown[:EXCERPT - 1] + "…"


def _belonging(run: re.Match[str]) -> str:
    """The part of a run of invisible characters that belongs to how the text around it is written."""
    text, value, start, end = run.string, run[0], run.start(), run.end()
    before, after = text[max(0, start - 1):start], text[end:end + 1]
    if before == "\U0001f3f4" and _REGION.fullmatch(value) or (
            value in ("\u200d", "\ufe0f\u200d") and _EMOJI.match(before) and _EMOJI.match(after)) or (
            _SELECTOR.fullmatch(value) and not (before.isspace() or before.isascii() and before.isalpha())):
        return value
    if len(value) > 4:
        return ""
    joins, turns = _JOINING.match(before), _RIGHT_TO_LEFT.search(text, max(0, start - 200), end + 200)
    return "".join(character for character in value
                   if joins and _JOINER.match(character) or turns and _DIRECTION.match(character))


def _characters(text: str) -> Iterator[Found]:
    """Invisible characters that hide a message, split a word or turn the text around; each kind once, with a count."""
    places: dict[str, list[int]] = {}
    for run in _INVISIBLE.finditer(text):
        what = _message(run) if _belonging(run) != run[0] else ""
        if what:
            places.setdefault(what, []).append(run.start())
    for what, (first, *others) in places.items():
        line = text.count("\n", 0, first) + 1
        more = f" and {len(others)} more" if others else ""
        around = text[max(0, first - 15):first + EXCERPT]
        if what == TAGS:
            around = "".join(chr(ord(tag) - 0xE0000) for tag in _TAG.findall(text, first, first + EXCERPT))
        yield f"line {line}{more}", what, around


TAGS = "tag characters, which no one sees, that spell"


def _message(run: re.Match[str]) -> str:
    """What a run of invisible characters is for; empty where it only tells where a line may break."""
    value, text = run[0], run.string
    if _TAG.search(value):
        return TAGS
    if _TURNING.search(value):
        return "a control that turns the direction of the text around"
    inside = text[max(0, run.start() - 1):run.start()].isalnum() and text[run.end():run.end() + 1].isalnum()
    if value.strip("\u00ad") and (inside or len(value) > 2):
        return "invisible characters"
    return ""


_CODE = re.compile(r"^(```|~~~)[\s\S]*?(?:^\1|\Z)|`[^`\n]*`", re.MULTILINE)
_COMMENT = re.compile(r"<!--([\s\S]*?)(?:-->|\Z)|^\[[^\]\n]*\]:\s*#\s*[(\"'](.*)[)\"']\s*$", re.MULTILINE)


def _markdown(text: str) -> Iterator[Found]:
    """Comments of more than a few words, and HTML that is not shown; code shows both as they are."""
    def blank(match: re.Match[str]) -> str:
        return "\n" * match[0].count("\n")

    text = _CODE.sub(blank, text)
    for comment in _COMMENT.finditer(text):
        words = comment[1] or comment[2] or ""
        if _speaks(words):
            yield f"line {text.count(chr(10), 0, comment.start()) + 1}", "a comment", words
    if re.search(r"<\w[^>]*\b(style|hidden)\b|<(template|noscript)\b", text, re.IGNORECASE):
        from bs4 import BeautifulSoup

        yield from _unshown(BeautifulSoup(_COMMENT.sub(blank, text), "html.parser"))


def _speaks(comment: str) -> bool:
    """Whether a comment is more than a mark for a program: five words or more."""
    return len(list(islice(_WORD.finditer(comment), 5))) == 5 and not comment.startswith("[if")


_NONE, _FAR = r"0+(\.\d*)?\D*", r"-(\d{4,}(\.\d+)?(px|pt)|\d{3,}(\.\d+)?(%|vw|vh|r?em))"
_CONCEALING = {"display": ("none", ""), "visibility": ("hidden|collapse", ""), "opacity": (r"0|0?\.0\d*|[0-5]%", ""),
               "font-size": (r"0+|[01]?(\.\d*)?(px|pt)|0?\.[0-2]\d*r?em|0(r?em|%)", ""), "color": ("transparent", ""),
               "text-indent": (_FAR, ""), "transform": (r"scale\(0\)", ""),
               "clip": (r"rect\((0|1px)\D.*", "position"), "clip-path": (r"inset\((50|100)%\)", ""),
               "width": (_NONE, "overflow"), "height": (_NONE, "overflow"), "max-height": (_NONE, "overflow"),
               "left": (_FAR, "position"), "top": (_FAR, "position"), "right": (_FAR, "position"),
               "bottom": (_FAR, "position")}
"""CSS property: the values that keep an element from being seen, and the property without which they don't."""


def _unshown(page: "BeautifulSoup") -> Iterator[Found]:
    """What a web page doesn't show, removed on the way."""
    from bs4.element import CData, Comment, ProcessingInstruction

    hidden = (Comment, CData, ProcessingInstruction)
    for comment in page.find_all(string=lambda string: isinstance(string, hidden)):
        before = comment.find_previous(True)
        if _speaks(comment):
            yield f"line {before.sourceline}" if before and before.sourceline else "page", "a comment", str(comment)
        comment.extract()
    buttons = _buttons(page)
    for tag in page.find_all(True):
        what = "" if tag.decomposed or tag.name in ("html", "body") else _hiding(tag)
        if what.startswith(FOLDED) and _opens(tag, buttons):
            continue
        text = " ".join(islice(tag.stripped_strings, 40)) if what and tag.name not in ("script", "style") else ""
        if text:
            yield f"line {tag.sourceline}" if tag.sourceline else "page", what if what == PERHAPS else (
                f"{what}, left out"), text
        if what and what != PERHAPS:
            tag.decompose()


PERHAPS = "white text, kept, since a style sheet may give it a dark ground"


FOLDED = ("a hidden element", "display", "visibility", "height", "max-height")
"""Ways of hiding that a page uses for what a reader opens, such as the answers below a list of questions."""


def _buttons(page: "BeautifulSoup") -> set[str]:
    """The ids of the parts that something with words on it opens."""
    names = ("aria-controls", "data-target", "data-bs-target", "href")
    return {str(tag[name]).lstrip("#") for name in names for tag in page.select(f"[{name}]")
            if (name != "href" or str(tag[name]).startswith("#")) and tag.get_text(strip=True)}


def _opens(tag: "Tag", buttons: set[str]) -> bool:
    """Whether a reader can open a hidden part: by a button that names it, or by what stands right above it."""
    before = tag.find_previous_sibling()
    return tag.get("id") in buttons or before is not None and bool(before.get_text(strip=True)) and (
        tag.name == "dd" and before.name in ("dt", "dd") or before.name in ("button", "summary")
        or before.get("aria-expanded") is not None or before.get("role") in ("button", "tab"))


def _hiding(tag: "Tag") -> str:
    """What keeps an element from being seen; empty where nothing does."""
    if tag.name in ("script", "style", "template", "noscript"):
        return f"<{tag.name}>"
    if tag.get("hidden", "until-found") != "until-found" or tag.name == "input" and tag.get("type") == "hidden":
        return "a hidden element"
    style = _style(tag)
    for name, value in style.items():
        values, needs = _CONCEALING.get(name, ("", ""))
        if values and re.fullmatch(values, value) and (not needs or needs in style):
            return f"{name}: {value[:20]}"
    colour = _rgb(style.get("color", ""))
    return _against(tag, colour) if colour else ""


def _style(tag: "Tag") -> dict[str, str]:
    """Inline declarations by property, and the attributes of old that say colours."""
    style = str(tag.get("style", ""))[:5000].lower().replace("!important", "")
    old = {"background": str(tag.get("bgcolor", "")).lower(), "color": str(tag.get("color", "")).lower()}
    return {name: value for name, value in old.items() if value} | {
        name: value.strip() for name, value in re.findall(r"([a-z-]+)\s*:([^;]*)", style)}


def _against(tag: "Tag", colour: tuple[int, ...]) -> str:
    """How text of `colour` is lost on the ground that inline styles give it, white where none does."""
    styled = False
    for holder in islice((tag, *tag.parents), 50):
        style = _style(holder)
        ground = style.get("background-color") or style.get("background")
        if ground:
            same = _near(colour, _rgb(ground))
            break
        styled = styled or bool(holder.get("class") or holder.get("id"))
    else:
        same = _near(colour, (255, 255, 255))
    if not same or tag.find(style=re.compile("color|background")):
        return ""
    return PERHAPS if styled and not ground else "text in the colour of its ground"


_NAMED = {"white": (255, 255, 255), "black": (0, 0, 0), "snow": (255, 250, 250), "ivory": (255, 255, 240)}


def _rgb(colour: str) -> tuple[int, ...] | None:
    """A CSS colour's red, green and blue, 0 to 255; None for one that is not written as numbers or one of a few."""
    colour = colour.strip()
    if match := re.fullmatch(r"#([0-9a-f]{3}|[0-9a-f]{6})", colour):
        digits = match[1] if len(match[1]) == 6 else "".join(2 * digit for digit in match[1])
        return tuple(int(digits[at:at + 2], 16) for at in (0, 2, 4))
    if match := re.match(r"rgba?\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})", colour):
        return tuple(map(int, match.groups()))
    return _NAMED.get(colour.split(" ")[0])


def _near(one: tuple[int, ...], other: tuple[int, ...] | None) -> bool:
    """Whether two colours are told apart by nobody."""
    return other is not None and max(abs(first - second) for first, second in zip(one, other, strict=True)) <= 12
