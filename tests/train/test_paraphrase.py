"""Back-translation: of training texts alone, within its share of the time, and not a second time."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from finetuned import Parts, RunOf, tune
from interruption import StoppedError
from ratecast.errors import BackboneError, ConfigError, ModelFolderError
from ratecast.model.translate import Translator
from ratecast.progress import Advance
from ratecast.train import paraphrase
from ratecast.train.inputs import RatedTexts
from ratecast.train.paraphrase import FOLDER, back_translate


class StoppingReporter:
    """Stops after some calls of the progress of a task."""

    def __init__(self, task: str, calls: int) -> None:
        self._task, self._calls = task, calls

    def tell(self, message: str) -> None:
        """Nothing."""

    @contextmanager
    def track(self, task: str, total: int) -> Iterator[Advance]:
        """Counts the calls."""

        def advance(units: int, note: str) -> None:
            self._calls -= task == self._task
            if self._calls < 0:
                raise StoppedError

        yield advance


@pytest.fixture(scope="module")
def models(tiny_translator: Callable[..., Path]) -> str:
    return f"{tiny_translator('t5')}, {tiny_translator('bart', beams=2)}"


@pytest.fixture
def translated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that goes into the first model."""
    found: list[str] = []
    original = paraphrase._there_and_back

    def there_and_back(texts: Sequence[str], forward: Translator, back: Translator) -> list[str | None]:
        found.extend(texts)
        return original(texts, forward, back)

    monkeypatch.setattr(paraphrase, "_there_and_back", there_and_back)
    return found


def test_texts_go_there_and_back(models: str, run_of: RunOf) -> None:
    texts = ["the room was great. bad food", "the staff was not good", "", "never again!"]
    found = back_translate(run_of(back_translation=models), texts, None)
    forward, back = (Translator.load(name.strip()) for name in models.split(","))
    for text, paraphrased in zip(texts, found, strict=True):
        (there,) = forward.translate([text])
        assert there is not None
        assert back.translate([there]) == [paraphrased or ""]
    assert found[2] is None
    assert len({*found}) == 4


def test_what_is_translated_is_not_translated_again(models: str, run_of: RunOf, translated: list[str], parts: Parts) -> None:
    texts = [f"{text} {row}" for row, text in enumerate(parts["train"].joined()[:80])]
    whole = back_translate(run_of(folder="whole", back_translation=models), texts, None)
    assert sorted(translated) == sorted(texts)
    run = run_of(resume=True, back_translation=models)
    translated.clear()
    with pytest.raises(StoppedError):
        back_translate(replace(run, reporter=StoppingReporter("back-translation", 0)), texts, None)
    assert 0 < len(translated) < 40
    (run.folder / FOLDER / "000001.partial").write_text("half a ba")
    assert back_translate(run, texts, None) == whole
    assert sorted(translated) == sorted(texts)
    assert back_translate(run, texts, None) == whole
    assert len(translated) == 80
    assert back_translate(run_of(back_translation=models), texts, None) == whole  # without resume from the start
    assert len(translated) == 160


def test_what_another_run_left_or_is_damaged_is_told(models: str, run_of: RunOf) -> None:
    back_translate(run_of(back_translation=models), ["good food"], None)
    with pytest.raises(ConfigError, match="were made with other data or settings"):
        back_translate(run_of(resume=True, fingerprint="other", back_translation=models), ["good food"], None)
    path = run_of().folder / FOLDER / "000000.json"
    path.write_text(json.dumps({"found": {}}))
    with pytest.raises(ModelFolderError, match=r"000000\.json is damaged"):
        back_translate(run_of(resume=True, back_translation=models), ["good food"], None)


class Clocked:
    """A translator whose clock goes on by three seconds for each text, and one for loading."""

    now = 0.0

    @classmethod
    def load(cls, name: str) -> "Clocked":
        """Takes a second."""
        Clocked.now += 1
        return cls()

    def translate(self, texts: Sequence[str]) -> list[str | None]:
        """Takes three seconds for each."""
        Clocked.now += 3 * len(texts)
        return [f"{text}!" for text in texts]


@pytest.mark.parametrize(("seconds", "least"), [(1_000.0, 30), (300.0, 7), (5_000.0, 100), (4.0, 0), (0.0, 0)])
def test_as_many_texts_as_a_fifth_of_the_time_allows(
    run_of: RunOf, monkeypatch: pytest.MonkeyPatch, seconds: float, least: int
) -> None:
    Clocked.now = 0.0
    monkeypatch.setattr(paraphrase, "Translator", Clocked)
    monkeypatch.setattr(paraphrase, "time", SimpleNamespace(monotonic=lambda: Clocked.now))
    texts = [f"text {row}" for row in range(100)]
    found = back_translate(run_of(back_translation="a,b"), texts, lambda: seconds - Clocked.now)
    chosen = [row for row, text in enumerate(found) if text]
    assert least <= len(chosen) <= seconds / 5 / 6
    assert [found[row] for row in chosen] == [f"text {row}!!" for row in chosen]
    assert Clocked.now <= max(seconds / 5, 2 if seconds else 0)  # loading ends when it ends
    assert chosen != list(range(len(chosen))) or len(chosen) in {0, 100}
    if not chosen:
        return
    again = back_translate(run_of(resume=True, back_translation="a,b"), texts, lambda: 1e6)
    assert [row for row, text in enumerate(again) if text] == chosen  # the share of the first session holds


def test_the_seed_chooses_the_texts(run_of: RunOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paraphrase, "Translator", Clocked)
    monkeypatch.setattr(paraphrase, "time", SimpleNamespace(monotonic=lambda: Clocked.now))

    def chosen(seed: int) -> list[int]:
        found = back_translate(run_of(back_translation="a,b", seed=seed), [f"text {row}" for row in range(100)], lambda: 500.0)
        return [row for row, text in enumerate(found) if text]

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)


def test_only_training_texts_are_paraphrased(
    models: str, run_of: RunOf, parts: Parts, translated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = parts | {"train": parts["train"].take(range(40))}
    read: list[list[bytes]] = []
    original = RatedTexts.in_pass

    def in_pass(self: RatedTexts, epoch: int) -> RatedTexts:
        found = original(self, epoch)
        read.append([ids.tobytes() for ids in found.texts.ids])
        assert [ids.tobytes() for ids in self.texts.ids] == own
        return found

    run = run_of(epochs=2.0, back_translation=models, patience=50)
    plain = tune(few, run_of(folder="plain", steps=1))
    own = [ids.tobytes() for ids in plain.backbone.encoder.encode(few["train"].joined()).ids]
    monkeypatch.setattr(RatedTexts, "in_pass", in_pass)
    tuned = tune(few, run)
    assert sorted(translated) == sorted(few["train"].joined())
    assert tuned.paraphrased == 40
    assert len(read) == 2
    shares = [sum(ids != same for ids, same in zip(texts, own, strict=True)) / 40 for texts in read]
    assert all(0.25 < share < 0.75 for share in shares)
    assert read[0] != read[1]
    torch.testing.assert_close(torch.tensor(tuned.before), torch.tensor(plain.before))  # judged on texts as they are


def test_a_run_that_was_killed_ends_with_the_same_weights(
    models: str, run_of: RunOf, parts: Parts, translated: list[str]
) -> None:
    few = parts | {"train": parts["train"].take(range(40))}
    fixed: dict[str, Any] = {"steps": 12, "checkpoint_seconds": 1e-9, "patience": 50, "back_translation": models}
    fixed |= {"word_deletion": 0.1}
    whole = tune(few, run_of(folder="whole", **fixed))
    translated.clear()
    for task, calls in (("back-translation", 0), ("training", 5)):
        with pytest.raises(StoppedError):
            tune(few, replace(run_of(resume=True, **fixed), reporter=StoppingReporter(task, calls)))
    resumed = tune(few, run_of(resume=True, **fixed))
    assert len(translated) == 40
    for name, value in whole.rater.state_dict().items():
        torch.testing.assert_close(resumed.rater.state_dict()[name], value, rtol=0, atol=0, msg=name)


def test_a_model_that_is_missing_is_told(run_of: RunOf, parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="there is no folder"):
        tune(parts, run_of(steps=1, back_translation=f"{tmp_path / 'nowhere'},x"))
