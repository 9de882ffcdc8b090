"""The command line: reads what the user asks for, calls the builder, prints what it says."""

import importlib.util
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from knowledge.errors import JudgedFailure, UserError
from knowledge.files import unwritable
from ui.cli import build, evaluate, questions
from ui.cli.common import Folder, Json, print_json

if TYPE_CHECKING:
    from builder.answering.assistant import Reply
    from builder.answering.citations import Citation

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
                  help="An assistant that sounds like your brand and says only what your documents say.")


STOPPED = 130


def main() -> None:
    """Run a command: exit 0 done, 1 a judged failure, 2 bad input, 130 Ctrl-C."""
    from ui.cli.terminal import say

    try:
        code = app(standalone_mode=False)
        if code == STOPPED:  # Typer's own word for Ctrl-C
            say("twofold: Stopped. Run the same command to resume.")
            sys.stdout.flush()
            os._exit(STOPPED)  # llama.cpp, stopped within a reply, may never finish its own clearing up
    except UserError as error:
        say(f"twofold: {error}")
        code = 1 if isinstance(error, JudgedFailure) else 2
    except BrokenPipeError:
        sys.stdout = None  # whoever read has gone; the flush at exit would fail
        code = 0
    except OSError as error:
        say(f"twofold: {unwritable(Path(error.filename or '.'), error)}")
        code = 2
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        said = error.format_message().rstrip(".")
        bare = said.startswith("Usage:")
        say(said if bare else f"twofold: {said}; `twofold --help` lists the commands")
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


@app.command()
def new(folder: Folder, template: Annotated[str, typer.Option(help="Start from support, tutor or legal.")] = "support"
        ) -> None:
    """Make an assistant that already works."""
    from builder.workspace.folder import new as make
    from ui.cli.terminal import say

    make(folder, template)
    say(f"{folder} is ready; next: twofold build {shlex.quote(str(folder))}")


for command in (build.audit, build.plan, build.build, build.index,
                build.train, build.clean, evaluate.check, evaluate.evaluate,
                evaluate.ablate, questions.questions, questions.feedback):
    app.command()(command)


@app.command()
def ask(folder: Folder, question: str, system: Annotated[str | None, typer.Option(
        help="prompt-only (plain model), rag-only (documents only), fine-tune-only (voice only) or hybrid (full "
             "assistant); by default the most complete one that is built.")] = None,
        after: Annotated[str, typer.Option(help="The previous question, if this one refers to it.")] = "",
        below: Annotated[str, typer.Option("--folder", help="Search only this folder of documents/.")] = "",
        language: Annotated[str, typer.Option(help="Search only documents in this language, e.g. en.")] = "",
        tag: Annotated[str, typer.Option(help="Search only documents with this tag.")] = "",
        since: Annotated[str, typer.Option(help="Search only documents from this day on, e.g. 2026-01-31.")] = "",
        until: Annotated[str, typer.Option(help="Search only documents up to this day.")] = "",
        as_json: Json = False) -> None:
    """Ask one question; the reply comes with its sources."""
    from builder.answering.assistant import checked
    from builder.answering.opening import filtered, open_assistant
    from builder.answering.systems import system_named
    from builder.workspace.folder import Workspace
    from ui.cli.terminal import say, show, source_lines, write

    workspace, wanted = Workspace(folder), system_named(system) if system else None
    checked(question)
    assistant = open_assistant(workspace)
    chosen = wanted or assistant.systems[-1]
    if len(assistant.systems) == 1:
        say(f"not built yet, so the plain model answers; run twofold build {shlex.quote(str(folder))}")
    where = filtered(below, language, tag, since, until)
    reply = assistant.answer(question, chosen, None if as_json else write, earlier=[after] if after else [],
                             where=where)
    if as_json:
        print_json(reply_json(reply))
        return
    write("\n")
    for part in reply.unanswered:
        say(f"not in the documents: {part}")
    if reply.unsupported:
        say("warning: no passage of your documents supports this reply; it may be made up")
    if reply.found and not reply.abstained:
        show("\n".join(source_lines(reply)))


@app.command()
def compare(folder: Folder, question: str, as_json: Json = False) -> None:
    """Show the replies of all four systems to one question."""
    from builder.answering.opening import open_assistant
    from builder.workspace.folder import Workspace
    from ui.cli.terminal import show

    assistant = open_assistant(Workspace(folder))
    replies = []
    for system in assistant.systems:
        reply = assistant.answer(question, system)
        replies.append(reply)
        if not as_json:
            show(f"── {system.title} ({system.name}) · {reply.seconds:.1f} s"
                 + (" · abstained" if reply.abstained else ""))
            if reply.unsupported:
                show("warning: no passage of your documents supports this reply; it may be made up")
            show(reply.text + "\n")
    if as_json:
        print_json({"question": question, "replies": [reply_json(reply) for reply in replies]})


def reply_json(reply: "Reply") -> dict[str, Any]:
    """A reply as `ask --json` prints it."""
    sources = [{"document": hit.passage.document, "heading": hit.passage.heading, "start": hit.passage.start,
                "end": hit.passage.end, "page": hit.passage.page, "score": hit.score, "text": hit.passage.shown}
               for hit in reply.found]
    return {"reply": reply.text, "system": reply.system, "abstained": reply.abstained, "unsupported": reply.unsupported,
            "answerable": reply.probability, "sources": sources,
            "citations": [_cited(reply, citation) for citation in reply.citations],
            "searched": list(reply.searched), "unanswered": list(reply.unanswered), "seconds": reply.seconds,
            "tokens": reply.tokens, "finish": reply.finish}


def _cited(reply: "Reply", citation: "Citation") -> dict[str, Any]:
    """One sentence and its support; the span's offsets are the document's."""
    made: dict[str, Any] = {
        "sentence": reply.text[citation.start:citation.end], "start": citation.start, "end": citation.end,
        "states_something": citation.needs, "supported": citation.found is not None, "support": citation.support}
    if citation.found is None:
        return made
    passage = reply.found[citation.found].passage
    return made | {"source": citation.found + 1, "document": passage.document, "heading": passage.heading,
                   "page": passage.page, "span_start": passage.start + citation.passage_start,
                   "span_end": passage.start + citation.passage_end,
                   "span": passage.text[citation.passage_start:citation.passage_end]}


@app.command()
def releases(folder: Folder, as_json: Json = False) -> None:
    """List the releases, and which one is live."""
    from builder.workspace.folder import Workspace
    from builder.workspace.releases import live_name, read_release, release_names
    from ui.cli.terminal import say, show

    workspace = Workspace(folder)
    live, known = live_name(workspace), [read_release(workspace, name) for name in release_names(workspace)]
    if as_json:
        print_json({"live": live, "releases": [release.name for release in known],
                    "missed": {release.name: release.missed for release in known},
                    "undecided": {release.name: release.undecided for release in known}})
        return
    for release in known:
        show("  ".join(filter(None, (release.name, "live" if release.name == live else "", release.doubts))))
    if not known:
        say(f"no release yet; run twofold build {shlex.quote(str(folder))}")
    elif live is None:
        say("No release is live; the newest build answers. Promote one to keep it while you continue.")


@app.command()
def promote(folder: Folder, name: str,
            force: Annotated[bool, typer.Option("--force", help="Even if a check failed or is undecided.")] = False
            ) -> None:
    """Make a release live: from now on it answers. Asks first where a check is undecided."""
    from builder.workspace import releases as release
    from builder.workspace.folder import Workspace
    from ui.cli.terminal import say

    known = release.read_release(Workspace(folder), name)
    if not force and known.undecided and not known.missed and sys.stdin.isatty():
        for gate in known.undecided:
            say(str(gate))
        force = typer.confirm(f"Promote {name} although this is undecided?", abort=True)
    release.promote(Workspace(folder), name, force)
    say(f"{name} is live")


@app.command()
def rollback(folder: Folder) -> None:
    """Make the previous release live."""
    from builder.workspace import releases as release
    from builder.workspace.folder import Workspace
    from ui.cli.terminal import say

    say(f"{release.rollback(Workspace(folder))} is live")


@app.command()
def export(folder: Folder, to: Annotated[str, typer.Option(help="gguf, merged, peft or ollama.")] = "peft") -> None:
    """Write the assistant for other programs (not available yet)."""
    raise UserError("export is not available yet; the adapter is a PEFT folder in .twofold/adapters")


@app.command()
def serve(folder: Folder) -> None:
    """An OpenAI-compatible API (not available yet)."""
    raise UserError("serve is not available yet; use `twofold app` in the browser or `twofold ask` in the terminal")


@app.command("app")
def streamlit_app(folder: Annotated[Path, typer.Argument(
        metavar="[DIR]", help="An assistant, or a folder with several.")] = Path("."),
                  port: Annotated[int | None, typer.Option(help="By default the first free one from 8501.")] = None,
                  address: Annotated[str, typer.Option(help="Where it listens; 0.0.0.0 lets others in, who must "
                                                            "sign in.")] = "localhost") -> None:
    """Open the app in the browser: make, ask, compare, test and release assistants."""
    if not folder.is_dir():
        raise UserError(f"{folder}: is not a folder; `twofold new {folder}` makes an assistant that works")
    _serve_pages(folder, port, address)


@app.command()
def demo(folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to make the assistant.")]
         = Path("twofold-demo"),
         pages: Annotated[bool, typer.Option("--app/--no-app", help="Open the app at the end.")] = True,
         port: Annotated[int | None, typer.Option(help="By default the first free one from 8501.")] = None) -> None:
    """Make the built-in support bot, build it, show its test report, and open the app."""
    from builder.workspace.folder import Workspace
    from builder.workspace.folder import new as make
    from ui.cli.terminal import say

    if not (folder / "brand.yaml").exists():
        make(folder, "support")
        say(f"made the support bot in {folder}")
    build.run_build(Workspace(folder), False)
    if pages:
        _serve_pages(folder, port)


def _serve_pages(folder: Path, port: int | None, address: str = "localhost") -> None:
    """Become Streamlit's server; where to find it is printed. UserError where others could open it unasked."""
    from builder.workspace.folder import Workspace
    from knowledge.reading.documents import LARGEST
    from ui.cli.terminal import say
    from ui.parts import sign_in, theme

    pages, server = (importlib.util.find_spec(f"ui.{name}") for name in ("app", "streamlit_server"))
    if pages is None or pages.origin is None or server is None or server.origin is None:
        raise UserError("the app's files are missing; install Twofold again")
    reached = sign_in.arguments(address)
    chosen = ["--server.port", str(port)] if port else []
    colours = Workspace(folder).brand.colours if (folder / "brand.yaml").is_file() else {}
    seen = sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if public := sign_in.found_at():
        say(f"people sign in at {public.replace('{port}', str(port or 8501))}")
        seen = False
    # -P: modules that happen to lie in the folder where the command was given are not the app's.
    command = [sys.executable, "-P", server.origin, "run", pages.origin, "--server.headless", str(not seen).lower(),
               "--server.showEmailPrompt", "false", "--browser.gatherUsageStats", "false",
               "--server.maxUploadSize", str(LARGEST // 1_000_000), "--server.fileWatcherType", "none", *reached,
               *theme.arguments(colours), *chosen, "--", str(folder)]
    sys.stdout.flush()
    os.execv(sys.executable, command)
