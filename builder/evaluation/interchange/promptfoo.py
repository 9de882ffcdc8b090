"""promptfoo: a report as a configuration that it runs, its tests as questions, its results as replies.

Formats as documented at promptfoo.dev/docs/configuration/reference and in its types of version 3 results.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from builder.evaluation.report import Report
from builder.workspace.examples import Question
from knowledge.errors import UserError

_ONE, _ANY, _ALL = ("contains", "icontains"), ("contains-any", "icontains-any"), ("contains-all", "icontains-all")
_REFERENCE = ("equals", "similar", "factuality", "rouge-n", "model-graded-factuality")
_BRACE, _SCHEME, _LETTER = re.compile(r"[{}]"), re.compile(r"[a-z]+:", re.IGNORECASE), re.compile(r'\{\{ "(.)" \}\}')
_ASKED = ("question", "query", "input", "prompt", "message")
"""Variables that hold the question, the first that is there."""


def config(report: Report, questions: Sequence[Question], abstain: str) -> str:
    """A configuration that shows each system's replies as a column, judged by what must stand in them.

    It asks no model: promptfoo's echo provider says the replies. A test fails where a keyed fact is missing in all its
    spellings, where something forbidden stands, or where the documents don't answer and the reply isn't `abstain`.
    """
    asked = {question.line: question for question in questions}
    systems = {name: name.replace("-", "_") for name in report.systems}
    tests = []
    for row in report.rows:
        question = asked[row.line]
        tests.append({
            "description": f"line {row.line}",
            "vars": {"question": _raw(row.question),
                     **{systems[name]: _raw(reply.text) for name, reply in row.replies.items()}},
            "assert": list(_asserts(question, abstain)),
            "metadata": {key: value for key, value in asdict(question).items() if key not in ("line", "question")}})
    made = {"description": f"{report.name}: test report", "providers": ["echo"],
            "prompts": [{"label": name, "raw": f"{{{{{variable}}}}}"} for name, variable in systems.items()],
            "tests": tests}
    return json.dumps(made, ensure_ascii=False, indent=1) + "\n"


def _asserts(question: Question, abstain: str) -> Iterator[dict[str, Any]]:
    if not question.answerable:
        yield {"type": "icontains", "value": _raw(abstain), "metric": "abstains rightly"}
    for fact in question.facts:
        yield {"type": "icontains-any", "value": [_raw(spelling) for spelling in fact], "metric": "facts"}
    for said in question.forbidden:
        yield {"type": "not-icontains", "value": _raw(said), "metric": "nothing forbidden"}


def _raw(text: str) -> str:
    """Text that promptfoo's templates leave as it is: they would run what stands in braces, and read file:// names."""
    escaped = _BRACE.sub(r'{{ "\g<0>" }}', text)
    return f'{{{{ "{escaped[0]}" }}}}{escaped[1:]}' if _SCHEME.match(escaped) else escaped


def _plain(text: str) -> str:
    """What such a template becomes."""
    return _LETTER.sub(lambda found: found.group(1), text)


def questions(held: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    """Its tests as questions: contains and its kin are keyed facts, references answers, not-contains is forbidden.

    UserError where the tests stand in another file. A test without a question is passed over.
    """
    if not isinstance(held["tests"], list):
        raise UserError(f"{place}: its tests stand in another file; write them into it as a list")
    made = []
    for test in held["tests"]:
        if isinstance(test, dict) and (asked := _question(test.get("vars"))):
            own = test.get("metadata")
            made.append({"question": asked, **_keyed(test.get("assert")), **(own if isinstance(own, dict) else {})})
    return made


def _question(variables: Any) -> str:
    if not isinstance(variables, dict):
        return ""
    texts = {str(name): _plain(value) for name, value in variables.items() if isinstance(value, str) and value.strip()}
    known = next((texts[name] for name in _ASKED if name in texts), "")
    return known or (next(iter(texts.values())) if len(texts) == 1 else "")


def _keyed(asserts: Any) -> dict[str, Any]:
    facts: list[list[str]] = []
    forbidden, answer = [], ""
    for one in asserts if isinstance(asserts, list) else ():
        if not isinstance(one, dict):
            continue
        kind, value = str(one.get("type", "")), one.get("value")
        values = [_plain(str(each)) for each in (value if isinstance(value, list) else [value]) if each is not None]
        if kind.removeprefix("not-") != kind and kind.removeprefix("not-") in (*_ONE, *_ANY):
            forbidden += values
        elif kind in _ONE or kind in _ALL:
            facts += [[each] for each in values]
        elif kind in _ANY and values:
            facts.append(values)
        elif kind in _REFERENCE and values and not answer:
            answer = values[0]
    return {"answer": answer, "facts": facts, "forbidden": forbidden}


def replies(held: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What its providers replied to each question; where there are several prompts, each is a system of its own."""
    rows = [row for row in held["results"].get("results") or () if isinstance(row, dict)]
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        response = row.get("response")
        asked, said = _question(row.get("vars")), response.get("output") if isinstance(response, dict) else None
        provider, prompt = row.get("provider"), row.get("prompt")
        by = str((provider.get("label") or provider.get("id") or "") if isinstance(provider, dict) else provider)
        label = str(prompt.get("label") or "") if isinstance(prompt, dict) else ""
        if asked and isinstance(said, str):
            found.setdefault((by, label), {})[asked] = said
    prompts = len({label for _, label in found})
    return {(by if prompts == 1 else label if by == "echo" else f"{by}, {label}"): said
            for (by, label), said in found.items()}
