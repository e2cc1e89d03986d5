"""Long reviews from the command line to predictions without torch, and backbones that read much at once."""

import csv
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ratecast
from ratecast.cli import run
from ratecast.progress import SilentReporter

PREDICT = """
import json, sys
import ratecast
found = ratecast.load(sys.argv[1]).predict(json.loads(sys.argv[2]))
assert not {"torch", "transformers"} & set(sys.modules)
print(json.dumps([[list(each.probabilities.values()), list(each.warnings)] for each in found]))
"""
TEXTS = ["great food", "the room " * 15 + "was awful", "the phone " * 200 + "was great"]


def write_reviews(path: Path) -> None:
    draw = random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "rating"])
        for number in range(60):
            rating = number % 5 + 1
            words = ("awful", "bad", "fine", "good", "great")[rating - 1]
            things = " ".join(draw.choice(("food", "staff", "room", "phone", "price")) for _ in range(number))
            writer.writerow([f"{things} {number} {words}", rating])


@pytest.fixture(scope="module", params=["attention", "recurrent"])
def fitted(request: pytest.FixtureRequest, tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    write_reviews(folder / "reviews.csv")
    arguments = ["--windows", "3", "--max-tokens", "16", "--window-pooling", request.param, "--backbone", str(tiny_backbone)]
    more = ["--steps", "2", "--batch-reviews", "8", "--no-blend", "--threads", "1"]
    assert run(["fit", str(folder / "reviews.csv"), "--out", str(folder / "model"), *arguments, *more]) == 0
    return folder / "model"


@pytest.mark.slow
def test_a_model_that_reads_windows_predicts_without_torch(fitted: Path) -> None:
    command = [sys.executable, "-c", PREDICT, str(fitted), json.dumps(TEXTS)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    warnings = [warning for _, warning in found]
    assert warnings == [[], [], ["the middle of the text was left out: 3 windows of 16 tokens are read"]]
    for text, (probabilities, _) in zip(TEXTS, found, strict=True):
        alone = ratecast.load(fitted).predict([text])[0]
        assert list(alone.probabilities.values()) == pytest.approx(probabilities, abs=1e-5)


@pytest.mark.slow
def test_the_folder_tells_what_was_read_whole_in_windows_and_shortened(fitted: Path) -> None:
    about = json.loads((fitted / "model.json").read_text())["about"]
    assert (about["windows"], about["max_tokens"]) == (3, 16)
    counts = [int(part.split()[0]) for part in about["training_reviews_read"].split(", ")]
    whole, windowed, shortened = counts
    assert min(counts) > 0
    assert about["training_reviews_read"] == f"{whole} in one piece, {windowed} in windows, {shortened} shortened"
    notes = " ".join(json.loads((fitted / "metrics.json").read_text())["notes"])
    reviews = whole + windowed
    pooling = about["window_pooling"]
    assert f"{windowed} of {reviews} training reviews are longer than 16 tokens and were read in up to 3 windows of 16" in notes
    assert f"({pooling})" in notes
    assert f"{shortened} of {reviews} training reviews are longer than 3 windows of 16 tokens: their middle was left" in notes
    for document in ("README.md", "report.html"):
        assert "3 windows of 16 tokens" in (fitted / document).read_text()


@pytest.mark.slow
def test_a_backbone_of_many_positions_reads_long_reviews_whole(tiny_backbone: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from transformers import AutoModel, ModernBertConfig

    folder = tmp_path / "backbone"
    folder.mkdir()
    for path in tiny_backbone.glob("*token*"):
        shutil.copy(path, folder)
    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    config = ModernBertConfig(vocab_size=vocabulary, max_position_embeddings=1024, local_attention=64, **sizes, **special)
    AutoModel.from_config(config).save_pretrained(str(folder))
    lengths = [300 if number % 12 == 0 else 2 for number in range(60)]
    texts = [
        f"{'the food ' * length}was {'great' if number % 2 else 'awful'} {number}" for number, length in enumerate(lengths)
    ]
    ratings = [float(number % 2) * 4 + 1 for number in range(60)]
    model = ratecast.fit(
        texts=texts,
        ratings=ratings,
        out=tmp_path / "model",
        reporter=SilentReporter(),
        backbone=str(folder),
        max_tokens=700,
        steps=1,
        batch_reviews=16,  # up to 16 · 606 tokens, which go through the network in parts
        blend=False,
        threads=1,
    )
    assert model.manifest.about["training_reviews_read"].endswith(" in one piece, 0 shortened")
    long, cut = model.predict(["the food " * 345 + "was great", "the food " * 350 + "was great"])
    assert long.warnings == ()
    assert cut.warnings == ("the middle of the text was left out: 700 tokens are read",)
    words = ["the", "food"] * 340
    middle = [*words[:340], "awful", *words[341:]]
    plain, changed = model.predict([" ".join(words), " ".join(middle)])
    assert plain.rating != changed.rating
