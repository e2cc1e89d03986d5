"""Reviews that are read in windows: their pooling against NumPy, the exported graphs against torch, and what is refused."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ratecast.config import BackboneConfig
from ratecast.errors import ConfigError
from ratecast.model import windows as windows_module
from ratecast.model.adapters import METHODS, attach, load_adapter
from ratecast.model.backbone import Backbone, load_backbone
from ratecast.model.export import export_rater
from ratecast.model.graph import GRAPH_FILE, POOLING_FILE, OnnxGraph
from ratecast.model.heads import create_head
from ratecast.model.rater import Rater, batch_tensors, torch_probabilities
from ratecast.model.store import Component, Manifest, write_manifest
from ratecast.model.windows import (
    WINDOW_POOLINGS,
    AttentionWindows,
    MeanWindows,
    RecurrentWindows,
    check_windows,
    create_window_pooling,
    pooling_name,
)
from ratecast.scale import RatingScale
from ratecast.text import pad_texts

SCALE = RatingScale.parse("1..5")
TEXTS = ["good food", "", "the food and the staff " * 9, "bad awful room " * 4, "never again " * 90, "very good hotel " * 12]
"""Of one window, of several, and of more than all windows hold."""


def settings_of(folder: Path, pooling: str, **settings: Any) -> BackboneConfig:
    return BackboneConfig(backbone=str(folder), max_tokens=16, windows=5, window_pooling=pooling, **settings)  # type: ignore[arg-type]


def rater_of(backbone: Backbone, config: BackboneConfig) -> Rater:
    """A network all of whose weights matter."""
    width = config.pooled_layers * backbone.width
    pooling = create_window_pooling(config, width, backbone.model)
    head = create_head("softmax", width, SCALE, np.array([1.0, 2, 3, 4, 5]))
    rater = Rater(backbone.model, head, pooling="mean", pooled_layers=config.pooled_layers, windows=pooling)
    shake(rater)
    return rater.eval()


def shake(rater: Rater) -> None:
    torch.manual_seed(1)
    nn.init.normal_(rater.head.linear.weight)
    for weight in rater.windows.parameters() if rater.windows is not None else ():
        nn.init.normal_(weight, std=0.1)


@pytest.fixture(scope="module", params=WINDOW_POOLINGS)
def exported(
    request: pytest.FixtureRequest, tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Rater, Backbone, Path, Component]:
    config = settings_of(tiny_backbone, request.param, pooled_layers=2)
    backbone = load_backbone(config, added_tokens=1)
    rater = rater_of(backbone, config)
    folder = tmp_path_factory.mktemp("windows")
    graph, _ = export_rater(rater, backbone.encoder, folder, TEXTS)
    return rater, backbone, folder, graph


def test_graphs_agree_with_torch(exported: tuple[Rater, Backbone, Path, Component]) -> None:
    rater, backbone, folder, component = exported
    assert {GRAPH_FILE, POOLING_FILE} <= set(component.files)
    found = OnnxGraph.load(folder, component, 5).probabilities(TEXTS)
    np.testing.assert_allclose(found, torch_probabilities(rater, backbone.encoder, TEXTS), atol=1e-5)
    assert found.std(axis=0).max() > 0.01


def test_review_does_not_depend_on_its_neighbours(
    exported: tuple[Rater, Backbone, Path, Component], monkeypatch: pytest.MonkeyPatch
) -> None:
    rater, backbone, folder, component = exported
    graph = OnnxGraph.load(folder, component, 5)
    alone = np.concatenate([graph.probabilities([text]) for text in TEXTS])
    np.testing.assert_allclose(graph.probabilities(TEXTS * 5), np.tile(alone, (5, 1)), atol=1e-5)
    monkeypatch.setattr("ratecast.model.graph._AT_ONCE", 4)
    np.testing.assert_allclose(graph.probabilities(TEXTS * 2), np.tile(alone, (2, 1)), atol=1e-5)
    one_by_one = np.concatenate([torch_probabilities(rater, backbone.encoder, [text]) for text in TEXTS])
    np.testing.assert_allclose(one_by_one, torch_probabilities(rater, backbone.encoder, TEXTS), atol=1e-5)


def test_what_is_shortened_is_told_and_nothing_is_no_prediction(exported: tuple[Rater, Backbone, Path, Component]) -> None:
    _, _, folder, component = exported
    graph = OnnxGraph.load(folder, component, 5)
    assert graph.explained(TEXTS)[1].tolist() == [text.count("never") > 30 for text in TEXTS]
    assert graph.probabilities([]).shape == (0, 5)


def test_the_last_window_and_every_other_one_counts(exported: tuple[Rater, Backbone, Path, Component]) -> None:
    _, _, folder, component = exported
    graph = OnnxGraph.load(folder, component, 5)
    words = ["the"] * 55
    plain = graph.probabilities([" ".join(words)])
    for place in range(0, 55, 6):
        changed = graph.probabilities([" ".join([*words[:place], "awful", *words[place + 1 :]])])
        assert np.abs(changed - plain).max() > 1e-6  # of a window that is not read it is 0


def by_hand(vectors: np.ndarray, query: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Attention over the windows of one review, shape ``(window, width)``."""
    width = vectors.shape[1]
    centred = vectors - vectors.mean(1, keepdims=True)
    standardised = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
    scores = np.sqrt(width) * (standardised @ query / width + place[: len(vectors)][::-1])
    weights = np.exp(scores - scores.max())
    pooled: np.ndarray = (weights / weights.sum()) @ vectors
    return pooled


def test_attention_over_windows_is_what_numpy_says() -> None:
    rng = np.random.default_rng(0)
    vectors, mask = rng.normal(2.0, 3.0, (3, 4, 8)), np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]])
    pooling = AttentionWindows(8, 4).double()
    nn.init.normal_(pooling.query)
    nn.init.normal_(pooling.place)
    found = pooling(torch.from_numpy(vectors), torch.from_numpy(mask)).detach().numpy()
    query, place = pooling.query.detach().numpy(), pooling.place.detach().numpy()
    for row in range(3):
        np.testing.assert_allclose(found[row], by_hand(vectors[row, mask[row] == 1], query, place), rtol=1e-9)


def test_mean_of_windows_leaves_out_those_that_are_none() -> None:
    vectors = torch.tensor([[[1.0, 2], [3, 4], [100, 100]], [[5, 6], [100, 100], [100, 100]]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert MeanWindows()(vectors, mask).tolist() == [[2, 3], [5, 6]]
    assert AttentionWindows(2, 3)(vectors, mask).tolist() == [[2, 3], [5, 6]]  # before any training


def test_more_windows_than_learnt_places_are_taken() -> None:
    pooling = AttentionWindows(2, 2)
    nn.init.normal_(pooling.place)
    weights = pooling.weights(torch.ones(1, 4, 2), torch.ones(1, 4, dtype=torch.int64))[0].tolist()
    assert weights[0] == pytest.approx(weights[2])  # as far from the end as can be
    assert weights[2] != pytest.approx(weights[3])


@pytest.fixture
def recurrent(tiny_backbone: Path) -> tuple[Rater, Backbone]:
    config = settings_of(tiny_backbone, "recurrent")
    backbone = load_backbone(config, added_tokens=1)
    return rater_of(backbone, config), backbone


def test_each_window_is_read_after_a_summary_of_the_one_before(recurrent: tuple[Rater, Backbone]) -> None:
    rater, backbone = recurrent
    pooling = rater.windows
    assert isinstance(pooling, RecurrentWindows)
    texts = backbone.encoder.encode(TEXTS[2:4])
    with torch.no_grad():
        found = rater.read(*batch_tensors(pad_texts(texts, np.arange(2), backbone.encoder.settings)))
        embed: Any = backbone.model.get_input_embeddings()  # type: ignore[operator]
        position = 0
        assert texts.starts is not None
        for count in np.diff(texts.starts):
            before = torch.zeros(32)
            for ids in texts.ids[position : position + count]:
                tokens = embed(torch.from_numpy(ids.astype(np.int64)))
                norm = before.norm().clamp(min=1e-12)
                summary = pooling.start + pooling.carry.weight @ (before / norm)
                states = backbone.model(inputs_embeds=torch.cat([summary[None], tokens])[None]).last_hidden_state
                before = states[0, 1:].mean(0)
                torch.testing.assert_close(found[position], before, atol=1e-5, rtol=1e-4)
                position += 1


def test_the_first_window_is_learnt_from_what_later_ones_read(recurrent: tuple[Rater, Backbone]) -> None:
    rater, backbone = recurrent
    texts = backbone.encoder.encode([TEXTS[2]])
    ids, mask, windows = batch_tensors(pad_texts(texts, np.array([0]), backbone.encoder.settings))
    given: list[Tensor] = []
    embed: Any = backbone.model.get_input_embeddings()  # type: ignore[operator]

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        output.retain_grad()
        given.append(output)

    embed.register_forward_hook(keep)
    rater.read(ids, mask, windows)[-1].square().sum().backward()  # type: ignore[no-untyped-call]
    assert given[0].grad is not None
    assert float(given[0].grad.abs().max()) > 0


def test_before_training_every_pooling_is_the_mean(tiny_backbone: Path) -> None:
    for name in WINDOW_POOLINGS:
        config = settings_of(tiny_backbone, name)
        backbone = load_backbone(config, added_tokens=1)
        pooling = create_window_pooling(config, 32, backbone.model)
        assert pooling is not None
        assert pooling_name(pooling) == name
        if isinstance(pooling, RecurrentWindows):
            summary = pooling.summary(torch.randn(3, 32))
            assert torch.equal(summary, pooling.start.expand(3, 1, -1))
        vectors, mask = torch.randn(2, 3, 32), torch.ones(2, 3, dtype=torch.int64)
        torch.testing.assert_close(pooling(vectors, mask), vectors.mean(1))
    assert create_window_pooling(dataclasses.replace(config, windows=1), 32, backbone.model) is None


@pytest.mark.parametrize("tune", ["lora", "prompt", "bottleneck"])
@pytest.mark.parametrize("pooling", ["attention", "recurrent"])
def test_adapters_keep_the_pooling_of_windows(tune: str, pooling: str, tiny_backbone: Path, tmp_path: Path) -> None:
    config = settings_of(tiny_backbone, pooling)
    backbone = load_backbone(config, added_tokens=11)
    adapter = attach(backbone, METHODS[tune]())
    rater = rater_of(dataclasses.replace(backbone, model=adapter.model), config)
    expected = torch_probabilities(rater, backbone.encoder, TEXTS)
    parts = export_rater(rater, backbone.encoder, tmp_path, TEXTS, adapter=adapter)
    write_manifest(tmp_path, Manifest(scale=SCALE, components=parts, chain=("graph",)))
    np.testing.assert_allclose(OnnxGraph.load(tmp_path, parts[0], 5).probabilities(TEXTS), expected, atol=1e-4)
    found = load_adapter(tmp_path)
    np.testing.assert_allclose(torch_probabilities(found.rater, found.encoder, TEXTS), expected, atol=1e-5)


def test_backbones_that_take_no_summary_are_refused(tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import CpmAntConfig

    check_windows(settings_of(tiny_backbone, "recurrent"))
    with pytest.raises(ConfigError, match=r"max_tokens is 160, but of the 160 positions .* takes one: ask for up to 159"):
        check_windows(dataclasses.replace(settings_of(tiny_backbone, "recurrent"), max_tokens=160))
    check_windows(dataclasses.replace(settings_of(tiny_backbone, "attention"), max_tokens=160))
    monkeypatch.setattr(windows_module, "backbone_architecture", lambda _name: CpmAntConfig())
    with pytest.raises(ConfigError, match=r"\(CpmAntModel\) does not take: choose attention or mean"):
        check_windows(settings_of(tiny_backbone, "recurrent"))
    check_windows(settings_of(tiny_backbone, "mean"))
