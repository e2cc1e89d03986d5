"""The Open Inference Protocol, as its specification has it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

import ratecast
from ratecast.records import Review
from ratecast.serve.keys import add_key
from served import Running, serving

TEXTS = ["the movie was great", "awful"]


@pytest.fixture(scope="module")
def twofold(linear_model: Path, contrary_model: Path) -> Iterator[Running]:
    """A model in two versions, one of which answers only if it is asked for."""
    with serving(f"shop={linear_model}", f"shop={contrary_model}@0", "--max-reviews", "3") as running:
        yield running


def tensor(name: str, data: list[Any], **other: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": "BYTES", "data": data, **other}


def infer(running: Running, content: dict[str, Any], path: str = "shop") -> httpx.Response:
    return running.client.post(f"/v2/models/{path}/infer", json=content)


def outputs(answer: httpx.Response) -> dict[str, np.ndarray]:
    """The output tensors by name, in their shapes."""
    assert answer.status_code == 200, answer.text
    kinds = {"FP64": np.float64, "BYTES": np.str_}
    return {
        one["name"]: np.asarray(one["data"], dtype=kinds[one["datatype"]]).reshape(one["shape"])
        for one in answer.json()["outputs"]
    }


def test_the_server_tells_of_itself(twofold: Running) -> None:
    assert twofold.client.get("/v2").json() == {"name": "ratecast", "version": ratecast.__version__, "extensions": []}
    assert twofold.client.get("/v2/health/live").json()["live"] is True
    assert twofold.client.get("/v2/health/ready").json()["ready"] is True
    for path in ("", "/versions/contrary"):
        assert twofold.client.get(f"/v2/models/shop{path}/ready").json() == {"name": "shop", "ready": True}


def test_a_model_tells_what_it_takes_and_gives(twofold: Running) -> None:
    shown = twofold.client.get("/v2/models/shop").json()
    own = [one["version"] for one in twofold.client.get("/v1/models").json()["models"]]
    assert (shown["name"], shown["platform"], shown["versions"]) == ("shop", "ratecast", own)
    inputs = {one["name"]: (one["datatype"], one["shape"]) for one in shown["inputs"]}
    assert inputs == {"text": ("BYTES", [-1]), "title": ("BYTES", [-1])}
    given = {one["name"]: (one["datatype"], one["shape"]) for one in shown["outputs"]}
    assert given == {
        "rating": ("FP64", [-1]),
        "median": ("FP64", [-1]),
        "mode": ("FP64", [-1]),
        "probabilities": ("FP64", [-1, 5]),
        "warnings": ("BYTES", [-1]),
        "prediction_id": ("BYTES", [-1]),
    }
    assert twofold.client.get(f"/v2/models/shop/versions/{own[1]}").json() == shown


def test_it_answers_as_the_library_does(twofold: Running, linear_model: Path) -> None:
    model = ratecast.load(linear_model)
    answer = infer(twofold, {"id": "42", "inputs": [tensor("text", TEXTS), tensor("title", ["Very good", ""])]})
    found, expected = outputs(answer), model.predict([Review(text=TEXTS[0], title="Very good"), Review(text=TEXTS[1])])
    assert (answer.json()["id"], answer.json()["model_name"]) == ("42", "shop")
    assert answer.json()["model_version"] == twofold.client.get("/v1/models").json()["models"][0]["version"]
    for name in ("rating", "median", "mode", "probabilities"):
        np.testing.assert_allclose(found[name], getattr(expected, name), atol=1e-9)
    assert len(set(found["prediction_id"])) == 2


def test_it_answers_triton_s_client(twofold: Running, linear_model: Path) -> None:
    client = InferenceServerClient(urlsplit(twofold.url).netloc)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("shop", "contrary")
    assert client.get_model_metadata("shop")["platform"] == "ratecast"
    given = InferInput("text", [len(TEXTS)], "BYTES")
    given.set_data_from_numpy(np.array(TEXTS, dtype=np.object_), binary_data=False)
    wanted = [InferRequestedOutput(name, binary_data=False) for name in ("rating", "probabilities", "prediction_id")]
    found, expected = client.infer("shop", [given], outputs=wanted), ratecast.load(linear_model).predict(TEXTS)
    np.testing.assert_allclose(found.as_numpy("rating"), expected.rating, atol=1e-9)
    np.testing.assert_allclose(found.as_numpy("probabilities"), expected.probabilities, atol=1e-9)
    assert len(set(found.as_numpy("prediction_id"))) == len(TEXTS)
    with pytest.raises(InferenceServerException, match="there is no model 'other'"):
        client.infer("other", [given])
    given.set_data_from_numpy(np.array(TEXTS, dtype=np.object_))
    with pytest.raises(InferenceServerException, match="tensors are taken as JSON alone: set binary_data=False"):
        client.infer("shop", [given])
    client.close()


def test_a_model_with_intervals_gives_them(tiny_model: Path) -> None:
    texts = [*TEXTS, ""]
    expected = ratecast.load(tiny_model).predict(texts).interval
    with serving(tiny_model) as running:
        found = outputs(infer(running, {"inputs": [tensor("text", texts)]}, "tiny"))
        shown = {one["name"]: one["shape"] for one in running.client.get("/v2/models/tiny").json()["outputs"]}
    assert expected is not None
    assert shown["interval"] == [-1, 2]
    np.testing.assert_allclose(found["interval"], expected)
    assert found["warnings"].tolist() == ["", "", "the text is empty"]


def test_tensors_may_have_a_second_dimension_and_be_nested(twofold: Running) -> None:
    expected = outputs(infer(twofold, {"inputs": [tensor("text", TEXTS)]}))["rating"]
    for data in (TEXTS, [[text] for text in TEXTS]):
        nested = infer(twofold, {"inputs": [tensor("text", data, shape=[2, 1], parameters={"content_type": "str"})]})
        np.testing.assert_array_equal(outputs(nested)["rating"], expected)
        assert nested.json()["id"] == nested.headers["x-request-id"]


def test_a_body_that_is_declared_as_nothing_is_taken_for_json(twofold: Running) -> None:
    content = json.dumps({"inputs": [tensor("text", TEXTS)]}).encode()
    assert len(outputs(twofold.client.post("/v2/models/shop/infer", content=content))["rating"]) == 2


def test_a_version_and_outputs_can_be_asked_for(twofold: Running, contrary_model: Path) -> None:
    content = {"inputs": [tensor("text", TEXTS)], "outputs": [{"name": "mode"}, {"name": "rating"}]}
    found = outputs(infer(twofold, content, "shop/versions/contrary"))
    assert list(found) == ["mode", "rating"]
    np.testing.assert_allclose(found["rating"], ratecast.load(contrary_model).predict(TEXTS).rating, atol=1e-9)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "inputs: Field required"),
        ({"inputs": []}, "there is no text"),
        ({"inputs": [tensor("text", [])]}, "there is no text"),
        ({"inputs": [tensor("title", ["a"])]}, "there is no text"),
        ({"inputs": [tensor("words", ["a"])]}, "the input 'words' is unknown; expected text"),
        ({"inputs": [tensor("text", ["a"]), tensor("text", ["a"])]}, "the input 'text' is there twice"),
        ({"inputs": [tensor("text", ["a"], datatype="FP32")]}, "'text' is of type 'FP32'; expected BYTES"),
        ({"inputs": [tensor("text", [1])]}, "inputs.0.data.0: Input should be a valid string"),
        ({"inputs": [tensor("text", ["a\0"])]}, "inputs.0.data.0: Value error, holds the control character"),
        ({"inputs": [tensor("text", ["a"], shape=[2])]}, "'text' has 1 texts; its shape is [2]"),
        ({"inputs": [tensor("text", ["a"], shape=[1, 1, 1])]}, "expected [reviews] or [reviews, 1]"),
        ({"inputs": [tensor("text", ["a"], shape=[-1])]}, "'text' has 1 texts; its shape is [-1]"),
        ({"inputs": [tensor("text", ["a", "b"]), tensor("title", ["a"])]}, "found 1 titles of 2 texts"),
        ({"inputs": [tensor("text", ["a"])], "outputs": [{"name": "stars"}]}, "there is no output 'stars'; known are rating"),
        ({"inputs": [tensor("text", ["a"])], "outputs": [{"name": "interval"}]}, "the model 'shop' has no output 'interval'"),
        ({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES"}]}, "inputs.0.data: Field required"),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_what_is_wrong_is_told(twofold: Running, content: dict[str, Any], words: str) -> None:
    answer = infer(twofold, content)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}
    assert words in answer.json()["error"]


def test_all_refusals_have_the_form_of_the_protocol(twofold: Running, linear_model: Path, tmp_path: Path) -> None:
    client, body = twofold.client, {"inputs": [tensor("text", TEXTS)]}
    answers = {
        404: [
            infer(twofold, body, "other"),
            infer(twofold, body, "shop/versions/other"),
            client.get("/v2/models/other/ready"),
            client.get("/v2/nothing"),
        ],
        400: [client.post("/v2/models/shop/infer", content=b"{", headers={"content-type": "application/json"})],
        405: [client.get("/v2/models/shop/infer")],
        413: [infer(twofold, {"inputs": [tensor("text", ["a"] * 4)]}), infer(twofold, {"id": "a" * 4_000_000})],
        415: [
            client.post("/v2/models/shop/infer", content=json.dumps(body), headers=headers)
            for headers in ({"content-type": "text/plain"}, {"origin": "http://evil.example"})
        ],
        421: [client.get("/v2", headers={"host": "evil.example"})],
    }
    file = tmp_path / "keys.toml"
    scraper = add_key(file, "scraper", ("metrics",))
    with serving(linear_model, "--keys", file) as guarded:
        assert guarded.client.get("/v2/health/ready").status_code == 200
        answers[401] = [guarded.client.get(path) for path in ("/v2", "/v2/models/tiny/ready")]
        answers[403] = [guarded.client.get("/v2", headers={"authorization": f"Bearer {scraper}"})]
    for status, found in answers.items():
        for answer in found:
            assert answer.status_code == status, answer.text
            assert list(answer.json()) == ["error"]
            assert isinstance(answer.json()["error"], str)
    documented = client.get("/openapi.json").json()["paths"]["/v2/models/{name}/infer"]["post"]["responses"]
    assert set(map(str, (*answers.keys(), 503, 504))) - {"405"} <= set(documented)
    assert documented["404"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorMessage")
