"""brand.yaml: who speaks, how, and the settings of the build; read and checked."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from knowledge.errors import UserError


class Part(BaseModel):
    """A block of brand.yaml; a misspelt key is refused, so that no setting is silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Voice(Part):
    """How the brand speaks: what it does and doesn't, and what a reply must and must not hold."""

    do: tuple[str, ...] = ()
    dont: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    """Phrases that every reply holds word for word, such as the greeting and the sign-off."""
    banned: tuple[str, ...] = ()
    words: int | None = Field(None, ge=5, le=2000)
    """The most words a reply may have."""
    grade: float | None = Field(None, ge=1, le=20)
    """The highest school grade (Flesch-Kincaid) that a reply may need."""


class Model(Part):
    """Which model answers."""

    base: str = "smollm2-135m"
    """The embedded model, or a path to a GGUF file."""
    engine: str = Field("llama.cpp", pattern=r"^(llama\.cpp|openvino|transformers)$")
    precision: str = Field("q8_0", pattern="^(q8_0|f16)$")
    context: int = Field(2048, ge=256, le=131072)
    """Tokens that prompt and reply may have together."""
    reply_tokens: int = Field(120, ge=8, le=4096)


class Retrieval(Part):
    """How documents are cut and found."""

    encoder: str = "all-MiniLM-L6-v2"
    """That, the path of a sentence-transformers folder, or langchain:package.module:Class for LangChain embeddings."""
    encoder_settings: dict[str, Any] = {}
    """What LangChain embeddings are made with."""
    reranker: str = ""
    """The path of a sentence-transformers cross-encoder that puts what was found in order; none, as it takes longer."""
    store: str = ""
    """langchain:package.module:Class searches the vectors in a LangChain store instead of ours."""
    store_settings: dict[str, Any] = {}
    passage_tokens: int = Field(110, ge=20, le=2000)
    found: int = Field(3, ge=1, le=20)
    """How many passages the model is shown."""
    false_answers: float = Field(0.1, gt=0, lt=1)
    """The share of unanswerable questions that may be answered all the same; sets the threshold."""


class Training(Part):
    """How the adapter is made; the defaults suit 50 to 2,000 examples on a small model."""

    method: Literal["lora", "dora", "qlora", "full"] = "lora"
    """qlora keeps the base in 4 bits while it trains, by bitsandbytes; full trains every layer's weights."""
    epochs: int = Field(3, ge=1, le=100)
    """At most; it ends earlier once the loss on held-out examples rises, and the best epoch is kept."""
    learning_rate: float | Literal["auto"] = Field(4e-4)
    """auto tries three for one epoch each, and takes the one that does best on held-out examples."""
    batch: int = Field(8, ge=1, le=1024)
    rank: int = Field(16, ge=1, le=1024)
    alpha: int = Field(32, ge=1, le=4096)
    seed: int = 0
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    """auto takes the one that a measurement of two seconds finds quicker."""
    frozen_layers: int = Field(0, ge=0, le=1000)
    """Lower layers that don't learn and so run once for each row, not once an epoch."""
    start_from: str = ""
    """A release, such as r001, whose adapter is trained on."""
    preferences: Literal["dpo", "orpo"] = "dpo"
    """How preferences.jsonl is learnt, after the examples: against the adapter so far, or without a reference."""
    preference_epochs: int = Field(1, ge=1, le=100)
    preference_learning_rate: float = Field(5e-5, gt=0, lt=1)
    tone: float = Field(1.0, ge=0, le=5)
    """Rows without passages, for each example that rests on none."""
    closed: float = Field(1.0, ge=0, le=5)
    """Rows without passages, for each example that rests on one; these teach facts by heart."""
    grounded: float = Field(1.0, ge=0, le=5)
    """Rows with passages, for each example that rests on one."""
    distractors: float = Field(1.0, ge=0, le=1)
    """The share of grounded rows that hold other passages beside the right one."""
    replay: float = Field(0.3, ge=0, le=2)
    """Rows of general talk in the base model's own words, for each example; they keep old abilities."""
    abstaining: float = Field(0.0, ge=0, le=2)
    """Rows whose passages don't answer, for each example; teaches small models to abstain at random."""

    @field_validator("learning_rate")
    @classmethod
    def _positive(cls, rate: float | str) -> float | str:
        if isinstance(rate, float) and not 0 < rate < 1:
            raise ValueError("must lie between 0 and 1, or be auto")
        return rate


class Gates(Part):
    """What a build must reach, and must not exceed, to be promoted without a word."""

    facts: float | None = Field(None, ge=0, le=1)
    tone: float | None = Field(None, ge=0, le=1)
    abstains_rightly: float | None = Field(None, ge=0, le=1)
    """What the system that answers must reach at least, as the report shows it; None is no gate."""
    abstains_wrongly: float | None = Field(None, ge=0, le=1)
    unwanted: float | None = Field(None, ge=0, le=1)
    """What it may have at most."""
    memorised: float = Field(0.0, ge=0, le=1)
    """The share of the facts asked for that the model may state from its weights, without the documents."""
    forgotten_instructions: float = Field(0.1, gt=0, le=1)
    forgotten_formats: float = Field(0.1, gt=0, le=1)
    """The share of general instructions, and of exact formats, that may be lost."""
    forgotten_text: float = Field(0.05, gt=0, le=10)
    """How much of its log-likelihood a token of general text may lose, in nats: .05 is a perplexity 5 % higher."""
    margin: float = Field(0.1, gt=0, le=1)
    """How much lower facts or tone may be, as a share, and still count as no worse."""


class Brand(Part):
    """Everything brand.yaml may say; name, persona and abstain alone are complete."""

    name: str = Field(min_length=1)
    persona: str = Field(min_length=1)
    abstain: str = Field(min_length=1)
    """The reply when the documents don't say."""
    voice: Voice = Voice()
    links: dict[str, str] = {}
    colours: dict[str, str] = {}
    logo: str = ""
    """Path of a PNG, JPEG, SVG or WebP within the workspace, at most 1 MB."""
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
        raise UserError(f"{path}: not found; `twofold new DIR` makes a workspace that already works") from None
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
        raise UserError(f"{path}{line}: {problem}; mend the line (indentation, quotes, colons)") from None
    if not isinstance(loaded, dict):
        raise UserError(f"{path}:1: holds no settings; it needs at least name, persona and abstain")
    try:
        brand = Brand.model_validate(loaded)
        brand.model_dump_json()
    except ValidationError as error:
        raise UserError(_first_fault(path, loaded, error)) from None
    except ValueError:  # it can't be written as UTF-8
        raise UserError(f"{path}: holds half a character, written as \\ud800 to \\udfff; write the character "
                        "itself") from None
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
