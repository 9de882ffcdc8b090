"""The base weights, and what was trained on them, as transformers models."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError

from builder.model.base import Base
from builder.model.prompt import to_prompt
from knowledge.errors import UserError
from knowledge.files import make_folder
from knowledge.quiet import quiet

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)
"""What transformers and PEFT raise over files that are damaged or belong to another model."""


def load_base(base: Base, quantization: Any = None) -> "PreTrainedModel":
    """The base weights as a transformers model in fp32 and eval mode, on the CPU, which can be trained and saved.

    Kept beside the GGUF file in transformers' own form, since reading GGUF there takes 20 seconds. `quantization` is
    what transformers calls a quantization_config. Raises UserError where transformers can't read them.
    """
    with _quiet():
        folder = _folder(base)
        try:
            model: Any = _opened(folder, quantization_config=quantization)
        except UNREADABLE as error:
            raise _unreadable(folder, error) from None
    # Adapters and saved models name their base by this, which otherwise is a path on this machine.
    model.config.name_or_path = getattr(model.config, "_model_name_or_path", None) or base.sha256
    model.name_or_path = model.config.name_or_path
    model.config.eos_token_id = end_of(base, model.config.eos_token_id)
    return model.eval()  # type: ignore[no-any-return]


def _folder(base: Base) -> Path:
    return make_folder(base.folder / "transformers", lambda made: _from_gguf(base).save_pretrained(made))


def layers_of(base: Base) -> int:
    """How many layers the base model has; UserError where transformers can't read it."""
    with _quiet():
        return int(read_config(_folder(base))["num_hidden_layers"])


def _opened(folder: Path, **settings: Any) -> Any:
    """The model that transformers saved in `folder`, in fp32; nothing is fetched, unpickled or run that lies there."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True,
                                                use_safetensors=True, trust_remote_code=False, **settings)


def read_config(folder: Path) -> dict[str, Any]:
    """The settings of the model that transformers saved in `folder`, all of them; UserError for kinds unknown to it."""
    from transformers import AutoConfig

    try:
        read = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return dict(read.get_text_config().to_dict())
    except UNREADABLE as error:
        raise UserError(f"model.base: {folder}: transformers can't read its config.json ({_line(error)}); give another "
                        "model") from None


def end_of(base: Base, ends: Any) -> int | None:
    """The token that ends a reply: of several that a model names, the one that its chat template puts after one."""
    from tokenizers import Tokenizer

    if not isinstance(ends, list):
        return None if ends is None else int(ends)
    said = to_prompt([{"role": "user", "content": "?"}, {"role": "assistant", "content": "(reply)"}], base.template)
    after = Tokenizer.from_file(str(base.tokenizer)).encode(said.partition("(reply)")[2].lstrip(),
                                                            add_special_tokens=False).ids
    return int(next((end for end in ends if end in after[:1]), ends[0]))


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


class TunedBeside:
    """A model all of whose weights were tuned, beside its base: twice the memory, switched as a PeftModel is."""

    def __init__(self, base: "PreTrainedModel", tuned: "PreTrainedModel") -> None:
        """Two models of one shape; the tuned one answers."""
        self.base, self.tuned = base, tuned
        self._answers = tuned

    @property
    def device(self) -> torch.device:
        """Where both lie."""
        return self.tuned.device

    def to(self, device: torch.device) -> "TunedBeside":
        """Move both."""
        self.base.to(device)  # type: ignore[arg-type]
        self.tuned.to(device)  # type: ignore[arg-type]
        return self

    def __call__(self, **given: Any) -> Any:
        """What the one that answers makes of it."""
        return self._answers(**given)

    @contextlib.contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """Let the base answer while the block runs."""
        self._answers = self.base
        try:
            yield
        finally:
            self._answers = self.tuned


def load_adapter(model: "PreTrainedModel", adapter: Path) -> "PeftModel | TunedBeside":
    """The model with what was trained on it, in eval mode: the PEFT adapter of the folder `adapter` laid over it (LoRA
    or DoRA), or the whole tuned model that lies there beside it.

    Raises UserError where the folder holds no whole adapter or model of this shape.
    """
    from peft import PeftModel

    if (adapter / "config.json").is_file() and not (adapter / "adapter_config.json").is_file():
        return TunedBeside(model, _tuned(model, adapter))
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (adapter / name).is_file():  # PEFT would ask the hub for it, or unpickle another file
            raise UserError(f"{adapter / name}: no such file; delete the folder and run `twofold build` again")
    try:
        with _quiet(), warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*missing adapter keys")
            return PeftModel.from_pretrained(model, str(adapter), local_files_only=True).eval()
    except (*UNREADABLE, UserWarning) as error:
        raise _foreign(adapter, "an adapter for", _line(error)) from None


def _tuned(model: "PreTrainedModel", folder: Path) -> "PreTrainedModel":
    """The whole tuned model of `folder`, once it turns out to be whole and of the shape of `model`."""
    try:
        with _quiet():
            tuned, told = _opened(folder, output_loading_info=True)
    except UNREADABLE as error:
        raise _foreign(folder, "a tuned model of", _line(error)) from None
    shapes, wanted = ({name: weight.shape for name, weight in one.state_dict().items()} for one in (tuned, model))
    if told["missing_keys"] or shapes != wanted:
        differs = min(told["missing_keys"] or [name for name, _ in shapes.items() ^ wanted.items()])
        raise _foreign(folder, "a tuned model of", f"{differs} differs")
    return tuned.eval()  # type: ignore[no-any-return]


def _foreign(folder: Path, what: str, why: str) -> UserError:
    return UserError(f"{folder}: not {what} this base model ({why}); delete the folder and run `twofold build` again")


def merged_tensors(base: Base, folder: Path) -> dict[str, np.ndarray]:
    """The weights that the training in `folder` changed, as they are now (fp32), by transformers' names.

    An adapter, DoRA's magnitudes too, is merged into them by PEFT. UserError where it can't be loaded, doesn't fit the
    base or holds what is not a number.
    """
    model: Any = load_adapter(load_base(base), folder)
    if isinstance(model, TunedBeside):
        before, after = model.base.state_dict(), model.tuned.state_dict()
        names = [name for name in after if not torch.equal(before[name], after[name])]
    else:
        names = [f"{name}.weight" for name in model.targeted_module_names]
        after = model.merge_and_unload().state_dict()
    for name in names:
        if not after[name].isfinite().all():
            raise UserError(f"{folder}: {name} contains values that are not numbers; train again with a lower "
                            "learning rate")
    return {name: after[name].numpy() for name in names}


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
        with quiet():  # its GGUF reader draws a bar that heeds neither setting
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
