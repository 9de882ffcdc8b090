"""What a report rests on: the settings, versions and hashes with which anyone gets it again."""

import hashlib
import importlib.metadata
import json
import platform
from dataclasses import asdict
from pathlib import Path

from builder.evaluation.report import Provenance
from builder.model import prepare
from builder.workspace.folder import Workspace
from knowledge.files import hash_bytes

PACKAGES = ("twofold", "torch", "transformers", "peft", "xllamacpp", "onnxruntime", "faiss-cpu", "numpy", "scipy")
"""Those that what is said or scored can depend on."""


def provenance(workspace: Workspace) -> Provenance:
    """Settings, SHA-256 of weights and data, package versions and the machine, without any path."""
    brand, state = workspace.brand, workspace.current()
    base = prepare.prepared(brand.model.base, brand.model.precision)
    served = next((file for name in ("adapter.gguf", "tuned.gguf")
                   if state.adapter and (file := state.adapter / name).is_file()), None)
    return Provenance(
        settings={"model": brand.model.model_dump(), "retrieval": brand.retrieval.model_dump(),
                     "training": brand.training.model_dump()},
        sha256={"base": base.sha256, "adapter": _sha256(served) if served else None,
                   "questions": hash_bytes(json.dumps([asdict(question) for question in workspace.questions])),
                   "examples": hash_bytes(json.dumps([asdict(example) for example in workspace.examples])),
                   "index": state.index.name if state.index else None},
        packages={name: importlib.metadata.version(name) for name in (
            *PACKAGES, *(["openvino-genai"] if brand.model.engine == "openvino" else []))},
        python=platform.python_version(), machine=f"{platform.machine()} {platform.system()}")


def _sha256(file: Path) -> str:
    with file.open("rb") as read:
        return hashlib.file_digest(read, "sha256").hexdigest()
