"""What can be found wrong with the settings of fine-tuning before any work is done."""

from ratecast.config import FitConfig, translation_models
from ratecast.errors import require
from ratecast.model.adapters import create_method
from ratecast.model.backbone import backbone_architecture, check_backbone
from ratecast.model.heads import create_head
from ratecast.model.prompting import check_prompt
from ratecast.model.translate import check_translator
from ratecast.model.windows import check_windows
from ratecast.scale import FloatArray, RatingScale
from ratecast.train.loop import wanted_trackers


def check_finetuning(config: FitConfig, scale: RatingScale, ratings: FloatArray) -> None:
    """Refuse at once what `finetune` would refuse later.

    Args:
        config: the settings.
        scale: the rating scale.
        ratings: rated reviews' ratings, shape ``(review,)``.

    Raises:
        BackboneError: if the backbone or a translation model cannot be found, or its folder lacks a file.
        ConfigError: if the head is unknown or does not go with the scale or the settings, the backbone has fewer layers or
            positions than asked for, it takes no summary of windows, or the tuning method or the prompt does not go with it or
            with the settings.
        MissingExtraError: if a tracker or the extra ``train`` is not installed.
    """
    wanted_trackers(config.track)
    smoothing = config.train.label_smoothing
    create_head(config.backbone.head, 1, scale, ratings, label_smoothing=smoothing)  # a narrow one, to hear what it refuses
    for model in translation_models(config.strengthen.back_translation) if config.strengthen.back_translation else ():
        check_translator(model)
    method = create_method(config.adapter)
    added_tokens = 0 if method is None else method.added_tokens
    check_backbone(config.backbone, reinitialised_layers=config.strengthen.reinitialised_layers or 0, added_tokens=added_tokens)
    check_windows(config.backbone, added_tokens=added_tokens)
    if config.few.prompt is not None:
        check_prompt(config, scale)
    if method is not None:
        require("peft", "train", f"tune={method.name}")
        method.check(backbone_architecture(config.backbone.backbone))
