"""How Sphinx builds the site: ``make docs``. Nothing is fetched, and no page loads anything from elsewhere."""

import functools
import importlib
import inspect
import operator
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

import numpy as np
from numpy.typing import ArrayLike, NDArray

sys.path.insert(0, str(Path(__file__).parent))

import generated

import ratecast
from ratecast.records import StringArray, TimeArray
from ratecast.scale import FloatArray, IntArray

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "ratecast"
project_copyright = "the ratecast authors, Apache-2.0"
version = release = ratecast.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "ratecast-tutorial", "**.ipynb_checkpoints"]
suppress_warnings = ["config.cache"]  # nothing of this configuration can be kept between builds, which are quick

nb_execution_mode = "off"  # the tutorial has the outputs of a real run; tests/test_tutorial.py runs it again
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "py:obj"  # single backticks in docstrings: a link where there is something to link to
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "to_json, from_json"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"ratecast {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "default"

_MARK = re.compile(r"^<!-- generated: (\w+) -->$", flags=re.MULTILINE)


DOCUMENTED = tuple(
    f"ratecast.{name}" for name in ("assessment", "comparison", "data", "evaluate", "model.adapters", "progress", "store")
)
"""Subpackages and modules on the page about Python, beside what `ratecast` itself has."""

ALIASES = {
    frozenset(made_of): type(name, (), {"__module__": "builtins"})
    for name, made_of in {
        "ArrayLike": get_args(ArrayLike),
        "FloatArray": [FloatArray],
        "IntArray": [IntArray],
        "StringArray": [StringArray],
        "TimeArray": [TimeArray],
        "BooleanArray": [NDArray[np.bool_]],
    }.items()
}
"""Types that pages call by their names, by what they are made of: spelt out they fill several lines."""


def name_types(app: "Sphinx") -> None:
    """Put names for long types into the annotations of ratecast before autodoc reads them."""
    for name in DOCUMENTED:
        importlib.import_module(name)
    for name in ratecast.__all__:
        getattr(ratecast, name)
    for module in [module for name, module in sys.modules.items() if name.startswith("ratecast")]:
        for thing in vars(module).values():
            if getattr(thing, "__module__", None) == module.__name__:
                for part in [thing, *(vars(thing).values() if inspect.isclass(thing) else ())]:
                    name_types_of(part)


def name_types_of(thing: Any) -> None:
    """The same for one class, function, method or property."""
    for inner in ("fget", "func", "__func__"):  # of a property, a cached property, a class method
        thing = getattr(thing, inner, thing)
    if inspect.isfunction(thing) or inspect.isclass(thing):
        thing.__annotations__ = {name: named(hint) for name, hint in inspect.get_annotations(thing).items()}


def named(hint: Any) -> Any:
    """A type with the names of `ALIASES` for what it is made of."""
    is_union = get_origin(hint) in {Union, UnionType}
    parts = list(get_args(hint)) if is_union else [hint]
    for made_of, name in ALIASES.items():
        if made_of <= set(parts):
            parts = [name, *(part for part in parts if part not in made_of)]
    if get_origin(hint) is Mapping:
        return Mapping[tuple(map(named, get_args(hint)))]  # type: ignore[misc] # made of types known when it runs
    return functools.reduce(operator.or_, parts)


def fill_in(app: "Sphinx", name: str, source: list[str]) -> None:
    """Put what `generated` makes in the places that a page keeps for it."""
    source[0] = _MARK.sub(lambda match: str(getattr(generated, match[1])()), source[0])


def setup(app: "Sphinx") -> None:
    """Called by Sphinx."""
    app.connect("source-read", fill_in)
    app.connect("builder-inited", name_types)
