"""A build, stage by stage: audit, index, train, check, evaluate, release.

Each stage's result is made once for its inputs, so a build that was stopped carries on where it was.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from builder.answering.assistant import Assistant
from builder.answering.opening import open_index, open_retriever
from builder.answering.reply_cache import remembering
from builder.curation.audit import audit as auditing
from builder.curation.audit.finding import Finding, by_kind
from builder.curation.audit.leaks import fair_questions
from builder.evaluation.arms import NOTHING_MORE, UNTAUGHT, Extras, arms_named
from builder.evaluation.checks.gates import check_gates, report_gates
from builder.evaluation.compare_releases import compare_with_release
from builder.evaluation.evaluate import CONTRASTS
from builder.evaluation.evaluate import evaluate as judge
from builder.evaluation.interchange.imports import answered
from builder.evaluation.model_judge import opinions
from builder.evaluation.provenance import provenance
from builder.evaluation.report import AuditNote, Build, Checks, Report, read_report
from builder.evaluation.support_check import support_check
from builder.model import prepare
from builder.pipeline.index_stage import IndexSummary, build_index, found_by_questions
from builder.pipeline.keys import checks_key, evaluation_key, inputs_of
from builder.pipeline.train_stage import NO_PASSAGES, TrainingSummary, examples_of, fine_tuned, train
from builder.report.files import write_report
from builder.scoring.tone import fixed_phrases
from builder.training.mix import FEWEST_EXAMPLES
from builder.workspace.clean import SPARE, clean
from builder.workspace.contents import contents, keep
from builder.workspace.folder import BUILDING, FINDINGS, Watch, Workspace
from builder.workspace.releases import Gate, GateOutcome, freeze, live_name, read_release
from knowledge.errors import UserError
from knowledge.files import held, make_folder, read_json, write_json
from knowledge.search.index import Index


class Stage(StrEnum):
    """The stages, in their order."""

    AUDIT = "audit"
    INDEX = "index"
    TRAIN = "train"
    CHECK = "check"
    EVALUATE = "evaluate"
    RELEASE = "release"


@dataclass
class Results:
    """What a build's stages made; None for a stage that is not done, or that there was nothing for."""

    findings: list[Finding] | None = None
    index: IndexSummary | None = None
    training: TrainingSummary | None = None
    checks: Checks | None = None
    report: Report | None = None
    release: str | None = None
    spent: dict[str, float] = field(default_factory=dict)
    """Seconds of the stages that had something to do."""

    @property
    def gates(self) -> list[Gate]:
        """The gates that the build met or missed."""
        return [*(self.checks.gates if self.checks else []), *(self.report.gates if self.report else [])]


def build(workspace: Workspace, watch: Watch, force: bool = False, again: bool = False,
          ) -> Iterator[tuple[Stage, Results]]:
    """Run all stages in order; each is yielded when it is done, with all that was made so far.

    With `again` the adapter is trained anew where only documents changed since. At the end, what nothing needs any more
    is removed, if it takes much space. UserError where a file can't be read, or there is nothing to build from.
    """
    made_of, results = contents(workspace), Results()
    results.findings = audit(workspace, watch)
    yield Stage.AUDIT, results
    with _timed(workspace, Stage.INDEX, results):
        results.index = build_index(workspace, watch, force)
    yield Stage.INDEX, results
    with _timed(workspace, Stage.TRAIN, results):
        results.training = train(workspace, watch, again)
    _must_have_a_half(workspace)
    yield Stage.TRAIN, results
    with _timed(workspace, Stage.CHECK, results):
        results.checks = check(workspace, watch)
    yield Stage.CHECK, results
    with _timed(workspace, Stage.EVALUATE, results):
        results.report = evaluate(workspace, watch, findings=results.findings)
    _add_build(workspace, results)
    yield Stage.EVALUATE, results
    results.release = freeze(workspace, results.gates, fixed_phrases(workspace.brand, workspace.examples))
    keep(workspace, made_of)
    clean(workspace, SPARE)
    yield Stage.RELEASE, results


@contextmanager
def _timed(workspace: Workspace, stage: Stage, results: Results) -> Iterator[None]:
    """Time a stage, unless its part was there already: that took nothing, whatever the plan said."""
    start, before = time.perf_counter(), time.time()
    yield
    state = workspace.current()
    part = {Stage.INDEX: state.index, Stage.TRAIN: state.adapter, Stage.CHECK: state.check,
            Stage.EVALUATE: state.evaluation}[stage]
    if part and part.stat().st_mtime >= before:
        results.spent[stage] = time.perf_counter() - start


def _must_have_a_half(workspace: Workspace) -> None:
    state = workspace.current()
    if state.index is None and state.adapter is None:
        raise UserError(f"{workspace.folder}: has neither documents nor enough examples (at least {FEWEST_EXAMPLES}); "
                        "add files to documents/ or lines to examples.jsonl")


def audit(workspace: Workspace, watch: Watch) -> list[Finding]:
    """Look for what is wrong with the data, and keep what was found; UserError where a file can't be read."""
    watch("audit")
    findings = auditing.audit(workspace)
    write_json(workspace.built / FINDINGS, auditing.as_json(findings))
    return findings


def check(workspace: Workspace, watch: Watch) -> Checks | None:
    """Check the adapter itself: is it served as it was trained, what it forgot and what it memorised.

    None where there is no adapter. The gates are held against brand.yaml anew.
    """
    state, brand = workspace.current(), workspace.brand
    if state.adapter is None:
        workspace.use("check", None)
        return None
    adapter, passages = state.adapter, state.index
    key = checks_key(inputs_of(workspace, brand, state))
    folder = make_folder(workspace.place("checks", key), lambda place: write_json(
        place / "checks.json", _checks(workspace, adapter, passages, place, watch).as_json()))
    workspace.use("check", folder)
    checks = Checks.model_validate(read_json(folder / "checks.json"))
    checks.gates = check_gates(checks, brand.gates)
    return checks


def _checks(workspace: Workspace, adapter: Path, passages: Path | None, scratch: Path,
            watch: Watch) -> Checks:
    """The three checks of an adapter, those of one engine one after another."""
    from builder.evaluation.checks.forgetting import Margins, forgetting, general_texts
    from builder.evaluation.checks.memorised import memorised
    from builder.evaluation.checks.parity import fixed_prompts, parity
    from builder.model.transformers_engine import mean_log_probabilities

    brand, examples, tick = workspace.brand, workspace.examples, watch("check")
    retriever = open_retriever(brand, passages) if passages else None
    exact, served = (prepare.prepared(brand.model.base, precision) for precision in ("f16", brand.model.precision))
    tick(0, 3, "served model compared with trained model")
    checks = Checks()
    if brand.model.engine != "transformers":
        checks.parity = parity(exact, served, adapter, fixed_prompts(brand, examples, retriever),
                                  brand.model.context, scratch, brand.model.engine)
    tick(1, 3, "what the training made it forget")
    limits = brand.gates
    read = mean_log_probabilities(exact, adapter, general_texts())
    engine = remembering(workspace, brand, adapter)
    checks.forgetting = forgetting(engine, read, Margins(
        limits.forgotten_instructions, limits.forgotten_formats, limits.forgotten_text))
    tick(2, 3, "what it memorised of the examples")
    if retriever:
        assistant = Assistant(brand, engine, retriever, True, fixed_phrases(brand, examples))
        learnt, _ = examples_of(adapter, examples, brand.training.seed)
        checks.memorised = memorised(assistant, learnt, retriever.index, _trained_with(workspace, adapter),
                                        limits.memorised)
    return checks


def _trained_with(workspace: Workspace, adapter: Path) -> Index | None:
    """The index that the adapter was trained with, where another one is in use by now and it is still there."""
    named, current = read_json(adapter / "adapter.json").get("index"), workspace.current().index
    folder = workspace.built / "index" / str(named)
    return open_index(workspace.brand, folder) if current and current.name != named and folder.is_dir() else None


def evaluate(workspace: Workspace, watch: Watch, extras: Extras = NOTHING_MORE,
             findings: Sequence[Finding] | None = None) -> Report | None:
    """Judge the systems that are built, and whatever else is asked for; keep the report. None without questions.

    Questions that training answers are left out, and the report names them; `findings` are the audit's, where it has
    just run. UserError for an unknown arm, a file of replies that doesn't fit, or a model that can't be asked.
    """
    brand, state = workspace.brand, workspace.current()
    if not workspace.questions:
        workspace.use("evaluation", None)
        return None
    questions, left_out = fair_questions(workspace, findings)
    if not questions:
        raise UserError(f"{workspace.folder / 'questions.jsonl'}: every test question is answered by an example, so "
                        "none counts; write questions that the examples don't answer")
    outside = answered(extras.replies, questions) if extras.replies else {}
    key = evaluation_key(inputs_of(workspace, brand, state, questions), extras, outside)

    def fill(folder: Path) -> None:
        retriever = open_retriever(brand, state.index) if state.index else None
        assistant = Assistant(brand, remembering(workspace, brand, state.adapter), retriever, state.adapter is not None)
        chosen, untaught = arms_named(extras.arms, assistant), None
        if any(arm.name == UNTAUGHT for arm in chosen):
            other = brand.model_copy(update={"training": brand.training.model_copy(update=NO_PASSAGES)})
            adapter, _ = fine_tuned(workspace, other, watch)
            untaught = Assistant(brand, remembering(workspace, brand, adapter), retriever, True)
        _, apart = examples_of(state.adapter, workspace.examples, brand.training.seed)
        report = judge(assistant, questions, apart, workspace.examples, watch("evaluate"), chosen, untaught,
                       extras.paraphrases, extras.samples, outside, left_out)
        if extras.seeds > 1 and state.adapter:
            from builder.pipeline.experiments import seeds

            report.seeds = seeds(workspace, report.rows, extras.seeds, watch)
        if extras.opinion:
            pairs = [pair for pair in CONTRASTS if set(pair) <= report.systems.keys()]
            report.model_judge = opinions(extras.opinion, brand, report.rows, pairs, workspace.preferences,
                                             watch("opinion"))
        report.retrieval, report.provenance = found_by_questions(retriever, questions), provenance(workspace)
        report.support = support_check(retriever.encoder) if retriever else None
        write_report(workspace, folder, report)

    folder = make_folder(workspace.place("evaluations", key), fill)
    workspace.use("evaluation", folder)
    report = read_report(folder / "report.json", "the last evaluation")
    report.gates = _report_gates(workspace, report)
    return report


def _add_build(workspace: Workspace, results: Results) -> None:
    """Add to the report what became of the build itself, if the evaluation is this build's own."""
    from builder.pipeline.plan import against as planned_against

    folder, report = workspace.current().evaluation, results.report
    if folder and report and report.build is None:
        report.build = Build(audit=_notes(results.findings or []), gates=results.gates, checks=results.checks,
                             plan=planned_against(workspace, results.spent))
        write_report(workspace, folder, report)


def _notes(findings: Sequence[Finding]) -> list[AuditNote]:
    """A line for each kind of finding."""
    return [AuditNote(kind=found[0].kind, severity=found[0].severity, count=len(found), place=found[0].place,
                      message=found[0].message) for found in by_kind(findings)]


def _report_gates(workspace: Workspace, report: Report) -> list[Gate]:
    """The gates of an evaluation; against the live release where that is another one and was evaluated."""
    live = live_name(workspace)
    earlier = read_release(workspace, live).evaluation if live else None
    if not live or not earlier or workspace.built / earlier == workspace.current().evaluation:
        return report_gates(report, workspace.brand.gates)
    try:
        return report_gates(report, workspace.brand.gates, compare_with_release(workspace, report, live))
    except UserError as error:  # of a version that can't be read: nothing shows that it is no worse
        return [*report_gates(report, workspace.brand.gates), Gate(
            name=f"no worse than {live}", outcome=GateOutcome.UNDECIDED, reason=str(error))]


@contextmanager
def building(workspace: Workspace, wait: bool = False) -> Iterator[None]:
    """Let one build at a time work on a workspace; UserError while another one does, unless to `wait` for it.

    A killed build holds nothing. While it works, the file BUILDING holds the number of its process.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held(workspace.built / BUILDING, wait))
        except BlockingIOError:
            raise UserError(f"{workspace.folder}: another build is running here; wait for it or stop it") from None
        yield
