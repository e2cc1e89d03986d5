"""The container's description."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
HADOLINT = Path(sys.executable).parent / "hadolint"


def lint(text: str) -> subprocess.CompletedProcess[str]:
    """What hadolint says of a Containerfile."""
    return subprocess.run([HADOLINT, "-"], input=text, capture_output=True, text=True, check=False)


def test_the_linter_has_nothing_to_say() -> None:
    found = lint((ROOT / "Containerfile").read_text())
    assert (found.returncode, found.stdout) == (0, "")
    assert lint("FROM python\nRUN cd /tmp && pip install numpy\n").returncode == 1  # it does read what it is given


def test_it_runs_without_rights_and_installs_no_extra_unless_asked() -> None:
    last = (ROOT / "Containerfile").read_text().rpartition("FROM ")[2].splitlines()
    users = [line for line in last if line.startswith("USER ")]
    assert users
    assert not any(user.split()[1].split(":")[0] in {"root", "0"} for user in users)
    text = (ROOT / "Containerfile").read_text()
    assert ".[" not in text
    assert "ARG EXTRAS=\n" in text
    (target,) = re.findall(r'constraints.txt (".*")', text)
    for extras, expected in (("", "."), ("serve,postgresql", ".[serve,postgresql]")):
        shown = subprocess.run(
            ["sh", "-c", f"echo {target}"], env={"EXTRAS": extras}, capture_output=True, text=True, check=True
        )
        assert shown.stdout.strip() == expected


def test_everything_that_it_copies_is_there() -> None:
    copies = [line.split()[1:-1] for line in (ROOT / "Containerfile").read_text().splitlines() if line.startswith("COPY ")]
    for name in (name for names in copies for name in names if not name.startswith(("--", "/"))):
        assert (ROOT / name).exists(), name
