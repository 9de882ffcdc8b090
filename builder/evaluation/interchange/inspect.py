"""inspect-ai: questions as its samples, a report as its logs, and both read back.

Formats as in inspect_ai.dataset.Sample and inspect_ai.log.EvalLog, version 2.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from builder.evaluation.judge import SCORES
from builder.evaluation.report import Report, Row
from builder.workspace.examples import Question
from knowledge.files import hash_bytes


def samples(questions: Sequence[Question]) -> str:
    """The questions as a dataset for `inspect_ai.dataset.json_dataset`: one sample a line."""
    return "".join(json.dumps({"id": f"line {question.line}", "input": question.question, "target": _target(question),
                               "metadata": _more(question)}, ensure_ascii=False) + "\n" for question in questions)


def _target(question: Question) -> list[str] | str:
    """What its scorer `includes` looks for: any spelling of a fact; where there are several facts, the whole answer."""
    return list(question.facts[0]) if len(question.facts) == 1 else question.answer


def _more(question: Question) -> dict[str, Any]:
    return {key: value for key, value in asdict(question).items() if key not in ("line", "question")}


def log(report: Report, questions: Sequence[Question], system: str) -> str:
    """One system's replies and scores as a log that inspect lists, views and reads as data frames.

    Each score's mean is clustered as ours is; an unscored reply has no score of that name.
    """
    asked = {question.line: question for question in questions}
    name, made, model = f"{report.name}: {system}", report.made, f"twofold/{system}"
    identity = hash_bytes(made, name)[:22]
    scored = {score: one for score, one in report.systems[system].items() if one.n}
    return json.dumps({
        "version": 2, "status": "success",
        "eval": {"created": made, "eval_id": identity, "task_id": identity, "run_id": hash_bytes(made)[:22],
                 "task": name, "task_version": 0, "model": model,
                 "dataset": {"name": "questions.jsonl", "samples": len(report.rows),
                             "sample_ids": [f"line {row.line}" for row in report.rows]}, "config": {}},
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {"total_samples": len(report.rows), "completed_samples": len(report.rows),
                    "scores": [{"name": score, "scorer": score, "scored_samples": one.n,
                                "unscored_samples": len(report.rows) - one.n,
                                "metrics": {"mean": {"name": "mean", "value": one.value}}}
                               for score, one in scored.items()]},
        "stats": {"started_at": made, "completed_at": made, "model_usage": {}},
        "samples": [_sample(row, asked[row.line], system, model, list(scored))
                    | {"uuid": hash_bytes(identity, str(row.line))[:22]} for row in report.rows],
    }, ensure_ascii=False) + "\n"


def _sample(row: Row, question: Question, system: str, model: str,
            scored: Sequence[str]) -> dict[str, Any]:
    reply = row.replies[system]
    said = {"role": "assistant", "content": reply.text, "source": "generate", "model": model}
    stop = "max_tokens" if reply.finish == "length" else "stop"
    return {
        "id": f"line {row.line}", "epoch": 1, "input": row.question, "target": _target(question),
        "messages": [{"role": "user", "content": row.question, "source": "input"}, said],
        "output": {"model": model, "choices": [{"message": said, "stop_reason": stop}], "time": reply.seconds},
        "scores": {score: {"value": reply.scores[score], "answer": reply.text,
                           "explanation": reply.evidence[score]}
                   for score in SCORES if score in scored and reply.scores.get(score) is not None},
        "metadata": {**_more(question), "cause": reply.cause, "abstained": reply.abstained},
        "total_time": reply.seconds}


def questions(held: Sequence[Any], place: str) -> list[dict[str, Any]]:
    """Its samples as questions: the target is the answer, unless the sample's metadata say more."""
    made = []
    for sample in held:
        asked = _text(sample.get("input")) if isinstance(sample, dict) else ""
        if asked:
            target, own = sample.get("target"), sample.get("metadata")
            answer = target if isinstance(target, str) else ""
            facts = [list(map(str, target))] if isinstance(target, list) and target else []
            made.append({"question": asked, "answer": answer, "facts": facts,
                         **(own if isinstance(own, dict) else {})})
    return made


def replies(held: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What the log's model replied to each question."""
    head = _part(held, "eval")
    name = str(head.get("model") or head.get("task") or "inspect")
    found = {}
    for sample in held["samples"]:
        choices = _part(sample, "output").get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        asked = _text(sample.get("input")) if isinstance(sample, dict) else ""
        if asked and first:
            found[asked] = _text(_part(first, "message").get("content"))
    return {name.removeprefix("twofold/"): found}


def _part(held: Any, name: str) -> Mapping[str, Any]:
    part = held.get(name) if isinstance(held, dict) else None
    return part if isinstance(part, dict) else {}


def _text(said: Any) -> str:
    """Text as inspect writes it: plain, as the last message of a user, or in parts."""
    if isinstance(said, str):
        return said
    if not isinstance(said, list):
        return ""
    users = [part.get("content") for part in said if isinstance(part, dict) and part.get("role") == "user"]
    if users:
        return _text(users[-1])
    return "".join(str(part.get("text") or "") for part in said
                   if isinstance(part, dict) and part.get("type") == "text")
