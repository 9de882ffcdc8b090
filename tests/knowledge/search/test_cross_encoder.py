import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.errors import UserError
from knowledge.reading.documents import Document
from knowledge.search import index
from knowledge.search.cross_encoder import prepared
from tests.fakes import LetterEncoder, save_cross_encoder

ROOT = Path(__file__).parents[3]
QUESTION = "How long may I keep a lamp before I return it?"
TEXTS = ["You may send a lamp back within 33 days.", "", "Die Lampe geht zurück, 台灯 🪔, naïve Œuvre.", "?",
         "The shop door is open from nine until five. " * 40]


def resave(folder, **settings):
    """As sentence-transformers itself writes a folder, with files of its own."""
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(folder), device="cpu", local_files_only=True, **settings)
    shutil.rmtree(folder)
    model.save_pretrained(str(folder))
    return folder


def original(folder, question, texts):
    """The slow way: sentence-transformers' own scores."""
    import torch
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": "float32"})
    return model.predict([(question, text) for text in texts], activation_fn=torch.nn.Identity())


@pytest.fixture(scope="module", autouse=True)
def kept(tmp_path_factory):
    """The folder that exports are kept in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWOFOLD_HOME", str(tmp_path_factory.mktemp("home")))
        yield Path(os.environ["TWOFOLD_HOME"]) / "cross-encoders"


@pytest.fixture(scope="module", params=["bert", "roberta", "half"])
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "small"
    if request.param == "half":
        return resave(save_cross_encoder(folder, half=True))
    return save_cross_encoder(folder, request.param)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save_cross_encoder(tmp_path_factory.mktemp("models") / "small")


@pytest.mark.parametrize("question", [QUESTION, "", "Grüße, 灯?", "how many lamps " * 12, "how many lamps " * 99],
                         ids=["short", "empty", "beyond ascii", "over half", "over the limit"])
def test_scores_are_the_original_models(folder, question):
    wanted = original(folder, question, TEXTS)
    assert np.ptp(wanted) > 0.1
    scores = prepared(str(folder)).scores(question, TEXTS)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, wanted, atol=1e-4)


@given(st.text(max_size=300), st.lists(st.text(max_size=300), max_size=4))
@settings(max_examples=30, deadline=None)
def test_a_text_has_the_same_score_alone_and_beside_others(bert, question, texts):
    opened = prepared(str(bert))
    scores = opened.scores(question, texts)
    assert scores.shape == (len(texts),)
    assert scores.tolist() == [opened.scores(question, [text])[0] for text in texts]


def test_only_the_end_of_the_text_is_cut(folder):
    opened = prepared(str(folder))
    start = "warm bulbs " * 50
    scores = opened.scores("Why is it so?", [start, start + "and cold ones", "cold" + start])
    assert scores[0] == scores[1] != scores[2]
    assert opened.scores("Why is it no?", [start])[0] != scores[0]


def test_berts_attention_is_fused(bert, tmp_path, kept):
    before = set(kept.glob("*"))
    prepared(shutil.copytree(bert, tmp_path / "copy").as_posix())
    made, = set(kept.glob("*")) - before
    graph = onnx.load(made / "cross_encoder.onnx").graph
    assert [node.op_type for node in graph.node].count("Attention") == 2


def test_answering_from_what_was_exported_needs_no_torch(folder, kept):
    wanted = prepared(str(folder)).scores(QUESTION, TEXTS).tolist()
    before = {file: file.stat().st_mtime_ns for file in kept.rglob("*")}
    code = ("import json, sys\nfrom knowledge.search.cross_encoder import prepared\n"
            "scores = prepared(sys.argv[1]).scores(sys.argv[2], sys.argv[3:]).tolist()\n"
            "print(json.dumps([scores, [name for name in ('torch', 'transformers') if name in sys.modules]]))")
    ran = subprocess.run([sys.executable, "-c", code, str(folder), QUESTION, *TEXTS], cwd=ROOT, check=True,
                         capture_output=True, text=True)
    assert json.loads(ran.stdout) == [wanted, []]
    assert {file: file.stat().st_mtime_ns for file in kept.rglob("*")} == before


def test_changed_weights_are_exported_again_and_have_another_hash(bert, tmp_path):
    folder = shutil.copytree(bert, tmp_path / "copy")
    first = prepared(str(folder))
    assert first.sha256 == prepared(str(bert)).sha256
    save_cross_encoder(folder, seed=1)
    second = prepared(str(folder))
    assert second.sha256 != first.sha256
    np.testing.assert_allclose(second.scores(QUESTION, TEXTS), original(folder, QUESTION, TEXTS), atol=1e-4)


def configure(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


BAD = {
    "no folder": (shutil.rmtree, "contains no model.safetensors"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "contains no model.safetensors"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "contains no tokenizer.json"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "contains no config.json"),
    "damaged config": (lambda folder: (folder / "config.json").write_text("[]"), "its config.json is damaged"),
    "damaged weights": (lambda folder: (folder / "model.safetensors").write_bytes(b"no"), "can't be exported"),
    "damaged tokenizer": (lambda folder: (folder / "tokenizer.json").write_text("{"), "can't be exported"),
    "code of its own": (lambda folder: configure(folder, auto_map={"AutoModel": "code.Model"}), "contains program "
                                                                                                "code"),
    "three labels": (lambda folder: save_cross_encoder(folder, labels=3), "3 labels"),
    "two labels": (lambda folder: save_cross_encoder(folder, labels=2), "2 labels"),
    "an encoder": (lambda folder: configure(folder, architectures=["BertModel"]), "is not a cross-encoder (BertModel"),
    "not a number": (lambda folder: save_cross_encoder(folder, broken=True), "its ONNX export gives different scores"),
    "a prompt": (lambda folder: resave(folder, prompts={"all": "Is it of use? "}, default_prompt_name="all"),
                 "its ONNX export gives different scores"),
}


@pytest.mark.parametrize(("spoil", "says"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_used_is_one_line(bert, tmp_path, spoil, says):
    folder = shutil.copytree(bert, tmp_path / "copy")
    spoil(folder)
    with pytest.raises(UserError) as raised:
        prepared(str(folder))
    line = str(raised.value)
    assert line.startswith(f"retrieval.reranker: {folder}: ") and says in line
    assert "\n" not in line and "; " in line


def test_a_damaged_export_is_one_line(bert, tmp_path, kept):
    folder = shutil.copytree(bert, tmp_path / "copy")
    before = set(kept.glob("*"))
    prepared(str(folder))
    made, = set(kept.glob("*")) - before
    (made / "cross_encoder.onnx").write_bytes(b"half")
    with pytest.raises(UserError, match="^[^\n]*damaged [^\n]*delete it and run the same command again$"):
        prepared(str(folder))


def test_what_was_found_is_put_in_the_order_of_the_cross_encoder(tmp_path):
    documents = [Document(f"documents/{number}.md", f"## Part {number}\n\n{text or 'Lamps.'}\n", (), str(number))
                 for number, text in enumerate(TEXTS)]
    encoder, made = LetterEncoder(), prepared(str(save_cross_encoder(tmp_path / "model")))
    (tmp_path / "index").mkdir()
    index.build(documents, [], encoder, tmp_path / "index")
    plain = index.Index.open(tmp_path / "index", encoder).search(QUESTION, 5)
    read = index.Index.open(tmp_path / "index", encoder, reranker=made).search(QUESTION, 5)
    wanted = made.scores(QUESTION, [one.passage.indexed for one in plain])
    assert {one.number: one.cross for one in read} == {
        one.number: score for one, score in zip(plain, wanted, strict=True)}
    assert [one.number for one in read] == [plain[place].number for place in np.argsort(-wanted, kind="stable")]
    assert all(one.cross == 0 for one in plain)
