"""The model card: what a person should know before using a model (Mitchell et al. 2019, "Model cards for model reporting")."""

from collections.abc import Sequence
from pathlib import Path

from ratecast.evaluate.contest import Contest
from ratecast.model.store import CARD_FILE, Manifest


def write_card(
    folder: Path, manifest: Manifest, contest: Contest | None, data_lines: Sequence[str], notes: Sequence[str]
) -> None:
    """Write ``README.md`` into a model folder.

    Args:
        folder: the model folder.
        manifest: what the model is.
        contest: what it is worth beside its baselines; None if it has seen no rating.
        data_lines: the data report.
        notes: what else to know.
    """
    about = manifest.about
    lines = [
        "# Rating model",
        "",
        f"Predicts ratings on the scale {manifest.scale.describe()} from review texts. Made by ratecast on {about['made']}.",
        "",
        "## Use",
        "",
        "```python",
        "import ratecast",
        "",
        'model = ratecast.load("path/of/this/folder")',
        'print(model.predict(["Great phone, poor battery"])[0])',
        "```",
        "",
        "Meant for reviews like those it learned from: the same language, kind of item and scale. Predictions about other",
        "texts, or about people, are outside its purpose. It has not been checked for unequal errors between groups of people.",
        "",
        "## Worth",
        "",
        *_worth(contest),
        "",
        "## Made from",
        "",
        *(f"- {key.replace('_', ' ')}: {value}" for key, value in about.items() if not isinstance(value, dict)),
        "",
        *(f"- {note}" for note in notes),
        *_privacy(manifest),
        "",
        "## Data",
        "",
        "```",
        *data_lines,
        "```",
        "",
    ]
    (folder / CARD_FILE).write_text("\n".join(lines), encoding="utf-8")


def _worth(contest: Contest | None) -> list[str]:
    """What it is worth, as far as that was measured."""
    if contest is None:
        return [
            "Not measured: no rating was seen when this model was made. `ratecast evaluate` measures it on rated reviews, and",
            "`ratecast fit --prompt` learns from them.",
        ]
    header = contest.header()
    table = [header, ["---"] * len(header), *contest.rows()]
    return [
        f"Measured on {contest.model.metrics.reviews} {contest.judged_on} reviews, {_use(contest)}. {contest.verdict()}",
        "",
        *("| " + " | ".join(row) + " |" for row in table),
    ]


def _use(contest: Contest) -> str:
    """What else the reviews of the table were used for."""
    if contest.judged_on == "test":
        return "which were used for nothing else"
    return "which training was stopped by: no test part was set apart, so that the numbers flatter a little"


def _privacy(manifest: Manifest) -> list[str]:
    """Which part of the folder may hold personal data."""
    if "effects" not in manifest.chain:
        return []
    return ["- effects.json holds the values of the used columns, such as user ids: treat the folder as personal data then."]
