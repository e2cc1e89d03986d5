"""Ends training of a transformers Trainer, or of one built on it, while there is still time for what comes after."""

from transformers import TrainerCallback

from peers.exchange import Clock


class Deadline(TrainerCallback):
    """Stops when just the time that is kept for predicting is left, should steps have become slower than measured."""

    def __init__(self, clock: Clock, reserve_seconds: float) -> None:
        self.clock, self.reserve_seconds = clock, reserve_seconds

    def on_step_end(self, args, state, control, **_):
        """Stop or go on."""
        control.should_training_stop |= self.clock.left() < self.reserve_seconds
