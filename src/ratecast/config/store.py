"""Settings of the store of predictions."""

from dataclasses import dataclass

from ratecast.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class StoreConfig:
    """What is kept of predictions, for how long, and which of them a person should read."""

    keep_fraction: float = 1.0
    """Share of the predictions that are kept. Which ones follows from their ids, so that all processes decide alike."""
    sample_seed: int = 0
    """Another number keeps another sample of the same share."""
    keep_text: bool = True
    """Keep the text and title of reviews. Without them feedback cannot be exported, and a person has nothing to read."""
    uncertain_from: float = 0.25
    """A review is uncertain if the standard deviation of its predicted rating is at least this share of the scale's width:
    one star on a scale from 1 to 5."""
    surprising_below: float = 0.05
    """A review is surprising if the model gives its stars less than this share of the most probable level's probability."""
    waiting_limit: int = 10_000
    """Predictions that may wait in memory to be written. Those past it are dropped and counted."""
    retention_days: float | None = None
    """Days after which predictions are deleted with all that belongs to them; never by default."""

    def __post_init__(self) -> None:
        faults = []
        if not 0 <= self.keep_fraction <= 1:
            faults.append(f"keep_fraction must be from 0 to 1, found {self.keep_fraction}")
        faults += [
            f"{name} must be above 0, found {value}"
            for name, value in (
                ("uncertain_from", self.uncertain_from),
                ("surprising_below", self.surprising_below),
                ("waiting_limit", self.waiting_limit),
                ("retention_days", self.retention_days),
            )
            if value is not None and not value > 0
        ]
        if self.retention_days is not None and self.retention_days > 36_500:
            faults.append(f"retention_days must be at most 36,500, found {self.retention_days}")
        if faults:
            raise ConfigError("; ".join(faults))
