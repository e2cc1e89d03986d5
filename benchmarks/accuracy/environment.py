"""A virtual environment for each list of packages that peers need, created once, outside the repository."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
ROOT = Path(__file__).resolve().parent.parent.parent
"""Where pip runs: a list of packages names ratecast itself as ``--editable .``."""


class InstallError(Exception):
    """A peer's packages could not be installed; the message says why."""


@dataclass(frozen=True)
class Peer:
    """A model in the contest; its script has its name, and so has the list of the packages of its own environment, if any.

    Attributes:
        name: what it is called in tables.
        scripts: the folder of its script.
    """

    name: str
    scripts: Path = PEERS

    @property
    def module(self) -> str:
        """How the script is run: ``python -m <module>``."""
        return f"{self.scripts.name}.{self.name.replace('-', '_')}"

    def requirements(self) -> list[str]:
        """The packages of its own environment; none where it runs in that of ratecast."""
        path = self.scripts / f"{self.name.replace('-', '_')}.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    def python(self, folder: Path) -> Path:
        """The interpreter of its environment, which is created where it is not there yet.

        Peers with the same packages share one. A failed installation is not tried again while its folder is there.

        Raises:
            InstallError: if its packages cannot be installed.
        """
        packages = self.requirements()
        if not packages:
            return Path(sys.executable)
        digest = hashlib.sha256("\n".join([sys.version, *packages]).encode()).hexdigest()[:10]
        home = folder / digest
        if (home / "failed").exists():
            raise InstallError((home / "failed").read_text())
        python = home / "bin" / "python"
        if not (home / "ready").exists():
            print(f"{self.name}: installing {', '.join(packages)}: some minutes, the first time only ...", flush=True)
            started = time.monotonic()
            _create(home, python, packages)
            print(f"{self.name}: installed in {time.monotonic() - started:.0f} s", flush=True)
        return python

    def versions(self, python: Path) -> dict[str, str]:
        """The versions of the packages that it names, or of ratecast."""
        installed = _installed(python)
        wanted = [re.split(r"[\[=<>~! ]", package)[0] for package in self.requirements()] or ["ratecast"]
        return {name: installed[_folded(name)] for name in wanted if _folded(name) in installed}


def without_places(text: str) -> str:
    """A message without the addresses and folders of this machine, as it goes into the results."""
    return re.sub(r"(?:/[\w.~+-]+)+/([\w.~+-]+)", r"\1", re.sub(r"\S+://\S+", "(address)", text))


def _create(home: Path, python: Path, packages: list[str]) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / "requirements.txt").write_text("\n".join(packages) + "\n")
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--requirement", home / "requirements.txt"]
    for command in ([sys.executable, "-m", "venv", home], pip):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.strip() and "WARNING" not in line]
            reason = without_places(" ".join(errors[-3:]))[:400] or f"exit status {done.returncode}"
            (home / "failed").write_text(reason)
            raise InstallError(reason)
    (home / "ready").touch()


@cache
def _installed(python: Path) -> dict[str, str]:
    command = [str(python), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {_folded(part["name"]): part["version"] for part in listed}


def _folded(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
