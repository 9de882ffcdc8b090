"""The stages of a build: index, train, check, evaluate; each made once for its inputs, and a stopped one carries on."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from builder.answering.assistant import Assistant
from builder.answering.opening import open_index, open_retriever
from builder.answering.reply_cache import remembering
from builder.evaluation.arms import NOTHING_MORE, UNTAUGHT, Extras, arms_named
from builder.evaluation.checks.gates import judged, reached
from builder.evaluation.compare_releases import against
from builder.evaluation.evaluate import CONTRASTS
from builder.evaluation.evaluate import evaluate as judge
from builder.evaluation.interchange.imports import answered
from builder.evaluation.model_judge import opinions
from builder.evaluation.provenance import provenance
from builder.model import prepare
from builder.pipeline.index_stage import build_index, found_by_questions
from builder.pipeline.train_stage import NO_PASSAGES, VERSION, _prompt, fine_tuned, train
from builder.report.files import write_report
from builder.scoring.tone import fixed_phrases
from builder.training.mix import FEWEST_EXAMPLES
from builder.workspace.examples import hold_out
from builder.workspace.folder import BUILDING, Watch, Workspace
from builder.workspace.releases import details, freeze, live_name
from knowledge.errors import UserError
from knowledge.files import hash_bytes, held, make_folder, read_json, write_json
from knowledge.search.index import Index

CHECKED = {"memorised", "forgotten_instructions", "forgotten_formats", "forgotten_text"}
"""The gates that the checks of an adapter are held against."""
LOOKS = {"colours", "logo"}
"""What of a brand no reply depends on."""
REPORTS = "3"
"""Of what evaluate writes; a new one makes only that again."""


def check(workspace: Workspace, watch: Watch) -> dict[str, Any] | None:
    """Check the adapter itself: is it served as it was trained, what it forgot and what it memorised.

    None where there is no adapter. What `twofold check --json` prints; the gates are held against brand.yaml anew.
    """
    state, brand = workspace.current(), workspace.brand
    if state.adapter is None:
        workspace.use("check", None)
        return None
    adapter, passages = state.adapter, state.index
    key = hash_bytes(VERSION, adapter.name, passages.name if passages else "", brand.model.model_dump_json(),
                     _prompt(brand), brand.gates.model_dump_json(include=CHECKED))
    folder = make_folder(workspace.place("checks", key), lambda made: write_json(
        made / "checks.json", _checks(workspace, adapter, passages, made, watch)))
    workspace.use("check", folder)
    checks: dict[str, Any] = read_json(folder / "checks.json")
    return checks | {"gates": judged(checks, brand.gates)}


def _checks(workspace: Workspace, adapter: Path, passages: Path | None, scratch: Path,
            watch: Watch) -> dict[str, Any]:
    """The three checks of an adapter, those of one engine one after another."""
    from builder.evaluation.checks.forgetting import Margins, forgetting, general_texts
    from builder.evaluation.checks.memorised import memorised
    from builder.evaluation.checks.parity import fixed_prompts, parity
    from builder.model.transformers_engine import mean_log_probabilities

    brand, examples, tick = workspace.brand, workspace.examples, watch("check")
    retriever = open_retriever(brand, passages) if passages else None
    exact, served = (prepare.prepared(brand.model.base, precision) for precision in ("f16", brand.model.precision))
    tick(0, 3, "is it served as it was trained")
    checks: dict[str, Any] = {}
    if brand.model.engine != "transformers":
        checks["parity"] = parity(exact, served, adapter, fixed_prompts(brand, examples, retriever),
                                  brand.model.context, scratch, brand.model.engine)
    tick(1, 3, "what it forgot")
    limits = brand.gates
    read = mean_log_probabilities(exact, adapter, general_texts())
    engine = remembering(workspace, brand, adapter)
    checks["forgetting"] = forgetting(engine, read, Margins(
        limits.forgotten_instructions, limits.forgotten_formats, limits.forgotten_text))
    tick(2, 3, "what it memorised")
    if retriever:
        assistant = Assistant(brand, engine, retriever, True, fixed_phrases(brand, examples))
        checks["memorised"] = memorised(assistant, examples, retriever.index, _trained_with(workspace, adapter),
                                        limits.memorised)
    return checks


def _trained_with(workspace: Workspace, adapter: Path) -> Index | None:
    """The index that the adapter was trained with, where another one is in use by now and it is still there."""
    named, current = read_json(adapter / "adapter.json").get("index"), workspace.current().index
    folder = workspace.built / "index" / str(named)
    return open_index(workspace.brand, folder) if current and current.name != named and folder.is_dir() else None


def evaluate(workspace: Workspace, watch: Watch, extras: Extras = NOTHING_MORE) -> dict[str, Any] | None:
    """Judge the systems that are built, and whatever else is asked for; keep the report. None without questions.

    UserError for an unknown arm, a file of replies that doesn't fit, or a model that can't be asked.
    """
    brand, questions, state = workspace.brand, workspace.questions, workspace.current()
    if not questions:
        workspace.use("evaluation", None)
        return None
    outside = answered(extras.replies, questions) if extras.replies else {}
    base = prepare.prepared(brand.model.base, brand.model.precision)
    asked = replace(extras, arms=tuple(sorted(extras.arms)), replies=None)
    key = hash_bytes(VERSION, REPORTS, base.sha256, brand.model_dump_json(exclude=LOOKS), _prompt(brand),
                     state.index.name if state.index else "", state.adapter.name if state.adapter else "",
                     json.dumps([asdict(question) for question in questions]),
                     json.dumps([asdict(example) for example in workspace.examples]), repr(asked), json.dumps(outside))

    def fill(folder: Path) -> None:
        retriever = open_retriever(brand, state.index) if state.index else None
        assistant = Assistant(brand, remembering(workspace, brand, state.adapter), retriever, state.adapter is not None)
        chosen, untaught = arms_named(extras.arms, assistant), None
        if any(arm.name == UNTAUGHT for arm in chosen):
            other = brand.model_copy(update={"training": brand.training.model_copy(update=NO_PASSAGES)})
            adapter, _ = fine_tuned(workspace, other, watch)
            untaught = Assistant(brand, remembering(workspace, brand, adapter), retriever, True)
        _, apart = hold_out(workspace.examples, brand.training.seed)
        report = judge(assistant, questions, apart, workspace.examples, watch("evaluate"), chosen, untaught,
                       extras.paraphrases, extras.samples, outside)
        if extras.seeds > 1 and state.adapter:
            from builder.pipeline.seeds import seeds

            report["seeds"] = seeds(workspace, report["rows"], extras.seeds, watch)
        if extras.opinion:
            pairs = [pair for pair in CONTRASTS if set(pair) <= set(report["systems"])]
            report["model_judge"] = opinions(extras.opinion, brand, report["rows"], pairs, workspace.preferences,
                                             watch("opinion"))
        write_report(workspace, folder, report | {"retrieval": found_by_questions(retriever, questions),
                                                  "provenance": provenance(workspace)})

    folder = make_folder(workspace.place("evaluations", key), fill)
    workspace.use("evaluation", folder)
    loaded: dict[str, Any] = read_json(folder / "report.json")
    return loaded | {"gates": _reached(workspace, loaded)}


def build(workspace: Workspace, watch: Watch, force: bool = False) -> Iterator[tuple[str, Any]]:
    """All stages in order, each yielded with its result when it is done; at the end the release candidate's name."""
    spent: dict[str, float] = {}
    began = time.time()
    stages: dict[str, Callable[[], Any]] = {
        "index": lambda: build_index(workspace, watch, force), "train": lambda: train(workspace, watch),
        "check": lambda: check(workspace, watch), "evaluate": lambda: evaluate(workspace, watch)}
    for name, run in stages.items():
        start, before = time.perf_counter(), time.time()
        made = run()
        state = workspace.current()
        part = {"index": state.index, "train": state.adapter, "check": state.check, "evaluate": state.evaluation}[name]
        if part and part.stat().st_mtime >= before:  # what was there already took nothing, whatever the plan said
            spent[name] = time.perf_counter() - start
        if name == "train" and state.index is None and state.adapter is None:
            raise UserError(f"{workspace.folder}: has neither documents nor enough examples (at least "
                            f"{FEWEST_EXAMPLES}); add files to documents/ or lines to examples.jsonl")
        if name == "evaluate" and made and "build" not in made:
            made = made | _told(workspace, made, spent)
        yield name, made
    yield "release", freeze(workspace, _gates(workspace), fixed_phrases(workspace.brand, workspace.examples),
                            began)


def _told(workspace: Workspace, report: dict[str, Any], spent: dict[str, float]) -> dict[str, Any]:
    """The report with what became of the build itself, kept in its place."""
    from builder.pipeline.plan import against as planned_against

    folder, checked = workspace.current().evaluation, workspace.current().check
    assert folder is not None
    told = {key: part for key, part in report.items() if key != "gates"} | {
        "build": {"gates": _gates(workspace), "plan": planned_against(workspace, spent),
                               "checks": read_json(checked / "checks.json") if checked else None}}
    write_report(workspace, folder, told)
    return told


def _gates(workspace: Workspace) -> list[dict[str, Any]]:
    """The gates that the present build met or missed."""
    folder, report = workspace.current().check, workspace.report()
    checked = judged(read_json(folder / "checks.json"), workspace.brand.gates) if folder else []
    return checked + (_reached(workspace, report) if report else [])


def _reached(workspace: Workspace, report: dict[str, Any]) -> list[dict[str, Any]]:
    """The gates of an evaluation; against the live release where that is another one and was evaluated."""
    live, compared = live_name(workspace), None
    earlier = details(workspace, live).get("evaluation") if live else None
    if live and earlier and workspace.built / earlier != workspace.current().evaluation:
        compared = against(workspace, report, live)
    return reached(report, workspace.brand.gates, compared)


@contextmanager
def building(workspace: Workspace, wait: bool = False) -> Iterator[None]:
    """Let one build at a time work on a workspace; UserError while another one does, unless to `wait` for it.

    A killed build holds nothing. While it works, the file BUILDING holds the number of its process.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held(workspace.built / BUILDING, wait))
        except BlockingIOError:
            raise UserError(f"{workspace.folder}: another build is at work here; wait for it or stop it") from None
        yield
