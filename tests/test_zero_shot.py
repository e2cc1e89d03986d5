"""Models without any rated review."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ratecast
from ratecast.cli import run
from ratecast.errors import ConfigError, DataError, OutputError, ScaleError
from ratecast.progress import SilentReporter
from ratecast.scale import RatingScale
from ratecast.zero_shot import CONTENT_FREE, calibrate, drawn_texts, level_shares

TEXTS = [
    f"the {thing} was {word} {number}" for number, thing in enumerate(("food", "room")) for word in ("good", "bad", "poor")
]
STARS = RatingScale.parse("1..5")


@pytest.fixture
def settings_of(tiny_language: Path) -> Callable[..., dict[str, Any]]:
    def make(**settings: Any) -> dict[str, Any]:
        defaults = {
            "backbone": str(tiny_language),
            "scale": "1..5",
            "verbaliser": "awful,bad,fine,good,great",
            "max_tokens": 48,
        }
        return defaults | {"reporter": SilentReporter(), "threads": 1} | settings

    return make


def test_calibration_divides_out_what_the_model_prefers(settings_of: Callable[..., dict[str, Any]]) -> None:
    from ratecast.model.prompting import load_prompted
    from ratecast.model.rater import torch_probabilities
    from ratecast.train.network import create_rater

    settings = settings_of(prompt="default", precision="float32")
    del settings["reporter"]
    config = ratecast.FitConfig().with_values(**settings)
    backbone, prompt = load_prompted(config, STARS)
    rater = create_rater(backbone, STARS, np.asarray(STARS.levels), config, prompt).eval()
    raw = torch_probabilities(rater, backbone.encoder, TEXTS)
    shares = level_shares("1,1,2,3,3", STARS)
    means = calibrate(rater, backbone, TEXTS, shares, SilentReporter())
    np.testing.assert_allclose(means, raw.mean(axis=0), atol=1e-6)
    expected = raw * shares / raw.mean(axis=0)  # Zhou et al. 2024, with a prior
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(torch_probabilities(rater, backbone.encoder, TEXTS), expected, atol=1e-5)
    assert np.abs(raw.mean(axis=0) - 0.2).max() > 0.05


@pytest.mark.slow
def test_from_the_command_line_to_a_folder_that_says_what_it_is(
    settings_of: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, model = settings_of(), tmp_path / "model"
    (tmp_path / "unrated.csv").write_text("text,stars\n" + "\n".join(f"{text},5" for text in TEXTS) + "\n", encoding="utf-8")
    rated = "text,rating\n" + "\n".join(f"{text},{row % 5 + 1}" for row, text in enumerate(TEXTS)) + "\n"
    (tmp_path / "rated.csv").write_text(rated, encoding="utf-8")
    flags = [f"--{name.replace('_', '-')}={settings[name]}" for name in ("backbone", "scale", "verbaliser", "max_tokens")]
    assert run(["zeroshot", str(tmp_path / "unrated.csv"), "--out", str(model), "--threads", "1", *flags]) == 0
    assert "Calibrated on 6 reviews without ratings" in capsys.readouterr().out
    loaded = ratecast.load(model, threads=1)
    assert not loaded.has_seen_ratings
    probabilities = loaded.probabilities(TEXTS)
    np.testing.assert_allclose(probabilities.mean(axis=0), 0.2, atol=0.1)  # of the words' preferences nothing is left
    assert np.ptp(probabilities, axis=0).max() > 1e-3
    assert run(["inspect", str(model)]) == 0
    assert "No rating was seen: nothing tells how good this model is" in capsys.readouterr().out
    assert "Not measured: no rating was seen" in (model / "README.md").read_text(encoding="utf-8")
    assert json.loads((model / "config.json").read_text(encoding="utf-8"))["few"]["prompt"] == "default"
    assert run(["predict", str(model), "--text", "good food"]) == 0
    assert run(["evaluate", str(model), str(tmp_path / "rated.csv")]) == 0
    assert "constant" in capsys.readouterr().out


@pytest.mark.slow
def test_settings_of_training_are_not_read(settings_of: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    config = ratecast.FitConfig().with_values(tune="lora", contrastive_passes=2.0, word_deletion=0.1, windows=4)
    model = ratecast.zeroshot(out=tmp_path / "model", config=config, **settings_of())
    plain = ratecast.zeroshot(out=tmp_path / "plain", **settings_of())
    np.testing.assert_array_equal(model.probabilities(["fine"]), plain.probabilities(["fine"]))


def test_without_reviews_calibration_rests_on_texts_that_say_nothing(
    settings_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    model = ratecast.zeroshot(out=tmp_path / "model", prior="1,1,1,1,6", **settings_of())
    mean = model.probabilities(list(CONTENT_FREE)).mean(axis=0)
    np.testing.assert_allclose(mean, [0.1, 0.1, 0.1, 0.1, 0.6], atol=0.1)
    assert any("texts that say nothing" in note for note in model.notes())


def test_a_sentence_encoder_compares_with_sentences(tiny_backbone: Path, settings_of: Callable[..., dict[str, Any]]) -> None:
    from ratecast.model.prompting import load_likeness
    from ratecast.model.rater import torch_probabilities
    from ratecast.train.network import create_rater

    settings = settings_of(backbone=str(tiny_backbone), prompt="default", precision="float32")
    del settings["reporter"]
    config = ratecast.FitConfig().with_values(**settings)
    backbone, prompt = load_likeness(config, STARS)
    assert "compared with sentences" in (prompt.warning() or "")
    rater = create_rater(backbone, STARS, np.asarray(STARS.levels), config, prompt).eval()
    sentences = [f"It was {word}." for word in prompt.words]
    found = torch_probabilities(rater, backbone.encoder, [*sentences, *TEXTS])
    assert found[:5].argmax(axis=1).tolist() == [0, 1, 2, 3, 4]
    cosines = np.log(found[:5]) / 50  # up to a constant for each
    np.testing.assert_allclose(cosines - cosines.max(axis=1, keepdims=True), _cosines(tiny_backbone, sentences) - 1, atol=1e-5)


def _cosines(folder: Path, sentences: list[str]) -> np.ndarray:
    """Cosines of mean token vectors, by transformers alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(str(folder)), AutoModel.from_pretrained(str(folder)).eval()
    with torch.inference_mode():
        vectors = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0) for text in sentences]
    unit = torch.nn.functional.normalize(torch.stack(vectors), dim=1).double()
    found: np.ndarray = (unit @ unit.T).numpy()
    return found


def test_texts_are_drawn_evenly_from_a_stream() -> None:
    stream = [[str(row) for row in range(start, start + 7)] for start in range(0, 70, 7)]
    assert drawn_texts(stream, 100, 0) == [str(row) for row in range(70)]
    counts = np.zeros(70)
    for seed in range(300):
        found = drawn_texts(stream, 7, seed)
        assert len(set(found)) == 7
        counts[[int(text) for text in found]] += 1
    assert counts.min() > 10  # each is expected 30 times
    assert counts.max() < 55


@pytest.mark.parametrize("prior", ["0.5,0.5", "a,b,c,d,e", "1,1,1,1,0", "1,1,1,1,-1", "1,1,1,1,nan"])
def test_a_prior_that_cannot_be_used(prior: str) -> None:
    with pytest.raises(ConfigError, match=r"prior must have a number above 0 for each of the 5 levels of 1\.\.5"):
        level_shares(prior, STARS)


def test_what_cannot_be_made_is_refused(settings_of: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "model"
    with pytest.raises(ConfigError, match="scale is needed"):
        ratecast.zeroshot(out=out, **settings_of(scale=None))
    with pytest.raises(ScaleError, match=r"give steps, such as 0\.\.100/10"):
        ratecast.zeroshot(out=out, **settings_of(scale="0..100"))
    with pytest.raises(ConfigError, match="'superb'"):
        ratecast.zeroshot(out=out, **settings_of(verbaliser="awful,bad,fine,good,superb"))
    empty = tmp_path / "empty.csv"
    empty.write_text("text,title\n ,a\n ,b\n", encoding="utf-8")
    with pytest.raises(DataError):
        ratecast.zeroshot(str(empty), out=out, **settings_of())
    out.write_text("something else", encoding="utf-8")
    with pytest.raises(OutputError):
        ratecast.zeroshot(out=out, **settings_of())
