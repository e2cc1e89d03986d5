"""What `compress` has to choose from besides the linear models: variants of the model's network, and students of it."""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ratecast.compress.candidates import QUANTISED, Candidate, candidate_at, quantised, set_apart, shortened, shorter_inputs
from ratecast.compress.division import Division
from ratecast.compress.lessons import teach
from ratecast.compress.students import Lesson, len_layers, make_student
from ratecast.compress.teacher import Teacher
from ratecast.config import CompressConfig
from ratecast.errors import BackboneError, ConfigError, ModelFolderError, RatecastError
from ratecast.job import Job
from ratecast.model.graph import OnnxGraph
from ratecast.model.static import STATIC
from ratecast.records import Reviews

if TYPE_CHECKING:
    from ratecast.train.loop import Run

_SHARES_OF_LAYERS: Final = (1 / 2, 1 / 3)
"""Shares of the network's layers that students keep."""
_STUDENT_TOKENS: Final = 128
"""Longest input of students where many reviews are longer: they learn from twice the reviews in the same time."""
_STATIC_SHARE: Final = 0.2
"""Share of the time left that the static student may learn in; it rarely takes as much."""
_LEAST_SECONDS: Final = 20.0
"""Training a network for less time than this makes nothing of it."""
_TRYING_SECONDS: Final = 25.0
"""What exporting a student, making it of 8-bit integers and measuring both take, about."""


class Candidates:
    """Makes what there is to choose from, in the time that there is. What an interrupted run has made is used again.

    Args:
        job: the run.
        division: which reviews are learnt from.
        teacher: the model.
        config: the settings.
        validation: reviews that students are chosen on.
        fingerprint: of what decides the run.
        each: seconds that the model takes for a review.
        after: seconds that what comes afterwards takes.
        resume: go on with an interrupted run.
    """

    def __init__(
        self,
        job: Job,
        division: Division,
        teacher: Teacher,
        config: CompressConfig,
        validation: Reviews,
        *,
        fingerprint: str,
        each: float,
        after: float,
        resume: bool,
    ) -> None:
        self._job, self._division, self._teacher, self._config, self._resume = job, division, teacher, config, resume
        self._validation, self._texts = validation, validation.joined()
        self._fingerprint, self._each, self._after = fingerprint, each, after
        self._place = job.working / "networks"

    def all(self) -> Iterator[Candidate]:
        """All of them, one after the other as it is made."""
        of_model = {
            part.kind: part
            for part in self._teacher.predictor.manifest.components
            if part.name in self._teacher.predictor.chain.blend.members
        }
        shorter: dict[str, int] = {}
        if "onnx" in of_model:
            whole = self._model_part(of_model["onnx"].name)
            graph = whole.load(self._config.threads)
            if isinstance(graph, OnnxGraph) and _STUDENT_TOKENS in shorter_inputs(graph, self._texts):
                shorter = {"max_tokens": _STUDENT_TOKENS}
            yield from self._variants(whole)
        if STATIC in of_model:
            yield self._model_part(of_model[STATIC].name)
        if STATIC in of_model and "onnx" not in of_model:
            return  # it was made from a larger one, which is the one to learn from
        taught = teach(
            self._job,
            self._division,
            self._teacher,
            each=self._each,
            seconds=self._left(),
            resume=self._resume,
        )
        lesson = Lesson(teacher=self._teacher.folder, scale=self._job.scale, taught=taught, validation=self._validation)
        yield self._student(lesson, STATIC, STATIC, seconds=lambda: _STATIC_SHARE * self._left())
        numbers = self._layers() if "onnx" in of_model else []
        for place, layers in enumerate(numbers):
            share = self._left() / (len(numbers) - place) - _TRYING_SECONDS
            if share < _LEAST_SECONDS:
                self._job.reporter.tell(f"no time is left for a network of {layers} layers")
                continue
            ends = time.monotonic() + share
            seconds = partial(_until, ends)
            name = f"layers-{layers}"
            try:
                student = self._student(lesson, name, "layers", seconds=seconds, kept_layers=layers, **shorter)
            except (BackboneError, ConfigError, ModelFolderError) as error:
                self._job.reporter.tell(f"{name} is left out: {error}")
                continue
            yield from self._variants(student)

    def _left(self) -> float:
        """Seconds that are left for trying; infinite without a limit."""
        return self._job.clock.left() - self._after

    def _layers(self) -> list[int]:
        """Numbers of layers that students keep; none if the model's weights were not kept."""
        from ratecast.compress.pruning.check import check_cuttable
        from ratecast.model.restore import restore_rater

        try:
            check_cuttable(self._teacher.folder)
            rater = restore_rater(self._teacher.folder).rater
        except RatecastError as error:
            self._job.reporter.tell(f"no network of fewer layers is tried: {error}")
            return []
        layers = len_layers(rater.backbone)
        found = {max(rater.pooled_layers, round(share * layers)) for share in _SHARES_OF_LAYERS}
        return sorted((kept for kept in found if kept < layers), reverse=True)

    def _model_part(self, name: str) -> Candidate:
        """A component of the model by itself."""
        manifest = self._teacher.predictor.manifest
        part = manifest.component(name)
        return self._made(name, lambda place: set_apart(self._teacher.folder, part, manifest.scale, place, name=name))

    def _variants(self, source: Candidate) -> Iterator[Candidate]:
        """A network, with 8-bit integers too, and each of these on fewer tokens."""
        sources = [source]
        if not self._config.deterministic:
            try:
                texts, keep_exact = self._job.parts["train"].joined(), self._config.keep_exact
                name = f"{source.name}-{QUANTISED}"
                place = f"{name}-and-exact" if keep_exact else name
                sources.append(
                    self._made(name, lambda place: quantised(source, texts, place, keep_exact=keep_exact), place=place)
                )
            except RatecastError as error:
                self._job.reporter.tell(f"{source.name} with 8-bit integers is left out: {error}")
        for one in sources:
            yield one
            graph = one.load(self._config.threads)
            if isinstance(graph, OnnxGraph):
                yield from shortened(one, graph, self._texts)

    def _student(self, lesson: Lesson, name: str, student: str, *, seconds: Callable[[], float], **settings: int) -> Candidate:
        def make(place: Path) -> Candidate:
            folder = self._job.working / f"{name}.training"
            folder.mkdir(exist_ok=True)
            is_limited = math.isfinite(self._job.clock.left())
            config = self._config.for_student(student, **settings)
            made = make_student(lesson, config, self._run(folder), time_left=seconds if is_limited else None)
            first = made.write(folder, self._texts[:8])[0]
            return set_apart(folder, first, self._job.scale, place, name=name)

        return self._made(name, make)

    def _made(self, name: str, make: Callable[[Path], Candidate], *, place: str | None = None) -> Candidate:
        """What an interrupted run has left at a place, that of the name by default, or what is made now."""
        folder = self._place / (place or name)
        if self._resume and folder.is_dir():
            return candidate_at(folder, name)
        with self._job.reporter.track(f"making {name}", total=1) as advance:
            found = make(folder)
            advance(1, "done")
        return found

    def _run(self, folder: Path) -> "Run":
        from ratecast.train.loop import Run

        return Run(
            config=self._job.config,
            folder=folder,
            fingerprint=f"{self._fingerprint} {folder.name}",
            resume=self._resume,
            reporter=self._job.reporter,
            log_folder=self._job.folder.parent / f"{self._job.folder.name}.logs",
        )


def _until(end: float) -> float:
    """Seconds from now to a moment of ``time.monotonic``."""
    return end - time.monotonic()
