"""ONNX models opened to run one text a thread."""

from pathlib import Path
from typing import Any


def session(path: Path) -> Any:
    """An ONNX Runtime session that keeps to one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
