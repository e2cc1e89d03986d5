"""A PostgreSQL server of the tests' own, on a free port of this machine, in a folder that goes away with it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest


def programs() -> Path:
    """The folder of PostgreSQL's programs; a test that needs them fails where there are none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    folders += [Path(on_path).parent] if on_path else []
    for folder in folders:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    pytest.fail("PostgreSQL's programs are not installed. On Debian and Ubuntu: apt-get install postgresql")


class PostgresServer:
    """A server that can be stopped, killed and started again. Root starts it as another user, for it refuses root."""

    def __init__(self) -> None:
        self._programs = programs()
        self._folder = Path(tempfile.mkdtemp(prefix="ratecast-postgresql-", dir="/tmp"))  # where any user can go
        self._as_user: dict[str, Any] = {"cwd": self._folder}
        if os.geteuid() == 0:
            user = _unprivileged()
            self._as_user |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgresql://tests@127.0.0.1:{self.port}/postgres"
        self._run("initdb", "--username=tests", "--auth=trust", "--encoding=UTF8", "--no-sync", "--pgdata=data")
        self.start()

    def empty(self) -> str:
        """URL of the database, after everything in it was deleted; a new one for every test takes long to make and delete."""
        self.execute("DROP SCHEMA IF EXISTS public CASCADE", "CREATE SCHEMA public")
        return self.url

    def make_tablespace(self, name: str, folder: Path) -> None:
        """Make a place for tables in a new folder."""
        folder.mkdir()
        if "user" in self._as_user:
            os.chown(folder, self._as_user["user"], self._as_user["group"])
        self.execute(f"CREATE TABLESPACE {name} LOCATION '{folder}'")

    def execute(self, *statements: str) -> None:
        """Execute statements of SQL, each in a transaction of its own."""
        commands = (f"--command={statement}" for statement in statements)
        self._run("psql", self.url, "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", *commands)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        self._run("pg_ctl", "start", "--wait", "--pgdata=data", "--log=log", f"--options={settings}")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; "immediate" is like a crash."""
        self._run("pg_ctl", "stop", "--wait", "--pgdata=data", f"--mode={mode}")

    def remove(self) -> None:
        """Stop it and delete its folder."""
        subprocess.run(
            [self._programs / "pg_ctl", "stop", "--wait", "--pgdata=data", "--mode=immediate"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **self._as_user,
        )
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        # To a file: the server would hold a pipe open.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                [self._programs / program, *arguments], stdout=said, stderr=said, check=False, timeout=60, **self._as_user
            )
            said.seek(0)
            assert done.returncode == 0, f"{program}: {said.read().decode(errors='replace')}"


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
