"""Replies that teach another voice than the brand's: broken rules, outliers, leftovers of prompts, other languages."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from builder.curation.audit.finding import VOICE, Finding, Material
from builder.model.prompt import ASKED
from builder.scoring.form import count_words
from builder.scoring.text import tidy
from builder.scoring.tone import habits, mask, rules

FEWEST = 30
"""Replies; what is usual can't be told from fewer."""
FAR = 6.0
"""The Mahalanobis distance (1936) from which a reply is an outlier.

Over the seven features below, each reply against four fifths of the others: the farthest of the support template's own
120 lies at 4.6, of 68 public-health answers at 5.4, of 177 short legal summaries at 4.4. Of ten replies in voices that
aren't the template's (formal, shouting, chatty, a list, a disclaimer) nine lie at 6.5 and more; where the brand itself
writes formally, six of ten are missed.
"""
NARROW = (0.1, 0.1, 0.02, 0.03, 0.2, 0.06, 0.03)
"""The least deviation that each feature counts with, so that one dash among replies without any is no outlier."""
LONGER = 4.0
"""Times the median length from which a reply is too long (or too short) to be of the same kind."""
MEANINGFUL = 40
"""Characters; the language of less can't be told."""
MARGIN = 20.0
"""By how much in log-likelihood another language must be likelier than the expected one; true cases lie near 100."""
USUAL = 0.1
"""The share of replies from which a language is one of the brand's."""

_LEFTOVERS = [re.compile(pattern) for pattern in (
    r"<\|[\w ]{2,30}\|>", r"\[/?INST\]|<</?SYS>>|</?s>",
    r"(?m)^#{2,3} ?(?:Response|Instruction|Input|Answer|Assistant)\b:?",
    r"(?m)^(?:User|Human|Assistant|System|AI|Bot|Q|A): ", r"(?i)\bas an? (?:AI|artificial intelligence)\b",
    r"(?i)\b(?:AI|large) language model\b", r"(?i)\b(?:system|the above) prompt\b",
    r"\{\{?\s*[A-Za-z_][\w. ]{1,30}\}?\}",
    r"\[(?:Insert|Your|Name|Company|Customer|Date|Link|Product)\b[^\]\n]{0,30}\]",
    r"(?i)^(?:sure|certainly|of course)[,!] here(?:'s| is| are) (?:a|an|the|your|some)\b[^\n]{0,60}:",
    r"(?i)\b(?:passages?|context|text) (?:above|provided|below) (?:says|states|mentions)\b",
    r"(?i)\bbased on the (?:context|passages?)\b")]
_DAMAGED = re.compile(r"\ufffd|â€[\u0080-\u00bf™œ\u009d“˜]?|Ã[\u0080-\u00bf©¨¶¼¤]|Â[\u00a0£©°]")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_FEATURES = ("long words", "long sentences", "capital letters", "contractions", "exclamation marks",
             "lists, dashes and brackets", "words of nine letters and more")


def check(material: Material) -> Iterator[Finding]:
    """Everything about how the replies are written."""
    yield from _rules(material)
    yield from _leftovers(material)
    yield from _lengths(material)
    yield from _languages(material)
    yield from _outliers(material)


def _rules(material: Material) -> Iterator[Finding]:
    """Examples that break the rules they should teach."""
    learned, voice = habits(material.examples), material.brand.voice
    for example in material.examples:
        score = rules(example.reply, voice, learned, False)
        if score.value == 0:
            yield Finding("example breaks the voice", material.file, example.line, "warning", score.evidence,
                          "correct the reply, or the rule in brand.yaml", VOICE)
    abstention = rules(material.brand.abstain, voice, learned, False)
    if abstention.value == 0:
        yield Finding("abstention breaks the voice", "brand.yaml", None, "note", abstention.evidence,
                      "write `abstain` in the brand's voice", VOICE)


def _leftovers(material: Material) -> Iterator[Finding]:
    """Pieces of prompts, templates and other models in the replies; text whose encoding was lost."""
    brand = material.brand
    if "\ufffd" in str(brand.model_dump()):
        yield Finding("damaged letters", "brand.yaml", None, "warning",
                      "“\ufffd” is a damaged letter from a wrong encoding", "write the letter itself", VOICE)
    prompts = [tidy(text) for text in (ASKED, f"You are the assistant of {brand.name}.", brand.persona)]
    own = tidy("\n".join([*brand.voice.required, brand.abstain]))
    for example in material.examples:
        found = next((match.group() for one in _LEFTOVERS if (match := one.search(example.reply))
                      and tidy(match.group()) not in own), "")
        found = found or next((text for text in prompts if len(text) >= 20 and text in tidy(example.reply)), "")
        if found:
            yield Finding("prompt fragment", material.file, example.line, "warning",
                          f"the reply contains “{found.strip()[:60]}”",
                          "remove it; the model would say it to customers", VOICE)
        damaged = _DAMAGED.search(f"{example.question}\n{example.reply}")
        if damaged:
            yield Finding("damaged letters", material.file, example.line, "warning",
                          f"“{damaged.group()}” is a damaged letter from a wrong encoding",
                          "export the examples again as UTF-8", VOICE)


def _lengths(material: Material) -> Iterator[Finding]:
    """Replies of quite another length than most."""
    from statistics import median

    lengths = [count_words(reply) for reply in material.replies]
    if len(lengths) < FEWEST or not (usual := median(lengths)):
        return
    for example, length in zip(material.examples, lengths, strict=True):
        if length > LONGER * usual + 10 or (length * LONGER < usual - 10 and length < 5):
            yield Finding("unusual length", material.file, example.line, "note",
                          f"the reply has {length} words of its own; most have about {usual:.0f}",
                          "make it shorter or longer, or add more examples of this length", VOICE)


def _languages(material: Material) -> Iterator[Finding]:
    """Replies in a language that the brand doesn't speak, or that isn't the question's."""
    spoken = [likeliest(reply) for reply in material.replies]
    counts = Counter(ranked[0][0] for ranked in spoken if ranked)
    documents = {document.language for document in material.documents if document.language}
    usual = {name for name, count in counts.items() if count >= max(2, USUAL * counts.total())}
    expected = usual | (documents if not usual else set())
    for example, ranked in zip(material.examples, spoken, strict=True):
        if not ranked:
            continue
        name, asked = ranked[0][0], likeliest(example.question)
        if expected and name not in expected and _clear(ranked, expected):
            yield Finding("wrong language", material.file, example.line, "warning",
                          f"the reply seems to be in {name}, the others in {', '.join(sorted(expected))}",
                          "translate it or remove it", VOICE)
        elif asked and asked[0][0] != name and _clear(ranked, {asked[0][0]}) and _clear(asked, {name}):
            yield Finding("wrong language", material.file, example.line, "warning",
                          f"the question seems to be in {asked[0][0]}, the reply in {name}",
                          "answer in the question's language", VOICE)


def likeliest(text: str) -> list[tuple[str, float]]:
    """Languages by falling log-likelihood; none for a text too short to tell."""
    import py3langid

    if sum(map(str.isalpha, text)) < MEANINGFUL:
        return []
    try:
        return [(str(name), float(value)) for name, value in py3langid.rank(text)]
    except OSError:  # it unpacks its model into the temporary folder, which may be full
        return []


def _clear(ranked: Sequence[tuple[str, float]], expected: set[str]) -> bool:
    return ranked[0][1] - max((value for name, value in ranked if name in expected), default=-math.inf) >= MARGIN


def _outliers(material: Material) -> Iterator[Finding]:
    """Replies written quite unlike the others."""
    import numpy as np
    from sklearn.covariance import LedoitWolf

    if len(material.replies) < FEWEST:
        return
    rows = np.array([features(reply) for reply in material.replies])
    rows /= np.maximum(rows.std(0), NARROW)
    folds = np.random.default_rng(0).permutation(len(rows)) % 5
    for fold in range(5):
        inside = folds == fold
        usual = LedoitWolf().fit(rows[~inside])
        far = np.sqrt(usual.mahalanobis(rows[inside]))
        for place, distance in zip(np.flatnonzero(inside), far, strict=True):
            if distance >= FAR and count_words(material.replies[place]) >= 3:
                away = (rows[place] - usual.location_) / np.sqrt(np.diag(usual.covariance_) + 1e-9)
                which = int(np.abs(away).argmax())
                yield Finding("off-brand reply", material.file, material.examples[place].line, "note",
                              f"differs from the other replies: {'more' if away[which] > 0 else 'fewer'} "
                              f"{_FEATURES[which]} (distance {distance:.1f}, usual is below {FAR:g})",
                              "write it in the brand's voice", VOICE)


def features(text: str) -> list[float]:
    """How a text is written, not what it says: names and numbers count as any word; what _FEATURES name."""
    text = mask(text, []).replace("Name", "name")
    words = _WORD.findall(text)
    count, letters = max(1, len(words)), max(1, len(text))
    ends = max(1, len(re.findall(r"[.!?…]+(?=\s|$)", text)))
    return [sum(map(len, words)) / count, math.log(max(1, len(words)) / ends),
            math.sqrt(sum(map(str.isupper, text)) / letters),
            sum("'" in word or "’" in word for word in words) / count, math.sqrt(text.count("!") / ends),
            math.sqrt(sum(letter in ":-*#•/()" for letter in text) / letters),
            sum(len(word) >= 9 for word in words) / count]
