"""``ratecast pack``."""

from pathlib import Path

from ratecast.cli.arguments import Model


def pack(model: Model, /, *, out: Path) -> None:
    """Leave the network's graph out of a model that was fitted with an adapter.

    What is left is a few megabytes: the added weights, the head and the hash of
    the backbone that they belong to. Keep or send many such folders; ratecast
    unpack makes the graph again where the backbone is.

    For example:

        ratecast fit hotels.csv --out hotels/ --tune lora
        ratecast pack hotels/ --out hotels-adapter/
        ratecast unpack hotels-adapter/ --out hotels/

    Args:
        model: see `Model`.
        out: Folder for what is left. An older model there is replaced.
    """
    from ratecast.model.pack import pack as pack_model

    before = _megabytes(model) if model.is_dir() else 0.0
    pack_model(model, out)
    print(f"The model without its graph is in {out}: {_megabytes(out):,.1f} MB in place of {before:,.1f}.")
    print(f"It predicts again after ratecast unpack {out} --out MODEL")


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6
