"""``ratecast unpack``."""

from pathlib import Path

from ratecast.cli.arguments import Model


def unpack(model: Model, /, *, out: Path, backbone: str | None = None) -> None:
    """Make a model that predicts of one that ratecast pack wrote.

    The backbone is taken from where it was, or from --backbone. One with other
    weights is refused, and what the new network says is compared with what the
    old one said.

    For example:

        ratecast unpack hotels-adapter/ --out hotels/
        ratecast unpack hotels-adapter/ --out hotels/ --backbone /models/bert

    Args:
        model: Folder that ratecast pack wrote.
        out: Folder for the model. An older model there is replaced.
        backbone: Name or folder of the backbone, if it is no longer where it was.
    """
    from ratecast.model.pack import unpack as unpack_model
    from ratecast.progress import ConsoleReporter

    with ConsoleReporter().track("making the graph", total=1) as advance:
        unpack_model(model, out, backbone=backbone)
        advance(1, "done")
    print(f"The model is in {out}.")
