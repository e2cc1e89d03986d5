"""The queue of reviews that a person should read, and what people decided. Predictions from before are in no queue."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("predictions", sa.Column("uncertain", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("predictions", sa.Column("surprising", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("predictions", sa.Column("flag", sa.Text))
    op.add_column("predictions", sa.Column("urgency", sa.Double))
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
    booleans = (sa.column(name, sa.Boolean) for name in ("uncertain", "surprising"))
    columns = sa.table("predictions", sa.column("urgency"), sa.column("flag"), *booleans).c
    waiting = columns.urgency.is_not(None)
    _partial("predictions_waiting", ["urgency", "id"], waiting)
    _partial("predictions_waiting_uncertain", ["urgency", "id"], waiting & columns.uncertain)
    _partial("predictions_waiting_surprising", ["urgency", "id"], waiting & columns.surprising)
    _partial("predictions_waiting_flagged", ["urgency", "id"], waiting & columns.flag.is_not(None))
    _partial("predictions_waiting_of_item", ["item", "urgency", "id"], waiting)
    _partial("predictions_waiting_of_model", ["model", "urgency", "id"], waiting)
    op.create_index("decisions_of_prediction", "decisions", ["prediction_id", "time"])


def _partial(name: str, names: list[str], condition: sa.ColumnElement[bool]) -> None:
    op.create_index(name, "predictions", names, sqlite_where=condition, postgresql_where=condition)
