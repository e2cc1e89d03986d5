"""Single values of settings: their types and ranges, and durations."""

import math
import re
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from ratecast.errors import ConfigError

_NUMBER = r"(\d*\.?\d+)\s*"
_DURATION = re.compile(f"(?:{_NUMBER}h)?\\s*(?:{_NUMBER}m)?\\s*(?:{_NUMBER}s)?")


def parse_duration(text: str) -> float:
    """Seconds of a duration written like ``90s``, ``10m``, ``1.5h`` or ``1h30m``.

    Raises:
        ConfigError: if the text is no positive duration.

    Example:
        >>> parse_duration("1h30m")
        5400.0
    """
    match = _DURATION.fullmatch(text.strip().lower())
    seconds = 0.0
    if match is not None:
        parts = (float(part or 0) for part in match.groups())
        seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=True))
    if seconds <= 0:
        raise ConfigError(f"cannot read the duration {text!r}; write 90s, 10m, 1.5h or 1h30m, with the unit")
    return seconds


def parse_share(text: str) -> float:
    """A share written like ``1%``, ``1 %`` or ``0.01``.

    Raises:
        ConfigError: if the text is no share of 0 or more, or one above 10 (1000%).

    Example:
        >>> parse_share("0.5%")
        0.005
    """
    number, percent, rest = text.strip().partition("%")
    try:
        found = float(number) / (100 if percent else 1)
    except ValueError:
        found = math.nan
    if rest or not 0 <= found <= 10:
        raise ConfigError(f"cannot read the share {text!r}; write 1% or 0.01")
    return found


def translation_models(text: str) -> tuple[str, str]:
    """The two models that ``back_translation`` names: there, and back.

    Raises:
        ConfigError: if there are not two.
    """
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names):
        raise ConfigError(
            "back_translation must name two translation models, there and back, separated by a comma, such as "
            f"Helsinki-NLP/opus-mt-en-de,Helsinki-NLP/opus-mt-de-en; found {text!r}"
        )
    return names[0], names[1]


_POSITIVE: Final = frozenset(
    (
        "learning_rate",
        "head_learning_rate",
        "epochs",
        "steps",
        "batch_reviews",
        "batch_tokens",
        "block_tokens",
        "max_gradient_norm",
        "evaluations_per_epoch",
        "patience",
        "checkpoint_seconds",
        "threads",
        "pooled_layers",
        "windows",
        "layer_decay",
        "dropout_samples",
        "ensemble",
        "rank",
        "final_rank",
        "alpha",
        "virtual_tokens",
        "bottleneck_width",
        "kept_layers",
        "kept_heads",
        "kept_neurons",
        "most_unlabelled",
        "target_ms",
        "max_body_bytes",
        "max_body_seconds",
        "max_upload_bytes",
        "max_reading_bytes",
        "max_connections",
        "max_head_seconds",
        "max_reviews",
        "max_text_bytes",
        "max_queue_bytes",
        "requests_per_minute",
        "reviews_per_minute",
        "workers",
        "deadline_ms",
        "batch_bytes",
        "piece_bytes",
        "watch_seconds",
        "shadow_queue_bytes",
    )
)
_NOT_NEGATIVE: Final = frozenset(
    (
        "weight_decay",
        "trained_layers",
        "seed",
        "r_drop",
        "reinitialised_layers",
        "adversarial",
        "contrastive_passes",
        "wait_ms",
        "leave_seconds",
        "drain_seconds",
    )
)
_FRACTIONS: Final = frozenset(
    (
        "head_fraction",
        "overlap_fraction",
        "masked_fraction",
        "dropout",
        "warmup_fraction",
        "validation_fraction",
        "test_fraction",
        "label_smoothing",
        "average_decay",
        "gradual_unfreezing",
        "word_deletion",
        "synonyms",
        "adapter_dropout",
    )
)


def range_fault(name: str, value: Any) -> str | None:
    """What is wrong with a value that is of its setting's type, None if nothing is."""
    if value is None:
        return None
    if name == "time_budget":
        return _duration_fault(value)
    if name in _POSITIVE and not value > 0:
        return f"{name} must be above 0, found {value}"
    if name in _NOT_NEGATIVE and not value >= 0:
        return f"{name} must be 0 or more, found {value}"
    if name in _FRACTIONS and not 0 <= value < 1:
        return f"{name} must be at least 0 and below 1, found {value}"
    return None


def _duration_fault(text: str) -> str | None:
    try:
        parse_duration(text)
    except ConfigError as error:
        return str(error)
    return None


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the type that a field's annotation names; a whole number is also a number."""
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:  # of any length; TOML has lists
        return isinstance(value, tuple | list) and all(fits(one, get_args(hint)[0]) for one in value)
    if get_origin(hint) in {Union, UnionType}:  # the former where an option is a Literal
        return any(fits(value, option) for option in get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def type_name(hint: Any) -> str:
    """An annotation in words, for messages."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(get_args(hint))
    if get_origin(hint) is tuple:
        return "a list of texts"
    if get_origin(hint) in {Union, UnionType}:  # the former where an option is a Literal
        return " or ".join(type_name(option) for option in get_args(hint) if option is not type(None))
    return {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}[hint]
