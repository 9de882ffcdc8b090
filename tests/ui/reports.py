"""Made-up evaluations of a workspace, for tests of the pages that show them."""

from builder.workspace.folder import Workspace
from builder.workspace.releases import freeze
from knowledge.files import write_json
from tests.ui.fake_assistant import HOSTILE

QUESTIONS = 12
"""Enough groups for intervals."""


def made_report(facts=1.0, questions=QUESTIONS):
    """Two systems on so many questions, the last unanswerable; hybrid scores `facts`, and none is scored for tone."""
    def estimate(value):
        return {"value": value, "low": value and value - 0.1, "high": value and value + 0.1, "n": 2 if value else 0}

    def reply(name, value, cause):
        return {"text": f"{name} {HOSTILE}", "abstained": False, "probability": 0.6 if name == "hybrid" else None,
                "finish": "stop", "seconds": 1.0, "tokens": 5, "cause": cause, "scores": {"facts": value, "tone": None},
                "evidence": {"facts": f"30 days {HOSTILE}"},
                "sources": [{"document": "a.md", "heading": HOSTILE, "text": f"Words {HOSTILE}", "start": 0, "end": 9,
                             "score": 0.1}]}

    described = {"better": "higher", "unit": "share", "explanation": "A share."}
    rows = [{"line": number, "question": f"Question {number} {HOSTILE}", "answer": "30 days",
             "answerable": number < questions, "group": f"Topic {number} {HOSTILE}", "by": "keyed facts",
             "replies": {"prompt-only": reply("prompt-only", 0.0, "invented"),
                         "hybrid": reply("hybrid", facts if number > 1 else 0.325,
                                         "" if number > 1 else "not retrieved")}}
            for number in range(1, questions + 1)]
    return {"name": "Lumen", "made": "2026-11-24T09:00:00+00:00", "questions": questions, "answerable": questions - 1,
            "unanswerable": 1, "groups": questions, "seconds": 60.0, "rows": rows,
            "systems": {"prompt-only": {"facts": estimate(0.325), "tone": estimate(None)},
                        "hybrid": {"facts": estimate(0.7), "tone": estimate(None)}},
            "scores": {"facts": {"title": "Facts", **described}, "tone": {"title": "Tone", **described}},
            "differences": [{"score": "facts", "left": "hybrid", "right": "prompt-only", "value": 0.5, "low": 0.3,
                             "high": 0.7, "p": 0.01, "adjusted": 0.02, "detectable": 0.2, "verdict": "better",
                             "primary": True}],
            "verdict": "Retrieval clearly helps. Fine-tuning is not clear yet.",
            "halves": {"retrieval": "earned", "fine-tuning": "cannot tell"}}


def evaluate(folder, report, key="e1", release=False):
    """Make it the workspace's last evaluation, and a release if asked; its name, or None."""
    place = folder / ".twofold" / "evaluation" / key
    write_json(place / "report.json", report)
    (place / "report.html").write_text("<p>report</p>")
    write_json(folder / ".twofold" / "current.json", {"evaluation": f"evaluation/{key}"})
    return freeze(Workspace(folder)) if release else None
