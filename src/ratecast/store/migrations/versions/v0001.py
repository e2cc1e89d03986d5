"""Predictions, feedback, and what people decided."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "predictions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("shadow", sa.Boolean, nullable=False),
        sa.Column("item", sa.Text),
        sa.Column("user", sa.Text),
        sa.Column("text", sa.Text),
        sa.Column("title", sa.Text),
        sa.Column("stars", sa.Double),
        sa.Column("rating", sa.Double, nullable=False),
        sa.Column("variance", sa.Double, nullable=False),
        sa.Column("low", sa.Double),
        sa.Column("high", sa.Double),
        sa.Column("probabilities", sa.JSON, nullable=False),
        sa.Column("uncertain", sa.Boolean, nullable=False),
        sa.Column("surprising", sa.Boolean, nullable=False),
        sa.Column("flag", sa.Text),
        sa.Column("urgency", sa.Double),
    )
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("prediction_id", sa.Text, nullable=False),
        sa.Column("rating", sa.Double, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("prediction_id", sa.Text, nullable=False),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("rating", sa.Double),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    scored = ["shadow", "model", "rating", "variance"]
    _partial("predictions_waiting", ["urgency", "id"], sa.column("urgency").is_not(None))
    _partial("predictions_of_user", ["user"], sa.column("user").is_not(None))
    _partial("predictions_of_item", ["item", "time", *scored], sa.column("item").is_not(None))
    op.create_index("predictions_by_time", "predictions", ["time", *scored])
    op.create_index("feedback_of_prediction", "feedback", ["prediction_id", "time"])
    op.create_index("feedback_by_time", "feedback", ["time"])
    op.create_index("decisions_by_time", "decisions", ["time"])
    op.create_index("decisions_of_prediction", "decisions", ["prediction_id", "time"])


def _partial(name: str, names: list[str], condition: sa.ColumnElement[bool]) -> None:
    op.create_index(name, "predictions", names, sqlite_where=condition, postgresql_where=condition)
