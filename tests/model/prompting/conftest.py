"""Tiny untrained language models with their output layers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from architectures import write_tiny
from ratecast.config import FitConfig

WORDS = ("awful", "bad", "fine", "good", "great")
"""Words that the tiny tokenizer knows, for five levels."""


@pytest.fixture(scope="session")
def language_of(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a tiny language model of an architecture, with the tokenizer that all of them share."""
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            kind = {"gpt2": "AutoModelForCausalLM", "llama": "AutoModelForCausalLM", "t5": "AutoModelForSeq2SeqLM"}
            folder = tmp_path_factory.mktemp(family)
            made[family] = write_tiny(folder, family, tiny_backbone, kind.get(family, "AutoModelForMaskedLM"), gains=0.5)
        return made[family]

    return make


@pytest.fixture
def config_of(language_of: Callable[[str], Path]) -> Callable[..., FitConfig]:
    """Settings of a prompt for a tiny language model."""

    def make(family: str = "bert", **settings: Any) -> FitConfig:
        defaults: dict[str, Any] = {
            "max_tokens": 64,
            "prompt": "default",
            "verbaliser": ",".join(WORDS),
            "precision": "float32",
        }
        return FitConfig().with_values(**({"backbone": str(language_of(family))} | defaults | settings))

    return make
