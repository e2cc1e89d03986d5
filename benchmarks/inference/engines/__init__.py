"""One script an engine: it gets ready, then answers as often as it is asked to."""
