"""Pretraining from a table to a folder that fine-tuning takes."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import ratecast
from interruption import InterruptingReporter, StoppedError
from ratecast.config import BackboneConfig, PretrainConfig
from ratecast.data import write_table
from ratecast.data.table import build_table
from ratecast.errors import BackboneError, ConfigError, DataError, OutputError
from ratecast.model.backbone import load_backbone
from ratecast.pretraining import Pretraining, pretrain
from ratecast.pretraining.language import load_language
from ratecast.progress import SilentReporter

Pretrain = Callable[..., Pretraining]


def texts_of(count: int, seed: int = 0) -> list[str]:
    """Different reviews whose words follow each other in few ways."""
    rng = np.random.default_rng(seed)
    things, grades = ("movie", "story", "phone", "room", "hotel", "food"), ("great", "poor", "fine", "awful")
    return [
        " and ".join(f"the {rng.choice(things)} was very {rng.choice(grades)}" for _ in range(rng.integers(2, 5))) + f" {row}"
        for row in range(count)
    ]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_table(build_table({"text": texts_of(200)}), tmp_path / "reviews.parquet")
    return tmp_path / "reviews.parquet"


@pytest.fixture
def run(table: Path, tiny_backbone: Path, tmp_path: Path) -> Pretrain:
    """Pretrains the tiny backbone."""

    def start(out: str = "backbone", *, source: Any = None, resume: bool = False, reporter: Any = None, **settings: Any) -> Any:
        defaults: dict[str, Any] = {"backbone": str(tiny_backbone), "block_tokens": 32, "batch_tokens": 256, "threads": 1}
        return pretrain(
            table if source is None else source,
            out=tmp_path / out,
            resume=resume,
            reporter=reporter or SilentReporter(),
            **(defaults | {"learning_rate": 1e-3} | settings),
        )

    return start


class Listener(SilentReporter):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, message: str) -> None:
        self.told.append(message)


@pytest.mark.parametrize("objective", ["masked", "causal", "contrastive"])
def test_what_is_learnt_shows_on_held_out_reviews(run: Pretrain, tiny_decoder: Path, tmp_path: Path, objective: str) -> None:
    model = {"backbone": str(tiny_decoder)} if objective == "causal" else {}
    found = run(objective=objective, epochs=20.0, **model)
    assert found.objective == objective
    assert found.measure == ("held-out loss" if objective == "contrastive" else "held-out perplexity")
    key = found.measure.replace("-", "_").replace(" ", "_")
    assert found.before == found.curve[0][key]
    assert found.after == min(point[key] for point in found.curve)
    assert found.after < 0.8 * found.before
    facts = json.loads((tmp_path / "backbone" / "pretraining.json").read_text())
    assert (facts["before"], facts["after"]) == (found.before, found.after)
    assert facts["corpus"]["reviews"] == 190
    assert facts["curve"][0]["training_loss"] is None
    assert "<svg" in (tmp_path / "backbone" / "pretraining.html").read_text()
    assert not (tmp_path / "backbone.pretraining").exists()


def test_perplexity_is_that_of_the_kept_weights(run: Pretrain, tmp_path: Path) -> None:
    """Another pretraining that starts from them begins where this one ended, its output layer included."""
    first = run(steps=30)
    assert first.output_was_new
    assert "started at random" in first.describe()
    second = run("further", backbone=str(tmp_path / "backbone"), steps=1, learning_rate=1e-12)
    assert second.before == pytest.approx(first.after, rel=1e-4)
    assert not second.output_was_new
    assert "started at random" not in second.describe()


def test_perplexity_of_a_decoder_against_transformers(run: Pretrain, tiny_decoder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found = run(backbone=str(tiny_decoder), steps=1, learning_rate=1e-12, block_tokens=64, batch_tokens=64)
    model = AutoModelForCausalLM.from_pretrained(tiny_decoder).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_decoder)
    ids = torch.tensor(tokenizer("the movie was very great and the room was very poor 17<|end|>the")["input_ids"])[None]
    loss = model(input_ids=ids, labels=ids).loss.item()
    assert found.before == pytest.approx(math.exp(loss), rel=0.05)  # an untrained model finds all texts about as likely


@pytest.mark.parametrize("objective", ["masked", "causal", "contrastive"])
def test_an_interrupted_run_ends_with_the_same_weights(
    run: Pretrain, tiny_decoder: Path, tmp_path: Path, objective: str
) -> None:
    fixed: dict[str, Any] = {"objective": objective, "steps": 40, "checkpoint_seconds": 1e-9}
    if objective == "causal":
        fixed["backbone"] = str(tiny_decoder)
    whole = run("whole", **fixed)
    for stop in (3, 20):
        with pytest.raises(StoppedError):
            run(resume=True, reporter=InterruptingReporter(stop), **fixed)
        assert not (tmp_path / "backbone").exists()
    resumed = run(resume=True, **fixed)
    weights = load_file(tmp_path / "whole" / "model.safetensors")
    again = load_file(tmp_path / "backbone" / "model.safetensors")
    assert weights.keys() == again.keys()
    for name, value in weights.items():
        torch.testing.assert_close(again[name], value, rtol=0, atol=0, msg=name)
    assert whole.best_step == resumed.best_step > 23
    assert [point["step"] for point in whole.curve] == [point["step"] for point in resumed.curve]


def test_a_resumed_run_computes_in_the_same_precision(run: Pretrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(*given: Any, precision: str, **rest: Any) -> Any:
        asked.append(precision)
        return load_language(*given, precision=precision, **rest)

    monkeypatch.setattr("ratecast.pretraining.session.load_language", load)
    for found in ("bfloat16", "float32"):  # what a machine finds faster when it is asked
        monkeypatch.setattr(
            "ratecast.pretraining.session.choose_precision", lambda name, found=found: found if name == "auto" else name
        )
        with pytest.raises(StoppedError):
            run(steps=40, checkpoint_seconds=1e-9, resume=found == "float32", reporter=InterruptingReporter(3))
    assert asked == ["bfloat16", "bfloat16"]


def test_another_seed_gives_other_weights_and_a_resumed_run_refuses_it(run: Pretrain, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run(steps=40, checkpoint_seconds=1e-9, reporter=InterruptingReporter(3))
    with pytest.raises(ConfigError, match="was made with other data or settings"):
        run(steps=40, seed=1, resume=True)
    assert (tmp_path / "backbone.pretraining").exists()


def test_a_time_budget_is_kept(run: Pretrain) -> None:
    import time

    run("warm", steps=1)
    started = time.monotonic()
    listener = Listener()
    found = run(time_budget="10s", epochs=100_000.0, reporter=listener)
    assert time.monotonic() - started < 10.5
    assert [line for line in listener.told if line.startswith("before")] == [
        f"before: held-out perplexity {found.before:.3f}",
    ]
    assert not any("no more are read" in line for line in listener.told)
    assert found.stopped_by == "time budget"
    assert 4 < len(found.curve) < 20
    assert found.after < found.before


def test_fitting_takes_the_folder(run: Pretrain, tmp_path: Path, tiny_reviews: tuple[list[str], list[float]]) -> None:
    run(steps=10)
    backbone = load_backbone(BackboneConfig(backbone=str(tmp_path / "backbone"), max_tokens=32))
    saved = load_file(tmp_path / "backbone" / "model.safetensors")
    for name, value in backbone.model.state_dict().items():
        torch.testing.assert_close(saved[f"bert.{name}"], value, rtol=0, atol=0)
    assert "cls.predictions.bias" in saved


def test_the_vectors_that_fitting_uses_are_the_trained_ones(run: Pretrain, tmp_path: Path, tiny_backbone: Path) -> None:
    run(objective="contrastive", steps=10)
    before, after = (
        load_backbone(BackboneConfig(backbone=str(folder), max_tokens=32)).model.state_dict()
        for folder in (tiny_backbone, tmp_path / "backbone")
    )
    assert before.keys() == after.keys()
    assert not torch.equal(before["encoder.layer.0.output.dense.weight"], after["encoder.layer.0.output.dense.weight"])


def test_an_older_backbone_is_replaced_and_anything_else_left(run: Pretrain, tmp_path: Path) -> None:
    run(steps=1)
    run(steps=2)
    assert json.loads((tmp_path / "backbone" / "pretraining.json").read_text())["steps"] == 2
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="other holds something that is not a backbone of ratecast pretrain"):
        run("other", steps=1)
    assert [path.name for path in other.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"batch_tokens": 100_000}, DataError, r"tokens to learn from, and a batch takes 100,000"),
        ({"objective": "causal"}, ConfigError, "does not fit the backbone"),
        ({"backbone": "./absent"}, BackboneError, "there is no folder"),
        ({"time_budget": "2s"}, ConfigError, r"the time budget of 2s leaves 0.0 s for training"),
        ({"block_tokens": 4}, ConfigError, "block_tokens must be at least 8, found 4"),
        ({"masked_fraction": 0.0}, ConfigError, "masked_fraction must be above 0"),
        ({"masked_fraction": 0.3, "objective": "causal"}, ConfigError, "masked_fraction is for the objective masked"),
        ({"batch_tokens": 16}, ConfigError, "batch_tokens must be at least block_tokens"),
        ({"objective": "telepathy"}, ConfigError, "objective must be one of masked, causal, contrastive, found 'telepathy'"),
        ({"text_column": "body"}, DataError, "there is no column 'body' for the text"),
        ({"head": "corn"}, ConfigError, "unknown setting 'head'"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_line_and_leaves_nothing(
    run: Pretrain, tmp_path: Path, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        run(**settings)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.parquet"]


def test_too_few_reviews(run: Pretrain, tmp_path: Path) -> None:
    few = build_table({"text": texts_of(20)})
    with pytest.raises(DataError, match="found 20 different reviews"):
        run(source=few)


def test_weights_without_safetensors(run: Pretrain, tiny_backbone: Path, tmp_path: Path) -> None:
    for path in tiny_backbone.iterdir():
        name = "pytorch_model.bin" if path.suffix == ".safetensors" else path.name
        (tmp_path / "old").mkdir(exist_ok=True)
        (tmp_path / "old" / name).write_bytes(path.read_bytes())
    with pytest.raises(BackboneError, match=r"holds pytorch_model\.bin; expected model\.safetensors"):
        run(backbone=str(tmp_path / "old"))


def test_settings_from_toml_are_those_of_flags(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('objective = "causal"\nsteps = 5\n[columns]\ntext_column = "body"\n')
    config = PretrainConfig.from_toml(tmp_path / "settings.toml")
    assert config == PretrainConfig().with_values(objective="causal", steps=5, text_column="body")
    assert PretrainConfig.from_mapping(config.to_mapping()) == config


@pytest.mark.slow
def test_the_default_backbone_learns_real_reviews(tmp_path: Path) -> None:
    from ratecast.data import load_sample_unlabelled

    table = build_table({"text": load_sample_unlabelled()[:400]})
    found = ratecast.pretrain(table, out=tmp_path / "backbone", steps=12, threads=1, reporter=SilentReporter())
    assert found.before > 10_000  # its output layer starts at random
    assert found.after < 0.25 * found.before
