"""Messages to a reply, by OpenVINO: on CPUs with wide vector units several times as many at once as by llama.cpp."""

import itertools
import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from builder.model.base import Base
from builder.model.engine import ENDS, Decoding, Emit, Generated, Reading, Traced, prompt_ids
from builder.model.prompt import Message
from knowledge.errors import UserError
from knowledge.files import hash_bytes, home, make_folder
from knowledge.machine import cores, multiplies_in_bf16

BLOCK = 32
"""Tokens of a block of its cache on a CPU."""
STEP = 256
"""Tokens read at most between two that are said."""
MADE = "1"
"""Of how the weights are written for OpenVINO."""


def precision() -> str:
    """What this machine computes in: bf16 where its CPU can, else 32 bits."""
    return "bf16" if multiplies_in_bf16() else "f32"


class OpenVinoEngine:
    """OpenVINO over a GGUF model with, where there is one, a LoRA adapter merged into it as it loads.

    Its adapters can be switched, but the cache of what prompts share doesn't know of it, and a switched one doubles the
    time of reading. So base and tuned model are an engine each.
    """

    def __init__(self, base: Base, adapter: Path | None = None, slots: int = 1, context: int = 2048,
                 tuned: Path | None = None, exact: bool = False) -> None:
        """Load the weights; `context` is the tokens of prompt and reply together, for each of `slots` at once.

        `adapter` is a PEFT adapter's folder. `tuned` is a GGUF file whose weights answer in the place of the base's.
        `exact` computes in 32 bits whatever the CPU can. UserError where the library is missing or refuses the weights.
        """
        from tokenizers import Tokenizer

        genai = _library()
        self.slots = slots
        self._context, self._template, self._genai = context, base.template, genai
        self._tokenizer = Tokenizer.from_file(str(base.tokenizer))
        scheduler = genai.SchedulerConfig()
        scheduler.num_kv_blocks = slots * (context // BLOCK + 1) + 1
        scheduler.max_num_seqs, scheduler.max_num_batched_tokens = slots, STEP
        scheduler.enable_prefix_caching = True
        number = "f32" if exact else precision()
        settings = {"INFERENCE_PRECISION_HINT": number, "KV_CACHE_PRECISION": number,
                    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0", "INFERENCE_NUM_THREADS": cores()}
        try:
            if adapter:
                settings["adapters"] = genai.AdapterConfig(
                    genai.Adapter(str(adapter / "adapter_model.safetensors")), _strength(adapter),
                    genai.AdapterConfig.Mode.MODE_FUSE)
            weights = written(tuned or base.gguf, tuned.parent.name if tuned else base.sha256)
            self._pipe = genai.ContinuousBatchingPipeline(str(weights), scheduler, "CPU", settings)
        except RuntimeError as error:
            raise UserError(f"{adapter or tuned or base.gguf}: OpenVINO can't load it ({_first(error)}); set "
                            "model.engine to llama.cpp in brand.yaml") from None
        named = self._pipe.get_tokenizer().get_eos_token_id()
        self._ends = {named, *map(self._tokenizer.token_to_id, ENDS)} - {None}
        self._stepping, self._numbers = threading.Lock(), itertools.count(1)

    def generate(self, messages: Sequence[Message], tuned: bool, decoding: Decoding,
                 emit: Emit | None = None) -> Generated:
        """Make one reply, `tuned` or not as the weights are; UserError when the prompt leaves no room for it."""
        from tokenizers.decoders import DecodeStream

        ids = prompt_ids(messages, self._tokenizer, self._template, self._context - decoding.most_tokens)
        reading, text = Reading(emit), DecodeStream(skip_special_tokens=True)  # which holds back half a character

        def take(token: int, _: float) -> bool:
            reading.tokens += 1
            if reading.tokens == decoding.most_tokens:
                reading.finish = "length"
            if token in self._ends:
                reading.finish = "stop"
                return True
            return reading.feed(text.step(self._tokenizer, token) or "")

        self._read(ids, decoding, take)
        return reading.whole(len(ids))

    def trace(self, messages: Sequence[Message], tuned: bool, most_tokens: int) -> Traced:
        """Make one greedy reply as `generate` does, but as tokens, the one that ends it too; nothing stops a loop."""
        ids = prompt_ids(messages, self._tokenizer, self._template, self._context - most_tokens)
        said: list[tuple[int, float]] = []

        def take(token: int, chance: float) -> bool:
            said.append((token, chance))
            return token in self._ends

        self._read(ids, Decoding(most_tokens), take, chances=1)
        return Traced(tuple(ids), tuple(token for token, _ in said), tuple(chance for _, chance in said))

    def _read(self, ids: Sequence[int], decoding: Decoding, take: Callable[[int, float], bool],
              chances: int = 0) -> None:
        """Give each token of a reply to `take` until that returns True or nothing more comes.

        Whoever waits for a token makes the next step for all; so no thread outlives the requests.
        """
        try:
            handle = self._pipe.add_request(next(self._numbers), _tensor(ids), self._config(decoding, chances))
            try:
                while _running(handle) or handle.can_read():
                    with self._stepping:
                        if not handle.can_read() and _running(handle):
                            self._pipe.step()
                    while handle.can_read():
                        for output in handle.read().values():
                            if any(map(take, output.generated_ids, output.generated_log_probs)):
                                return
            finally:
                if _running(handle):
                    handle.stop()
                    with self._stepping:
                        self._pipe.step()  # which lets go of it
        except RuntimeError as error:
            raise UserError(f"OpenVINO refused the request ({_first(error)}); set model.engine to llama.cpp in "
                            "brand.yaml") from None

    def _config(self, decoding: Decoding, chances: int) -> Any:
        config = self._genai.GenerationConfig()
        config.max_new_tokens, config.apply_chat_template = decoding.most_tokens, False
        config.stop_token_ids, config.logprobs = set(self._ends), chances
        config.do_sample, config.rng_seed = decoding.temperature > 0, decoding.seed
        if config.do_sample:
            config.temperature, config.top_p = decoding.temperature, 1.0
        return config


def _running(handle: Any) -> bool:
    return bool(handle.get_status().name == "RUNNING")


def _tensor(ids: Sequence[int]) -> Any:
    import openvino

    return openvino.Tensor(np.array([ids], dtype=np.int64))


def _first(error: Exception) -> str:
    """What OpenVINO says, without its own places in C++."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from")]
    return " ".join((lines or ["no reason given"])[-1].split())[:200]


def _library() -> Any:
    try:
        import openvino_genai
    except ImportError:
        raise UserError("model.engine: openvino: its library isn't installed; run `pip install openvino-genai`, or "
                        "set it to llama.cpp in brand.yaml") from None
    return openvino_genai


def _strength(adapter: Path) -> float:
    """By what the adapter's product is multiplied: alpha / rank."""
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    return float(config["lora_alpha"]) / float(config["r"])


def written(gguf: Path, known: str) -> Path:
    """The folder with a GGUF file's weights as OpenVINO wants them; made once for `known` and kept in the cache.

    OpenVINO reads GGUF itself, but names no matrix as PEFT does, by which an adapter finds its place; they are named
    here after their weights.
    """
    import importlib.metadata

    version = importlib.metadata.version("openvino-genai")
    key = hash_bytes(MADE, version, known, gguf.name, str(gguf.stat().st_size))[:16]
    return make_folder(home() / "openvino" / key, lambda folder: _write(gguf, folder))


def _write(gguf: Path, folder: Path) -> None:
    import openvino

    genai = _library()
    (folder / "model.gguf").symlink_to(gguf.resolve())
    genai.LLMPipeline(str(folder / "model.gguf"), "CPU", enable_save_ov_model=True)
    core = openvino.Core()
    model = core.read_model(folder / "openvino_model.xml")
    for node in model.get_ops():
        if node.get_type_name() == "MatMul":
            weights = node.input(1).get_source_output().get_node()
            while weights.get_type_name() != "Constant" and weights.inputs():
                weights = weights.input(0).get_source_output().get_node()
            name = weights.get_friendly_name()
            if weights.get_type_name() == "Constant" and name.endswith(".weight"):
                node.set_friendly_name(name.removesuffix(".weight").replace("[", ".").replace("]", ""))
    openvino.save_model(model, folder / "named.xml", compress_to_fp16=False)
    del model
    for kind in ("xml", "bin"):
        os.replace(folder / f"named.{kind}", folder / f"openvino_model.{kind}")
    (folder / "model.gguf").unlink()
