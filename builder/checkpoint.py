"""Checkpoints of a training run: written whole or not at all, the last two kept."""

import json
import os
from pathlib import Path
from typing import Any

from knowledge.files import hash_bytes, sync_folder, unwritable, write_json


def keep(work: Path, key: str, step: int, record: dict[str, Any], data: bytes) -> None:
    """Write one checkpoint: the tensors first, then the JSON that vouches for them.

    `key` says which input it belongs to; `record` is what JSON can hold, `data` the tensors as safetensors bytes.
    """
    path = work / f"step-{step:08d}.safetensors"
    temporary = work / ".writing-checkpoint"
    try:
        work.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(work)
        write_json(path.with_suffix(".json"), {"key": key, "sha256": hash_bytes(data), "record": record})
        for old in sorted(work.glob("step-*.json"))[:-2]:
            old.unlink()
        vouched = {file.stem for file in work.glob("step-*.json")}
        for left in work.glob("step-*.safetensors"):
            if left.stem not in vouched:
                left.unlink()
    except OSError as error:
        raise unwritable(work, error) from error


def newest(work: Path, key: str) -> tuple[dict[str, Any], bytes] | None:
    """Record and tensors of the newest whole checkpoint of this input, or None.

    Damaged ones are passed over. Those of another input are deleted: they would crowd out the new ones.
    """
    for path in sorted(work.glob("step-*.json"), reverse=True):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            data = path.with_suffix(".safetensors").read_bytes()
            if kept["key"] == key and kept["sha256"] == hash_bytes(data):
                return dict(kept["record"]), data
        except (OSError, ValueError, KeyError, TypeError):
            pass
        path.unlink(missing_ok=True)
    return None
