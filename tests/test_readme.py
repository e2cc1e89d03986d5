"""What the README tells a reader to type is typed here, in a folder that holds the files it speaks of."""

import csv
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"

PRAISE = ("Great phone, 8/10 from me.", "Wonderful film with a clever story.", "Excellent service and a lovely room.")
BLAME = ("Awful battery, it died in a day.", "A dull film and a silly story.", "Rude staff and a dirty room.")


def blocks(*languages: str) -> list[str]:
    """The README's fenced blocks of the given languages, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def commands() -> list[str]:
    """The lines that a reader would type; in a ``console`` block those after the prompt."""
    lines = "\n".join(blocks("sh", "bash")).replace("\\\n", " ").splitlines()
    prompts = "\n".join(blocks("console")).replace("\\\n", " ").splitlines()
    lines += [line[2:] for line in prompts if line.startswith("$ ")]
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def write_reviews(path: Path, count: int) -> None:
    """A table of short reviews whose ratings follow from their words."""
    draw = random.Random(path.name)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "rating"])
        for number in range(count):
            rating = number % 5 + 1
            sentences = [draw.choice(PRAISE if draw.random() < (rating - 1) / 4 else BLAME) for _ in range(3)]
            writer.writerow([f"{' '.join(sentences)} Order {draw.randrange(10**6)}.", rating])


def test_the_readme_has_snippets_of_both_kinds() -> None:
    assert blocks("python")
    assert any(command.startswith("ratecast fit ") for command in commands())


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {word for command in commands() for word in re.findall(r"\bmake (\w+)", command)}
    assert {"demo", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


@pytest.mark.slow
def test_the_readme_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("reviews.csv", 60), ("held_out.csv", 20), ("new.csv", 10), ("unrated.csv", 200)):
        write_reviews(tmp_path / name, count)
    (tmp_path / "texts.txt").write_text("Great phone, poor battery\nAwful.\n", encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands():
        if "ratecast" not in command or re.match(r"(git|pip|cd|make)\b", command):
            continue
        if command.startswith("ratecast compare"):
            shutil.copytree(tmp_path / "model", tmp_path / "older")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command.replace("--time-budget 1h", "--time-budget 2m")],  # a search uses it up
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
