"""The service: models behind HTTP, with batching, limits, keys and metrics."""

from importlib.util import find_spec

from ratecast.errors import require

for _package in ("fastapi", "uvicorn", "prometheus_client"):
    if find_spec(_package) is None:  # where they are, they are imported while models are loaded
        require(_package, "serve", "serving")

from ratecast.serve.keys import DEFAULT_SCOPES, SCOPES, add_key, read_keys, revoke_key  # noqa: E402 - they need what was just looked for
from ratecast.serve.logs import start_logging  # noqa: E402 - as above
from ratecast.serve.run import serve  # noqa: E402 - as above

__all__ = ["serve", "start_logging", "add_key", "read_keys", "revoke_key", "SCOPES", "DEFAULT_SCOPES"]
