"""fastText with its tutorial's settings: word pairs, five passes."""

import tempfile
from pathlib import Path

import fasttext
from peers.fasttext import TUTORIAL, probabilities, save

from engines.exchange import given, megabytes, serve


def main() -> None:
    """Fit it and answer."""
    asked = given()
    training = asked.training()
    with tempfile.TemporaryDirectory() as name:
        model = fasttext.train_supervised(save(training, Path(name) / "train.txt"), **TUTORIAL[0], thread=2, verbose=0, seed=0)
        model.save_model(str(Path(name) / "model.bin"))
        size = megabytes([Path(name) / "model.bin"])
    levels = training.levels
    serve(asked.texts(), lambda texts: probabilities(model, texts, len(levels)) @ levels, size_mb=size)


if __name__ == "__main__":
    main()
