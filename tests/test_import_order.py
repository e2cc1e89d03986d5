"""Who may import whom, and what must stay out of a process that only predicts."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ratecast

PACKAGE = Path(ratecast.__file__).parent

ORDER = (
    *("errors", "files", "processors", "scale", "records", "config", "progress"),
    *("data", "text", "evaluate", "model", "train", "pretraining", "baseline", "combine"),
    *(
        "chain",
        "predict",
        "adapter_bank",
        "parts",
        "scoring",
        "store",
        "assessment",
        "comparison",
        "card",
        "job",
        "members",
        "verdict",
        "folder",
        "fitting",
        "compress",
        "zero_shot",
        "tuning",
        "estimator",
        "serve",
        "client",
        "cli",
    ),
)
"""A module imports only from modules that stand before it, and within its own subpackage."""

HEAVY = (
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "sklearn",
    "scipy",
    "matplotlib",
    "pandas",
    "polars",
    "pyarrow",
    "onnx",
    "optuna",
    "sqlalchemy",
    "alembic",
    "psycopg",
    "fastapi",
    "uvicorn",
)


def row(path: Path) -> str:
    """The module or subpackage of ratecast that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rows(path: Path) -> Iterator[str]:
    """The modules and subpackages of ratecast that a file imports anywhere, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "ratecast" else [node.module or ""]
            )
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("ratecast."))


SOURCES = [
    path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE or path.stem not in {"__init__", "__main__"}
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_up_only(path: Path) -> None:
    own = row(path)
    assert own in ORDER, f"give {own} a place in the order"
    allowed = {*ORDER[: ORDER.index(own)], "__version__"}
    if path.parent != PACKAGE:
        allowed.add(own)
    assert set(imported_rows(path)) <= allowed


def test_the_order_names_no_module_that_is_gone() -> None:
    assert set(ORDER) == {row(path) for path in SOURCES}


def loaded_by(code: str) -> set[str]:
    """Names of the top-level packages that a fresh interpreter has loaded after ``code``."""
    show = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    found = subprocess.run([sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True)
    return set(json.loads(found.stdout.splitlines()[-1]))


@pytest.mark.parametrize("code", ["import ratecast.predict", "import ratecast.cli; ratecast.cli.create_app()"])
def test_predicting_loads_nothing_that_only_fitting_needs(code: str) -> None:
    assert loaded_by(code) & set(HEAVY) == set()


def reached_from(*modules: str, without: str = "") -> dict[str, str]:
    """Every module that some modules import, in functions too but not for types alone; with what imports it, or "".

    What a module that is left out imports is not followed.
    """
    found, left = dict.fromkeys(modules, ""), list(modules)
    while left:
        name = left.pop()
        if name == without:
            continue
        path = PACKAGE.parent.joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for target in [name.rpartition(".")[0], *(imported_at_run_time(path) if path.exists() else ())]:
            if target and target not in found:
                found[target] = name
                left += [target] if target.partition(".")[0] == "ratecast" else []
    return found


def imported_at_run_time(path: Path) -> Iterator[str]:
    """Names that a file imports, or may: of ``from a import b`` both ``a`` and ``a.b``."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        waiting += ast.iter_child_nodes(node)


def test_no_path_from_predicting_leads_to_torch() -> None:
    """But for predicting with many adapters, which asks for it by name."""
    reached = reached_from("ratecast.predict", "ratecast.cli.predict", without="ratecast.adapter_bank")
    assert "torch" in reached_from("ratecast.adapter_bank")
    assert {"ratecast.model.graph", "ratecast.text.tokenise", "ratecast.data.read"} <= set(reached)
    for heavy in ("torch", "transformers", "onnx"):
        assert [name for name in reached if name.partition(".")[0] == heavy] == []
    assert "torch" in reached_from("ratecast.model.export")


def test_importing_ratecast_loads_no_other_package() -> None:
    others = loaded_by("import ratecast") - loaded_by("") - set(sys.stdlib_module_names)
    assert others == {"ratecast"}


def test_importing_ratecast_is_quick() -> None:
    code = "import time; start = time.perf_counter(); import ratecast; print(time.perf_counter() - start)"
    times = [float(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(5)]
    assert min(times) < 0.3
