"""Reports for tests from the parts that matter to them; all else is filled in."""

from builder.evaluation.report import Report, Row

REPLY = {"text": "", "abstained": False, "probability": None, "seconds": 1.0, "tokens": 1, "scores": {}, "evidence": {},
         "sources": []}
SCORE = {"title": "Facts", "better": "higher", "unit": "share", "explanation": "A share."}
ESTIMATE = {"value": None, "low": None, "high": None, "n": 0}
DIFFERENCE = {"p": 0.5, "adjusted": 0.5, "detectable": 0.1, "primary": True, "verdict": "no difference shown"}


def row(**parts):
    """A row, its replies given by system as far as they matter."""
    replies = {system: REPLY | reply for system, reply in parts.pop("replies", {}).items()}
    return Row.model_validate({"line": 1, "question": "q", "answer": "", "answerable": True, "group": "g",
                               "replies": replies} | parts)


def report(rows=(), systems=(), scores=None, differences=(), **parts):
    """A report; `systems` are names, or their scores by name."""
    systems = systems if isinstance(systems, dict) else dict.fromkeys(systems, {})
    named = {system: {score: ESTIMATE | (value or {}) for score, value in found.items()}
             for system, found in systems.items()}
    return Report.model_validate({
        "made": "2026-01-02T03:04:05+00:00", "questions": len(rows), "answerable": len(rows), "unanswerable": 0,
        "systems": named, "scores": {score: SCORE | title for score, title in (scores or {"facts": {}}).items()},
        "differences": [DIFFERENCE | difference for difference in differences],
        "rows": [one if isinstance(one, Row) else row(**one) for one in rows]} | parts)
