"""Questions and replies from other evaluation tools, told apart by what their files hold."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from builder.answering.systems import SYSTEMS
from builder.evaluation.arms import ARMS
from builder.evaluation.interchange import inspect, promptfoo
from builder.workspace.examples import Question
from knowledge.errors import UserError

LARGEST = 200_000_000
"""Bytes of a file that is read."""


def questions_from(path: Path) -> list[dict[str, Any]]:
    """The questions of a promptfoo configuration or of inspect samples, as lines of questions.jsonl would hold them.

    UserError where the file is neither, or holds none.
    """
    held = _read(path)
    rows = (promptfoo.questions(held, str(path)) if isinstance(held, dict) and "tests" in held
            else inspect.questions(held, str(path)) if isinstance(held, list) else None)
    if not rows:
        raise UserError(f"{path}: contains no questions; promptfoo's configuration has a list of tests, inspect's "
                        "samples are a JSON object a line, with an input each")
    return rows


def replies_from(path: Path) -> dict[str, dict[str, str]]:
    """What other systems replied, by their names: each question and the reply to it.

    From what `promptfoo eval --output FILE.json` or inspect wrote. UserError where the file is neither.
    """
    held = _read(path)
    if isinstance(held, dict) and isinstance(held.get("results"), dict) and "eval" not in held:
        found = promptfoo.replies(held)
    elif isinstance(held, dict) and isinstance(held.get("samples"), list):
        found = inspect.replies(held)
    else:
        raise UserError(f"{path}: contains no replies; give a file that `promptfoo eval --output FILE.json` wrote, or "
                        "an inspect log in JSON")
    found = {name: replies for name, replies in found.items() if replies}
    if not found:
        raise UserError(f"{path}: no reply names its question; each needs the question that it answers")
    return found


def answered(path: Path, questions: Sequence[Question]) -> dict[str, dict[str, str]]:
    """What the systems of a file replied to these questions; one named as one of ours is "outside NAME".

    UserError where a system has no reply to one of them, since all are judged on the same questions.
    """
    ours = {system.name for system in (*SYSTEMS, *ARMS)}
    found = {}
    for name, replies in replies_from(path).items():
        by_question = {asked.strip(): said for asked, said in replies.items()}
        missing = [question for question in questions if question.question not in by_question]
        if missing:
            raise UserError(f"{path}: {name or 'its system'} has no reply to {len(missing)} of {len(questions)} "
                            f"questions, the first on line {missing[0].line} of questions.jsonl; ask it all of them")
        found[f"outside {name}".strip() if name in ours or not name else name] = by_question
    return found


def _read(path: Path) -> Any:
    """What a JSON, JSON lines or YAML file holds; UserError where it can't be read."""
    from ruamel.yaml import YAML, YAMLError

    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: is larger than {LARGEST // 1_000_000} MB; split it")
        if zipfile.is_zipfile(path):
            raise UserError(f"{path}: is a packed log; `inspect log convert --to json --output-dir DIR {path}` unpacks "
                            "it")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UserError(f"{path}: can't be read ({reason}); check the name") from None
    try:
        if path.suffix in (".yaml", ".yml"):
            return YAML(typ="safe", pure=True).load(text)
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        return json.loads(text)
    except (ValueError, RecursionError, YAMLError) as error:
        where = getattr(error, "lineno", None) or getattr(getattr(error, "problem_mark", None), "line", -1) + 1
        raise UserError(f"{path}{f':{where}' if where and path.suffix != '.jsonl' else ''}: can't be understood; "
                        "save it as JSON or YAML") from None
