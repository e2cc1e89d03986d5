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
from ratecast.model.backbone import set_trained
from ratecast.model.rater import Rater
from ratecast.records import Reviews
from ratecast.scale import FloatArray, IntArray, RatingScale
from ratecast.text import Augmentation, AugmentedTexts, TokenisedTexts
from ratecast.train.ensemble import Ensemble, Member, mean_probabilities, network_run, train_members
from ratecast.train.finetuned import FineTuned
from ratecast.train.frozen import Encoded, encode
from ratecast.train.inputs import Network, RatedTexts
from ratecast.train.learner import RatingLearner
from ratecast.train.loop import Run, TrainingResult, train
from ratecast.train.network import create_rater, distribution, head_probabilities
from ratecast.train.optim import trained_weights, with_learning_rate
from ratecast.train.pairs import Pairs, learn_pairs
from ratecast.train.paraphrase import back_translate
from ratecast.train.plan import LEAST_REVIEWS, PROBE_SHARE
from ratecast.train.planning import Loaded, Planned, load_network, plan_run
from ratecast.train.probe import fit_probe, score_outputs
from ratecast.train.reinitialise import reinitialise, top_layers
from ratecast.train.taught import Taught
from ratecast.train.weights import review_weights

_PROBE_REVIEWS: Final = 10_000
_TELLING_SECONDS: Final = 2.0
"""Reading that takes so long says more of a machine's speed than the batches that are timed before the plan."""
_CLEARLY_FEWER: Final = 0.9
"""Share of the planned reviews below which a plan is changed."""


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
    more_seconds: Callable[[int, float], float] = lambda _layers, _gigabytes: 0.0,
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
        more_seconds: what is to be kept of the time for a backbone of so many layers and gigabytes (in float32), as it takes
            longer to write than the one that ``time_left`` reckons with.

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
    planned = plan_run(
        parts,
        scale,
        run,
        time_left=time_left,
        reviews_after=reviews_after,
        seconds_after=seconds_after,
        is_taught=taught is not None,
        more_seconds=more_seconds,
    )
    if planned.plan.reviews == 0:
        return None
    prompt = planned.loaded.prompt
    for line in [planned.plan.describe(planned.networks), *(() if prompt is None else prompt.lines())]:
        run.reporter.tell(line)
    tuning = _Tuning(planned, parts, scale, paraphrases=paraphrases, taught=taught)
    rows = sampled_rows(len(parts[judged]), planned.judged, run.config.seed)
    del planned  # else its backbone would stay in memory beside those of an ensemble
    return tuning.run(None if judged == "validation" else parts[judged].take(rows))


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """A network after its training."""

    network: Network
    training: RatedTexts
    result: TrainingResult
    validation: FloatArray
    """Level probabilities of the validation reviews, ``(review, level)``."""
    seconds: float

    def of_training(self) -> FloatArray:
        """Those of the training reviews."""
        with self.network.skipping():
            return distribution(self.network.rater, self.network.outputs(self.training))


@dataclass(frozen=True, kw_only=True)
class _Before:
    """A network as it was before its topmost layers started anew, to go back to where nothing that they learn is better."""

    score: float
    outputs: Tensor
    weights: dict[str, Tensor]

    @classmethod
    def of(cls, rater: Rater, outputs: Tensor, ratings: FloatArray) -> "_Before":
        """The network whose head gives these outputs, ``(review, output)``, for the validation reviews of these ratings."""
        score = score_outputs(rater.head, outputs, ratings)
        weights = {name: weight.detach().clone() for name, weight in trained_weights(rater).items()}
        return cls(score=score, outputs=outputs, weights=weights)

    @torch.no_grad()
    def restore(self, rater: Rater) -> None:
        """Make the network what it was."""
        for name, weight in trained_weights(rater).items():
            weight.copy_(self.weights[name])


class _Tuning:
    """What the steps of `finetune` share: the plan, and the backbone and the network under it."""

    _pairs: Pairs | None = None
    _is_untrained = False
    _rater: Rater
    _start: Tensor

    def __init__(
        self,
        planned: Planned,
        parts: dict[str, Reviews],
        scale: RatingScale,
        *,
        paraphrases: list[str | None] | None,
        taught: Taught | None,
    ) -> None:
        self._run, self._plan, self._layers, self._judged = planned.run, planned.plan, planned.layers, planned.judged
        self._networks, self._scale = planned.networks, scale
        config = self._run.config
        self._augmentation = Augmentation.create(config.strengthen, config.seed)
        self._training, self._all_paraphrases, self._teacher = parts["train"], paraphrases, taught
        self._encoder = planned.loaded.backbone.encoder.limited(self._plan.max_tokens)
        validation = parts["validation"].take(stopping_rows(len(parts["validation"])))
        self._parts = {"validation": validation}
        self._texts = {"validation": self._encoder.encode(validation.joined())}
        self._ratings = {"validation": validation.rated()}
        self._learn_from(self._plan.reviews)
        tokens = float(self._texts["validation"].lengths.mean())
        self._time = planned.time.measured(planned.speed, tokens).with_trained(self._plan.trained_layers)
        self._prepare(planned.loaded, config)

    def run(self, judged: Reviews | None) -> FineTuned:
        """Fit the head to the untrained backbone, then train; None judges that head on the validation reviews."""
        started = time.monotonic()
        with self._untuned():
            self._encoded = {"validation": self._encode("validation", self._texts["validation"])}
            self._plan_again(time.monotonic() - started)
            self._rows = self._probe_rows()
            self._encoded["train"] = self._encode("train", self._texts["train"])
            self._fit_head(self._encoded)
            validation = self._encoded["validation"].vectors
            before = head_probabilities(self._rater, validation) if judged is None else self._before(judged)
        before_seconds = time.monotonic() - started
        targets, ensemble = self._taught() if self._networks > 1 else (self._targets, None)
        run = self._run if ensemble is None else self._renewed(self._networks - 1)
        trained = self._train(run, networks=1, targets=targets)
        return FineTuned(
            rater=self._rater,
            backbone=self._backbone,
            config=self._run.config,
            result=trained.result,
            validation=trained.validation,
            before=before,
            before_seconds=before_seconds,
            judged=self._judged,
            reviews=self._plan.reviews,
            windowed=int(self._texts["train"].windowed.sum()),
            shortened=int(self._texts["train"].shortened.sum()),
            ensemble=ensemble,
            paraphrased=sum(text is not None for text in self._paraphrases or ()),
            adapter=self._adapter,
            prompt=self._prompt,
            pairs=self._pairs,
            is_untrained=self._is_untrained,
        )

    def _learn_from(self, reviews: int) -> None:
        """Take so many of the training reviews, drawn at random; what are fewer are a part of what are more."""
        config = self._run.config
        chosen = np.sort(np.random.default_rng(config.seed).permutation(len(self._training))[:reviews])
        paraphrases, taught = self._all_paraphrases, self._teacher
        self._parts["train"] = training = self._training.take(chosen)
        self._paraphrases = None if paraphrases is None else [paraphrases[row] for row in chosen]
        self._targets = None if taught is None else taught.targets[chosen]
        self._target_weight: float | FloatArray = 0.5 if taught is None else taught.target_weights()[chosen]
        self._texts["train"] = self._encoder.encode(training.joined())
        self._ratings["train"] = training.rated()
        self._weights = review_weights(training, self._scale, config.train.class_weights)

    def _plan_again(self, seconds: float) -> None:
        """Reckon with a slower machine where reading the validation reviews, which took so long, shows one.

        A head alone then learns from fewer reviews, as nothing else would end its reading; the training of layers ends by the
        clock.
        """
        if seconds < _TELLING_SECONDS:
            return
        self._time = self._time.slowed(len(self._texts["validation"]) / seconds / self._time.reviews_per_second)
        left = self._time.left(self._networks)
        if left is None or self._frozen < self._layers or self._run.resume:
            return
        tokens = {name: float(texts.lengths.mean()) for name, texts in self._texts.items()}
        a_second = self._time.reviews_per_second * tokens["validation"] / tokens["train"]
        affordable = max(min(LEAST_REVIEWS, self._plan.reviews), int((1 - PROBE_SHARE) * left * a_second))
        if affordable < _CLEARLY_FEWER * self._plan.reviews:
            self._run.reporter.tell(f"the machine has become slower: the head learns from {affordable:,} reviews")
            self._plan = replace(self._plan, reviews=affordable)
            self._run = replace(self._run, plan=self._plan)
            self._learn_from(affordable)

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
        return Member(training=trained.of_training(), validation=trained.validation, seconds=trained.seconds)

    def _renewed(self, number: int) -> Run:
        """Start again from the pretrained backbone, as the numbered network of an ensemble, whose run is returned."""
        run = network_run(self._run, number)
        torch.manual_seed(run.config.seed)
        del self._rater, self._backbone, self._adapter  # else two networks would be in memory
        self._prepare(load_network(run.config, self._scale), run.config)
        self._fit_head(self._encoded)
        return run

    def _prepare(self, loaded: Loaded, config: FitConfig) -> None:
        """Put a new head on a backbone, and mark the weights that are trained."""
        settings = config.backbone
        self._backbone = replace(loaded.backbone, encoder=self._encoder)
        self._adapter, self._prompt = loaded.adapter, loaded.prompt
        self._rater = create_rater(self._backbone, self._scale, self._ratings["train"], config, self._prompt)
        self._frozen = 0
        if self._adapter is None:
            self._frozen = set_trained(
                self._backbone.model, trained_layers=settings.trained_layers, train_embeddings=settings.train_embeddings
            )

    def _train(self, run: Run, *, networks: int, targets: FloatArray | None = None) -> _Trained:
        """Train the network, whose head has been fitted, where so many are left with it."""
        restarted = top_layers(self._backbone.model, run.config.strengthen.reinitialised_layers or 0)
        before = _Before.of(self._rater, self._start, self._ratings["validation"]) if restarted else None
        if restarted:  # only now, so that what the backbone was worth before is told of the pretrained one
            reinitialise(self._backbone.model, restarted, run.config.seed)
        reviews = {name: RatedTexts(texts=texts, ratings=self._ratings[name]) for name, texts in self._texts.items()}
        paired = bool(run.config.few.contrastive_passes)
        if paired:
            self._pairs = learn_pairs(self._rater, reviews, self._encoder.settings, run, self._time.left(networks))
        if restarted or paired or not (self._adapter is None or self._adapter.method.starts_as_identity):
            self._fit_head({name: self._encode(name, part, again=True) for name, part in self._texts.items()})
        if self._frozen:
            reviews = {name: replace(part, encoded=self._encoded[name]) for name, part in reviews.items()}
        augmented = self._augmented(run.config.seed)
        given: dict[str, Any] = {"weights": self._weights, "targets": targets, "target_weight": self._target_weight}
        reviews["train"] = replace(reviews["train"], augmented=augmented, **given)
        hidden = self._encoded["train"].hidden
        network = Network(
            self._rater,
            self._encoder.settings,
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
                expected_epochs=self._plan.epochs,
            )
            result = train(learner, limited)
            outputs = learner.best_outputs(result.best_score)
            self._is_untrained = before is not None and before.score < result.best_score
            if before is not None and self._is_untrained:
                before.restore(self._rater)
                outputs, result = before.outputs, replace(result, best_step=0, best_score=before.score)
            validation = distribution(self._rater, outputs)
        return _Trained(
            network=network,
            training=reviews["train"],
            result=result,
            validation=validation,
            seconds=result.seconds + (0.0 if self._pairs is None else self._pairs.seconds),
        )

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
            anchored=self._prompt is not None,
        )
        with torch.no_grad():
            self._start = self._rater.head(encoded["validation"].vectors.to(self._rater.head.linear.weight.device))

    def _before(self, judged: Reviews) -> FloatArray | None:
        """What the untrained backbone says of the judged reviews, unless that would take much of the time."""
        seconds = self._time.left(self._networks)
        if seconds is not None and len(judged) > PROBE_SHARE * seconds * self._time.reviews_per_second:
            return None
        texts = self._encoder.encode(judged.joined())
        return head_probabilities(self._rater, self._encode("judged", texts).vectors)

    def _augmented(self, seed: int) -> AugmentedTexts | None:
        if self._augmentation is None and self._paraphrases is None:
            return None
        return AugmentedTexts(
            texts=self._parts["train"].joined(),
            encoder=self._encoder,
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
            self._encoder.settings,
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
        most, seconds = _PROBE_REVIEWS, self._time.left(self._networks)
        if seconds is not None:
            most = min(most, max(64, int(PROBE_SHARE * seconds * self._time.reviews_per_second)))
        return np.sort(np.random.default_rng(self._run.config.seed).permutation(count)[:most])
