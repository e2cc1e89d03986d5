"""The command line: one module a command, which parses, calls the library and prints.

Exit status: 0 when done; 2 for anything that the user can mend, told in one line on standard error; 130 after Ctrl-C; 141 when
the reader of the output went away. Any other error is ours and shows its traceback.
"""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ratecast.errors import RatecastError

if TYPE_CHECKING:
    from cyclopts import App

COMMANDS: Final = (
    *("fit", "tune", "pretrain", "compress", "distill", "quantise", "prune-vocabulary", "zeroshot", "pack", "unpack"),
    *("evaluate", "compare", "predict", "inspect", "harvest", "sample"),
    *("serve", "new-key", "list-keys", "revoke-key", "feedback"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status.

    Args:
        arguments: what follows the program's name; ``sys.argv[1:]`` by default.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["serve"] and hasattr(signal, "SIGHUP"):
        # It asks the service to load its models anew. Before they are loaded there is nothing to do, and no reason to end.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.exit(run(arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status."""
    from cyclopts import CycloptsError

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # reviews hold characters that not every terminal can show
    try:
        create_app(*arguments[:1])(list(arguments))
        sys.stdout.flush()
    except (RatecastError, CycloptsError) as error:
        print(f"ratecast: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ratecast: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python flushes standard output once more at exit, which would fail again and say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


def create_app(named: str | None = None) -> "App":
    """The command line's parser. What a command needs is imported when it runs, so that help is quick.

    Args:
        named: the command that is asked for, beside which no other one is made; all if there is none of this name.
    """
    from cyclopts import App

    from ratecast import __version__

    app = App(
        name="ratecast",
        help="""Turn a table of reviews into a model that predicts ratings from text.

        A first look:

            ratecast sample reviews.csv
            ratecast fit reviews.csv --out model/ --time-budget 10m
            ratecast predict model/ --text "Great phone, poor battery"

        Every command explains itself: ratecast fit --help
        """,
        help_format="plaintext",
        version=__version__,
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    for place, name in enumerate(COMMANDS):
        if named in COMMANDS and named != name:
            continue
        module = name.replace("-", "_")
        command = getattr(importlib.import_module(f"ratecast.cli.{module}"), module)
        if isinstance(command, App):  # a group of commands
            command.sort_key = place
            app.command(command)
        else:
            app.command(command, name=name, sort_key=place)
    return app
