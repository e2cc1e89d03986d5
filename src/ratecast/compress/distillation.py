"""From a fitted model to a smaller one: the teacher reads, the student learns, and both are judged on the same reviews."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ratecast.baseline import Baseline
from ratecast.combine.stack import Stack, fit_stack
from ratecast.compress.division import Division
from ratecast.compress.judging import judge_beside_teacher
from ratecast.compress.lessons import prepare, teach
from ratecast.compress.students import STUDENTS, Lesson, Student, make_student, run_settings
from ratecast.compress.teacher import Teacher
from ratecast.config import DistillConfig
from ratecast.data import Source
from ratecast.data.split import judged_reviews, stopping_rows
from ratecast.errors import ConfigError, require
from ratecast.files import check_working_folder, working_folder
from ratecast.folder import PACKAGES, READ, write_documents
from ratecast.job import Job, working_place
from ratecast.members import fit_linear
from ratecast.model.static import STATIC
from ratecast.model.store import Manifest, check_target, create_component, new_folder, package_versions, write_manifest
from ratecast.predict import Predictor, load
from ratecast.processors import available_processors
from ratecast.progress import ConsoleReporter, Reporter
from ratecast.records import Reviews
from ratecast.verdict import Verdict, trust_notes

_LEAST_SECONDS: Final = 5.0
_EVERY_REVIEW: Final = 1.5
"""Time of scoring a review by all that is judged, as a multiple of the teacher's."""


def distill(
    teacher: str | Path,
    source: Source,
    *,
    out: str | Path,
    config: DistillConfig | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    **settings: Any,
) -> Predictor:
    """Make a smaller model that learns from what a fitted one says, and write its folder.

    The teacher reads the training reviews and those without a rating; the student learns its level probabilities, and the
    ratings where there are any (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"). What stands after it,
    calibration and intervals, is fitted anew on the validation reviews. Both are judged on test reviews that neither has seen:
    the division is the teacher's own if the reviews are those that it was fitted on.

    Args:
        teacher: folder of any model that ratecast wrote.
        source: a file, folder, pattern, database or frame of reviews; the more of them, rated or not, the better.
        out: folder for the smaller model; an older model there is replaced.
        config: settings; the defaults otherwise.
        resume: go on with a run to the same folder that was interrupted.
        reporter: shows messages and progress; on standard error by default.
        **settings: single settings by their flat names, such as ``student="layers"`` or ``time_budget="5m"``.

    Returns:
        The smaller model, loaded from its folder.

    Raises:
        RatecastError: if the teacher, the data, a setting or the output folder cannot be used; nothing is written then.

    Example:
        ``ratecast.distill("model/", "reviews.parquet", out="small/", time_budget="5m")``
    """
    started = time.monotonic()
    chosen = (config or DistillConfig()).with_values(**settings)
    if chosen.student == STATIC:
        chosen = chosen.with_values(blend=False)  # linear models would take many times as long as the student itself
    target, told = Path(out), reporter or ConsoleReporter()
    check_target(target)
    check_working_folder(working_place(target))
    require("torch", "train", "distilling").set_num_threads(chosen.threads or available_processors())
    taught_by = Teacher(Path(teacher), chosen.threads)
    if target.resolve() == taught_by.folder.resolve():
        raise ConfigError(f"{target} is the teacher itself; give another folder for the smaller model")
    check_student(taught_by, chosen)
    job, division = prepare(source, taught_by, chosen, out=target, reporter=told, started=started)
    if taught_by.predictor.chain.effects is not None:
        left_out = "The student reads the text alone: the columns that the teacher uses are left out."
        job = replace(job, notes=(*job.notes, left_out))
    with working_folder(job.working, resume=resume):
        _Distillation(job, division, taught_by, chosen).write(resume=resume)
    return load(target, threads=chosen.threads)


def check_student(teacher: Teacher, config: DistillConfig) -> None:
    """Find out before long work whether a teacher can have such a student.

    Raises:
        BackboneError: if a backbone cannot be found.
        ConfigError: if more tokens or layers are asked of it than it has.
        ModelFolderError: if the teacher has no network to be pruned.
    """
    if config.student not in STUDENTS:
        from ratecast.model.backbone import check_backbone

        check_backbone(run_settings(config).with_values(backbone=config.student).backbone)
    elif config.student != STATIC:
        from ratecast.compress.pruning.check import check_pruning

        check_pruning(teacher.folder, config)


class _Distillation:
    """The steps of `distill` after the reviews are divided."""

    def __init__(self, job: Job, division: Division, teacher: Teacher, config: DistillConfig) -> None:
        self._job, self._division, self._teacher, self._config = job, division, teacher, config
        self._validation = job.parts["validation"].take(stopping_rows(len(job.parts["validation"])))

    def write(self, *, resume: bool) -> None:
        """Let the teacher read and the student learn, and write the model folder."""
        from ratecast.train.loop import Run

        job = self._job
        baselines = fit_linear(job)
        sample = self._job.parts["train"].joined()
        each = self._teacher.seconds_per_text(sample, self._config.seed)
        judged = job.judged(judged_reviews(len(job.parts["test"]), seconds=job.clock.left(), seconds_per_review=each))
        after = _EVERY_REVIEW * each * len(judged)
        taught = teach(job, self._division, self._teacher, each=each, seconds=job.clock.left() - after, resume=resume)
        lesson = Lesson(teacher=self._teacher.folder, scale=job.scale, taught=taught, validation=self._validation)
        run = Run(
            config=job.config,
            folder=job.working,
            fingerprint=self._fingerprint(len(taught)),
            resume=resume,
            reporter=job.reporter,
            log_folder=job.folder.parent / f"{job.folder.name}.logs",
        )
        student = make_student(lesson, self._config, run, time_left=self._time_left(after))
        stack = self._stack(student, baselines)
        self._write(student, stack, baselines, judged, len(taught))

    def _fingerprint(self, reviews: int) -> str:
        """Hash of everything that decides the student's weights."""
        deciding = {
            name: value
            for name, value in self._config.to_mapping().items()
            if name not in {"time_budget", "threads", "track", "answer"}
        }
        facts = [self._job.fingerprint, self._teacher.sha256, reviews, deciding]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def _time_left(self, after: float) -> Callable[[], float] | None:
        """What is left for training, where there is a limit: a few seconds at least, since nothing is learnt in none."""
        clock = self._job.clock
        if clock.budget_seconds is None:
            return None
        left = clock.left_linear if self._config.student == STATIC else clock.left
        if left() - after < _LEAST_SECONDS:
            self._job.reporter.tell(f"the time budget is exceeded: the student learns for {_LEAST_SECONDS:.0f} s all the same")
        return lambda: max(_LEAST_SECONDS, left() - after)

    def _stack(self, student: Student, baselines: Mapping[str, Baseline]) -> Stack:
        """What stands after the student, fitted to the validation reviews."""
        linear = {name: made.validation for name, made in baselines.items() if made.kind == "linear"}
        members = {student.name: student.validation} | (linear if self._job.config.answer.blend else {})
        answer = self._job.config.answer
        stack = fit_stack(members, self._validation, self._job.scale, coverage=answer.coverage, seed=self._job.config.seed)
        self._job.reporter.tell(f"model: {stack.blend.describe()}")
        return stack

    def _write(self, student: Student, stack: Stack, baselines: Mapping[str, Baseline], judged: Reviews, read: int) -> None:
        """Write the model folder, with what the model is worth beside its teacher."""
        job = self._job
        job.reporter.tell("writing the model folder")
        kept = {name: made for name, made in baselines.items() if made.kind == "constant" or name in stack.blend.members}
        with new_folder(job.folder) as new:
            components = [*stack.save(new)]
            if student.name in stack.blend.members:
                components += student.write(new, self._validation.joined()[:8])
            components += [create_component(new, name, made.kind, made.model.save(new, name)) for name, made in kept.items()]
            components += self._teacher.with_learned(new, job.parts, self._division.unlabelled)
            manifest = Manifest(
                scale=job.scale,
                components=tuple(components),
                chain=stack.chain,
                baselines=tuple(kept),
                about=self._about(student, read),
                columns={role: name for role, name in job.report.columns.roles().items() if role in READ},
            )
            write_manifest(new, manifest)
            verdict = judge_beside_teacher(
                Predictor(new, manifest, job.config.threads),
                self._teacher,
                job,
                reviews=judged,
                baselines=baselines,
                stack=stack,
                validation={student.name: student.validation},
                seconds=student.result.seconds,
            )
            notes = self._notes(student, stack, verdict, read)
            write_documents(new, manifest, job, None, verdict=verdict, notes=notes, result=student.result)

    def _about(self, student: Student, read: int) -> dict[str, Any]:
        job, teacher = self._job, self._teacher
        return {
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "source": job.report.source,
            "reviews": ", ".join(f"{len(part)} {name}" for name, part in job.parts.items()),
            "distilled_from": str(teacher.folder),
            "teacher_sha256": teacher.sha256,
            "learned_reviews": read,
            **student.about,
            "optimise": job.config.answer.optimise,
            "seed": job.config.seed,
            "fingerprint": job.fingerprint,
            "versions": package_versions(*PACKAGES),
        }

    def _notes(self, student: Student, stack: Stack, verdict: Verdict, read: int) -> list[str]:
        rated, result = len(self._job.parts["train"]), student.result
        alone = ", ".join(f"{name} {rmse:.3f}" for name, rmse in verdict.members.items())
        learned = (
            f"Distilled from {self._teacher.folder}: it learned from {rated:,} rated reviews and {read - rated:,} without a "
            "rating, which the teacher had rated."
        )
        training = (
            f"Training ended by its {result.stopped_by} after {result.steps} steps ({result.seconds:.0f} s, "
            f"{result.units_per_second:,.0f} reviews a second); the weights of step {result.best_step} are kept."
        )
        blend = f"The model is {stack.blend.describe()} with calibrated levels. RMSE of each by itself: {alone}."
        return [*self._job.notes, learned, blend, training, *student.notes, *trust_notes(verdict, stack)]
