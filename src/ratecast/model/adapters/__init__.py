"""Parameter-efficient tuning: few weights that are added to a backbone, which stays as it is.

A method is a small frozen dataclass of its settings that knows how to add its weights to a backbone. To add one, write such a
class in a file of its own and enter it into `METHODS`.
"""

from ratecast.model.adapters.base import Adapter, Method
from ratecast.model.adapters.folder import LoadedAdapter, load_adapter, save_adapter
from ratecast.model.adapters.methods import METHODS, attach, create_method

__all__ = [
    "METHODS",
    "create_method",
    "attach",
    "save_adapter",
    "load_adapter",
    "LoadedAdapter",
    "Adapter",
    "Method",
]
