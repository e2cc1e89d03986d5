"""When predictions were made, beside the times of their reviews."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Take the times of what is there for both."""
    op.add_column("predictions", sa.Column("kept", sa.BigInteger))
    op.execute("UPDATE predictions SET kept = time")
    op.create_index("predictions_by_kept", "predictions", ["kept"])
