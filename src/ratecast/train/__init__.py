"""Training: the one loop, its optimiser, checkpoints and the cache of frozen layers."""
