"""The report: one file that stands on its own and says what the numbers say."""

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ratecast.errors import OutputError, ShapeError
from ratecast.evaluate.contest import Contest, run_contest
from ratecast.evaluate.report import CurvePoint, confusion_counts, write_report
from ratecast.scale import FloatArray, RatingScale

pytest.importorskip("matplotlib")

STARS = RatingScale.parse("1..5")
CONTINUOUS = RatingScale.continuous(np.linspace(0, 100, 500), 0, 100)
MODEL = "fine-tuned model"
CURVE = [
    CurvePoint(step=10 * point, seconds=float(point), training_loss=1 / point, validation_rmse=1 / point, learning_rate=1e-5)
    for point in range(1, 5)
]


def drawn(scale: RatingScale, reviews: int = 300, seed: int = 0) -> tuple[FloatArray, FloatArray, Contest]:
    generator = np.random.default_rng(seed)
    levels = np.asarray(scale.levels)
    ratings = generator.choice(levels, size=reviews)
    scores = -((levels - ratings[:, None] - generator.normal(size=(reviews, 1))) ** 2)
    probabilities = np.exp(scores) + 1e-3
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    constant = np.full_like(probabilities, 1 / len(scale))
    contest = run_contest(ratings, {"constant": constant, MODEL: probabilities}, scale, model=MODEL, seconds={MODEL: 12.0})
    return ratings, probabilities, contest


def report(path: Path, scale: RatingScale = STARS, reviews: int = 300, curve: Sequence[CurvePoint] | None = CURVE) -> str:
    ratings, probabilities, contest = drawn(scale, reviews)
    write_report(
        path / "report.html",
        title="Ratings of <reviews> & more",
        contest=contest,
        ratings=ratings,
        probabilities=probabilities,
        learning_curve=curve,
        data_report_lines=["300 rows read", "1 <b> ████"],
        notes=["5 % of the reviews were <shortened>."],
    )
    return (path / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report on five levels."""
    return report(tmp_path_factory.mktemp("report"))


class Structure(HTMLParser):
    """Collects tags and attributes, and checks that every tag is closed in order."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(html: str) -> Structure:
    structure = Structure()
    structure.feed(html)
    structure.close()
    assert not structure.open
    return structure


def test_the_file_stands_on_its_own(html: str) -> None:
    structure = parsed(html)
    tags = {tag for tag, _ in structure.seen}
    assert not tags & {"script", "link", "img", "iframe", "object"}
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in re.sub(r"url\(#", "", html)
    assert "@import" not in html
    assert not [name for _, attributes in structure.seen for name in attributes if name.startswith("on")]
    assert len(html) < 1_000_000


def test_it_says_what_the_contest_says(html: str) -> None:
    text = parsed(html).text.replace("\N{NO-BREAK SPACE}", " ")
    contest = drawn(STARS)[2]
    assert contest.verdict() in text
    assert "Beats every baseline" in text
    assert f"<b>{contest.model.metrics.rmse:.3f}</b>" in html
    assert contest.interval_text(contest.model, "qwk") in text
    for heading in ("Predicted against true", "Confusion matrix", "Reliability", "Learning curve", "The data", "Notes"):
        assert f">{heading}</h2>" in html
    assert "step 40, with the lowest validation RMSE: 0.250" in text


def test_what_users_wrote_is_escaped(html: str) -> None:
    assert "<title>Ratings of &lt;reviews&gt; &amp; more</title>" in html
    assert "<shortened>" not in html
    assert "1 <b>" not in html


def test_it_can_be_read_aloud(html: str) -> None:
    structure = parsed(html)
    assert ("html", {"lang": "en"}) in structure.seen
    for tag, attributes in structure.seen:
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
        if tag == "th":
            assert attributes.get("scope")
    assert sum(tag == "caption" for tag, _ in structure.seen) == sum(tag == "table" for tag, _ in structure.seen) == 2
    ids = [attributes["id"] for _, attributes in structure.seen if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_parts_that_are_absent_are_left_out(tmp_path: Path) -> None:
    ratings, probabilities, contest = drawn(STARS)
    write_report(tmp_path / "bare.html", title="t", contest=contest, ratings=ratings, probabilities=probabilities)
    bare = (tmp_path / "bare.html").read_text(encoding="utf-8")
    assert "Learning curve" not in bare
    assert "The data" not in bare
    assert "Notes" not in bare


@pytest.mark.parametrize("scale", [RatingScale.parse("0..1"), RatingScale.parse("1..5/0.5"), RatingScale.parse("0..20")])
def test_every_discrete_scale_has_its_confusion_matrix(tmp_path: Path, scale: RatingScale) -> None:
    structure = parsed(report(tmp_path, scale))
    cells = [attributes for tag, attributes in structure.seen if tag == "td" and "--share" in (attributes.get("style") or "")]
    assert len(cells) == len(scale) ** 2


def test_a_continuous_scale_has_none(tmp_path: Path) -> None:
    continuous = report(tmp_path, CONTINUOUS)
    parsed(continuous)
    assert "Confusion matrix" not in continuous
    assert "Accuracy" not in continuous
    assert "Predicted against true" in continuous


@pytest.mark.parametrize("scale", [STARS, CONTINUOUS], ids=["levels", "bins"])
def test_one_review_is_enough(tmp_path: Path, scale: RatingScale) -> None:
    single = report(tmp_path, scale, reviews=1)
    assert "nan" not in parsed(single).text.lower()
    assert "1 test review " in single


def test_equal_runs_write_equal_files(tmp_path: Path, html: str) -> None:
    assert report(tmp_path) == html


def test_confusion_counts_by_hand() -> None:
    counts = confusion_counts([1, 1, 5, 4], [1, 2, 5, 5], STARS)
    assert counts.sum() == 4
    assert (counts[0, 0], counts[0, 1], counts[4, 4], counts[3, 4]) == (1, 1, 1, 1)


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write the report to"):
        report(tmp_path / "missing")
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputError, match="choose another place"):
        report(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]  # nothing is left behind


def test_shapes_that_do_not_fit(tmp_path: Path) -> None:
    ratings, probabilities, contest = drawn(STARS)
    with pytest.raises(ShapeError):
        write_report(tmp_path / "r.html", title="t", contest=contest, ratings=ratings[1:], probabilities=probabilities)
    assert not list(tmp_path.iterdir())
