"""brand.yaml: who speaks, how, and the settings of the build; read and checked."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from knowledge.errors import UserError


class Part(BaseModel):
    """A block of brand.yaml; a misspelt key is refused, so that no setting is silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Voice(Part):
    """How the brand speaks, and what a reply must and must not contain."""

    do: tuple[str, ...] = ()
    """What to do, for example "Use short sentences"."""
    dont: tuple[str, ...] = ()
    """What to avoid."""
    required: tuple[str, ...] = ()
    """Phrases that every reply contains word for word, such as the greeting and the sign-off."""
    banned: tuple[str, ...] = ()
    """Words and phrases that no reply contains."""
    words: int | None = Field(None, ge=5, le=2000)
    """Maximum number of words in a reply."""
    grade: float | None = Field(None, ge=1, le=20)
    """Reading level: the highest school grade (Flesch-Kincaid) of a reply."""


class Model(Part):
    """Which model answers."""

    base: str = "smollm2-135m"
    """The embedded model, or the path of a GGUF file or a Hugging Face folder."""
    engine: str = Field("llama.cpp", pattern=r"^(llama\.cpp|openvino|transformers)$")
    """What runs the model: llama.cpp, openvino (faster on some CPUs) or transformers (slow, exact)."""
    precision: str = Field("q8_0", pattern="^(q8_0|f16)$")
    """q8_0 stores weights in 8 bits, f16 in 16 bits."""
    context: int = Field(2048, ge=256, le=131072)
    """Maximum number of tokens of prompt and reply together."""
    reply_tokens: int = Field(120, ge=8, le=4096)
    """Maximum number of tokens in a reply; a longer reply is cut off."""


class Retrieval(Part):
    """How documents are split and searched."""

    encoder: str = "all-MiniLM-L6-v2"
    """This one, multilingual-e5-small, a sentence-transformers folder or hub name, or langchain:module:Class."""
    encoder_settings: dict[str, Any] = {}
    """Arguments for LangChain embeddings."""
    reranker: str = ""
    """Path of a sentence-transformers cross-encoder that sorts the passages found. Better, but slower."""
    store: str = ""
    """langchain:package.module:Class searches in a LangChain vector store instead of FAISS."""
    store_settings: dict[str, Any] = {}
    """Arguments for the LangChain vector store."""
    passage_tokens: int = Field(110, ge=20, le=2000)
    """Maximum number of tokens in a passage."""
    found: int = Field(3, ge=1, le=20)
    """How many passages the model is shown."""
    false_answers: float = Field(0.1, gt=0, lt=1)
    """Target share of unanswerable questions that are answered anyway; sets the threshold for answering."""


class Training(Part):
    """How the adapter is trained; the defaults suit 50 to 2,000 examples on a small model."""

    method: Literal["lora", "dora", "qlora", "full"] = "lora"
    """qlora keeps the base model in 4 bits during training (needs bitsandbytes); full trains all weights."""
    epochs: int = Field(3, ge=1, le=100)
    """Maximum number of epochs; training stops early when held-out loss rises."""
    learning_rate: float | Literal["auto"] = Field(4e-4)
    """Between 0 and 1; auto tries three rates for one epoch each and takes the best on held-out examples."""
    batch: int = Field(8, ge=1, le=1024)
    """Rows per training step."""
    rank: int = Field(16, ge=1, le=1024)
    """Rank of the LoRA matrices: higher learns more and needs more memory."""
    alpha: int = Field(32, ge=1, le=4096)
    """Scale of the LoRA matrices, usually twice the rank."""
    seed: int = 0
    """Another seed holds out other examples and shuffles differently."""
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    """auto measures for two seconds which one is faster."""
    frozen_layers: int = Field(0, ge=0, le=1000)
    """Number of lower layers that do not learn; they run only once per row, which saves time."""
    start_from: str = ""
    """Continue from the adapter of this release, such as r001."""
    preferences: Literal["dpo", "orpo"] = "dpo"
    """How preferences.jsonl is learned after the examples."""
    preference_epochs: int = Field(1, ge=1, le=100)
    """Epochs over preferences.jsonl."""
    preference_learning_rate: float = Field(5e-5, gt=0, lt=1)
    """Learning rate for preferences.jsonl."""
    tone: float = Field(1.0, ge=0, le=5)
    """Training rows without passages, per example whose reply does not rest on a passage."""
    closed: float = Field(1.0, ge=0, le=5)
    """Training rows without passages, per example whose reply rests on one; these teach facts by heart."""
    grounded: float = Field(1.0, ge=0, le=5)
    """Training rows with passages, per example whose reply rests on one."""
    distractors: float = Field(1.0, ge=0, le=1)
    """Share of grounded rows that also show other passages beside the right one."""
    replay: float = Field(0.3, ge=0, le=2)
    """Rows of general talk in the base model's own words, per example; they preserve general ability."""
    abstaining: float = Field(0.0, ge=0, le=2)
    """Rows whose passages don't answer, per example; small models then abstain at random."""

    @field_validator("learning_rate")
    @classmethod
    def _positive(cls, rate: float | str) -> float | str:
        if isinstance(rate, float) and not 0 < rate < 1:
            raise ValueError("must lie between 0 and 1, or be auto")
        return rate


class Gates(Part):
    """The checks that a build must pass to be promoted; a limit that is not set is not checked."""

    facts: float | None = Field(None, ge=0, le=1)
    """Minimum facts score of the system that answers."""
    tone: float | None = Field(None, ge=0, le=1)
    """Minimum tone score."""
    abstains_rightly: float | None = Field(None, ge=0, le=1)
    """Minimum share of unanswerable questions that it refuses to answer."""
    abstains_wrongly: float | None = Field(None, ge=0, le=1)
    """Maximum share of answerable questions that it refuses to answer."""
    unwanted: float | None = Field(None, ge=0, le=1)
    """Maximum share of replies with unwanted content, such as banned phrases."""
    memorised: float = Field(0.0, ge=0, le=1)
    """Maximum share of facts that the model states without the documents."""
    forgotten_instructions: float = Field(0.1, gt=0, le=1)
    """Share of general instructions that may get worse by the training."""
    forgotten_formats: float = Field(0.1, gt=0, le=1)
    """Share of exact formats that may get worse by the training."""
    forgotten_text: float = Field(0.05, gt=0, le=10)
    """How much log-likelihood a token of general text may lose, in nats: 0.05 is a perplexity 5 % higher."""
    margin: float = Field(0.1, gt=0, le=1)
    """How much lower facts or tone may be, as a share, and still count as no worse."""


class Brand(Part):
    """Everything that brand.yaml may contain; name, persona and abstain are enough."""

    name: str = Field(min_length=1)
    """The assistant's name."""
    persona: str = Field(min_length=1)
    """Who it is and for whom it answers, in a sentence or two."""
    abstain: str = Field(min_length=1)
    """The reply when the documents don't answer."""
    voice: Voice = Voice()
    links: dict[str, str] = {}
    """Names and addresses that replies may contain."""
    colours: dict[str, str] = {}
    """Colours of the app, such as primary: "#0b5c8a"."""
    logo: str = ""
    """Path of a PNG, JPEG, SVG or WebP in the assistant's folder, at most 1 MB."""
    model: Model = Model()
    retrieval: Retrieval = Retrieval()
    training: Training = Training()
    gates: Gates = Gates()

    @property
    def public(self) -> list[str]:
        """The texts that it shows to everyone, so that nothing in them is private."""
        return [self.name, self.persona, self.abstain, *self.links.values(), *self.voice.required, *self.voice.do]


def read_brand(path: Path) -> Brand:
    """Read and check a brand.yaml; UserError names file, line and key."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: not found; `twofold new DIR` makes an assistant that already works") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read ({error}); save it as UTF-8 text") from None
    return as_brand(text, str(path))


def as_brand(text: str, path: str) -> Brand:
    """The text of a brand.yaml, checked; UserError names `path`, line and key."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        loaded = YAML(typ="rt").load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise UserError(f"{path}{line}: {problem}; correct this line (indentation, quotes, colons)") from None
    if not isinstance(loaded, dict):
        raise UserError(f"{path}:1: has no settings; it needs at least name, persona and abstain")
    try:
        brand = Brand.model_validate(loaded)
        brand.model_dump_json()
    except ValidationError as error:
        raise UserError(_first_fault(path, loaded, error)) from None
    except ValueError:  # it can't be written as UTF-8
        raise UserError(f"{path}: contains half a character, written as \\ud800 to \\udfff; write the "
                        "character itself") from None
    return brand


def _first_fault(path: str, loaded: Any, error: ValidationError) -> str:
    """One line for the first fault that pydantic found, with the line of the key it concerns."""
    fault = error.errors()[0]
    keys = [str(key) for key in fault["loc"]]
    line = 1
    place: Any = loaded  # a ruamel map, which knows the lines of its keys
    for key in fault["loc"]:
        if hasattr(place, "lc") and key in place:
            line = place.lc.key(key)[0] + 1
            place = place[key]
    name = ".".join(keys)
    if fault["type"] == "extra_forbidden":
        return f"{path}:{line}: unknown setting {name}; correct its name or remove it"
    if fault["type"] == "missing":
        return f"{path}:{line}: {name} is missing; add it"
    return f"{path}:{line}: {name}: {fault['msg'].lower()}; correct the value"
