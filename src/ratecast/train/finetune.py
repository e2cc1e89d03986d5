"""Fine-tuning a pretrained backbone on rated reviews, from its untrained vectors to the best weights."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from ratecast.config import FitConfig
from ratecast.data.split import sampled_rows, stopping_rows
from ratecast.model.adapters import Adapter, attach, create_method
from ratecast.model.backbone import Backbone, set_trained, transformer_layers
from ratecast.model.prompting import Prompt, load_prompted
from ratecast.model.rater import Rater
from ratecast.model.windows import summary_tokens
from ratecast.progress import SilentReporter
from ratecast.records import Reviews
from ratecast.scale import FloatArray, IntArray, RatingScale
from ratecast.text import Augmentation, AugmentedTexts, TokenisedTexts
from ratecast.text.unknown import unknown_warning
from ratecast.train.checkpointing import set_checkpointing
from ratecast.train.ensemble import Ensemble, Member, mean_probabilities, network_run, saved_plan, train_members
from ratecast.train.finetuned import FineTuned
from ratecast.train.frozen import Encoded, encode
from ratecast.train.inputs import Network, RatedTexts
from ratecast.train.learner import RatingLearner
from ratecast.train.loop import Run, TrainingResult, train
from ratecast.train.network import create_rater, distribution, head_probabilities
from ratecast.train.optim import with_learning_rate
from ratecast.train.pairs import Pairs, learn_pairs
from ratecast.train.paraphrase import back_translate
from ratecast.train.plan import PROBE_SHARE, Plan, lacking_seconds, make_plan, measure_speed, rounded, sample_rows
from ratecast.train.precision import choose_precision
from ratecast.train.probe import fit_probe
from ratecast.train.reinitialise import reinitialise, top_layers
from ratecast.train.taught import Taught
from ratecast.train.timetable import Timetable
from ratecast.train.weights import review_weights

_PROBE_REVIEWS: Final = 10_000


def finetune(
    parts: dict[str, Reviews],
    scale: RatingScale,
    run: Run,
    *,
    time_left: Callable[[], float] | None,
    reviews_after: int,
    seconds_after: float = 0.0,
    judged: str = "test",
    taught: Taught | None = None,
) -> FineTuned | None:
    """Fine-tune the configured backbone; with an ensemble, one network for each member and one that learns from them.

    Args:
        parts: the reviews under "train", "validation" and, if it is judged, "test".
        scale: their rating scale.
        run: settings and places; its ``allowed_seconds`` are set here from the time that is left.
        time_left: seconds that are left for training and scoring; None without a limit.
        reviews_after: how many reviews are to be scored after training, within the time that is left; fewer of them, drawn at
            random, where that would take more than a fifth of it.
        seconds_after: what each of them takes besides the backbone, in seconds.
        judged: the part that the untrained backbone is judged on.
        taught: what a teacher says of the training reviews; None without one.

    Returns:
        None if the time is too short to be worth a start.

    Raises:
        BackboneError, ConfigError, DataError, OutputError: as `load_backbone`, `create_head`, `review_weights`, `train` and
            `back_translate` do.
    """
    translating = run.config.strengthen.back_translation is not None
    paraphrases = back_translate(run, parts["train"].joined(), time_left) if translating else None
    torch.manual_seed(run.config.seed)
    run = replace(run, config=with_learning_rate(run.config))
    tuning = _Tuning(
        parts,
        scale,
        run,
        time_left,
        reviews_after=reviews_after,
        seconds_after=seconds_after,
        paraphrases=paraphrases,
        taught=taught,
    )
    if tuning.plan.reviews == 0:
        return None
    run.reporter.tell(tuning.plan.describe(tuning.networks))
    for line in () if tuning.prompt is None else tuning.prompt.lines():
        run.reporter.tell(line)
    if judged == "validation":
        return tuning.run(None)
    return tuning.run(parts[judged].take(sampled_rows(len(parts[judged]), tuning.judged, run.config.seed)))


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
    with torch.random.fork_rng(devices=[]):
        tuning = _Tuning(
            parts,
            scale,
            replace(run, config=with_learning_rate(run.config), reporter=SilentReporter(), resume=False),
            time_left=None,
            reviews_after=0,
            seconds_after=0.0,
            paraphrases=None,
            taught=None,
            is_estimate=True,
        )
    return tuning.plan.seconds * tuning.networks


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """A network after its training."""

    network: Network
    training: RatedTexts
    result: TrainingResult
    validation: FloatArray
    """Level probabilities of the validation reviews, ``(review, level)``."""

    def of_training(self) -> FloatArray:
        """Those of the training reviews."""
        with self.network.skipping():
            return distribution(self.network.rater, self.network.outputs(self.training))


class _Tuning:
    """What the steps of `finetune` share: the plan, and the backbone and the network under it."""

    _backbone: Backbone
    _adapter: Adapter | None
    prompt: Prompt | None
    _pairs: Pairs | None = None
    _rater: Rater
    _start: Tensor

    def __init__(
        self,
        parts: dict[str, Reviews],
        scale: RatingScale,
        run: Run,
        time_left: Callable[[], float] | None,
        *,
        reviews_after: int,
        seconds_after: float,
        paraphrases: list[str | None] | None,
        taught: Taught | None,
        is_estimate: bool = False,
    ) -> None:
        self._time = Timetable(
            time_left=time_left,
            training=len(parts["train"]),
            validation=len(stopping_rows(len(parts["validation"]))),
            after=reviews_after,
            seconds_after=seconds_after,
        )
        self._members = run.config.strengthen.ensemble if run.config.strengthen.ensemble > 1 else 0
        self.networks = self._members + 1
        self._augmentation = Augmentation.create(run.config.strengthen, run.config.seed)
        saved = saved_plan(run) if run.resume else None
        self._method = create_method(run.config.adapter)
        self._scale = scale
        self._load(run.config)
        run = replace(run, config=run.config.with_values(pooling=run.config.backbone.pooling or self._backbone.pooling))
        self._layers = len(transformer_layers(self._backbone.model))
        self.plan, encoding = self._planned(parts, scale, run, saved)
        if self.plan.reviews == 0 or is_estimate:
            return
        self._run = replace(run, config=self.plan.resolve(run.config), plan=self.plan)
        self._backbone = replace(self._backbone, encoder=self._backbone.encoder.limited(self.plan.max_tokens))
        chosen = np.sort(np.random.default_rng(run.config.seed).permutation(len(parts["train"]))[: self.plan.reviews])
        validation = parts["validation"].take(stopping_rows(len(parts["validation"])))
        self._parts = {"train": parts["train"].take(chosen), "validation": validation}
        self._paraphrases = None if paraphrases is None else [paraphrases[row] for row in chosen]
        self._targets = None if taught is None else taught.targets[chosen]
        self._target_weight: float | FloatArray = 0.5 if taught is None else taught.target_weights()[chosen]
        self._texts = {name: self._backbone.encoder.encode(part.joined()) for name, part in self._parts.items()}
        self._ratings = {name: part.rated() for name, part in self._parts.items()}
        self._weights = review_weights(self._parts["train"], scale, run.config.train.class_weights)
        self._time = self._time.measured(encoding / float(self._texts["validation"].lengths.mean()), self.plan.precision)
        self._time = self._time.with_trained(self.plan.trained_layers)
        self._prepare(self._run.config)

    def _planned(self, parts: dict[str, Reviews], scale: RatingScale, run: Run, saved: Plan | None) -> tuple[Plan, float]:
        """The plan, and the tokens a second that the network encodes."""
        config, encoder, training = run.config, self._backbone.encoder, parts["train"]
        precision = saved.precision if saved else choose_precision(config.train.precision)
        rater = create_rater(self._backbone, scale, training.rated(), config.with_values(precision=precision), self.prompt)
        if self._method is None:
            set_trained(self._backbone.model, trained_layers=None, train_embeddings=config.backbone.train_embeddings)
        texts = encoder.encode(training.joined())
        warning = unknown_warning(encoder.tokenizer, training.joined(), self._backbone.name)
        if warning is not None:
            run.reporter.tell(f"warning: {warning}")
        speed = measure_speed(rater, texts.take(sample_rows(texts.lengths)), encoder.settings)
        self._time = self._time.measured(speed.encoding / float(texts.lengths.mean()), precision)
        self.judged = self._time.judged(len(parts.get("test", ())))
        self._time = self._time.judging(self.judged)
        fixed: dict[str, Any] = {"layers": self._layers, "longest": encoder.settings.max_tokens, "precision": precision}
        fixed["is_readable"] = warning is None
        seconds = self._time.planner(speed.encoding, self.networks)
        plan = saved or make_plan(texts.lengths, speed, config, seconds=seconds, **fixed)
        layers = 0 if config.backbone.trained_layers == 0 else 1
        if seconds is not None and (plan.reviews == 0 or plan.trained_layers < layers):

            def planned(more: float) -> Plan:
                return make_plan(texts.lengths, speed, config, seconds=lambda *of: seconds(*of) + more, **fixed)

            more = self.networks * lacking_seconds(planned, len(texts), layers=layers)
            run.reporter.tell(f"fine-tuning the backbone on all {len(texts):,} reviews would take about {rounded(more)} more")
        return plan, speed.encoding

    def run(self, judged: Reviews | None) -> FineTuned:
        """Fit the head to the untrained backbone, then train; None judges that head on the validation reviews."""
        started = time.monotonic()
        texts = self._texts
        self._rows = self._probe_rows()
        with self._untuned():
            self._encoded = {name: self._encode(name, part) for name, part in texts.items()}
            self._fit_head(self._encoded)
            validation = self._encoded["validation"].vectors
            before = head_probabilities(self._rater, validation) if judged is None else self._before(judged)
        before_seconds = time.monotonic() - started
        targets, ensemble = self._taught() if self._members else (self._targets, None)
        trained = self._train(self._run if ensemble is None else self._renewed(self._members), networks=1, targets=targets)
        return FineTuned(
            rater=self._rater,
            backbone=self._backbone,
            config=self._run.config,
            result=trained.result,
            validation=trained.validation,
            before=before,
            before_seconds=before_seconds,
            judged=self.judged,
            reviews=self.plan.reviews,
            windowed=int(texts["train"].windowed.sum()),
            shortened=int(texts["train"].shortened.sum()),
            ensemble=ensemble,
            paraphrased=sum(text is not None for text in self._paraphrases or ()),
            adapter=self._adapter,
            prompt=self.prompt,
            pairs=self._pairs,
        )

    def _load(self, config: FitConfig) -> None:
        """Load the backbone, and add the tuning method's weights to it."""
        added = summary_tokens(config.backbone) + (0 if self._method is None else self._method.added_tokens)
        self._backbone, self.prompt = load_prompted(config, self._scale, added_tokens=added)
        self._adapter = None if self._method is None else attach(self._backbone, self._method)
        if self._adapter is not None:
            self._backbone = replace(self._backbone, model=self._adapter.model)
        set_checkpointing(self._backbone.model, is_on=config.train.gradient_checkpointing)

    def _untuned(self) -> AbstractContextManager[None]:
        """While the context is open, the backbone is as it was before anything was added to it."""
        return nullcontext() if self._adapter is None else self._adapter.method.disabled(self._adapter.model)

    def _taught(self) -> tuple[FloatArray, Ensemble]:
        """What an ensemble says of the training reviews, ``(review, level)``, and what it is worth."""
        members = train_members(self._run, self._member)
        ensemble = Ensemble.judge(members, self._run.config.seed, self._scale, self._ratings["validation"])
        return mean_probabilities([member.training for member in members]), ensemble

    def _member(self, number: int, networks: int) -> Member:
        """Train a member of the ensemble, where so many networks are left with it."""
        trained = self._train(self._renewed(number), networks=networks)
        return Member(training=trained.of_training(), validation=trained.validation, seconds=trained.result.seconds)

    def _renewed(self, number: int) -> Run:
        """Start again from the pretrained backbone, as the numbered network of an ensemble, whose run is returned."""
        run, encoder = network_run(self._run, number), self._backbone.encoder
        torch.manual_seed(run.config.seed)
        del self._rater, self._backbone, self._adapter  # else two networks would be in memory
        self._load(run.config)
        self._backbone = replace(self._backbone, encoder=encoder)
        self._prepare(run.config)
        self._fit_head(self._encoded)
        return run

    def _prepare(self, config: FitConfig) -> None:
        """Put a new head on the backbone, and mark the weights that are trained."""
        settings = config.backbone
        self._rater = create_rater(self._backbone, self._scale, self._ratings["train"], config, self.prompt)
        self._frozen = 0
        if self._method is None:
            self._frozen = set_trained(
                self._backbone.model, trained_layers=settings.trained_layers, train_embeddings=settings.train_embeddings
            )

    def _train(self, run: Run, *, networks: int, targets: FloatArray | None = None) -> _Trained:
        """Train the network, whose head has been fitted, where so many are left with it."""
        restarted = top_layers(self._backbone.model, run.config.strengthen.reinitialised_layers)
        if restarted:  # only now, so that what the backbone was worth before is told of the pretrained one
            reinitialise(self._backbone.model, restarted, run.config.seed)
        reviews = {name: RatedTexts(texts=texts, ratings=self._ratings[name]) for name, texts in self._texts.items()}
        paired = run.config.few.contrastive_passes > 0
        if paired:
            self._pairs = learn_pairs(self._rater, reviews, self._backbone.encoder.settings, run, self._time.left(networks))
        if restarted or paired or not (self._method is None or self._method.starts_as_identity):
            self._fit_head({name: self._encode(name, part, again=True) for name, part in self._texts.items()})
        if self._frozen:
            reviews = {name: replace(part, encoded=self._encoded[name]) for name, part in reviews.items()}
        augmented = self._augmented(run.config.seed)
        given: dict[str, Any] = {"weights": self._weights, "targets": targets, "target_weight": self._target_weight}
        reviews["train"] = replace(reviews["train"], augmented=augmented, **given)
        hidden = self._encoded["train"].hidden
        network = Network(
            self._rater,
            self._backbone.encoder.settings,
            frozen=self._frozen,
            layers=self._layers,
            tuple_length=hidden.tuple_length if hidden else 0,
        )
        seconds = self._time.left(networks)
        limited = run.within(None if seconds is None else max(0.0, seconds))
        with network.skipping():
            learner = RatingLearner(
                network,
                reviews["train"],
                reviews["validation"],
                limited.config,
                adapter=self._adapter,
                start=self._start,
            )
            result = train(learner, limited)
            validation = distribution(self._rater, learner.best_outputs(result.best_score))
        return _Trained(network=network, training=reviews["train"], result=result, validation=validation)

    def _fit_head(self, encoded: dict[str, Encoded]) -> None:
        """Fit the head to the vectors of some training rows and of the validation reviews."""
        rows = self._rows
        weights = None if self._weights is None else self._weights[rows]
        training = (encoded["train"].vectors, self._ratings["train"][rows])
        fit_probe(
            self._rater.head,
            training,
            (encoded["validation"].vectors, self._ratings["validation"]),
            weights,
            anchored=self.prompt is not None,
        )
        with torch.no_grad():
            self._start = self._rater.head(encoded["validation"].vectors.to(self._rater.head.linear.weight.device))

    def _before(self, judged: Reviews) -> FloatArray | None:
        """What the untrained backbone says of the judged reviews, unless that would take much of the time."""
        seconds = self._time.left(self.networks)
        if seconds is not None and len(judged) > PROBE_SHARE * seconds * self._time.reviews_per_second:
            return None
        texts = self._backbone.encoder.encode(judged.joined())
        return head_probabilities(self._rater, self._encode("judged", texts).vectors)

    def _augmented(self, seed: int) -> AugmentedTexts | None:
        if self._augmentation is None and self._paraphrases is None:
            return None
        return AugmentedTexts(
            texts=self._parts["train"].joined(),
            encoder=self._backbone.encoder,
            augmentation=None if self._augmentation is None else replace(self._augmentation, seed=seed),
            paraphrases=self._paraphrases,
            seed=seed,
        )

    def _encode(self, name: str, texts: TokenisedTexts, *, again: bool = False) -> Encoded:
        """One pass of the network, over some of the training texts.

        The first time the frozen layers' outputs are stored for what training reads, those of all texts.
        """
        stored = not again and name != "judged" and 0 < self._frozen < self._layers
        return encode(
            self._rater,
            texts,
            self._backbone.encoder.settings,
            frozen=self._frozen,
            store=self._run.folder / f"{name}.npy" if stored else None,
            reporter=self._run.reporter,
            task=f"untrained vectors of the {name} reviews",
            read=self._rows if name == "train" else None,
        )

    def _probe_rows(self) -> IntArray:
        """Training rows that the head on untrained vectors learns from: as many as a tenth of the time encodes."""
        count = len(self._texts["train"])
        if self._frozen == self._layers:  # the head is all that is trained, on all of them
            return np.arange(count)
        most, seconds = _PROBE_REVIEWS, self._time.left(self.networks)
        if seconds is not None:
            most = min(most, max(64, int(PROBE_SHARE * seconds * self._time.reviews_per_second)))
        return np.sort(np.random.default_rng(self._run.config.seed).permutation(count)[:most])
