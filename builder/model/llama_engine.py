"""Messages to a reply, by llama.cpp in process: one loaded model, the adapter switched per request."""

import contextlib
import json
import os
import queue
import secrets
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from builder.model.base import Base
from builder.model.engine import Decoding, Emit, Generated, Reading, Traced, prompt_ids
from builder.model.prompt import Message
from knowledge.errors import UserError
from knowledge.machine import cores


class LlamaEngine:
    """llama.cpp over a GGUF base and, where there is one, a LoRA GGUF."""

    def __init__(self, base: Base, adapter: Path | None = None, slots: int = 1, context: int = 2048,
                 tuned: Path | None = None) -> None:
        """Load the weights; `context` is the tokens of prompt and reply together, for each of `slots` at once.

        `tuned` is a GGUF file whose weights answer in the place of the base's.
        """
        import xllamacpp
        from tokenizers import Tokenizer

        self.slots = slots
        self._context, self._adapter, self._template = context, adapter, base.template
        self._tokenizer = Tokenizer.from_file(str(base.tokenizer))
        settings = xllamacpp.CommonParams()
        settings.model.path = str(tuned or base.gguf)
        settings.n_ctx, settings.n_parallel = context * slots, slots
        settings.kv_unified = False
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = cores()
        settings.warmup, settings.fit_params, settings.ui = False, False, False
        settings.cache_ram_mib = 0
        settings.verbosity = -1
        self._key = secrets.token_hex(32)
        settings.api_keys = [self._key]  # llama.cpp listens on loopback; nobody else may ask it
        if adapter:
            lora = xllamacpp.CommonAdapterLoraInfo()
            lora.path, lora.scale = str(adapter), 1.0
            settings.lora_adapters, settings.lora_init_without_apply = [lora], True
        try:
            self._server = _loaded(settings)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{adapter or tuned or base.gguf}: llama.cpp can't load it ({error}); delete it and build "
                            "again") from None

    def generate(self, messages: Sequence[Message], tuned: bool, decoding: Decoding,
                 emit: Emit | None = None) -> Generated:
        """Make one reply; UserError when the prompt leaves no room for it."""
        ids = prompt_ids(messages, self._tokenizer, self._template, self._context - decoding.most_tokens)
        reading = Reading(emit)
        request = self._request(ids, tuned, decoding)
        # In a thread of its own, since xllamacpp swallows whatever its callback raises, Ctrl-C too.
        chunks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        stop = threading.Event()
        worker = threading.Thread(target=self._stream, args=(request, chunks, stop), daemon=True)
        worker.start()
        try:
            while (chunk := chunks.get()) is not None and not _take(chunk, reading):
                pass
        finally:
            stop.set()
        worker.join()  # not after Ctrl-C, which must not wait for llama.cpp's next word
        return reading.whole(len(ids))

    def trace(self, messages: Sequence[Message], tuned: bool, most_tokens: int) -> Traced:
        """Make one greedy reply as `generate` does, but as tokens, the one that ends it too; nothing stops a loop."""
        ids = prompt_ids(messages, self._tokenizer, self._template, self._context - most_tokens)
        answer = self._asked("completion", self._request(ids, tuned, Decoding(most_tokens)) | {
            "stream": False, "n_probs": 1, "return_tokens": True})
        told, covered = iter(answer["completion_probabilities"]), 0
        one, chances = next(told, None), list[float | None]()
        for token in answer["tokens"]:  # each told one covers the bytes since the one before; a control token has none
            covered += len(self._tokenizer.id_to_token(token) or "") if self._tokenizer.decode([token]) else 0
            if one is None or covered < len(one["bytes"]):
                chances.append(None)
                continue
            chances.append(one["logprob"] if one["id"] == token else None)
            one, covered = next(told, None), 0
        return Traced(tuple(ids), tuple(answer["tokens"]), tuple(chances))

    def own_prompt(self, messages: Sequence[Message]) -> list[int]:
        """The prompt as llama.cpp makes it from what the GGUF file holds, without our renderer and tokenizer."""
        text = self._asked("apply-template", {"messages": list(messages)})["prompt"]
        return list(self._asked("tokenize", {"content": text, "parse_special": True, "add_special": True})["tokens"])

    def _asked(self, what: str, body: dict[str, Any]) -> Any:
        """What only llama.cpp's own address on loopback answers."""
        request = urllib.request.Request(f"{self._server.listening_address}/{what}", json.dumps(body).encode(),
                                         {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
                return json.load(answer)
        except OSError as error:
            raise UserError(f"llama.cpp refused /{what} ({error}); set model.base to another model") from None

    def _request(self, ids: list[int], tuned: bool, decoding: Decoding) -> dict[str, Any]:
        request: dict[str, Any] = {"prompt": ids, "n_predict": decoding.most_tokens, "stream": True,
                                   "temperature": decoding.temperature, "seed": decoding.seed, "cache_prompt": True}
        if self._adapter:
            request["lora"] = [{"id": 0, "scale": 1.0 if tuned else 0.0}]
        return request

    def _stream(self, request: dict[str, Any], chunks: "queue.SimpleQueue[Any]", stop: threading.Event) -> None:
        """Put what llama.cpp makes of a request into `chunks`, None at the end, until `stop` is set."""

        def take(chunk: Any) -> bool:
            chunks.put(chunk)
            return stop.is_set()

        try:
            self._server.handle_completions(request, take)
        except (RuntimeError, ValueError) as error:
            chunks.put({"error": {"message": str(error)}})
        finally:
            chunks.put(None)


def _take(chunk: Any, reading: "Reading") -> bool:
    """Read one chunk of a stream; True when nothing more is wanted, UserError where llama.cpp refuses."""
    if "error" in chunk:
        raise UserError(f"llama.cpp refused the request: {chunk['error'].get('message', chunk['error'])}")
    choice = chunk["choices"][0]
    reading.finish = choice.get("finish_reason") or reading.finish
    reading.tokens = chunk.get("usage", {}).get("completion_tokens", reading.tokens + 1)
    return reading.feed(choice["text"])


_abandoned: list[Any] = []
"""Servers whose loading was interrupted. They are kept: taken down that early, xllamacpp's server may never stop."""


def _loaded(settings: Any) -> Any:
    """The server that `settings` describe; Ctrl-C ends the waiting for it at once."""
    import xllamacpp

    made: Future[Any] = Future()

    def load() -> None:
        try:
            made.set_result(xllamacpp.Server(settings))
        except BaseException as error:
            made.set_exception(error)

    with _quiet():
        threading.Thread(target=load, daemon=True).start()
        try:
            return made.result()
        except KeyboardInterrupt:
            _abandoned.append(made)
            raise


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep llama.cpp's own chatter off the terminal while it loads; failures still raise."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
