"""The fast gradient method, against gradients taken directly and over model families."""

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    GPT2Config,
    LlamaConfig,
    ModernBertConfig,
    RobertaConfig,
)

from ratecast.model.backbone import transformer_layers
from ratecast.train.adversarial import FastGradient, step_along

SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 100}
CONFIGS = {
    "bert": BertConfig(**SIZE),
    "roberta": RobertaConfig(**SIZE, max_position_embeddings=40),
    "distilbert": DistilBertConfig(dim=32, n_layers=2, n_heads=2, hidden_dim=64, vocab_size=100),
    "deberta": DebertaV2Config(**SIZE, relative_attention=True, pos_att_type=["c2p", "p2c"]),
    "modernbert": ModernBertConfig(**SIZE, pad_token_id=1, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3),
    "llama": LlamaConfig(**SIZE),
    "gpt2": GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=100),
}


def test_step_has_the_length_and_the_direction() -> None:
    gradient = torch.randn(3, 4, 5)
    gradient[2] = 0
    step = step_along(gradient, 7.0)
    np.testing.assert_allclose(np.linalg.norm(step.numpy().reshape(3, -1), axis=1), [7.0, 7.0, 0.0], rtol=1e-6)
    cosine = torch.nn.functional.cosine_similarity(step[:2].flatten(1), gradient[:2].flatten(1))
    np.testing.assert_allclose(cosine.numpy(), 1.0, rtol=1e-6)


def test_second_losses_are_those_after_the_step_and_gradients_add_up() -> None:
    entrance, inputs = torch.nn.Linear(4, 1), torch.randn(3, 4)

    def compute() -> Tensor:
        found: Tensor = entrance(inputs).square().squeeze(-1)
        return found

    clean = compute().detach()
    losses = FastGradient(entrance, 0.1).losses(compute)
    first = next(losses)
    assert torch.equal(first.detach(), clean)
    first.mean().backward()  # type: ignore[no-untyped-call]
    own = entrance.weight.grad.clone() if entrance.weight.grad is not None else torch.zeros(1)
    second = next(losses)
    # By hand: the gradient by the input is 2f(x)·w / 3, so the step is ±0.1·w / ‖w‖ and f moves by ±0.1·‖w‖.
    output, norm = entrance(inputs).squeeze(-1).detach(), float(entrance.weight.detach().norm())
    np.testing.assert_allclose(second.detach().numpy(), (output.abs() + 0.1 * norm).square().numpy(), rtol=1e-5)
    second.mean().backward()  # type: ignore[no-untyped-call]
    assert entrance.weight.grad is not None
    assert not torch.equal(entrance.weight.grad, own)
    assert list(losses) == []
    assert torch.equal(compute().detach(), clean), "something is still added to what enters"


def test_asks_for_the_backward_pass() -> None:
    entrance, inputs = torch.nn.Linear(4, 1), torch.randn(3, 4)
    losses = FastGradient(entrance, 0.1).losses(lambda: entrance(inputs).squeeze(-1))
    next(losses)
    with pytest.raises(RuntimeError, match="expected a backward pass"):
        next(losses)


@pytest.mark.parametrize("family", CONFIGS)
def test_makes_every_architecture_err_more(family: str) -> None:
    torch.manual_seed(0)
    model = AutoModel.from_config(CONFIGS[family]).eval()
    ids = torch.randint(4, 100, (3, 7))
    target = torch.randn(3, 32)

    def compute() -> Tensor:
        found: Tensor = (model(input_ids=ids).last_hidden_state.mean(1) - target).square().mean(1)
        return found

    losses = FastGradient(transformer_layers(model)[0], 0.05).losses(compute)
    first = next(losses)
    first.mean().backward()  # type: ignore[no-untyped-call]
    second = next(losses)
    assert bool((second > first).all())
