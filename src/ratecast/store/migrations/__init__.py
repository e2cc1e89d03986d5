"""The schema, step by step; what Alembic calls a script folder."""
