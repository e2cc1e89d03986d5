"""A model behind LitServe with its dynamic batching: up to 32 requests, of what comes within 5 ms.

python -m services.litserve MODEL PORT
"""

import sys
from typing import Any

import litserve

import ratecast


class RatingApi(litserve.LitAPI):
    """The four verbs of a LitServe service.

    Args:
        folder: the model folder.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(max_batch_size=32, batch_timeout=0.005, api_path="/v1/predict")
        self.folder = folder

    def setup(self, device: str) -> None:
        """Load the model, in the process that predicts."""
        self.model = ratecast.load(self.folder)

    def decode_request(self, request: dict[str, Any]) -> str:
        """The text of the one review of a request."""
        text: str = request["reviews"][0]["text"]
        return text

    def predict(self, x: list[str]) -> list[Any]:
        """Predict a batch."""
        return list(self.model.predict(x))

    def encode_response(self, output: Any) -> dict[str, Any]:
        """The answer to one request."""
        return {"predictions": [{"rating": output.rating, "probabilities": output.probabilities}]}


def main(folder: str, port: int) -> None:
    """Serve until the process is ended."""
    server = litserve.LitServer(RatingApi(folder), accelerator="cpu", workers_per_device=1, healthcheck_path="/readyz")
    server.run(host="127.0.0.1", port=port, num_api_servers=1, log_level="error", generate_client_file=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
