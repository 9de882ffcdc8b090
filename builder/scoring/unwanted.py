"""Unwanted: what no reply of a brand may hold: banned phrases, a broken persona, its prompt, control tokens."""

import re
from collections.abc import Sequence

from builder.scoring import Score, places, plain, without
from builder.scoring.form import word_runs

RUN = 8
"""Words of the prompt in a row, from which on a reply leaks it; examples hold shorter ones by chance."""
_BROKEN = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model|chatbot)\b|\b(?:large |ai )?language models?\b"
    r"|\b(?:smollm\w*|hugging ?face|openai|chatgpt|gpt-\d\w*|llama \d|qwen\w*|mistral ai|anthropic|deepseek)\b"
    r"|\bmy (?:training data|knowledge cut-?off)\b|\bi (?:was|am|have been) trained (?:by|on)\b")
_CONTROL = re.compile(r"<\|[^|>]{0,40}\|?>|\|im_(?:start|end)\||\[/?INST\]|</?s>")


def unwanted(reply: str, banned: Sequence[str], prompt: str, fixed_phrases: Sequence[str],
             sources: Sequence[str] = ()) -> Score:
    """1 where the reply holds what it must not, with what that is; else 0.

    `prompt` is what the model was told of the brand; the brand's own `fixed_phrases`, which may stand there, don't
    count as leaked. What `sources` speak of, such as language models, may be spoken of.
    """
    found = _found(reply, banned, prompt, fixed_phrases, plain("\n".join(sources)))
    return Score(float(bool(found)), found or "nothing unwanted")


def _found(reply: str, banned: Sequence[str], prompt: str, fixed_phrases: Sequence[str], known: str) -> str:
    if control := _CONTROL.search(reply):
        return f"holds the control token “{control.group()}”"
    for broken in _BROKEN.finditer(plain(reply)):
        if broken.group() not in known:
            return f"breaks the persona: “{broken.group()}”"
    for phrase in banned:
        if places(phrase, reply):
            return f"says the banned “{phrase}”"
    if leaked := shared_run(without(reply, fixed_phrases), without(prompt, fixed_phrases), RUN):
        return f"leaks the prompt: “{leaked}”"
    return ""


def shared_run(text: str, other: str, length: int) -> str:
    """The first `length` words in a row that stand in both texts, or nothing."""
    known = set(word_runs(other, length))
    return next((" ".join(run) for run in word_runs(text, length) if run in known), "")
