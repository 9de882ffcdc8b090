"""The training stage: examples and index to an adapter, made once for its inputs."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from builder.answering.opening import open_retriever
from builder.answering.reply_cache import remembering
from builder.model import prepare
from builder.model.engine import Decoding, at_once
from builder.model.export import must_be_servable, write_served
from builder.pipeline.index_stage import waiting
from builder.pipeline.keys import inputs_of, training_key
from builder.scoring.tone import fixed_phrases
from builder.training.batching import Preference, Row
from builder.training.mix import FEWEST_EXAMPLES, REPLAY_TOKENS, Answer, Mix, mix, preferred
from builder.workspace.brand import Brand
from builder.workspace.examples import Example, hold_out
from builder.workspace.folder import Watch, Workspace
from builder.workspace.releases import read_release
from knowledge.errors import UserError
from knowledge.files import Tick, make_folder, read_json, write_json

RECORD = "adapter.json"
"""In an adapter's folder: what it was made of."""
NO_PASSAGES = {"grounded": 0.0, "closed": 1.0}
"""Settings of a training that shows no passages: each row that would have held some is shown without."""


class TrainingSummary(BaseModel):
    """What became of a training: the adapter's training.json, of which only this much is read, and its rows."""

    model_config = ConfigDict(extra="allow")
    rows: dict[str, int]
    """Training rows of each kind."""
    reused: bool
    """Whether the adapter was there already."""
    outdated: bool
    """Whether it was trained beside another index than the one in use, and kept."""
    wall_seconds: float


def train(workspace: Workspace, watch: Watch, again: bool = False) -> TrainingSummary | None:
    """Fine-tune the adapter on the examples and the current index; None where there are too few examples.

    Where nothing but the index changed since the adapter in use was trained, that one is kept, unless `again`: it
    learnt how to speak and to keep to passages, not what the documents say.
    """
    start = time.perf_counter()
    if len(workspace.examples) < FEWEST_EXAMPLES:
        workspace.use("adapter", None)
        return None
    kept = None if again else _outdated(workspace)
    folder, made = (kept, False) if kept else fine_tuned(workspace, workspace.brand, watch)
    workspace.use("adapter", folder)
    return TrainingSummary.model_validate(read_json(folder / "training.json") | {
        "rows": read_json(folder / RECORD)["rows"], "reused": not made, "outdated": kept is not None,
        "wall_seconds": time.perf_counter() - start})


def documents_changed(workspace: Workspace) -> bool:
    """Whether nothing but documents, or how they are indexed, changed since the adapter in use was trained."""
    return _spoken_alike(workspace) is not None and (_outdated(workspace) is not None or bool(waiting(workspace)))


def _outdated(workspace: Workspace) -> Path | None:
    """The adapter in use, where only the index in use is another than the one that it was trained beside."""
    adapter, state = _spoken_alike(workspace), workspace.current()
    return adapter if adapter and state.index and read_json(adapter / RECORD)["index"] != state.index.name else None


def _spoken_alike(workspace: Workspace) -> Path | None:
    """The adapter in use, where it was trained beside an index, and all but that is as it was."""
    adapter = workspace.current().adapter
    record = read_json(adapter / RECORD) if adapter and (adapter / RECORD).is_file() else {}
    same = record.get("index") and record.get("voice") == _keys(workspace, workspace.brand)[1]
    return adapter if same else None


def _keys(workspace: Workspace, brand: Brand) -> tuple[str, str]:
    """The key of an adapter that would be trained now, and that of the same beside any index."""
    parts = replace(workspace.current(), adapter=_earlier(workspace, brand))
    inputs = inputs_of(workspace, brand, parts)
    return training_key(inputs), training_key(replace(inputs, index=""))


def fine_tuned(workspace: Workspace, brand: Brand, watch: Watch) -> tuple[Path, bool]:
    """The adapter's folder for `brand`, the workspace's own or one with other settings, and whether it was made now."""
    passages = workspace.current().index
    base = prepare.prepared(brand.model.base, "f16")
    earlier = _earlier(workspace, brand)
    key, voice = _keys(workspace, brand)
    place = workspace.place("adapters", key)

    def fill(folder: Path) -> None:
        from builder.training.recipe import train as fit

        must_be_servable(base, brand.training.method)
        work = workspace.place("training", key)
        learnt = _trained(earlier)
        rows, pairs = _rows(workspace, brand, passages, work, watch("prepare rows"), learnt)
        fit(base, rows.rows, rows.held_out, brand.training, folder, work, watch("train"), pairs, earlier)
        write_served(folder, base, brand.training.method, brand.model.precision)
        write_json(folder / RECORD, {"base": brand.model.base, "base_sha256": base.sha256, "rows": rows.counts,
                                             "voice": voice, "index": passages.name if passages else None,
                                             "trained": sorted(learnt | _hashes(rows.trained_examples)),
                                             "held_out": sorted(_hashes(rows.held_out_examples))})

    made = not place.exists()
    folder = make_folder(place, fill)
    shutil.rmtree(workspace.place("training", key), ignore_errors=True)
    return folder, made


def _earlier(workspace: Workspace, brand: Brand) -> Path | None:
    """The adapter that training is to begin with, where brand.yaml names a release."""
    if not brand.training.start_from:
        return None
    adapter = read_release(workspace, brand.training.start_from).adapter
    if not adapter:
        raise UserError(f"training.start_from: {brand.training.start_from} has no adapter; name another release")
    return workspace.built / adapter


def examples_of(adapter: Path | None, examples: Sequence[Example], seed: int) -> tuple[list[Example], list[Example]]:
    """Of the examples as they are now those that the adapter learnt, and those that its training held out.

    One that came or changed since is neither. Without an adapter nothing is learnt, and what it would hold out is.
    """
    if adapter is None:
        return hold_out(examples, seed)
    record = read_json(adapter / RECORD)
    trained, held_out = (set(record.get(part, ())) for part in ("trained", "held_out"))
    return ([example for example in examples if example.sha256 in trained],
            [example for example in examples if example.sha256 in held_out - trained])


def _hashes(examples: Sequence[Example]) -> set[str]:
    return {example.sha256 for example in examples}


def _trained(adapter: Path | None) -> set[str]:
    """The hashes of all examples that an adapter has learnt, and of those that it began with had."""
    return set(read_json(adapter / RECORD).get("trained", ())) if adapter else set()


def _rows(workspace: Workspace, brand: Brand, passages: Path | None, work: Path, tick: Tick,
          learnt: set[str]) -> tuple[Mix, list[Preference]]:
    """What is to be learnt. Kept in `work`, so that a run that carries on learns the same to the letter."""
    file = work / "rows.json"
    if not file.exists():
        retriever = open_retriever(brand, passages) if passages else None
        made = mix(brand, workspace.examples, retriever, base_replies(workspace, brand), tick, learnt)
        pairs = preferred(brand, workspace.preferences, retriever, fixed_phrases(brand, workspace.examples))
        work.mkdir(parents=True, exist_ok=True)
        write_json(file, {"rows": [asdict(row) for row in made.rows], "pairs": [asdict(pair) for pair in pairs],
                          "held_out": [asdict(row) for row in made.held_out]})
    kept = read_json(file)
    trained, apart = hold_out(workspace.examples, brand.training.seed, learnt)
    return (Mix(tuple(Row(**row) for row in kept["rows"]), tuple(Row(**row) for row in kept["held_out"]),
                tuple(trained), tuple(apart)),
            [Preference(Row(**pair["chosen"]), Row(**pair["rejected"])) for pair in kept["pairs"]])


def base_replies(workspace: Workspace, brand: Brand) -> Answer:
    """What the base model says by itself."""
    engine = remembering(workspace, brand, None)
    return lambda asked: [made.text for made in at_once(engine, asked, False, Decoding(REPLAY_TOKENS))]
