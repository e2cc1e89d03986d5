"""How near pretraining and fine-tuning come to the speed of bare matrix products, in the precision that they compute in.

    python benchmarks/ceiling.py --data-dir ../shared/data

The ceiling is the best speed of a product of the shapes of MiniLM's feed-forward layers, as many steps of each are timed
in alternation with it, and the shares are medians over the rounds. Counted are the products of the layers and of the output
layer, three times each for training; attention's own (5 % more at 128 tokens) are not.
"""

import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from setting import ceiling_gflops, show, yelp, yelp_parser

from ratecast.config import FitConfig, PretrainConfig
from ratecast.model.backbone import load_backbone
from ratecast.pretraining.corpus import build_corpus
from ratecast.pretraining.language import load_language
from ratecast.pretraining.learner import PretrainingLearner, loop_settings
from ratecast.pretraining.objectives import OBJECTIVES, create_objective
from ratecast.progress import SilentReporter
from ratecast.records import Reviews
from ratecast.scale import RatingScale
from ratecast.train.finetune import finetune
from ratecast.train.loop import Run, train
from ratecast.train.precision import PRECISIONS, choose_precision

LAYERS, WIDTH, INNER, WORDS = 6, 384, 1536, 30522
LAYERS_MFLOP = LAYERS * 2 * (4 * WIDTH**2 + 2 * WIDTH * INNER) / 1e6
"""Products of MiniLM's layers for one token, forward."""
OUTPUT_MFLOP = 2 * (WIDTH**2 + WIDTH * WORDS) / 1e6
"""The same of the output layer over the vocabulary for one word that is predicted."""


def loop_run(config: FitConfig, folder: Path) -> Run:
    """A run without limits that shows nothing."""
    return Run(config=config, folder=folder, fingerprint="", resume=False, reporter=SilentReporter(), log_folder=folder)


class Pretraining:
    """Steps of pretraining in the training loop, some more each time."""

    def __init__(self, texts: list[str], objective: Any, precision: Any, folder: Path, steps: int) -> None:
        config = PretrainConfig(objective=objective, precision=precision, steps=steps)
        dropout = OBJECTIVES[objective].inner_dropout
        language = load_language(config.backbone, block_tokens=config.block_tokens, precision=precision, inner_dropout=dropout)
        made = create_objective(language, config)
        corpus = build_corpus([texts], language.encoder.tokenizer, folder / "corpus", SilentReporter())
        self._learner = PretrainingLearner(made, corpus, config)
        self._learner.score = lambda step: 0.0  # type: ignore[method-assign] # evaluating is not what is timed
        self._run = loop_run(loop_settings(config, made), folder)
        first = made.examples(corpus, corpus.training).in_pass(config.seed, 0)
        self._tokens = sum(int(first.batch(number).attention_mask.sum()) for number in range(steps)) / steps
        self.mflop = 3 * LAYERS_MFLOP
        if objective == "masked":
            self.mflop += 3 * config.masked_fraction * OUTPUT_MFLOP
        else:  # both passes over a review
            self.mflop *= 2

    def tokens_per_second(self) -> float:
        """Tokens of reviews that were learnt from in a second."""
        steps_per_second = train(self._learner, self._run).units_per_second / self._learner.units_per_step
        return steps_per_second * self._tokens  # so few batches are longer or shorter than all of them are on average


class FineTuning:
    """Steps of fine-tuning all layers."""

    mflop = 3 * LAYERS_MFLOP

    def __init__(self, reviews: Reviews, precision: str, folder: Path, steps: int) -> None:
        rows = np.arange(len(reviews))
        self._parts = {"train": reviews.take(rows[32:]), "validation": reviews.take(rows[:32]), "test": reviews.take(rows[:1])}
        self._config = FitConfig().with_values(max_tokens=128, precision=precision, steps=steps, patience=1000)
        encoder = load_backbone(self._config.backbone).encoder
        self._tokens = float(encoder.encode(self._parts["train"].joined()).lengths.mean())
        self._folder = folder

    def tokens_per_second(self) -> float:
        """Tokens of reviews that were learnt from in a second."""
        run = loop_run(self._config, self._folder)
        tuned = finetune(self._parts, RatingScale.parse("1..5"), run, time_left=None, reviews_after=0)
        assert tuned is not None
        return tuned.result.units_per_second * self._tokens


def main() -> None:
    """Measure and write."""
    parser = yelp_parser(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12, help="steps of each in a round")
    arguments = parser.parse_args()
    reviews = yelp(arguments.data_dir, "train").take(np.arange(1000))
    precisions = dict.fromkeys(("float32", choose_precision("auto")))
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder, steps = Path(name), arguments.steps
        for precision in precisions:
            texts = list(reviews.text)
            work: dict[str, Pretraining | FineTuning] = {
                "pretraining, masked words": Pretraining(texts, "masked", precision, folder / "masked", steps),
                "pretraining, contrastive": Pretraining(texts, "contrastive", precision, folder / "contrastive", steps),
                "fine-tuning, all layers": FineTuning(reviews.take(np.arange(400)), precision, folder, steps),
            }
            speeds: dict[str, list[float]] = {task: [] for task in work}
            ceilings: list[float] = []
            for _ in range(arguments.rounds):
                for task, learning in work.items():
                    speeds[task].append(learning.tokens_per_second())
                ceilings.append(ceiling_gflops(PRECISIONS[precision]))
            for task, learning in work.items():
                done = [speed * learning.mflop / 1e3 for speed in speeds[task]]
                share = statistics.median(gflops / top for gflops, top in zip(done, ceilings, strict=True))
                speed = statistics.median(speeds[task])
                rows.append([task, precision, f"{speed:,.0f}", f"{statistics.median(done):.0f}", f"{share:.0%}"])
            rows.append(["a matrix product", precision, "–", f"{statistics.median(ceilings):.0f}", "100%"])
    header = ["work", "precision", "tokens a second", "GFLOP/s", "share of the ceiling"]
    show("Training beside bare matrix products", header, rows, "ceiling", rounds=arguments.rounds)


if __name__ == "__main__":
    main()
