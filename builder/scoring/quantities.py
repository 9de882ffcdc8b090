"""Amounts, times and days in a text, in figures or words, made comparable: a unit and a value."""

import re
from collections.abc import Iterator

Quantity = tuple[str, str]
"""Unit and value, such as ("pound", "7.9"), ("clock", "7:30"), ("weekday", "monday"), ("december", "24")."""

SMALL = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
          "seventeen eighteen nineteen").split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINAL = ("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
            "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth").split()
_WORDS = {word: value for value, word in enumerate(SMALL)} | {ten: 10 * at for at, ten in enumerate(TENS, 2)}
_WORDS |= {f"{ten}{joint}{SMALL[one]}": 10 * at + one for at, ten in enumerate(TENS, 2) for one in range(1, 10)
           for joint in "- "}
_RANKS = {word: value for value, word in enumerate(_ORDINAL, 1)} | {"thirtieth": 30, "thirty-first": 31}
_RANKS |= {f"twenty-{_ORDINAL[one]}": 21 + one for one in range(9)}
_UNITS = {"pound": "pounds? sterling|pounds?|quid|gbp", "euro": "euros?|eur", "dollar": "dollars?|usd",
          "penny": "pence|penny|pennies", "cent": "cents?", "crown": "crowns?", "franc": "francs?|chf",
          "percent": "percent|per cent", "second": "seconds?", "minute": "minutes?|mins?", "hour": "hours?|hrs?",
          "day": "days?", "week": "weeks?", "month": "months?", "year": "years?|yrs?",
          "kilometre": "kilomet(?:re|er)s?|km",
          "metre": "met(?:re|er)s?|m", "centimetre": "centimet(?:re|er)s?|cm", "millimetre": "millimet(?:re|er)s?|mm",
          "mile": "miles?", "inch": "inch(?:es)?", "foot": "feet|foot", "gram": "gram(?:me)?s?|g",
          "kilogram": "kilo(?:gram)?(?:me)?s?|kg", "litre": "lit(?:re|er)s?", "watt": "watts?", "degree": "degrees?"}
_SIGNS = {"£": "pound", "€": "euro", "$": "dollar"}
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
MONTHS = "january february march april may june july august september october november december".split()

_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ\u00a0", "abcdefghijklmnopqrstuvwxyz ")
"""Lower case of the same length, so that what is found stands where it stood."""
_N = r"\d+(?:,\d{3})*(?:\.\d+)?"
_W = "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True))
_ANY = rf"(?:{_N}|\b(?:{_W})\b)"
_UNIT = "|".join(_UNITS.values())
_MONEY = re.compile(rf"([£€$]) ?({_N})|(?<![\w.,:£€$])({_N}) ?([£€$])(?! ?\d)")
_AMOUNT = re.compile(rf"(?<![\w.,:])(?<!hundred )(?<!hundred and )(?<!thousand )({_ANY})"
                     rf"(?: ?(?:to|or|and|-|–) ?({_ANY}))?[ -]?(%|(?:(?:working|business|full|whole|"
                     rf"more|calendar|clear|extra) )?(?:{_UNIT})\b)(?: ({_ANY})(?! ?(?:{_UNIT})\b))?")
_CLOCK = re.compile(r"\b(half|(?:a )?quarter|(?:five|ten|twenty|twenty-five)(?= past)) (past|to) "
                    rf"({'|'.join(SMALL[1:13])})\b"
                    rf"|(?<![\d.:,£€$])(\d{{1,2}})[:.]([0-5]\d)(?![\d:.]|\d) ?([ap]\.?m\b\.?)?"
                    rf"|(?<![\d.:,£€$])\b({_ANY}) ?([ap]\.?m\b|o['’]clock)")
_DAYS = re.compile(rf"\b({'|'.join(WEEKDAYS)})s?\b(?: ?(to|until|till|-|–|through) ({'|'.join(WEEKDAYS)})s?\b)?")
_RANK = "|".join(sorted(map(re.escape, _RANKS), key=len, reverse=True))
_DATE = re.compile(rf"\b(?:(\d{{1,2}})(?:st|nd|rd|th)?|({_RANK})) (?:of )?({'|'.join(MONTHS)})\b"
                   rf"|\b({'|'.join(MONTHS)}) (?:the )?(?:(\d{{1,2}})(?:st|nd|rd|th)?(?!\d)|({_RANK}))\b")
_NAMED = [(name, re.compile(pattern)) for name, pattern in _UNITS.items()]


def quantities(text: str) -> dict[Quantity, str]:
    """The amounts, times, days and dates of a text, each with the words that say it.

    Both ends of a range count, and every weekday between two. Times are on twelve hours: who writes half past five
    rarely says which. English words; figures anywhere.
    """
    found: dict[Quantity, str] = {}
    for quantity, start, end in spans(text):
        found.setdefault(quantity, text[start:end].strip(" .,;"))
    return found


def rest(text: str) -> str:
    """The text without its amounts, times, days and dates: what they are said of."""
    for _, start, end in spans(text):
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def spans(text: str) -> list[tuple[Quantity, int, int]]:
    """Each quantity and where it stands, by kind; what one reader took, such as the 5 of 5 pm, is no other's."""
    text = text.translate(_LOWER)
    found = []
    for reader in (_dates, _clock, _money, _amounts, _days):
        taken = list(reader(text))
        found += taken
        for _, start, end in taken:
            text = text[:start] + "\0" * (end - start) + text[end:]
    return found


def _number(said: str) -> float:
    return float(_WORDS[said]) if said in _WORDS else float(said.replace(",", ""))


def _written(value: float) -> str:
    return f"{value:g}" if value < 1e6 else f"{value:.2f}"


def _dates(text: str) -> Iterator[tuple[Quantity, int, int]]:
    for match in _DATE.finditer(text):
        figure, rank = match[1] or match[5], match[2] or match[6]
        yield (match[3] or match[4], str(int(figure) if figure else _RANKS[rank])), *match.span()


def _clock(text: str) -> Iterator[tuple[Quantity, int, int]]:
    for match in _CLOCK.finditer(text):
        if match[1]:
            away = 30 if match[1] == "half" else 15 if "quarter" in match[1] else _WORDS[match[1]]
            minutes = _WORDS[match[3]] * 60 + (away if match[2] == "past" else -away)
        elif match[4]:
            if "." in match.group() and not match[6]:
                continue  # 5.15 may be a price
            minutes = int(match[4]) * 60 + int(match[5])
        else:
            minutes = round(_number(match[7]) * 60)
        yield ("clock", f"{minutes % 720 // 60}:{minutes % 60:02}"), *match.span()


def _money(text: str) -> Iterator[tuple[Quantity, int, int]]:
    for match in _MONEY.finditer(text):
        yield (_SIGNS[match[1] or match[4]], _written(_number(match[2] or match[3]))), *match.span()


def _amounts(text: str) -> Iterator[tuple[Quantity, int, int]]:
    for match in _AMOUNT.finditer(text):
        said = match[3].split()[-1] if match[3] != "per cent" else match[3]
        unit = "percent" if said in ("%", "cent") and match[3] in ("%", "per cent") else _unit(match[3])
        first = _number(match[1])
        if match[4] and unit in ("pound", "euro", "dollar") and _number(match[4]) < 100:
            first += _number(match[4]) / 100  # one pound sixty
        yield (unit, _written(first)), *match.span()
        if match[2]:
            yield (unit, _written(_number(match[2]))), *match.span()


def _unit(said: str) -> str:
    word = said.split()[-1]
    return next((name for name, pattern in _NAMED if pattern.fullmatch(said) or pattern.fullmatch(word)), word)


def _days(text: str) -> Iterator[tuple[Quantity, int, int]]:
    for match in _DAYS.finditer(text):
        first = WEEKDAYS.index(match[1])
        last = WEEKDAYS.index(match[3]) if match[3] else first
        for day in range(first, last + 1 if last >= first else last + 8):
            yield ("weekday", WEEKDAYS[day % 7]), *match.span()
