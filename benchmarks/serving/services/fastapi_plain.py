"""A model behind FastAPI as tutorials do it: each request predicts its own reviews, in a thread of the framework's pool.

python -m services.fastapi_plain MODEL PORT
"""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI

import ratecast


def main(folder: str, port: int) -> None:
    """Serve until the process is ended."""
    model = ratecast.load(folder)
    app = FastAPI()

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/v1/predict")
    def predict(content: dict[str, Any]) -> dict[str, Any]:
        found = model.predict([review["text"] for review in content["reviews"]])
        return {"predictions": [{"rating": one.rating, "probabilities": one.probabilities} for one in found]}

    uvicorn.run(app, port=port, log_level="error")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
