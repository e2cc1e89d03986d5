"""``python -m ratecast`` is the same as ``ratecast``."""

from ratecast.cli import main

if __name__ == "__main__":
    main()
