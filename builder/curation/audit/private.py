"""Personal data and secrets: what a model could repeat to a stranger."""

import ipaddress
import re
from collections.abc import Callable, Iterator

from builder.curation.audit.finding import LEAKS, Finding, Material
from builder.scoring.text import tidy


def _card(text: str) -> bool:
    """Luhn's check digit (ISO/IEC 7812-1), the digits not all the same."""
    digits = [int(letter) for letter in text if letter.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) if place % 2 else digit for place, digit in enumerate(reversed(digits))]
    return len(set(digits)) > 1 and sum(doubled) % 10 == 0


def _iban(text: str) -> bool:
    """ISO 13616: moved to the end and read as a number, country and check digits leave 1 modulo 97."""
    plain = text.replace(" ", "")
    return 15 <= len(plain) <= 34 and int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


def _phone(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return 9 <= len(digits) <= 15 and len(set(digits)) > 2


def _address(text: str) -> bool:
    """An IP address that belongs to somebody; four numbers may as well be a version, so private ones don't count."""
    if ":" in text and (len(text) < 8 or not any(map(str.isdigit, text))):
        return False  # a::b is code
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _any(text: str) -> bool:
    return True


Shape = tuple[str, re.Pattern[str], Callable[[str], bool]]
_STREETS = "Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Close|Crescent|Terrace|Boulevard|Blvd|Row|Square"
SECRETS: tuple[Shape, ...] = (
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"), _any),
    ("a key or token", re.compile(
        r"\b(?:(?:sk|pk|rk)[-_](?:[a-z]{2,8}[-_])?[A-Za-z0-9]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
        r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|xox[abeprs]-[\w-]{10,}|hf_[A-Za-z]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}"
        r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,})"), _any),
    ("a password", re.compile(r"(?i)\b(?:password|passwd|passphrase|api[ _-]?key|secret)\s*(?:is|=|:)\s*"
                              r"(?=\S*\d)(?=\S*[a-z])[^\s,;]{6,}"), _any),
    ("a payment card number", re.compile(r"(?<![\d.-])(?<!\d )(?:[2-6]\d{3}(?:[ -]?\d{4}){3}|3[47]\d\d[ -]?\d{6}"
                                         r"[ -]?\d{5})(?![\d-]| \d)"), _card))
PERSONAL: tuple[Shape, ...] = (
    ("an IBAN", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), _iban),
    ("an e-mail address", re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?![\w.-]{0,250}\bexample\b)"  # nobody's: .example
                                     r"[\w-]{1,63}\.[\w.-]{1,190}\w"), _any),
    ("an IP address", re.compile(r"(?<![\w.:])(?<!version )(?:\d{1,3}(?:\.\d{1,3}){3}"
                                 r"|[\dA-Fa-f:]{0,39}::?[\dA-Fa-f:]{1,39})(?![\w:]|\.\d)"), _address),
    ("a social security number", re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\d-])"), _any),
    ("a telephone number", re.compile(r"(?<![\w.,/-])(?<!\d )(?:\+\d|\(0?\d|0\d)[\d ()/.-]{6,18}\d(?![\w-])"
                                      r"|(?<![\w.,/-])\(?[2-9]\d{2}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-])"), _phone),
    ("a date of birth", re.compile(r"(?i)\b(?:born on|date of birth|dob)\W{1,3}(?:is\W+)?\d[\w./ -]{4,}"), _any),
    ("a street address", re.compile(rf"\b\d{{1,4}}[a-z]? (?:[A-Z][\w'’]+ ){{1,3}}(?:{_STREETS})\b(?!['’])"), _any))
"""What it is called, its shape, and a check on what has the shape."""


def private(text: str, own: str, shapes: tuple[Shape, ...] = SECRETS + PERSONAL) -> list[tuple[str, int, int]]:
    """What is private in a text: its name and where it stands; what the brand's `own` texts hold is not."""
    found: list[tuple[str, int, int]] = []
    for name, shape, check in shapes:
        for match in shape.finditer(text):
            start, end = match.span()
            taken = any(start < other_end and other_start < end for _, other_start, other_end in found)
            if not taken and check(match.group()) and not _public(name, match.group(), own):
                found.append((name, start, end))
    return sorted(found, key=lambda one: one[1])


def _public(name: str, said: str, own: str) -> bool:
    """Whether the brand itself says it; a telephone number may be spaced otherwise."""
    if name == "a telephone number":
        return re.sub(r"\D", "", said).removeprefix("00") in re.sub(r"[^\d\n]", "", own)
    return tidy(said).casefold() in tidy(own).casefold()


def masked(text: str, own: str) -> str:
    """The text with what is private in it replaced by its name in brackets."""
    for name, start, end in reversed(private(text, own)):
        text = f"{text[:start]}[{name.split(' ', 1)[1]}]{text[end:]}"
    return text


def check(material: Material) -> Iterator[Finding]:
    """Personal data and secrets in examples; secrets in documents and questions, which are shown to whoever asks."""
    for example in material.examples:
        turns = [("reply", example.reply), ("question", example.question),
                 *(("earlier turn", content) for _, content in example.history)]
        for where, text in turns:
            for name, start, end in private(text, material.own):
                yield Finding("personal data", material.file, example.line, "warning",
                              f"the {where} contains {name} ({_hint(text[start:end])})",
                              "remove it; the model may repeat what it was trained on", LEAKS)
    for document in material.documents:
        for name, start, end in private(document.text, "", SECRETS):
            line = document.text.count("\n", 0, start) + 1
            yield Finding("secret in a document", document.path, line, "warning",
                          f"contains {name} ({_hint(document.text[start:end])})",
                          "remove it; anyone who asks may see it", LEAKS)


def _hint(secret: str) -> str:
    """Enough to find it by, too little to use: a finding may be mailed about."""
    return f"{secret[:2]}…, {len(secret)} characters"
