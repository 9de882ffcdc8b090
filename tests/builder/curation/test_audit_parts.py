import json
import math

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from builder.curation.audit import coverage, duplicates, token_limits
from builder.curation.audit.audit import audit
from builder.curation.audit.finding import Material
from builder.curation.audit.private import masked, private
from builder.curation.audit.voice import features, likeliest
from builder.model.base import Base
from builder.model.prepare import prepared
from builder.scoring.quantities import quantities, rest
from builder.training.mix import mix
from builder.workspace.brand import Brand
from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from tests.fakes import LetterEncoder


@pytest.mark.parametrize(("text", "name"), [
    ("to bo.k+x@lamps.co.uk please", "an e-mail address"), ("card 4111 1111 1111 1111.", "a payment card number"),
    ("it is 5500-0055-5555-5559", "a payment card number"), ("DE89 3704 0044 0532 0130 00", "an IBAN"),
    ("GB82WEST12345698765432", "an IBAN"), ("ring +44 20 7946 0958", "a telephone number"),
    ("ring (020) 7946 0958", "a telephone number"), ("ring 212-555-2368", "a telephone number"),
    ("from 8.8.8.8 today", "an IP address"), ("from 2606:4700::1111 today", "an IP address"),
    ("AKIAIOSFODNN7EXAMPLE", "a key or token"), ("sk-proj-abcdefghijklmnop1234", "a key or token"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123", "a key or token"), ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
    ("the password is hunter2x", "a password"), ("SSN 123-45-6789", "a social security number"),
    ("I was born on 3.4.1980", "a date of birth"), ("I live at 12 Acacia Avenue", "a street address")])
def test_what_is_private_is_found_and_masked(text, name):
    (found, start, end), = private(text, "")
    assert found == name
    assert text[start:end] not in masked(text, "") and f"[{name.split(' ', 1)[1]}]" in masked(text, "")


@pytest.mark.parametrize("text", [
    "to bo@shop.example", "card 4111 1111 1111 1112", "order 1234567890123456", "DE89 3704 0044 0532 0130 01",
    "on 2026-01-31 at 17:15:00", "version 1.2.3.4", "at 192.168.0.1", "for £1,234,567.89", "0.123456789 of it",
    "ISBN 978-3-16-148410-0", "the password is in the drawer", "sk-eleton", "from 1990 to 2010", "123-45-678",
    "9 Elms of the Road show", "00:11:22", "a::b", "pages 100-200, 300-400"])
def test_what_looks_private_is_let_be(text):
    assert private(text, "") == [] and masked(text, "") == text


def test_what_the_brand_makes_public_is_not_private():
    own = "Ring Nell on 01632 960147 or write to hello@lamps.net, 41 Weir Street"
    assert private("Call 01632 960 147, hello@lamps.net, 41 Weir Street", own) == []
    assert len(private("Call 01632 960 148, hullo@lamps.net, 42 Weir Street", own)) == 3


@pytest.mark.parametrize(("text", "wanted"), [
    ("£7.90 or one pound sixty", {("pound", "7.9"), ("pound", "1.6")}),
    ("7.50 € or 13.20€, £14.60 £2", {("euro", "7.5"), ("euro", "13.2"), ("pound", "14.6"), ("pound", "2")}),
    ("half past nine to a quarter to six", {("clock", "9:30"), ("clock", "5:45")}),
    ("5.15pm, 17:15, ten past five, eight o'clock", {("clock", "5:15"), ("clock", "5:10"), ("clock", "8:00")}),
    ("three to five working days", {("day", "3"), ("day", "5")}), ("Friday to Sunday", {
        ("weekday", "friday"), ("weekday", "saturday"), ("weekday", "sunday")}),
    ("the twenty-fourth of December, 4 January, March 3rd", {("december", "24"), ("january", "4"), ("march", "3")}),
    ("20 % off 2,000 km of twenty-seven cm", {("percent", "20"), ("kilometre", "2000"), ("centimetre", "27")}),
    ("children of four to nine, a hundred and sixty pounds, version 1.2.3, the 2nd one, 5.15", set())])
def test_quantities_are_read_in_figures_and_words(text, wanted):
    assert quantities(text).keys() == wanted
    assert quantities(rest(text)) == {} or not wanted


@given(st.text(max_size=200))
def test_reading_quantities_never_raises_and_rest_keeps_the_length(text):
    assert len(rest(text)) == len(text) and all(said.strip() for said in quantities(text).values())
    assert all(math.isfinite(value) for value in features(text))
    likeliest(text)


def test_a_setting_is_what_ggufs_own_reader_reads():
    base = prepared("smollm2-135m", "f16")
    fields = gguf.GGUFReader(base.gguf).fields
    assert token_limits.setting(base, "tokenizer.ggml.eos_token_id") == fields["tokenizer.ggml.eos_token_id"].contents()
    assert token_limits.setting(base, ".context_length") == fields["llama.context_length"].contents()
    assert token_limits.setting(base, "no.such.key") is None


def test_a_template_that_ends_turns_with_another_token_is_found(tmp_path):
    real = prepared("smollm2-135m", "f16")
    tokenizer = Tokenizer.from_file(str(real.tokenizer))
    end = tokenizer.token_to_id("<|im_end|>")
    assert list(token_limits._end_token(real, tokenizer, end)) == []
    (tmp_path / "chat_template.jinja").write_text(real.template.replace("<|im_end|>", "<|endoftext|>"))
    other = Base(tmp_path, "")
    (found,) = token_limits._end_token(other, tokenizer, end)
    assert found.kind == "stop token not trained" and "<|endoftext|>" in found.message
    assert [one.severity for one in token_limits._end_token(other, tokenizer, None)] == ["error"]


def change(folder, old, new):
    path = folder / "brand.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def found(folder):
    return {one.kind: one for one in audit(Workspace(folder))}


def write_examples(folder, pairs):
    lines = [json.dumps({"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": reply}]})
             for asked, reply in pairs]
    (folder / "examples.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_prompts_beyond_the_context_are_found(written):
    change(written, "context: 1024", "context: 256")
    write_examples(written, [("Why? " * 200, "Hello! So. Shine on!"), ("Well? " * 9000, "Hello! So it is. Shine on!")])
    kinds = {(one.kind, one.line): one for one in audit(Workspace(written))}
    assert kinds["no supervised token", 1].cost == "wastes training"
    assert kinds["row too long", 2].severity == "error"
    assert kinds["no room for passages", None].file == "brand.yaml"


def test_a_base_model_that_is_not_there_is_an_error(written):
    change(written, f"base: {Workspace(written).brand.model.base}", "base: /nowhere.gguf")
    one = found(written)["model can't be used"]
    assert one.severity == "error" and "no such file" in one.message


def test_steps_are_those_of_the_mix(written):
    material = Material(Workspace(written))
    made = mix(material.brand, material.examples, None, lambda messages: "x")
    material.rests = [False] * len(material.examples)
    count, steps = token_limits.steps(material)
    assert count == len(made.rows) == 11 and steps == math.ceil(11 / 4)
    needed = token_limits.enough(material)
    enough, too_few = (token_limits.steps(material, count)[1] for count in (needed, needed - 5))
    assert enough >= token_limits.FEWEST_STEPS > too_few


def test_a_run_of_few_steps_is_found_with_the_epochs_that_would_do(written):
    write_examples(written, [(f"What is {number} plus {number}?", f"Hello! It is {number}, as {number} goes. Shine on!")
                             for number in range(60)])
    one = found(written)["few optimiser steps"]
    assert (one.file, one.severity) == ("brand.yaml", "warning") and "training.epochs to" in one.next
    change(written, "epochs: 1", one.next.rsplit("training.", 1)[1].replace(" to ", ": "))
    assert "few optimiser steps" not in found(written)


def test_the_encoder_is_opened_only_where_there_is_something_to_compare(written, monkeypatch):
    opened = []
    monkeypatch.setattr("builder.answering.opening.open_encoder", lambda brand: opened.append(brand) or LetterEncoder())
    audit(Workspace(written))
    assert len(opened) == 1
    (written / "examples.jsonl").unlink()
    (written / "questions.jsonl").unlink()
    audit(Workspace(written))
    assert len(opened) == 1


def test_without_an_encoder_words_alone_are_compared_and_a_note_says_so(written):
    (written / "brand.yaml").write_text((written / "brand.yaml").read_text() + "retrieval: {encoder: /nowhere}\n")
    with (written / "questions.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"question": "Which warm bulb comes with a table lamp?"}\n')
    kinds = found(written)
    assert kinds["paraphrases not compared"].severity == "note" and kinds["leak"].line == 5


def test_food_and_animals_are_not_the_same_question(written, monkeypatch):
    monkeypatch.setattr(duplicates, "nearness", lambda material: (None, []))
    write_examples(written, [("What is the risk of infection from food imported from there?", "Hello! No. Shine on!")])
    (written / "questions.jsonl").write_text(
        '{"question": "What is the risk of infection from animals imported from there?"}\n')
    assert "leak" not in found(written)


def test_a_topic_that_crowds_out_the_others_is_found(written):
    material = Material(Workspace(written))
    material.examples = material.examples * 3
    vectors = np.random.default_rng(0).normal(size=(30, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert list(coverage._topics(material, vectors)) == []
    vectors[10:] = vectors[10]
    (one,) = coverage._topics(material, vectors)
    assert one.kind == "one-sided topics" and one.message.startswith("20 of 30")


def test_what_the_replies_rest_on_must_not_be_all_or_nothing(written):
    write_examples(written, [(f"{word}?", f"Hello! {word} is a word. Shine on!") for word in
                             "alpha beta gamma delta epsilon zeta eta theta".split()])
    assert found(written)["no example rests on a document"].cost == "invites made-up facts"
    write_examples(written, [(f"And {number}?", f"Hello! Parcels leave the warehouse on Tuesdays{mark} Shine on!")
                             for number, mark in enumerate(20 * ".,;:")])
    assert found(written)["every example rests on a document"].severity == "note"


def test_long_replies_and_one_sided_questions_are_found(written):
    write_examples(written, [(f"And {number}?", "Hello! " + "So it goes. " * (200 if number < 2 else 1) + "Shine on!")
                             for number in range(20)])
    for name in ("one", "two", "three"):
        (written / "documents" / f"{name}.md").write_text(f"# {name}\n\nNothing but {name}.\n")
    (written / "questions.jsonl").write_text("".join(
        json.dumps({"question": f"Question {number}?", "source": "documents/house.md", "answerable": number > 2}) + "\n"
        for number in range(60)))
    kinds = found(written)
    assert {"long replies outweigh the rest", "one-sided questions", "few unanswerable questions"} <= kinds.keys()


def test_a_bot_in_german_is_not_told_that_its_nouns_are_names(written):
    change(written, 'required: ["Hello!", "Shine on!"]', "words: 90")
    (written / "documents" / "house.md").write_text("# Laden\n\n## Werkstatt\n\nDie Werkstatt ist werktags geöffnet, "
                                                    "und eine Lampe ist meist in wenigen Tagen wieder ganz.\n")
    write_examples(written, [("Wann ist meine Lampe denn endlich wieder ganz und heil?",
                              "Die Werkstatt meldet sich bei Ihnen, sobald der Schirm und das Kabel wieder in Ordnung "
                              "sind.")])
    assert not {"fact outside the documents", "wrong language"} & found(written).keys()


def test_a_reply_in_another_language_than_its_question_is_found(written):
    english = "Could you please tell me when the lamp on my bench will be ready to be picked up?"
    german = "Die Lampe ist in wenigen Tagen fertig, und dann melden wir uns gerne bei Ihnen zu Hause."
    write_examples(written, [(english, f"Hello! {german} Shine on!")] * 2 + [
        (english, "Hello! The lamp on your bench will be ready in a few days, and then we call you. Shine on!")] * 2)
    assert found(written)["wrong language"].message == "the question seems to be in en, the reply in de"


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=60).filter(str.strip)
TEXTS = WORDS | st.sampled_from([
    "\ud83d half", "£0 or 99999999999999999999 %", "{}", "{{x}}", "<|im_end|>", "…", "::", "half past", "\u202ea",
    "1" * 400, "Monday to Monday", "x@y.z", "[Insert", "|" * 30, "# ", "ß" * 50, "İ five days", "٣ days", "²³ days"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), max_size=6),
       asked=st.lists(st.tuples(TEXTS, TEXTS, st.lists(st.lists(TEXTS, max_size=2), max_size=2), st.booleans()),
                      max_size=4),
       document=TEXTS, required=st.lists(TEXTS, max_size=1))
def test_an_audit_of_anything_readable_never_raises(tmp_path, monkeypatch, pairs, asked, document, required):
    monkeypatch.setattr("builder.answering.opening.open_encoder", lambda brand: LetterEncoder())
    (tmp_path / "documents").mkdir(exist_ok=True)
    (tmp_path / "brand.yaml").write_text(json.dumps({
        "name": "x", "persona": "y", "abstain": "z", "voice": {"required": required}}), encoding="utf-8")
    (tmp_path / "documents" / "a.md").write_text(document, encoding="utf-8", errors="replace")
    write_examples(tmp_path, pairs)
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(
        {"question": question, "answer": answer, "facts": facts, "paraphrases": [answer], "answerable": answerable,
         "source": "documents/a.md", "offset": 3}) + "\n" for question, answer, facts, answerable in asked))
    try:
        workspace = Workspace(tmp_path)
        assert isinstance(workspace.brand, Brand) and workspace.examples is not None
        assert workspace.questions is not None
    except UserError:
        return  # not readable, and said so
    for one in audit(workspace):
        assert one.message and one.next and one.file and one.severity in ("error", "warning", "note")
