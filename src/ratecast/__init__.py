"""Rating models from review texts: a table in, a calibrated probability for every rating level out.

Example:
    >>> import ratecast
    >>> ratecast.RatingScale.parse("1..5").labels
    ('1', '2', '3', '4', '5')
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ratecast.adapter_bank import AdapterBank
    from ratecast.assessment import assess
    from ratecast.comparison import compare
    from ratecast.compress import distill
    from ratecast.config import CompressConfig, DistillConfig, FitConfig, PretrainConfig
    from ratecast.errors import RatecastError
    from ratecast.estimator import RatingEstimator
    from ratecast.fitting import fit
    from ratecast.predict import Predictor, load
    from ratecast.pretraining import pretrain
    from ratecast.records import Prediction, Predictions, Review, Reviews
    from ratecast.scale import RatingScale
    from ratecast.tuning import tune
    from ratecast.zero_shot import zeroshot

__version__ = "0.1.0"

__all__ = [
    "fit",
    "tune",
    "pretrain",
    "distill",
    "zeroshot",
    "load",
    "assess",
    "compare",
    "Predictor",
    "AdapterBank",
    "Prediction",
    "Predictions",
    "Review",
    "Reviews",
    "RatingScale",
    "FitConfig",
    "PretrainConfig",
    "CompressConfig",
    "DistillConfig",
    "RatingEstimator",
    "RatecastError",
    "__version__",
]

# Names are imported when they are first asked for, so that `import ratecast` costs nothing.
_HOMES = {
    "fit": "fitting",
    "tune": "tuning",
    "pretrain": "pretraining",
    "distill": "compress",
    "zeroshot": "zero_shot",
    "load": "predict",
    "assess": "assessment",
    "compare": "comparison",
    "Predictor": "predict",
    "AdapterBank": "adapter_bank",
    "Prediction": "records",
    "Predictions": "records",
    "Review": "records",
    "Reviews": "records",
    "RatingScale": "scale",
    "FitConfig": "config",
    "PretrainConfig": "config",
    "CompressConfig": "config",
    "DistillConfig": "config",
    "RatingEstimator": "estimator",
    "RatecastError": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ratecast' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"ratecast.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
