"""Databases of both kinds, which can go away and come back, and stand on a disk that is soon full."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postgresql import PostgresServer


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty database is, of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "ratecast.db")
    server: PostgresServer = request.getfixturevalue("postgresql")
    return server.empty()


@pytest.fixture
def go_away(place: str, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Callable[[], None]]:
    """Takes the database away, and gives what brings it back."""
    if "://" in place:
        server: PostgresServer = request.getfixturevalue("postgresql")

        def stop() -> Callable[[], None]:
            server.stop("immediate")  # as after a crash
            return server.start

        return stop

    def move() -> Callable[[], None]:
        folder = tmp_path / "elsewhere"
        folder.mkdir()
        moved = [(path, folder / path.name) for path in tmp_path.glob("ratecast.db*")]
        for here, there in moved:
            here.rename(there)

        def move_back() -> None:
            for here, there in moved:
                there.rename(here)

        return move_back

    return move


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of two megabytes."""
    folder = Path("/tmp") / f"ratecast-small-disk-{os.getpid()}"  # where any user can go
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=777", "tmpfs", str(folder)]
    try:
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("only root may mount a small disk")
        yield folder
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        folder.rmdir()


@pytest.fixture(params=["sqlite", "postgresql"])
def small_place(request: pytest.FixtureRequest, small_disk: Path) -> Iterator[str]:
    """A database on the small disk."""
    if request.param == "sqlite":
        yield str(small_disk)
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    url = server.empty()
    server.make_tablespace("small", small_disk / "tables")
    yield f"{url}?options=-cdefault_tablespace%3Dsmall"
    server.empty()
    server.execute("DROP TABLESPACE small")
