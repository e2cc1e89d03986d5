"""One run of pretraining: from texts to the folder of a backbone."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import torch
from accelerate import PartialState

from ratecast.config import PretrainConfig
from ratecast.errors import ConfigError, DataError, RatecastError
from ratecast.files import working_folder
from ratecast.model.store import new_folder, package_versions
from ratecast.pretraining import Pretraining
from ratecast.pretraining.corpus import Corpus, build_corpus, mark_whole, open_corpus
from ratecast.pretraining.folder import BACKBONE, write_curve, write_facts
from ratecast.pretraining.language import LanguageModel, load_language
from ratecast.pretraining.learner import PretrainingLearner, PretrainingPlan, loop_settings
from ratecast.pretraining.objectives import OBJECTIVES, PretrainingObjective, create_objective
from ratecast.processors import available_processors
from ratecast.progress import Reporter
from ratecast.text.unknown import fraction_warning, unknown_id
from ratecast.train.checkpoint import CHECKPOINT_FILE, load_tensors
from ratecast.train.loop import Run, TrainingResult, curve_key, shown_score, train, wanted_trackers
from ratecast.train.precision import choose_precision

Texts = Callable[[], Iterable[Sequence[str]]]

_READING_SHARE: Final = 0.2
"""Share of the time budget after which no more of the table is read."""
_WRITING_SECONDS: Final = 3.0
_LEAST_STEPS: Final = 5
_PRECISION_FILE: Final = "precision.txt"


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """What a run begins with."""

    objective: PretrainingObjective
    corpus: Corpus
    learner: PretrainingLearner
    fingerprint: str
    is_new: bool
    allowed_seconds: float | None


class Session:
    """One run of `pretrain`.

    Args:
        out: folder for the backbone.
        config: the settings.
        reporter: shows messages and progress.
        started: when the time budget began, in seconds of ``time.monotonic``.
        resume: whether to go on with a run that was interrupted.
    """

    def __init__(self, out: Path, config: PretrainConfig, reporter: Reporter, *, started: float, resume: bool) -> None:
        self._out, self._config, self._reporter, self._started, self._resume = out, config, reporter, started, resume
        self._working = out.parent / f"{out.name}.pretraining"

    def run(self, texts: Texts, stamp: str) -> Pretraining:
        """Read, train and write.

        Args:
            texts: gives the pieces of the reviews.
            stamp: what tells whether they are the same as those of a run before; empty if nothing does without reading them.
        """
        with working_folder(self._working, resume=self._resume):
            return self._written(texts, stamp)

    def _written(self, texts: Texts, stamp: str) -> Pretraining:
        wanted_trackers(self._config.track)
        torch.set_num_threads(self._config.threads or available_processors())
        torch.manual_seed(self._config.seed)
        try:
            prepared = self._prepared(texts, stamp)
            result = train(prepared.learner, self._loop_run(prepared))
        except RatecastError:
            if not (self._working / CHECKPOINT_FILE).exists():  # nothing that another run could go on with
                shutil.rmtree(self._working, ignore_errors=True)
            raise
        found = self._found(prepared, result)
        with new_folder(self._out, BACKBONE) as new:
            self._write(new, prepared, found)
        return found

    def _prepared(self, texts: Texts, stamp: str) -> _Prepared:
        config, named = self._config, self._config.objective
        language = load_language(
            config.backbone,
            block_tokens=config.block_tokens,
            precision=self._precision(),
            inner_dropout=named is not None and OBJECTIVES[named].inner_dropout,
        )
        objective = create_objective(language, config)
        corpus = self._corpus(texts, stamp, language)
        self._reporter.tell(corpus.describe())
        unknown = corpus.fraction_of(unknown_id(language.encoder.tokenizer))
        if (warning := fraction_warning(unknown, (), config.backbone)) is not None:
            self._reporter.tell(f"warning: {warning}")
        tokens = int(corpus.lengths(corpus.training).sum())
        if tokens < config.batch_tokens:
            raise DataError(
                f"the reviews have {tokens:,} tokens to learn from, and a batch takes {config.batch_tokens:,}; give more "
                "reviews or smaller batches (batch_tokens)"
            )
        learner = PretrainingLearner(objective, corpus, config)
        learner.network.to(PartialState().device)  # where training will be, so that speed is measured there
        fingerprint = _fingerprint(config, corpus, language)
        path = self._working / CHECKPOINT_FILE
        saved = load_tensors(path, fingerprint, with_tensors=False) if self._resume else None
        allowed = self._plan(learner, None if saved is None else PretrainingPlan.from_json(saved[0]["plan"]))
        what = f"{objective.name}, up to {learner.plan.steps:,} steps of about {learner.units_per_step:,.0f} tokens"
        self._reporter.tell(f"pretraining {config.backbone}: {what}")
        return _Prepared(
            objective=objective,
            corpus=corpus,
            learner=learner,
            fingerprint=fingerprint,
            is_new=saved is None,
            allowed_seconds=allowed,
        )

    def _precision(self) -> str:
        """That of a run that is gone on with, or what suits this machine, which is left for a later run."""
        path = self._working / _PRECISION_FILE
        if not (self._resume and path.is_file()):
            path.write_text(choose_precision(self._config.precision), encoding="utf-8")
        return choose_precision(path.read_text(encoding="utf-8"))

    def _corpus(self, texts: Texts, stamp: str, language: LanguageModel) -> Corpus:
        folder, budget = self._working / "corpus", self._config.time_budget_seconds
        tokenizer = language.encoder.tokenizer
        if stamp:
            made_of = [stamp, tokenizer.to_str(), self._config.to_mapping()["columns"]]
            stamp = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
        found = open_corpus(folder, stamp) if self._resume and stamp else None
        if found is None:
            deadline = None if budget is None or not stamp else self._started + _READING_SHARE * budget
            found = build_corpus(texts(), tokenizer, folder, self._reporter, deadline=deadline)
            mark_whole(folder, stamp)
        return found

    def _plan(self, learner: PretrainingLearner, saved: PretrainingPlan | None) -> float | None:
        """Plan for the time that is left, or go on with a plan, and return the time for training; None without a limit."""
        learner.plan = saved or learner.plan
        budget = self._config.time_budget_seconds
        if budget is None:
            return None
        speed = learner.measure_speed()
        left = self._started + budget - time.monotonic() - _WRITING_SECONDS - speed[0]
        if saved is None:
            learner.plan_for(max(left, 0.0), speed)
        allowed = left - learner.plan.held_out_batches * speed[1]  # the evaluation after the last step
        if allowed < _LEAST_STEPS * speed[0]:
            raise ConfigError(
                f"the time budget of {self._config.time_budget} leaves {max(allowed, 0.0):.1f} s for training, after "
                f"loading and reading, and a step takes {speed[0]:.1f} s; give more time or smaller batches (batch_tokens)"
            )
        return allowed

    def _loop_run(self, prepared: _Prepared) -> Run:
        learner, objective = prepared.learner, prepared.objective
        is_first = prepared.is_new

        def tell(_progress: float, score: float) -> None:
            nonlocal is_first
            if is_first:
                self._reporter.tell(f"before: {learner.measure} {shown_score(score)}")
            is_first = False

        return Run(
            config=loop_settings(self._config, objective),
            folder=self._working,
            fingerprint=prepared.fingerprint,
            resume=self._resume,
            reporter=self._reporter,
            log_folder=self._out.parent / f"{self._out.name}.logs",
            allowed_seconds=prepared.allowed_seconds,
            plan=learner.plan,
            on_evaluation=tell,
        )

    def _found(self, prepared: _Prepared, result: TrainingResult) -> Pretraining:
        return Pretraining(
            folder=self._out,
            objective=prepared.objective.name,
            measure=result.measure,
            output_was_new=bool(prepared.objective.language.new) and prepared.objective.measure == "perplexity",
            before=result.curve[0][curve_key(result.measure)],
            after=result.best_score,
            best_step=result.best_step,
            steps=result.steps,
            seconds=result.seconds,
            stopped_by=result.stopped_by,
            curve=result.curve,
        )

    def _write(self, new: Path, prepared: _Prepared, found: Pretraining) -> None:
        language, corpus = prepared.objective.language, prepared.corpus
        language.save(new)
        write_facts(
            new,
            {
                "made": datetime.now(UTC).isoformat(timespec="seconds"),
                "backbone": self._config.backbone,
                "backbone_sha256": language.sha256,
                **found.to_json(),
                "corpus": {
                    "reviews": len(corpus.training),
                    "tokens": int(corpus.lengths(corpus.training).sum()),
                    "held_out": len(corpus.held_out),
                    "copies": corpus.copies,
                    "fingerprint": corpus.fingerprint,
                },
                "settings": self._config.to_mapping(),
                "versions": package_versions("ratecast", "torch", "transformers", "tokenizers", "numpy"),
            },
        )
        write_curve(
            new,
            title=f"{self._config.backbone}, pretrained further",
            verdict=found.describe(),
            measure=found.measure,
            scores=[point[curve_key(found.measure)] for point in found.curve],
            curve=found.curve,
        )


def _fingerprint(config: PretrainConfig, corpus: Corpus, language: LanguageModel) -> str:
    """Hash of everything that decides the weights of a run of fixed steps."""
    free = {"track", "time_budget", "threads", "checkpoint_seconds"}
    deciding = {name: value for name, value in config.to_mapping().items() if name not in free}
    made_of = [deciding, corpus.fingerprint, language.sha256]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
