"""What goes over the wire."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ratecast.records import Review
from ratecast.serve.answered import Answered
from ratecast.serve.models import Version

_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")
"""Control characters other than white space, and halves of surrogate pairs, which are no characters at all."""


def _printable(text: str) -> str:
    if found := _CONTROL.search(text):
        what = "half of a surrogate pair" if found[0] >= "\ud800" else "the control character"
        raise ValueError(f"holds {what}, U+{ord(found[0]):04X}")
    return text


def _moment(value: object) -> datetime:
    """A time in UTC. Numbers are refused: they might be seconds or milliseconds."""
    if not isinstance(value, str):
        raise ValueError("expected a time as a string, such as 2026-01-31T12:00:00Z")  # noqa: TRY004 - pydantic's way to refuse
    try:
        if _DAY.match(value) is None:  # else a long number might be one
            raise ValueError
        time = datetime.fromisoformat(value.upper())
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError("expected a time of ISO 8601, such as 2026-01-31 or 2026-01-31T12:00:00Z") from None


_DAY: Final = re.compile(r"\d{4}-")
_PATTERN: Final = {"pattern": r"^[^\u0000-\u0008\u000e-\u001f\u007f]*$"}
"""The same in the description, as far as JSON can hold it; pydantic's own check would not say which character it is."""
Text = Annotated[str, Field(json_schema_extra={**_PATTERN}), AfterValidator(_printable)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
Identity = Annotated[str, Field(min_length=1, max_length=256, json_schema_extra={**_PATTERN}), AfterValidator(_printable)]


class Message(BaseModel):
    """Base of what clients send: only what is described, and of the types that are described."""

    model_config = ConfigDict(strict=True, extra="forbid")


class ReviewMessage(Message):
    """A review to be rated."""

    text: Text = Field(description="The review's own words.", examples=["Great phone, poor battery"])
    title: Text | None = Field(None, description="The review's title.")
    id: Identity | None = Field(None, description="Your own name of the review; the prediction repeats it as review_id.")
    item: Identity | None = Field(None, description="What is reviewed.")
    user: Identity | None = Field(None, description="Who wrote it.")
    category: Identity | None = Field(None, description="The category of what is reviewed.")
    rating: float | None = Field(
        None,
        allow_inf_nan=False,
        description="The rating that the review came with. It does not change the prediction; where a store keeps both, people "
        "are shown the reviews whose text says something else.",
        examples=[2],
    )
    time: Moment | None = Field(
        None, description="When it was written, in UTC unless it says otherwise; the time of the request by default."
    )
    columns: dict[Identity, Text | float | None] = Field(
        default_factory=dict,
        max_length=100,
        description="Values of further columns that the model reads, by name.",
        json_schema_extra={"additionalProperties": False},  # names of another pattern
    )

    def review(self) -> Review:
        """The review as models read it."""
        return Review(
            text=self.text,
            id=self.id,
            title=self.title,
            item=self.item,
            user=self.user,
            category=self.category,
            rating=self.rating,
            time=self.time,
            columns=self.columns,
        )


class PredictRequest(Message):
    """Reviews to be rated."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reviews": [{"title": "Mixed", "text": "Great phone, poor battery"}]}]}
    )
    reviews: list[ReviewMessage] = Field(
        min_length=1, description="The reviews; how many a request may hold is a limit of the service."
    )
    model: Identity | None = Field(None, description="The model's name; the first of /v1/models by default.")
    version: Identity | None = Field(
        None,
        description="The version of the model that shall answer, or the name of its folder; by default the weights of the "
        "versions decide.",
    )
    route_by: Identity | None = Field(
        None,
        description="A text of yours, such as the id of a user, for which the same version answers every time as long as the "
        "weights stay; the header X-Route-By does the same. Without it each request is drawn anew.",
    )
    deadline_ms: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="How long the answer is of use; the service's own limit at most, and by default.",
    )


class PredictionMessage(BaseModel):
    """What the model says of a review."""

    id: str = Field(description="Names the prediction; feedback refers to it.", examples=["8c1f0f4f6ed04f7b"])
    review_id: str | None = Field(None, description="The review's id, if it had one.")
    rating: float = Field(description="The predicted rating.", examples=[3.4])
    median: float = Field(description="Median of the predicted distribution.", examples=[3.0])
    mode: float = Field(description="The most probable level.", examples=[4.0])
    probabilities: dict[str, float] = Field(
        description="Probability of each level.", examples=[{"1": 0.05, "2": 0.15, "3": 0.3, "4": 0.35, "5": 0.15}]
    )
    interval: tuple[float, float] | None = Field(
        None,
        description="Lowest and highest rating of the prediction interval, if the model has intervals.",
        examples=[[2.0, 5.0]],
    )
    warnings: list[str] = Field(description="What to know before trusting this prediction.", examples=[[]])


class PredictAnswer(BaseModel):
    """Predictions in the order of the reviews."""

    model: str = Field(description="The model that predicted.", examples=["shop"])
    version: str = Field(description="Its version, which changes with the content of its folder.", examples=["1f0c9e2ab34d"])
    predictions: list[PredictionMessage]

    @classmethod
    def of(cls, answered: Answered) -> "PredictAnswer":
        """The answer for reviews and what a model says of them."""
        served = answered.served
        labels = served.predictor.scale.labels
        # Built without checks: these are our own numbers.
        predictions = [
            PredictionMessage.model_construct(
                id=identity,
                review_id=review.id,
                rating=one.rating,
                median=one.median,
                mode=one.mode,
                probabilities=dict(zip(labels, one.probabilities.values(), strict=True)),
                interval=one.interval,
                warnings=list(one.warnings),
            )
            for identity, review, one in zip(answered.ids, answered.reviews, answered.found, strict=True)
        ]
        return cls.model_construct(model=served.name, version=served.version, predictions=predictions)


class FeedbackRequest(Message):
    """The rating that turned out to be right for a prediction."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"prediction_id": "8c1f0f4f6ed04f7b", "rating": 4}]})
    prediction_id: Identity
    rating: float = Field(allow_inf_nan=False)


class FeedbackAnswer(BaseModel):
    """That feedback is kept."""

    prediction_id: str
    status: str = Field(examples=["kept"])


class ModelMessage(BaseModel):
    """A version of a model that is served."""

    name: str = Field(description="The model's name.", examples=["shop"])
    version: str = Field(description="Changes with the content of the model folder.", examples=["1f0c9e2ab34d"])
    folder: str = Field(description="The name of its folder, by which requests may ask for it too.", examples=["2"])
    weight: float = Field(
        description="Share of the requests that it answers, of those that ask for no version.", examples=[0.1]
    )
    shadow: bool = Field(description="Whether it answers nothing and predicts copies of the model's requests.")
    levels: list[float] = Field(description="The levels of its rating scale.", examples=[[1, 2, 3, 4, 5]])
    continuous: bool = Field(description="Whether ratings between the levels are possible.")
    coverage: float | None = Field(description="Share of the ratings that its intervals hold, if it has any.", examples=[0.9])
    columns: list[str] = Field(description="Columns besides the text that it reads.")
    about: dict[str, Any] = Field(description="What is known of how it was made.")

    @classmethod
    def of(cls, version: Version) -> "ModelMessage":
        """What there is to know of a version."""
        predictor = version.served.predictor
        about = {name: value for name, value in predictor.manifest.about.items() if not isinstance(value, dict | list)}
        return cls(
            name=version.served.name,
            version=version.served.version,
            folder=version.served.label,
            weight=version.wanted.weight,
            shadow=version.wanted.is_shadow,
            levels=list(predictor.scale.levels),
            continuous=predictor.scale.is_continuous,
            coverage=None if predictor.intervals is None else predictor.intervals.coverage,
            columns=sorted(predictor.used),
            about=about,
        )


class ModelsAnswer(BaseModel):
    """The versions of the models that are served, those of a model together; a request that names no model is for the first."""

    models: list[ModelMessage]


class ReloadRequest(Message):
    """That models shall be loaded anew; there is nothing to say about it yet."""


class ReloadAnswer(BaseModel):
    """What is served otherwise than before, each as NAME@VERSION."""

    added: list[str] = Field(description="Versions that were not served.", examples=[["shop@1f0c9e2ab34d"]])
    removed: list[str] = Field(description="Versions that are served no more.", examples=[["shop@8e1f62d7c0a4"]])
    changed: list[str] = Field(
        description="Versions with another weight, or that became shadows or ceased to be ones.", examples=[[]]
    )


class StatusAnswer(BaseModel):
    """How the service is."""

    status: str = Field(examples=["ok"])


class ErrorDetail(BaseModel):
    """What is wrong."""

    code: str = Field(description="A word for programs.", examples=["invalid_request"])
    message: str = Field(description="A sentence for people.", examples=["reviews.0.text: Input should be a valid string"])
    request_id: str = Field(description="Names the request in the service's log.")


class ErrorAnswer(BaseModel):
    """Why a request was refused."""

    error: ErrorDetail
