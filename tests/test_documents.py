"""What the README and the guides tell a reader to type is typed here, in a folder that holds the files they speak of."""

import csv
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratecast.cli import create_app
from served import serving

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SERVING = ROOT / "docs/guides/serving.md"
GUIDES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)

PRAISE = ("Great phone, 8/10 from me.", "Wonderful film with a clever story.", "Excellent service and a lovely room.")
BLAME = ("Awful battery, it died in a day.", "A dull film and a silly story.", "Rude staff and a dirty room.")


def blocks(document: Path, *languages: str) -> list[str]:
    """A document's fenced blocks of the given languages, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def commands(document: Path) -> list[str]:
    """The lines that a reader would type; in a ``console`` block those after the prompt."""
    lines = "\n".join(blocks(document, "sh", "bash")).replace("\\\n", " ").splitlines()
    prompts = "\n".join(blocks(document, "console")).replace("\\\n", " ").splitlines()
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
    assert blocks(README, "python")
    assert any(command.startswith("ratecast fit ") for command in commands(README))


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {word for command in commands(README) for word in re.findall(r"\bmake (\w+)", command)}
    assert {"demo", "test", "docs"} <= targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


@pytest.mark.parametrize("document", [README, *GUIDES], ids=lambda path: path.stem)
def test_commands_are_understood(document: Path) -> None:
    """Each is parsed, so that a flag that was renamed or a value of the wrong kind is found without fitting anything."""
    from ratecast.config import FitConfig, PretrainConfig

    app = create_app()
    for command in commands(document):
        words = shlex.split(command, comments=True)
        if words[0] != "ratecast":
            continue
        words = words[1 : words.index("<") if "<" in words else None]
        _, bound, _ = app.parse_args(words, print_error=False, exit_on_error=False)
        settings = bound.kwargs
        kinds = {"fit": FitConfig, "tune": FitConfig, "pretrain": PretrainConfig}
        if words[0] in kinds:
            own = {"out", "config", "resume", "trials"}
            kinds[words[0]]().with_values(**{name: value for name, value in settings.items() if name not in own})


@pytest.mark.slow
def test_the_readme_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("reviews.csv", 60), ("held_out.csv", 20), ("new.csv", 10), ("unrated.csv", 200)):
        write_reviews(tmp_path / name, count)
    (tmp_path / "texts.txt").write_text("Great phone, poor battery\nAwful.\n", encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands(README):
        if "ratecast" not in command or re.match(r"(git|pip|cd|make|ratecast serve)\b", command):
            continue
        if command.startswith("ratecast compare"):
            shutil.copytree(tmp_path / "model", tmp_path / "older")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command.replace("--time-budget 1h", "--time-budget 95s")],  # a search uses it up
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    monkeypatch.chdir(tmp_path)
    run_python(README)


@pytest.fixture(scope="session")
def guided(tiny_model: Path, tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the guides speak of; its models are tiny."""
    import ratecast
    from ratecast.progress import SilentReporter

    folder = tmp_path_factory.mktemp("guided")
    for name, count in (("reviews.csv", 60), ("held_out.csv", 30)):
        write_reviews(folder / name, count)
    for name in ("model", "older"):
        shutil.copytree(tiny_model, folder / name)
    settings: dict[str, Any] = {
        "backbone": str(tiny_backbone),
        "tune": "lora",
        "max_tokens": 32,
        "steps": 2,
        "blend": False,
        "threads": 1,
    }
    ratecast.fit(folder / "reviews.csv", out=folder / "hotels", reporter=SilentReporter(), **settings)
    shutil.copytree(folder / "hotels", folder / "phones")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "document", [path for path in GUIDES if blocks(path, "python") and path != SERVING], ids=lambda path: path.stem
)
def test_python_of_the_guides_runs(document: Path, guided: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(guided)
    # A budget of seconds gives a linear model: what is tried here is the snippet, not the training.
    run_python(document, lambda code: re.sub(r'(time_budget=)"\w+"', r'\1"2s"', code))


@pytest.mark.slow
def test_the_guide_to_serving_speaks_to_a_service(guided: Path, tmp_path: Path) -> None:
    shutil.copytree(guided / "model", tmp_path / "1")
    shutil.copytree(guided / "hotels", tmp_path / "2")
    with serving(f"shop={tmp_path}/1", f"shop={tmp_path}/2@0.1", "--store", tmp_path) as running:

        def there(text: str) -> str:
            return text.replace("http://127.0.0.1:8000", running.url)

        run_python(SERVING, there)
        answer = running.client.post("/v1/predict", json={"reviews": [{"text": "Great phone"}]}).json()
        if shutil.which("curl") is None:
            pytest.skip("there is no curl, so that its examples were not tried; on Debian: apt-get install curl")
        asked = [command for document in (README, SERVING) for command in commands(document) if command.startswith("curl")]
        assert any(command in commands(README) for command in asked)
        for command in asked:
            if "Authorization" not in command:
                real = re.sub(r'"prediction_id": "\w+"', f'"prediction_id": "{answer["predictions"][0]["id"]}"', there(command))
                done = subprocess.run(["bash", "-c", f"{real} --fail"], capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"{real}\n{done.stdout}\n{done.stderr}"


def run_python(document: Path, changed: Callable[[str], str] = str) -> None:
    """Execute a document's Python blocks one after the other, as in one session."""
    names: dict[str, object] = {}
    for block in blocks(document, "python"):
        exec(compile(changed(block), str(document), "exec"), names)
