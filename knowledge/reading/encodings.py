"""Bytes to text: by their mark, as UTF-8, as a web page declares, else by what its letters make likeliest."""

import codecs
import re
from contextlib import suppress

from knowledge.reading.converted import Unreadable

_CHARSET = re.compile(rb"<(?:meta|\\?xml)\b[^>]{0,300}?(?:charset|encoding)[ \t]*=[ \t]*[\"']?([A-Za-z0-9_:.-]{2,40})",
                      re.IGNORECASE)
_KANA = re.compile("[\u3041-\u30ff]")
_WESTERN = re.compile("[\xa0¡¢£¤¥§©ª«¬®¯°±²³´µ¶·¸¹º»¼½¾¿À-ÏÑ-Üß-ïñ-üÿŒœŸ€‚„…†‡‰‹›‘’“”•–—™]")
_SPLIT = re.compile("[A-Za-zÀ-ÿ][¡¢£¤¥§ª¬¯±²³µ¶¸¹º¼¾¿][a-zß-ÿ]")
"""A sign within a word, which no word of Western Europe holds: a letter of Eastern Europe, wrongly read."""


def decoded(data: bytes, named: str = "") -> str:
    """Bytes as text: by their byte order mark, as UTF-8, as a page says, else the likeliest; line ends unified.

    `named` is the encoding that a mail names; it counts where the bytes can be in it.
    """
    with suppress(LookupError, ValueError):
        named = "" if data.isascii() else _known(named)
        data = data.decode(named).encode() if named else data
    text = data.decode(_marked(data), errors="replace")
    strange = sum(letter > "\x7f" for letter in text)
    if "\ufffd" in text and 10 * text.count("\ufffd") > strange:  # a few broken letters don't make it no UTF-8
        text = data.decode(_declared(data) or _likeliest(data), errors="replace")
    if "\0" in text:
        raise Unreadable("contains NUL bytes, so it is not text; save it as UTF-8 text")
    controls = sum(ord(letter) < 32 and letter not in "\t\n\r\f" for letter in text[:10_000])
    if controls > 10 + len(text[:10_000]) // 100:
        raise Unreadable("is not text but binary data; save it as UTF-8 text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _marked(data: bytes) -> str:
    """The encoding that a mark at the start tells, or zeros in but one half of each pair of bytes; else UTF-8."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    start = data[:4000]
    first, second = start[::2].count(0), start[1::2].count(0)
    plain = sum(32 <= one < 127 and 32 <= other < 127 for one, other in zip(start[::2], start[1::2], strict=False))
    if len(data) % 2 == 0 and bool(first) != bool(second) and 4 * plain < len(start):
        return "utf-16-le" if second else "utf-16-be"
    return "utf-8-sig"


def _declared(data: bytes) -> str:
    """The encoding that a web page says it is in; "" where it says none that is known."""
    found = _CHARSET.search(data[:4000])
    try:
        name = _known(found[1].decode()) if found else "utf-8"
        data.decode(name)
    except (LookupError, ValueError):
        return ""
    return "" if name.startswith("utf") else name


def _known(name: str) -> str:
    """Python's name of an encoding, "" for none; LookupError where it knows none."""
    found = codecs.lookup(re.sub(r"^(?:windows|ibm|x-cp)-?(?=\d+$)", "cp", name.strip().lower())).name if name else ""
    latin = found in ("iso8859-1", "ascii")  # browsers read the larger set that Windows made of it
    return "cp1252" if latin else found


def _likeliest(data: bytes) -> str:
    """The encoding that bytes are most likely in; a few letters beyond ASCII are too few to count how often each is."""
    from charset_normalizer import from_bytes

    for encoding, belonging in (("cp932", _KANA), ("euc_jp", _KANA), ("cp1252", _WESTERN)):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        strange = sum(letter > "\x7f" for letter in text)
        if encoding == "cp1252" and (3 * strange > len(text) or _SPLIT.search(text)):
            continue
        if len(belonging.findall(text)) >= (strange if encoding == "cp1252" else strange / 4):
            return encoding
    best = from_bytes(data[:2_000_000]).best()
    if best is None:
        raise Unreadable("is not text in any known encoding; save it as UTF-8")
    return best.encoding
