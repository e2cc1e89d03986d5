"""A model behind FastAPI as tutorials do it: each request predicts its own reviews, in a thread of the framework's pool.

uvicorn plain_service:app        with MODEL as the folder; `serving.py` starts it
"""

import os
from typing import Any

from fastapi import FastAPI

import ratecast

model = ratecast.load(os.environ["MODEL"])
app = FastAPI()


@app.get("/readyz")
def ready() -> dict[str, str]:
    """Whether the model is loaded."""
    return {"status": "ready"}


@app.post("/v1/predict")
def predict(content: dict[str, Any]) -> dict[str, Any]:
    """Predict the reviews of a request."""
    found = model.predict([review["text"] for review in content["reviews"]])
    return {"predictions": [{"rating": one.rating, "probabilities": one.probabilities} for one in found]}
