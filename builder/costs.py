"""What a reply costs: its time, the tokens read and said for it, and the hours of a machine that a thousand take."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from builder.assistant import ELSEWHERE

THOUSAND, HOUR = 1000, 3600


def costs(rows: Sequence[Mapping[str, Any]], at_once: int) -> dict[str, dict[str, float]]:
    """For each system the median and 95th percentile of seconds, the mean tokens, and the hours for 1,000 replies.

    `at_once` replies were made beside each other, so that one takes the machine for its seconds divided by that.
    Abstentions count: they are replies that read and say nothing. Systems that answered elsewhere are left out.
    """
    found = {}
    for system in rows[0]["replies"]:
        replies = [row["replies"][system] for row in rows]
        if any(reply["finish"] == ELSEWHERE for reply in replies):
            continue
        seconds = [reply["seconds"] for reply in replies]
        found[system] = {"median_seconds": float(np.median(seconds)), "slow_seconds": float(np.percentile(seconds, 95)),
                         "read": float(np.mean([reply["read"] for reply in replies])),
                         "said": float(np.mean([reply["tokens"] for reply in replies])),
                         "hours_per_thousand": float(np.mean(seconds)) / at_once * THOUSAND / HOUR}
    return found
