"""Which layers of each architecture are changed."""

import re
from collections.abc import Callable

import pytest

from ratecast.config import FitConfig
from ratecast.model.adapters import attach, create_method
from ratecast.model.adapters.families import FAMILIES
from ratecast.model.backbone import Backbone

_BERT = {"lora": "self.query self.value", "ia3": "self.key self.value layer.output.dense", "bottleneck": "layer.output.dense"}
_LLAMA = {"lora": "self_attn.q_proj self_attn.v_proj", "ia3": "self_attn.k_proj self_attn.v_proj mlp.down_proj"}
CHANGED = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "deberta-v2": {"lora": "self.query_proj self.value_proj", "ia3": "self.key_proj self.value_proj layer.output.dense"},
    "modernbert": {"lora": "attn.Wqkv", "ia3": "attn.Wqkv mlp.Wo", "bottleneck": "mlp.Wo"},
    "distilbert": {"lora": "attention.q_lin attention.v_lin", "ia3": "attention.k_lin attention.v_lin ffn.lin2"},
    "gpt2": {"lora": "attn.c_attn", "ia3": "attn.c_attn mlp.c_proj", "bottleneck": "mlp.c_proj"},
    "llama": _LLAMA | {"bottleneck": "mlp.down_proj"},
    "qwen2": _LLAMA | {"bottleneck": "mlp.down_proj"},
    "qwen3": _LLAMA | {"bottleneck": "mlp.down_proj"},
    "smollm3": _LLAMA | {"bottleneck": "mlp.down_proj"},
}
"""The ends of the layers' names; each is there once in both layers of the tiny backbones."""


@pytest.mark.parametrize(("family", "name"), [(family, name) for family in CHANGED for name in CHANGED[family]])
def test_changed_layers(family: str, name: str, base_of: Callable[[str], Backbone]) -> None:
    method = create_method(FitConfig().with_values(tune=name).adapter)
    assert method is not None
    model = attach(base_of(family), method).model
    ends = re.compile(r"\.(lora_[AB]\.default\.weight|ia3_l\.default|(up|down)\.(weight|bias))$")
    changed = {ends.sub("", part) for part, weight in model.named_parameters() if weight.requires_grad}
    expected = CHANGED[family][name].split()
    assert len(changed) == 2 * len(expected)
    for part in changed:
        without_numbers = ".".join(word for word in part.split(".") if not word.isdigit())
        assert any(without_numbers.endswith(end) for end in expected), part


def test_every_family_is_here() -> None:
    assert set(CHANGED) == set(FAMILIES)
