"""The documentation site: what is generated is whole, it builds without a warning, and it loads nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import ratecast
from ratecast.cli import COMMANDS
from ratecast.cli.settings import field_docstrings
from ratecast.config import DistillConfig, FitConfig, PretrainConfig, setting_names

DOCS = Path(__file__).parent.parent / "docs"
sys.path.append(str(DOCS))

import generated  # noqa: E402 - it lies in docs


@pytest.mark.parametrize("kind", [FitConfig, PretrainConfig, DistillConfig])
def test_every_setting_is_described(kind: type[FitConfig | PretrainConfig | DistillConfig]) -> None:
    page = generated.settings()
    for _, name in setting_names(kind):
        assert re.search(rf"^````{{option}} --{name.replace('_', '-')}( <|$)", page, flags=re.MULTILINE), name
    for text in field_docstrings(kind).values():
        assert text in page


def test_every_command_and_its_arguments_are_described() -> None:
    page = generated.commands()
    assert re.findall(r"^## ratecast ([\w-]+)$", page, flags=re.MULTILINE) == list(COMMANDS)
    options = re.findall(r"^````{option} (.+)\n\n(.*)$", page, flags=re.MULTILINE)
    assert len(options) > 20
    assert not [label for label, text in options if not text], "an argument has no text"
    assert "--learning-rate" not in page, "whole stages are a link to the settings"
    assert "`--text-column`, `--rating-column`" in page


def test_metrics_and_heads_are_those_of_the_code() -> None:
    from ratecast.evaluate import METRICS
    from ratecast.model.heads import HEADS

    assert all(f"| `{name}` |" in generated.metrics() for name in METRICS)
    assert re.findall(r"^`(.+)`$", generated.heads(), flags=re.MULTILINE) == list(HEADS)


def test_every_public_name_is_on_the_page_about_python() -> None:
    page = (DOCS / "reference/python.md").read_text(encoding="utf-8")
    found = set(re.findall(r"^\.\. auto\w+:: ratecast\.(\w+)$", page, flags=re.MULTILINE))
    assert found == set(ratecast.__all__) - {"__version__"}


@pytest.mark.slow
def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-b",
        "html",
        "-W",
        "--keep-going",
        "-q",
        "-E",
        str(DOCS),
        str(tmp_path / "site"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 15
    for page in [*pages, *(tmp_path / "site").rglob("*.css")]:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"""<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=["'](?:https?:)?//[^"']+""", text)
        loaded += re.findall(r"""(?:url\(|@import)\s*["']?(?:https?:)?//[^)"']+""", text)
        assert not loaded, f"{page.name}: {loaded}"
