"""A model folder of ratecast."""

import ratecast
from engines.exchange import given, megabytes, serve


def main() -> None:
    """Load it and answer."""
    asked = given()
    assert asked.folder is not None
    model = ratecast.load(asked.folder)
    needed = {
        name for part in (*model.manifest.chain, *model.chain.blend.members) for name in model.manifest.component(part).files
    }
    size = megabytes([asked.folder / name for name in needed])
    serve(asked.texts(), lambda texts: model.predict(texts).rating, size_mb=size)


if __name__ == "__main__":
    main()
