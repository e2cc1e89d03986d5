"""The same pipeline at the batch size that is best for these reviews."""

from engines.pipeline import main

if __name__ == "__main__":
    main(batched=True)
