"""Predictions and feedback."""

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
    )
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("prediction_id", sa.Text, nullable=False),
        sa.Column("rating", sa.Double, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
    )
    columns = sa.table("predictions", sa.column("user"), sa.column("item"), sa.column("shadow", sa.Boolean)).c
    _partial("predictions_of_user", ["user"], columns.user.is_not(None))
    scored = ["model", "rating", "variance"]
    _partial("predictions_of_item", ["item", "time", *scored], columns.item.is_not(None) & ~columns.shadow)
    _partial("predictions_by_time", ["time", *scored], ~columns.shadow)
    _partial("predictions_shadow_by_time", ["time"], columns.shadow)
    op.create_index("feedback_of_prediction", "feedback", ["prediction_id", "time"])
    op.create_index("feedback_by_time", "feedback", ["time"])


def _partial(name: str, names: list[str], condition: sa.ColumnElement[bool]) -> None:
    op.create_index(name, "predictions", names, sqlite_where=condition, postgresql_where=condition)
