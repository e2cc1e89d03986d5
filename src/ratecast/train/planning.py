"""What is known before a network is trained: its backbone, this machine's speed with it, and the plan that follows."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ratecast.config import FitConfig
from ratecast.data.split import stopping_rows
from ratecast.model.adapters import Adapter, attach, create_method
from ratecast.model.backbone import Backbone, set_trained, transformer_layers
from ratecast.model.prompting import Prompt, least_tokens, load_prompted
from ratecast.model.windows import summary_tokens
from ratecast.progress import SilentReporter
from ratecast.records import Reviews
from ratecast.scale import IntArray, RatingScale
from ratecast.text.unknown import unknown_warning
from ratecast.train.checkpointing import set_checkpointing
from ratecast.train.ensemble import saved_plan
from ratecast.train.few import planned_for_few
from ratecast.train.loop import Run
from ratecast.train.network import create_rater
from ratecast.train.optim import with_learning_rate
from ratecast.train.plan import Plan, lacking_seconds, make_plan, rounded
from ratecast.train.precision import choose_precision
from ratecast.train.speed import Speed, measure_speed, sample_rows, weight_count
from ratecast.train.timetable import Timetable


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A backbone as it was pretrained.

    Attributes:
        backbone: the backbone; its model is the adapter's where there is one.
        adapter: the weights that the tuning method adds; None where the backbone's own are trained.
        prompt: what texts are read in; None without one.
    """

    backbone: Backbone
    adapter: Adapter | None
    prompt: Prompt | None


def load_network(config: FitConfig, scale: RatingScale) -> Loaded:
    """Load the backbone, and add the tuning method's weights to it.

    Raises:
        BackboneError, ConfigError: as `load_backbone` does.
    """
    method = create_method(config.adapter)
    added = summary_tokens(config.backbone) + (0 if method is None else method.added_tokens)
    backbone, prompt = load_prompted(config, scale, added_tokens=added)
    adapter = None if method is None else attach(backbone, method)
    if adapter is not None:
        backbone = replace(backbone, model=adapter.model)
    set_checkpointing(backbone.model, is_on=config.train.gradient_checkpointing)
    return Loaded(backbone=backbone, adapter=adapter, prompt=prompt)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A run that can begin.

    Attributes:
        loaded: the backbone.
        layers: how many it has.
        plan: what is done with it.
        run: the run, its settings filled in by the plan.
        time: how the time that is left is shared.
        judged: how many test reviews the time allows to judge on.
        networks: how many are trained, an ensemble's members and the one that learns from them.
        speed: of this machine with the backbone.
    """

    loaded: Loaded
    layers: int
    plan: Plan
    run: Run
    time: Timetable
    judged: int
    networks: int
    speed: Speed

    @property
    def seconds(self) -> float:
        """Estimated time of training all networks, with the passes over pairs before."""
        passes = self.run.config.few.contrastive_passes or 0.0
        return self.plan.seconds * self.networks * (1 + passes / self.plan.epochs)


def plan_run(
    parts: dict[str, Reviews],
    scale: RatingScale,
    run: Run,
    *,
    time_left: Callable[[], float] | None,
    reviews_after: int = 0,
    seconds_after: float = 0.0,
    is_taught: bool = False,
    more_seconds: Callable[[int, float], float] = lambda _layers, _gigabytes: 0.0,
) -> Planned:
    """Load the backbone, measure this machine's speed with it, and plan; arguments and errors as for `finetune`.

    A run that is resumed keeps the plan of its checkpoint.
    """
    saved = saved_plan(run) if run.resume else None
    precision = saved.precision if saved else choose_precision(run.config.train.precision)
    found = _measured(parts["train"], scale, run, precision)
    networks = run.config.strengthen.ensemble + 1 if run.config.strengthen.ensemble > 1 else 1
    time = Timetable(
        time_left=_left_beside(time_left, more_seconds, found),
        training=len(parts["train"]),
        validation=len(stopping_rows(len(parts["validation"]))),
        after=reviews_after,
        seconds_after=seconds_after,
    ).measured(found.speed, float(found.lengths.mean()))
    judged = time.judged(len(parts.get("test", ())))
    time = time.judging(judged)
    seconds = time.planner(found.speed, networks)
    plan = saved or planned_for_few(found.plan(seconds), found.config, seconds=time.left(networks), is_taught=is_taught)
    least_layers = 0 if found.config.backbone.trained_layers == 0 else 1
    if seconds is not None and (plan.reviews == 0 or plan.trained_layers < least_layers):

        def planned(more: float) -> Plan:
            return found.plan(lambda *of: seconds(*of) + more)

        reviews = len(found.lengths)
        more = networks * lacking_seconds(planned, reviews, layers=least_layers)
        run.reporter.tell(f"fine-tuning the backbone on all {reviews:,} reviews would take about {rounded(more)} more")
    return Planned(
        loaded=found.loaded,
        layers=found.layers,
        plan=plan,
        run=replace(run, config=plan.resolve(found.config), plan=plan),
        time=time,
        judged=judged,
        networks=networks,
        speed=found.speed,
    )


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What a plan follows from, besides the time.

    Attributes:
        loaded: the backbone.
        config: the settings, with the pooling that goes with the backbone.
        layers: how many the backbone has.
        lengths: tokens of each training review when read up to the longest input, shape ``(review,)``.
        precision: what the speed was measured in.
        speed: of this machine with the backbone.
        is_readable: whether the backbone knows the words of the reviews.
    """

    loaded: Loaded
    config: FitConfig
    layers: int
    lengths: IntArray
    precision: str
    speed: Speed
    is_readable: bool

    def plan(self, seconds: Callable[[float, int], float] | None) -> Plan:
        """What is done in the time that `make_plan` is given."""
        settings = self.loaded.backbone.encoder.settings
        return make_plan(
            self.lengths,
            self.speed,
            self.config,
            layers=self.layers,
            longest=settings.max_tokens,
            precision=self.precision,
            seconds=seconds,
            is_readable=self.is_readable,
            shortest=least_tokens(settings),
        )


def _measured(training: Reviews, scale: RatingScale, run: Run, precision: str) -> _Measured:
    """Load the backbone, and measure this machine's speed with it on the training reviews."""
    loaded = load_network(run.config, scale)
    backbone = loaded.backbone
    config = run.config  # a prompt has a pooling of its own
    if config.few.prompt is None:
        config = config.with_values(pooling=config.backbone.pooling or backbone.pooling)
    rater = create_rater(backbone, scale, training.rated(), config.with_values(precision=precision), loaded.prompt)
    if loaded.adapter is None:
        set_trained(backbone.model, trained_layers=None, train_embeddings=config.backbone.train_embeddings)
    texts = backbone.encoder.encode(training.joined())
    warning = unknown_warning(backbone.encoder.tokenizer, training.joined(), backbone.name)
    if warning is not None:
        run.reporter.tell(f"warning: {warning}")
    return _Measured(
        loaded=loaded,
        config=config,
        layers=len(transformer_layers(backbone.model)),
        lengths=texts.lengths,
        precision=precision,
        speed=measure_speed(rater, texts.take(sample_rows(texts.lengths)), backbone.encoder.settings),
        is_readable=warning is None,
    )


def _left_beside(
    time_left: Callable[[], float] | None, more_seconds: Callable[[int, float], float], found: _Measured
) -> Callable[[], float] | None:
    """The time that is left without what this backbone takes more than others; None without a limit."""
    if time_left is None:
        return None
    more = more_seconds(found.layers, 4e-9 * weight_count(found.loaded.backbone.model))
    return lambda: time_left() - more


def estimated_seconds(parts: dict[str, Reviews], scale: RatingScale, run: Run) -> float:
    """How long `finetune` is going to take without a limit, by this machine's speed.

    To find out takes as long as loading the backbone and tokenising the reviews. Random numbers that are drawn later do not
    depend on it.

    Args:
        parts: the reviews under "train" and "validation".
        scale: their rating scale.
        run: settings and places.

    Raises:
        BackboneError, ConfigError: as for `finetune`.
    """
    own = replace(run, config=with_learning_rate(run.config), reporter=SilentReporter(), resume=False)
    with torch.random.fork_rng(devices=[]):
        return plan_run(parts, scale, own, time_left=None).seconds
