"""Students: what a model can be made smaller to, each trained on what its teacher says.

A student is a function of a lesson, the settings and a run; what it gives can write itself into a model folder as a component
that predicts. To add one, write such a function and enter it into `STUDENTS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ratecast.config import DistillConfig, FitConfig
from ratecast.model.static import STATIC
from ratecast.model.store import Component, create_component
from ratecast.records import Reviews
from ratecast.scale import FloatArray, RatingScale
from ratecast.verdict import GRAPH

if TYPE_CHECKING:
    from ratecast.compress.pruning import Cut
    from ratecast.train.loop import Run, TrainingResult
    from ratecast.train.taught import Taught

Writer = Callable[[Path, Sequence[str]], list[Component]]
"""Writes a student into a new folder, checked on some texts; of the components that it gives the first one predicts."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a student is made from.

    Attributes:
        teacher: the teacher's model folder.
        scale: the rating scale.
        taught: what the teacher says of the training reviews and of those without a rating.
        validation: rated reviews that training is stopped by and choices are made on.
    """

    teacher: Path
    scale: RatingScale
    taught: "Taught"
    validation: Reviews


@dataclass(frozen=True, kw_only=True)
class Student:
    """A trained student.

    Attributes:
        name: what the blend calls it.
        validation: its level probabilities of the validation reviews, shape ``(review, level)``.
        result: how training went.
        write: writes it into a folder.
        about: facts for the manifest.
        notes: what to know of it, a sentence or two each.
    """

    name: str
    validation: FloatArray
    result: "TrainingResult"
    write: Writer
    about: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def make_student(lesson: Lesson, config: DistillConfig, run: "Run", *, time_left: Callable[[], float] | None = None) -> Student:
    """Train a student.

    Args:
        lesson: what it is made from.
        config: which student, and how small.
        run: places, and the settings of training.
        time_left: seconds that are left for training; None without a limit.

    Raises:
        BackboneError: if a backbone cannot be loaded, or is of an architecture that cannot be pruned so.
        ConfigError: if more is to be kept than there is, or the time does not suffice.
        ModelFolderError: if the teacher has no network that could be pruned.
        OutputError: if the run's folder cannot be written.
    """
    return STUDENTS.get(config.student, make_backbone)(lesson, config, run, time_left)


def make_static(lesson: Lesson, _config: DistillConfig, run: "Run", time_left: Callable[[], float] | None) -> Student:
    """A table of vectors of words and pairs with a small network over their mean; errors as for `make_student`."""
    from ratecast.train.static import train_static

    limited = run.within(None if time_left is None else max(0.0, time_left()))
    found = train_static(lesson.taught, lesson.validation, lesson.scale, limited)
    words, pairs = len(found.model.ngrams.words), len(found.model.ngrams.pairs)
    size = f"{words:,} words and {pairs:,} pairs of words, {found.model.table.shape[1]} numbers each"
    return Student(
        name=STATIC,
        validation=found.validation,
        result=found.result,
        write=lambda folder, _sample: [create_component(folder, STATIC, STATIC, found.model.save(folder, STATIC))],
        about={"student": f"static: {size}"},
    )


def make_pruned(lesson: Lesson, config: DistillConfig, run: "Run", time_left: Callable[[], float] | None) -> Student:
    """The teacher's network without some of its parts; errors as for `make_student`."""
    from ratecast.compress.pruning import Pruned, cut_as_before, prune
    from ratecast.compress.recovery import rated_texts, recover, taught_texts
    from ratecast.model.restore import restore_rater

    restored = restore_rater(lesson.teacher)
    rater, encoder = restored.rater, restored.encoder.limited(config.max_tokens or restored.encoder.settings.max_tokens)
    before = sum(weight.numel() for weight in rater.parameters())
    taught, validation = taught_texts(lesson.taught, encoder, lesson.scale), rated_texts(lesson.validation, encoder)
    pruned = Pruned.load(run.folder, run.fingerprint) if run.resume else None
    if pruned is None:
        cut = _cut(config, len_layers(rater.backbone))
        encoder, pruned = prune(
            rater, encoder, cut, training=taught, validation=validation, texts=lesson.taught.texts, seed=config.seed
        )
        pruned.save(run.folder, run.fingerprint)
    else:
        encoder = cut_as_before(rater, encoder, pruned)
    if pruned.tokens is not None:  # the ids are others now
        taught, validation = taught_texts(lesson.taught, encoder, lesson.scale), rated_texts(lesson.validation, encoder)
    after = sum(weight.numel() for weight in rater.parameters())
    share = f"{after:,} of {before:,} weights"
    run.reporter.tell(f"{pruned.describe()}: {share}")
    limited = run.within(None if time_left is None else max(0.0, time_left()))
    found = recover(rater, encoder, taught, validation, limited)

    def write(folder: Path, sample: Sequence[str]) -> list[Component]:
        from ratecast.model.export import export_rater

        return list(export_rater(found.rater, encoder, folder, sample, name=GRAPH))

    first = found.result.curve[0]["validation_rmse"]
    recovered = f"Validation RMSE before the recovery {first:.3f}, after it {found.result.best_score:.3f}."
    return Student(
        name=GRAPH,
        validation=found.validation,
        result=found.result,
        write=write,
        about={"student": f"{config.student}: {pruned.describe()}", "head": restored.head, "weights": share},
        notes=(f"The teacher's network was pruned: {pruned.describe()}; {share}. {recovered}",),
    )


def make_backbone(lesson: Lesson, config: DistillConfig, run: "Run", time_left: Callable[[], float] | None) -> Student:
    """Another backbone, fine-tuned on what the teacher says; errors as for `make_student`."""
    from ratecast.errors import ConfigError
    from ratecast.train.finetune import finetune

    parts = {"train": lesson.taught.reviews(lesson.scale), "validation": lesson.validation}
    own = run.with_config(run.config.with_values(backbone=config.student))
    tuned = finetune(parts, lesson.scale, own, time_left=time_left, reviews_after=0, judged="validation", taught=lesson.taught)
    if tuned is None:
        raise ConfigError(
            f"the time budget is too small to fine-tune {config.student!r} in; give more, or take --student static"
        )

    def write(folder: Path, sample: Sequence[str]) -> list[Component]:
        from ratecast.model.export import export_rater

        return list(export_rater(tuned.rater, tuned.backbone.encoder, folder, sample, name=GRAPH, adapter=tuned.adapter))

    settings = tuned.config.backbone
    return Student(
        name=GRAPH,
        validation=tuned.validation,
        result=tuned.result,
        write=write,
        about={
            "student": settings.backbone,
            "backbone": settings.backbone,
            "backbone_sha256": tuned.backbone.sha256,
            "head": settings.head,
            "max_tokens": settings.max_tokens,
        },
    )


Maker = Callable[[Lesson, DistillConfig, "Run", Callable[[], float] | None], Student]
STUDENTS: Final[Mapping[str, Maker]] = {STATIC: make_static, "layers": make_pruned, "width": make_pruned}
"""Students by name; any other name is that of a backbone."""


def run_settings(config: DistillConfig) -> FitConfig:
    """The settings of training as those of a fit."""
    return FitConfig(
        columns=config.columns,
        split=config.split,
        train=config.train,
        answer=config.answer,
        track=config.track,
        time_budget=config.time_budget,
        seed=config.seed,
        threads=config.threads,
    )


def len_layers(backbone: Any) -> int:
    """How many layers a backbone has."""
    from ratecast.model.backbone import transformer_layers

    return len(transformer_layers(backbone))


def _cut(config: DistillConfig, layers: int) -> "Cut":
    from ratecast.compress.pruning import Cut

    is_width = config.student == "width"
    share = 0.5 if is_width else 1.0
    wanted = config.kept_layers or (None if is_width else max(1, layers // 2))
    return Cut(
        layers=None if wanted is None else wanted,
        layer_choice=config.layer_choice,
        heads=config.kept_heads or share,
        neurons=config.kept_neurons or share,
        vocabulary=config.prune_vocabulary,
    )
