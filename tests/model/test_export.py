"""The exported graph against torch."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from ratecast.config import BackboneConfig
from ratecast.errors import ModelFolderError
from ratecast.model.backbone import load_backbone
from ratecast.model.export import export_rater
from ratecast.model.graph import OnnxGraph
from ratecast.model.heads import HEADS, Head, create_head
from ratecast.model.rater import Rater, torch_probabilities
from ratecast.model.store import Component
from ratecast.progress import Advance, SilentReporter
from ratecast.scale import RatingScale
from ratecast.text.unknown import unknown_fractions

SCALE = RatingScale.parse("1..5")
TEXTS = ["good food", "", "the " * 400, "bad awful room", "😀 مرحبا", "\x00", "never again with the staff of the hotel"]


@pytest.fixture(scope="module", params=HEADS)
def exported(
    request: pytest.FixtureRequest, tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Rater, Path, Component]:
    backbone = load_backbone(BackboneConfig(backbone=str(tiny_backbone), max_tokens=32))
    head = create_head(request.param, backbone.width, SCALE, np.array([1.0, 2, 3, 4, 5]))
    rater = Rater(backbone.model, head, pooling="mean")
    folder = tmp_path_factory.mktemp("export")
    graph, _ = export_rater(rater, backbone.encoder, folder, ["good", "bad"])
    return rater, folder, graph


def test_graph_agrees_with_torch(exported: tuple[Rater, Path, Component]) -> None:
    rater, folder, component = exported
    graph = OnnxGraph.load(folder, component, 5)
    np.testing.assert_allclose(graph.probabilities(TEXTS), torch_probabilities(rater, graph.encoder, TEXTS), atol=1e-4)


class HeadGraph(torch.nn.Module):
    """A head as it is exported with a backbone: vectors to level probabilities."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Level probabilities, shape ``(batch, level)``."""
        return self.head.probabilities(self.head(vectors))


@pytest.mark.parametrize("scale", ["0,1", "0..20"])
@pytest.mark.parametrize("name", HEADS)
def test_head_can_be_exported_for_any_scale(name: str, scale: str, tmp_path: Path) -> None:
    levels = RatingScale.parse(scale)
    graph = HeadGraph(create_head(name, 8, levels, np.asarray(levels.levels))).eval()
    torch.nn.init.normal_(graph.head.linear.weight)
    vectors = torch.randn(32, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecated calls, as in ratecast.model.export
        torch.onnx.export(
            graph,
            (vectors[:2],),
            str(tmp_path / "head.onnx"),
            dynamo=True,
            input_names=["vectors"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )
    session = onnxruntime.InferenceSession(tmp_path / "head.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"vectors": vectors.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(found, graph(vectors).numpy(), atol=1e-5)
    assert found.std(axis=0).max() > 0.01


def test_review_does_not_depend_on_its_neighbours(exported: tuple[Rater, Path, Component]) -> None:
    _, folder, component = exported
    graph = OnnxGraph.load(folder, component, 5)
    together = graph.probabilities(TEXTS * 5)
    alone = np.concatenate([graph.probabilities([text]) for text in TEXTS])
    np.testing.assert_allclose(together, np.tile(alone, (5, 1)), atol=1e-5)
    np.testing.assert_allclose(together.sum(axis=1), 1)


def test_shortened_texts_are_told(exported: tuple[Rater, Path, Component]) -> None:
    _, folder, component = exported
    assert OnnxGraph.load(folder, component, 5).explained(TEXTS)[1].tolist() == [text.count("the ") > 30 for text in TEXTS]


def test_no_text_gives_no_prediction(exported: tuple[Rater, Path, Component]) -> None:
    _, folder, component = exported
    assert OnnxGraph.load(folder, component, 5).probabilities([]).shape == (0, 5)


def test_weights_of_a_large_graph_lie_beside_it(tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratecast.model.export.MOST_GRAPH_BYTES", 0)
    backbone = load_backbone(BackboneConfig(backbone=str(tiny_backbone), max_tokens=32))
    rater = Rater(backbone.model, create_head("mixed", backbone.width, SCALE, np.array([1.0, 2, 3, 4, 5])), pooling="mean")
    component, _ = export_rater(rater, backbone.encoder, tmp_path, ["good", "bad"])
    assert set(component.files) == {"model.onnx", "model.onnx.data", "tokenizer.json"}
    assert (tmp_path / "model.onnx.data").stat().st_size > 100_000  # most of the 33,000 weights
    found = OnnxGraph.load(tmp_path, component, 5).probabilities(TEXTS)
    np.testing.assert_allclose(found, torch_probabilities(rater, backbone.encoder, TEXTS), atol=1e-4)


def test_broken_graph_is_told(exported: tuple[Rater, Path, Component], tmp_path: Path) -> None:
    _, folder, component = exported
    for name in component.files:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelFolderError, match="ONNX Runtime cannot load"):
        OnnxGraph.load(tmp_path, component, 5)


def test_parts_that_are_tokenised_ahead_come_in_order(
    exported: tuple[Rater, Path, Component], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder, component = exported
    graph = OnnxGraph.load(folder, component, 5)
    texts = [*TEXTS, *(f"good {'bad ' * number}" for number in range(20))]
    together = graph.explained(texts)
    monkeypatch.setattr("ratecast.model.graph._AT_ONCE", 4)
    told: list[int] = []
    apart = graph.explained(texts, CountingReporter(told))
    np.testing.assert_allclose(apart.probabilities, together.probabilities, atol=1e-6)
    np.testing.assert_array_equal(apart.shortened, together.shortened)
    np.testing.assert_array_equal(apart.unknown, together.unknown)
    assert together.probabilities[:, 0].std() > 1e-4
    assert sum(told) == len(texts)


class CountingReporter(SilentReporter):
    """Keeps the numbers of texts that were told."""

    def __init__(self, told: list[int]) -> None:
        self._told = told

    @contextmanager
    def track(self, task: str, total: int) -> Iterator[Advance]:
        yield lambda units, note: self._told.append(units)


def test_a_failure_to_tokenise_reaches_the_caller(
    exported: tuple[Rater, Path, Component], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder, component = exported
    graph = OnnxGraph.load(folder, component, 5)
    monkeypatch.setattr("ratecast.model.graph._AT_ONCE", 2)
    with pytest.raises(TypeError):
        graph.probabilities(["good", "bad", "fine", None])  # type: ignore[list-item]


def test_unknown_shares_are_those_of_the_whole_text(exported: tuple[Rater, Path, Component]) -> None:
    _, folder, component = exported
    graph = OnnxGraph.load(folder, component, 5)
    texts = ["good food", "", "😀 مرحبا", "good 😀"]
    np.testing.assert_allclose(graph.explained(texts).unknown, unknown_fractions(graph.encoder.tokenizer, texts))
