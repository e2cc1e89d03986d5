"""A model behind Ray Serve with its dynamic batching: up to 32 requests, of what comes within 5 ms.

python -m services.rayserve MODEL PORT
"""

import os
import signal
import sys
from typing import Any

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import ratecast


@serve.deployment(max_ongoing_requests=1000, ray_actor_options={"num_cpus": 1})
class Rating:
    """One replica, which predicts.

    Args:
        folder: the model folder.
        threads: processors that it may use.
    """

    def __init__(self, folder: str, threads: int) -> None:
        self.model = ratecast.load(folder, threads=threads)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)
    async def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        """Predict a batch."""
        found = self.model.predict(texts)
        return [{"predictions": [{"rating": one.rating, "probabilities": one.probabilities}]} for one in found]

    async def __call__(self, request: Request) -> Response:
        """Answer a request of one review."""
        if request.url.path == "/readyz":
            return JSONResponse({"status": "ready"})
        content = await request.json()
        return JSONResponse(await self.predict(content["reviews"][0]["text"]))


def main(folder: str, port: int) -> None:
    """Serve until the process is ended."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cores = len(os.sched_getaffinity(0))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(Rating.bind(folder, cores))
    try:
        signal.pause()
    except KeyboardInterrupt:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
