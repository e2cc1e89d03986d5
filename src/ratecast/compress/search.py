"""As small and fast as a limit allows: variants and students are made, measured and combined, and the best is written."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ratecast.baseline import Baseline
from ratecast.combine.stack import stack_after
from ratecast.compress.candidates import Candidate
from ratecast.compress.division import Division
from ratecast.compress.findings import Findings
from ratecast.compress.frontier import LOSSES, Limits, Part, Point, blended, cascades, choices, choose, closest
from ratecast.compress.lessons import prepare
from ratecast.compress.making import Candidates
from ratecast.compress.teacher import Teacher
from ratecast.compress.timing import Timed, timed
from ratecast.compress.written import Reduced
from ratecast.config import CompressConfig
from ratecast.data import Source
from ratecast.data.split import judged_reviews, stopping_rows
from ratecast.errors import ConfigError, RatecastError, require
from ratecast.files import check_working_folder, read_state, working_folder, write_state
from ratecast.job import Job, working_place
from ratecast.members import fit_linear
from ratecast.model.graph import GRAPH_DATA_FILE
from ratecast.model.reference import REFERENCE_FILE
from ratecast.model.static import STATIC
from ratecast.model.store import check_target
from ratecast.predict import Predictor, load
from ratecast.processors import available_processors
from ratecast.progress import ConsoleReporter, Reporter

_EVERY_REVIEW: Final = 3.0
"""Time of judging a review by the smaller model, the whole one and the baselines, as a multiple of the whole one's."""
_SEARCH_FILE: Final = "search.json"
"""What the unfinished work in a folder belongs to."""


def compress(
    model: str | Path,
    source: Source,
    *,
    out: str | Path,
    config: CompressConfig | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    **settings: Any,
) -> Predictor:
    """Make a model as small and fast as a limit on its error or on its time allows, and write its folder.

    Tried are the network with 8-bit integers and with fewer tokens, networks of fewer layers and a table of word vectors that
    learn from the model, the linear models, blends of these, and cascades of two blends. Each is measured on the validation
    reviews and timed on this machine; of those that keep to the limit the quickest is written, or with a limit on the time
    alone the most accurate. It is then judged beside the model on test reviews that neither has seen.

    Args:
        model: folder of a model that ratecast fitted.
        source: a file, folder, pattern, database or frame of rated reviews, best those that it was fitted on.
        out: folder for the smaller model; an older one there is replaced.
        config: settings; the defaults otherwise.
        resume: go on with a run to the same folder that was interrupted, or that found nothing within its limit: what was made
            is used again, also with another limit.
        reporter: shows messages, progress and the frontier; on standard error by default.
        **settings: single settings by their flat names, such as ``max_loss="1%"`` or ``time_budget="5m"``.

    Returns:
        The smaller model, loaded from its folder.

    Raises:
        RatecastError: if the model, the data, a setting or the output folder cannot be used, or nothing keeps to the limit; the
            message says what comes closest. Nothing is written then.

    Example:
        ``compress("model/", "reviews.parquet", out="small/", max_loss="1%")``
    """
    started = time.monotonic()
    chosen = (config or CompressConfig()).with_values(**settings)
    target, told = Path(out), reporter or ConsoleReporter()
    check_target(target)
    check_working_folder(working_place(target))
    require("torch", "train", "compressing").set_num_threads(chosen.threads or available_processors())
    teacher = Teacher(Path(model), chosen.threads)
    if target.resolve() == teacher.folder.resolve():
        raise ConfigError(f"{target} is the model itself; give another folder for the smaller one")
    parts = teacher.predictor.manifest.components
    if chosen.deterministic and any(file.endswith(REFERENCE_FILE) for part in parts for file in part.files):
        raise ConfigError(
            f"the model {teacher.folder} was quantised, so that its answers depend on the processor: leave --deterministic "
            "out, or give the model that it was made from"
        )
    if teacher.predictor.chain.cascade is not None:
        raise ConfigError(f"{model} is a cascade, which was compressed already; give the model that it was made from")
    job, division = prepare(source, teacher, chosen.for_student(STATIC), out=target, reporter=told, started=started)
    with working_folder(job.working, resume=resume):
        _Search(job, division, teacher, chosen, resume=resume).write()
    return load(target, threads=chosen.threads)


class _Search:
    """The steps of `compress` after the reviews are divided."""

    def __init__(self, job: Job, division: Division, teacher: Teacher, config: CompressConfig, *, resume: bool) -> None:
        self._job, self._division, self._teacher, self._config, self._resume = job, division, teacher, config, resume
        self._validation = job.parts["validation"].take(stopping_rows(len(job.parts["validation"])))
        self._texts = self._validation.joined()
        self._large: set[str] = set()  # networks whose weights have a file of a fixed name: a folder holds one of them
        self._fingerprint = hashlib.sha256(json.dumps([job.fingerprint, teacher.sha256]).encode()).hexdigest()

    def write(self) -> None:
        """Make and measure what there is to choose from, choose, and write the model folder."""
        job = self._job
        self._check_resumed()
        baselines = fit_linear(job)
        each = self._teacher.seconds_per_text(job.parts["train"].joined(), self._config.seed)
        judged = job.judged(judged_reviews(len(job.parts["test"]), seconds=job.clock.left(), seconds_per_review=each))
        candidates: dict[str, Candidate] = {}
        parts = {name: self._linear(name, made) for name, made in baselines.items() if self._takes_part(name, made)}
        for candidate in self._candidates(each, after=_EVERY_REVIEW * each * len(judged)).all():
            candidates[candidate.name] = candidate
            self._large |= {candidate.name} if GRAPH_DATA_FILE in candidate.component.files else set()
            parts[candidate.name] = self._measured(candidate)
        findings = self._findings(parts)
        for line in findings.lines():
            job.reporter.tell(line)
        chosen = findings.chosen
        if chosen is None:
            raise RatecastError(f"{findings.unmet()}. --resume with another limit uses again what was made")
        effects, found = self._teacher.predictor.chain.effects, chosen.probabilities
        found = found if effects is None else effects.apply(found, self._validation)
        coverage = job.config.answer.coverage
        Reduced(
            job=replace(job, documents={"frontier.html": findings.to_html()}),
            teacher=self._teacher,
            division=self._division,
            findings=findings,
            stack=stack_after(chosen.answer, found, self._validation, job.scale, effects=effects, coverage=coverage),
            candidates=candidates,
            baselines=baselines,
            judged=judged,
        ).write()

    def _candidates(self, each: float, *, after: float) -> Candidates:
        return Candidates(
            self._job,
            self._division,
            self._teacher,
            self._config,
            self._validation,
            fingerprint=self._fingerprint,
            each=each,
            after=after,
            resume=self._resume,
        )

    def _check_resumed(self) -> None:
        path = self._job.working / _SEARCH_FILE
        found = read_state(path) if self._resume else None
        if found is not None and found != self._fingerprint:
            raise ConfigError(
                f"what an interrupted run left in {self._job.working} is of other reviews, settings or another model; run "
                "without --resume"
            )
        if found is None:
            write_state(path, self._fingerprint)

    def _takes_part(self, name: str, made: Baseline) -> bool:
        return made.kind == "linear" or name in self._teacher.predictor.chain.blend.members

    # -- measuring ----------------------------------------------------------------------------------------------------

    def _measured(self, candidate: Candidate) -> Part:
        threads = self._config.threads or available_processors()
        path = self._job.working / "measured" / f"{threads} threads" / f"{candidate.name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._resume and path.is_file():
            found = Timed.load(path)
        else:
            with self._job.reporter.track(f"measuring {candidate.name}", total=1) as advance:
                found = timed(candidate.load(self._config.threads).probabilities, self._texts, seed=self._config.seed)
                advance(1, f"{1000 / found.batch_ms:,.0f} reviews/s, {found.single_ms:.3g} ms for one")
            found.save(path)
        return Part(
            name=candidate.name,
            probabilities=found.probabilities,
            batch_ms=found.batch_ms,
            single_ms=found.single_ms,
            megabytes=candidate.megabytes,
            is_neural=candidate.is_network,
        )

    def _linear(self, name: str, made: Baseline) -> Part:
        """A linear model as it will be written, with what one that learned from the training reviews alone says."""
        found = timed(made.model.probabilities, self._texts, seed=self._config.seed)
        place = self._job.working / "linear"
        place.mkdir(exist_ok=True)
        size = sum((place / file).stat().st_size for file in made.model.save(place, name))
        return Part(
            name=name,
            probabilities=made.validation,
            batch_ms=found.batch_ms,
            single_ms=found.single_ms,
            megabytes=size / 1e6,
        )

    def _findings(self, parts: Mapping[str, Part]) -> Findings:
        """Every combination measured, and the one that the limits choose."""
        seed, scale, reporter = self._config.seed, self._job.scale, self._job.reporter
        whole = blended(
            parts, [name for name in self._teacher.predictor.chain.blend.members if name in parts], self._validation, scale
        )
        limits = Limits(max_loss=self._config.most_loss, target_ms=self._config.target_ms)
        combinations = list(choices(parts, is_blended=self._config.answer.blend))
        points: list[Point] = [whole]
        with reporter.track("combining", len(combinations)) as advance:
            for names in combinations:
                points.append(blended(parts, names, self._validation, scale, seed=seed))
                advance(1, "")
        losses = {*LOSSES, *([] if limits.max_loss is None else [limits.max_loss])}
        most_rmse = [(1 + loss) * whole.rmse for loss in sorted(losses)]
        found = cascades(points, parts, self._validation, scale, most_rmse=most_rmse)
        points += [point for point in found if len(self._large.intersection(point.answer.members)) < 2]
        chosen = choose(points, whole, limits)
        return Findings(
            parts=list(parts.values()),
            points=points,
            whole=whole,
            limits=limits,
            chosen=chosen,
            closest=closest(points, whole, limits) if chosen is None else None,
            reviews=len(self._validation),
        )
