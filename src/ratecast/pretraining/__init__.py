"""Pretraining a backbone further on reviews without ratings."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ratecast.config import PretrainConfig
from ratecast.data import Source, source_stamp, stream_texts
from ratecast.data.wording import counted
from ratecast.errors import require
from ratecast.model.store import check_target
from ratecast.pretraining.folder import BACKBONE
from ratecast.progress import ConsoleReporter, Reporter

__all__ = ["Pretraining", "pretrain", "pretrain_texts"]


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """A backbone that was pretrained further.

    Attributes:
        folder: where it is; ``fit`` takes it as its ``backbone``.
        objective: what was learnt: "masked", "causal" or "contrastive".
        measure: what ``before`` and ``after`` are, "held-out perplexity", or for contrastive "held-out loss".
        output_was_new: whether the layer that tells words started at random, as the backbone had none.
        before: of the backbone as it was.
        after: of the weights that are kept, the best of all evaluations; the lower, the better.
        best_step: the step that these weights are from.
        steps: steps done.
        seconds: time of training.
        stopped_by: "plan" or "time budget".
        curve: one entry for each evaluation.
    """

    folder: Path
    objective: str
    measure: str
    output_was_new: bool
    before: float
    after: float
    best_step: int
    steps: int
    seconds: float
    stopped_by: str
    curve: list[dict[str, float]]

    def describe(self) -> str:
        """What came of it, in a sentence."""
        fall = f"{_shown(self.before)} before, {_shown(self.after)} after {counted(self.best_step, 'step')}"
        kept = "; nothing was gained, the weights are as they were"
        new = (
            "; the layer that tells words started at random, and most of the fall may be its own" if self.output_was_new else ""
        )
        return f"{self.measure}: {fall}{new if self.best_step else kept}"

    @classmethod
    def from_json(cls, folder: Path, facts: Mapping[str, Any]) -> "Pretraining":
        """What ``pretraining.json`` tells of a folder."""
        names = [part.name for part in fields(cls) if part.name not in {"folder", "curve"}]
        curve = [{key: math.nan if value is None else value for key, value in point.items()} for point in facts["curve"]]
        return cls(folder=folder, curve=curve, **{name: facts[name] for name in names})

    def to_json(self) -> dict[str, Any]:
        """Everything but the folder, as values that JSON can hold."""
        curve = [{key: None if math.isnan(value) else value for key, value in point.items()} for point in self.curve]
        return {name: value for name, value in asdict(self).items() if name != "folder"} | {"curve": curve}


def pretrain(
    source: Source,
    *,
    out: str | Path,
    config: PretrainConfig | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    **settings: Any,
) -> Pretraining:
    """Pretrain a backbone further on the texts of a table, and write it as a folder of transformers.

    Some of the reviews are held out; what is learnt is judged by them. The table may be larger than memory if it is Parquet,
    Arrow, CSV or JSON lines.

    Args:
        source: a file, folder, pattern, database or frame of reviews; no ratings are needed.
        out: folder for the backbone; an older one there that was pretrained is replaced.
        config: settings; the defaults otherwise.
        resume: go on with a run to the same folder that was interrupted.
        reporter: shows messages and progress; on standard error by default.
        **settings: single settings by their names, such as ``time_budget="1h"`` or ``objective="contrastive"``.

    Raises:
        RatecastError: if the data, a setting, the backbone or the output folder cannot be used; nothing is written then.

    Example:
        ``ratecast.pretrain("reviews.parquet", out="backbone/", time_budget="1h")``
    """
    chosen = (config or PretrainConfig()).with_values(**settings)
    told = reporter or ConsoleReporter()
    return _run(
        lambda: stream_texts(source, chosen.columns, told.tell),
        source_stamp(source),
        Path(out),
        chosen,
        resume=resume,
        reporter=told,
    )


def pretrain_texts(texts: list[str], *, out: Path, config: PretrainConfig, resume: bool, reporter: Reporter) -> Pretraining:
    """Pretrain a backbone further on texts; arguments and errors as for `pretrain`."""
    return _run(lambda: [texts], "", out, config, resume=resume, reporter=reporter)


def _run(
    texts: Callable[[], Any], stamp: str, out: Path, config: PretrainConfig, *, resume: bool, reporter: Reporter
) -> Pretraining:
    started = time.monotonic()
    check_target(out, BACKBONE)
    require("torch", "train", "pretraining")
    require("accelerate", "train", "pretraining")
    from ratecast.pretraining.session import Session

    return Session(out, config, reporter, started=started, resume=resume).run(texts, stamp)


def _shown(score: float) -> str:
    return f"{score:.3f}" if score < 1000 else f"{score:,.0f}"
