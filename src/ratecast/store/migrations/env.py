"""What Alembic runs to bring a database to the newest schema, over the connection that `ratecast.store.database` gives it."""

from alembic import context

from ratecast.store.schema import VERSION_TABLE, metadata


def run() -> None:
    """Run the migrations that are missing, all of them or none."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE)
    context.run_migrations()


if __name__ == "env_py":  # the name that Alembic gives it; anybody else only reads it
    run()
