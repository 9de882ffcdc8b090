"""Messages to a reply by transformers and PEFT: the slow, obvious engine that llama.cpp is checked against.

It also hands out the base weights for training.
"""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from builder.engine import Decoding, Emit, Generated, Reading, prompt_ids
from builder.render import Message
from builder.weights import Base
from knowledge.errors import UserError
from knowledge.files import make_folder

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>")
"""Control tokens that end a reply, beside the one that the weights name; llama.cpp knows them by their text too."""


def load_base(base: Base) -> "PreTrainedModel":
    """The base weights as a transformers model in fp32 and eval mode, on the CPU, which can be trained and saved.

    Kept beside the GGUF file in transformers' own form, since reading GGUF there takes 20 seconds. Raises UserError
    where transformers can't read them.
    """
    from transformers import AutoModelForCausalLM

    with _quiet():
        folder = make_folder(base.folder / "transformers", lambda made: _from_gguf(base).save_pretrained(made))
        try:
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa",
                                                         local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise _unreadable(folder, error) from None
    # Adapters and saved models name their base by this, which otherwise is a path on this machine.
    model.config.name_or_path = getattr(model.config, "_model_name_or_path", None) or base.sha256
    model.name_or_path = model.config.name_or_path
    return model.eval()  # type: ignore[no-any-return]


def _from_gguf(base: Base) -> Any:
    """A model read from GGUF calls itself quantized, and so refuses to be trained or saved: it is rebuilt."""
    from transformers import AutoModelForCausalLM

    try:
        read = AutoModelForCausalLM.from_pretrained(base.folder, gguf_file=base.gguf.name, dtype=torch.float32,
                                                    local_files_only=True)
    except (OSError, ValueError, KeyError, IndexError, RuntimeError) as error:
        raise _unreadable(base.gguf, error) from None
    config = read.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(read.state_dict())
    return model


def _unreadable(place: Path, error: Exception) -> UserError:
    return UserError(f"{place}: transformers can't load it ({_line(error)}); delete its folder and build again, or set "
                     "model.base to another model")


def load_adapter(model: "PreTrainedModel", adapter: Path) -> "PeftModel":
    """The model with the PEFT adapter of the folder `adapter` laid over it, in eval mode.

    Raises UserError where the folder holds no whole adapter for this model.
    """
    from peft import PeftModel
    from safetensors import SafetensorError

    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (adapter / name).is_file():  # PEFT would ask the hub for it, or unpickle another file
            raise UserError(f"{adapter / name}: no such file; delete the folder and run `twofold build` again")
    try:
        with _quiet(), warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*missing adapter keys")
            return PeftModel.from_pretrained(model, str(adapter), local_files_only=True).eval()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, UserWarning) as error:
        raise UserError(f"{adapter}: not an adapter for this base model ({_line(error)}); delete the folder and run "
                        "`twofold build` again") from None


class TransformersEngine:
    """transformers over the base weights and, where there is one, a PEFT adapter; on a GPU where one can be used."""

    def __init__(self, base: Base, adapter: Path | None = None, slots: int = 1, context: int = 2048) -> None:
        """Load the weights; `context` is the tokens of prompt and reply together. Replies are made one by one."""
        from tokenizers import Tokenizer

        self.slots = slots
        self._context, self._template = context, base.template
        self._tokenizer = Tokenizer.from_file(str(base.tokenizer))
        model: Any = load_base(base)
        self._ends = {model.config.eos_token_id, *map(self._tokenizer.token_to_id, ENDS)} - {None}
        self._adapted = load_adapter(model, adapter) if adapter else None
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = (self._adapted or model).to(self._device)
        self._lock = threading.Lock()  # whether the adapter is on is the model's state, not the request's

    def generate(self, messages: Sequence[Message], tuned: bool, decoding: Decoding,
                 emit: Emit | None = None) -> Generated:
        """Make one reply; UserError when the prompt leaves no room for it.

        Greedy at temperature 0; else drawn from the softmax of logits / temperature, with the seed.
        """
        ids = prompt_ids(messages, self._tokenizer, self._template, self._context - decoding.most_tokens)
        reading = Reading(emit)
        with self._lock, self._switched(tuned):
            self._read(ids, decoding, reading)
        return reading.whole(len(ids))

    def _switched(self, tuned: bool) -> contextlib.AbstractContextManager[Any]:
        if self._adapted is None or tuned:
            return contextlib.nullcontext()
        return self._adapted.disable_adapter()

    def _read(self, ids: list[int], decoding: Decoding, reading: Reading) -> None:
        """Token after token into `reading`, until the model, the limit, the guard or the reader ends it."""
        from tokenizers.decoders import DecodeStream

        text = DecodeStream(skip_special_tokens=True)  # holds back half a character
        drawing = torch.Generator(self._device).manual_seed(decoding.seed)
        step, past = torch.tensor([ids], device=self._device), None
        with torch.inference_mode():
            for _ in range(decoding.most_tokens):
                made = self._model(input_ids=step, past_key_values=past, use_cache=True, logits_to_keep=1)
                token, past = _draw(made.logits[0, -1], decoding.temperature, drawing), made.past_key_values
                reading.tokens += 1
                if token in self._ends:
                    return
                if reading.feed(text.step(self._tokenizer, token) or ""):
                    return
                step = torch.tensor([[token]], device=self._device)
        reading.finish = "length"


def _draw(logits: torch.Tensor, temperature: float, drawing: torch.Generator) -> int:
    """One token's number from the logits (vocabulary,)."""
    if temperature == 0:
        return int(logits.argmax())
    return int(torch.multinomial(torch.softmax(logits.float() / temperature, -1), 1, generator=drawing))


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' progress bars and warnings off the terminal; failures still raise."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # its GGUF reader draws a bar that heeds neither setting
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
