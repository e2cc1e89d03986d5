"""Every tuning method by name, and how one is chosen and put on a backbone."""

from dataclasses import fields
from pathlib import Path

from ratecast.config import AdapterConfig
from ratecast.errors import ConfigError
from ratecast.model.adapters.adalora import AdaLora
from ratecast.model.adapters.base import Adapter, Method, weights_sha256
from ratecast.model.adapters.bottleneck import Bottleneck
from ratecast.model.adapters.ia3 import Ia3
from ratecast.model.adapters.lora import Lora
from ratecast.model.adapters.prefix import Prefix
from ratecast.model.adapters.prompt import Prompt
from ratecast.model.adapters.ptuning import PTuning
from ratecast.model.backbone import Backbone

METHODS: dict[str, type[Method]] = {
    "lora": Lora,
    "adalora": AdaLora,
    "ia3": Ia3,
    "prefix": Prefix,
    "prompt": Prompt,
    "p-tuning": PTuning,
    "bottleneck": Bottleneck,
}
"""Every method by the name used in the configuration."""


def create_method(config: AdapterConfig) -> Method | None:
    """The method that the settings ask for; None where the backbone's own weights are tuned.

    Raises:
        ConfigError: if a value is given that the method does not read, or its values contradict each other.
    """
    values = {part.name: getattr(config, part.name) for part in fields(config) if part.name != "tune"}
    given = {name: value for name, value in values.items() if value is not None}
    kind = METHODS.get(config.tune)
    read = [] if kind is None else [part.name for part in fields(kind)]
    if unread := [name for name in given if name not in read]:
        raise ConfigError(
            f"tune={config.tune} does not read {', '.join(unread)}, only {', '.join(read) or 'none of these settings'}: "
            "leave out the rest, or choose another method"
        )
    return None if kind is None else kind(**given)


def attach(backbone: Backbone, method: Method) -> Adapter:
    """Add a method's weights to a loaded backbone, whose model is changed in place.

    Raises:
        ConfigError: if the method does not work with the backbone.
        MissingExtraError: if the extra ``train`` is not installed.
    """
    place = Path(backbone.name).expanduser()
    base = str(place.resolve()) if place.exists() else backbone.name  # found again from any folder
    base_sha256 = weights_sha256(backbone.model)
    return Adapter(method=method, model=method.attach(backbone.model), base=base, base_sha256=base_sha256)
