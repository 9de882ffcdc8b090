"""How much of what can be answered is refused when people write as they do: typos, letters, two questions at once.

The questions are those of a workspace's questions.jsonl, changed by rule; nothing is chosen by the result. No language
model runs. Usage: python -m benchmarks.questions_as_written [WORKSPACE]
"""

import random
import sys
from collections.abc import Callable
from pathlib import Path

from builder.answering.opening import open_retriever
from builder.workspace.folder import Workspace

SECOND = "And do you also sell gift cards?"
LETTER = "Dear team,\n\nI hope you are well. {}\n\nMany thanks and kind regards\nPat Miller"
ROUNDS = 3
"""Draws of typos; their mean is shown."""


def typo(text: str, chance: random.Random) -> str:
    """The text with two letters swapped, or one dropped, doubled or replaced, in a word of four letters or more."""
    words = text.split(" ")
    places = [place for place, word in enumerate(words) if sum(map(str.isalpha, word)) >= 4]
    place = chance.choice(places)
    word = words[place]
    at = chance.randrange(1, len(word.rstrip("?.,!")) - 1)
    words[place] = chance.choice([
        word[:at] + word[at + 1] + word[at] + word[at + 2:], word[:at] + word[at + 1:],
        word[:at] + word[at] + word[at:], word[:at] + chance.choice("abcdefghijklmnopqrstuvwxyz") + word[at + 1:]])
    return " ".join(words)


def main(folder: Path) -> None:
    """Print a line for each way of writing: refused of those that can be answered, answered of those that can't."""
    workspace = Workspace(folder)
    index = workspace.current().index
    if index is None:
        raise SystemExit(f"{folder}: has no index; run `twofold index {folder}`")
    retriever = open_retriever(workspace.brand, index)
    chance = random.Random(0)
    ways: dict[str, tuple[int, Callable[[str], str]]] = {
        "as written": (1, lambda text: text), "one typo": (ROUNDS, lambda text: typo(text, chance)),
        "two typos": (ROUNDS, lambda text: typo(typo(text, chance), chance)),
        "in a letter": (1, LETTER.format), "a second question": (1, lambda text: f"{text} {SECOND}")}
    for name, (rounds, change) in ways.items():
        refused = answered = told = 0
        for _ in range(rounds):
            for question in workspace.questions:
                finding = retriever.find(change(question.question))
                refused += question.answerable and not finding.answerable
                answered += not question.answerable and finding.answerable
                told += question.answerable and SECOND in finding.unanswered
        can = sum(question.answerable for question in workspace.questions)
        more = f", second question named as unanswered {told} of {can}" if name == "a second question" else ""
        print(f"{name}: refused {refused / rounds:.1f} of {can}, answered {answered / rounds:.1f} of "  # noqa: T201
              f"{len(workspace.questions) - can} unanswerable{more}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
