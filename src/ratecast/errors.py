"""Every error that ratecast raises on purpose.

```
RatecastError
├── DataError            a table, file or column that cannot be used
├── ScaleError           a rating scale that cannot be read, or ratings that do not fit it
├── ConfigError          a setting with an unknown name or an impossible value
├── BackboneError        a pretrained model that cannot be loaded
├── ModelFolderError     a model folder that is damaged, incomplete or of a newer format
├── OutputError          a place that cannot be written to
├── MissingExtraError    a part of ratecast whose extra is not installed
├── ShapeError           arrays whose shapes do not fit each other
├── WorkerError          a process that did a part of the work and ended before it was done
└── StoreError           a database of predictions that cannot be used
    ├── StoreUnavailableError     it does not answer or cannot be written now; trying again may help
    └── UnknownPredictionError    a prediction that is not in it
```

A `RatecastError` is the user's to mend: its message says what was found, what was expected and what to do, and the command
line shows it as one line and exits with status 2. Any other exception is a bug of ours and keeps its traceback.
"""

import importlib
from types import ModuleType


class RatecastError(Exception):
    """Base of every error that ratecast raises on purpose."""


class DataError(RatecastError):
    """A table, file or column that cannot be used."""


class ScaleError(RatecastError):
    """A rating scale that cannot be read, or ratings that do not fit it."""


class ConfigError(RatecastError):
    """A setting with an unknown name or an impossible value."""


class BackboneError(RatecastError):
    """A pretrained model that cannot be loaded."""


class ModelFolderError(RatecastError):
    """A model folder that is damaged, incomplete or of a newer format."""


class OutputError(RatecastError):
    """A place that cannot be written to."""


class MissingExtraError(RatecastError):
    """A part of ratecast whose extra is not installed."""


class ShapeError(RatecastError):
    """Arrays whose shapes do not fit each other."""


class WorkerError(RatecastError):
    """A process that did a part of the work and ended before it was done, as one that takes too much memory is ended."""


class StoreError(RatecastError):
    """A database of predictions that cannot be used."""


class StoreUnavailableError(StoreError):
    """A database that does not answer or cannot be written now; trying again may help."""


class UnknownPredictionError(StoreError):
    """A prediction that is not in the database."""


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import and return ``module``, or tell which extra brings it.

    Args:
        module: dotted name of the module to import.
        extra: the extra of ratecast that installs it.
        purpose: what it is needed for, as the subject of a sentence ("fitting").

    Raises:
        MissingExtraError: if the module's package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise
        raise MissingExtraError(
            f"{purpose} needs the package {module.partition('.')[0]!r}, which is not installed: pip install 'ratecast[{extra}]'"
        ) from None
