"""Models behind HTTP."""

from ratecast.errors import require

require("fastapi", "serve", "serving models")
