"""Translation with tiny sequence-to-sequence models: what transformers itself writes, nothing cut, and plain errors."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ratecast.errors import BackboneError
from ratecast.model.translate import Translator

MakeTranslator = Callable[..., Path]


def alone(folder: Path, sentence: str) -> str:
    """What transformers writes for one sentence by itself."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    with torch.no_grad():
        written = model.generate(**tokenizer(sentence, return_tensors="pt", return_token_type_ids=False), max_new_tokens=39)
    found: str = tokenizer.decode(written[0], skip_special_tokens=True).strip()
    return found


@pytest.mark.parametrize(("kind", "beams"), [("t5", 1), ("t5", 3), ("bart", 1), ("bart", 2)])
def test_sentences_are_translated_as_each_alone(tiny_translator: MakeTranslator, kind: str, beams: int) -> None:
    folder = tiny_translator(kind, beams=beams)
    sentences = ["the room was great.", "the staff of this hotel was not good at all!", "bad food"]
    first, second, third = (alone(folder, sentence) for sentence in sentences)
    assert len({first, second, third}) == 3
    translator = Translator.load(str(folder))
    texts = [f"{sentences[2]}\n\n{sentences[0]} {sentences[1]}", sentences[1], "", " \n"]
    assert translator.translate(texts) == [f"{third}\n\n{first} {second}", second, "", " \n"]
    assert translator.translate([]) == []


def test_nothing_is_cut(tiny_translator: MakeTranslator) -> None:
    translator = Translator.load(str(tiny_translator("bart")))
    read: list[str] = []
    original = translator._model.generate

    def generate(input_ids: torch.Tensor, attention_mask: torch.Tensor, max_new_tokens: int) -> torch.Tensor:
        assert input_ids.shape[1] <= 20
        read.extend(translator._tokenizer.batch_decode(input_ids, skip_special_tokens=True))
        assert attention_mask.sum(1).min() > 1
        found: torch.Tensor = original(input_ids=input_ids, attention_mask=attention_mask, max_new_tokens=max_new_tokens)
        return found

    translator._model.generate = generate
    words = [f"{thing} number {number}" for number in range(40) for thing in ("room", "staff")]
    (found,) = translator.translate([" ".join(words)])
    assert sorted(" ".join(read).split()) == sorted(" ".join(words).split())
    assert found is not None
    assert len(found.split()) >= len(read)


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_what_does_not_end_is_no_translation(tiny_translator: MakeTranslator, kind: str) -> None:
    """BART's last token is forced to be an end: that is none."""
    translator = Translator.load(str(tiny_translator(kind, ends=False)))
    assert translator.translate(["the room was great. bad", "."]) == [None, None]


def test_models_that_cannot_be_used_are_told_in_a_line(
    tiny_translator: MakeTranslator, tiny_backbone: Path, tmp_path: Path
) -> None:
    def refused(name: str | Path) -> str:
        with pytest.raises(BackboneError) as caught:
            Translator.load(str(name))
        message = str(caught.value)
        assert "\n" not in message
        return message

    assert "there is no folder" in refused(tmp_path / "nowhere")
    assert "is of the type 'bert'; expected a sequence-to-sequence model" in refused(tiny_backbone)
    offline = refused("Helsinki-NLP/opus-mt-en-de")
    assert offline.startswith("the translation model 'Helsinki-NLP/opus-mt-en-de' is not in the local cache")
    folder = tiny_translator("t5")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "holds pytorch_model.bin; expected model.safetensors" in refused(folder)
    (folder / "pytorch_model.bin").rename(folder / "model.safetensors")
    (folder / "model.safetensors").write_bytes(b"no weights")
    assert refused(folder).startswith(f"{folder / 'model.safetensors'} is damaged (")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"auto_map": {"AutoModelForSeq2SeqLM": "other.Model"}}))
    assert "needs code of its own" in refused(folder)
    (folder / "config.json").write_text(json.dumps(settings | {"model_type": "marian"}))
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    assert "holds no tokenizer; expected a tokenizer.json" in refused(folder)
