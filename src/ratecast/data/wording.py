"""Counting in words, for messages."""


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """The count with its noun, which may be followed by its verb.

    Example:
        >>> counted(1, "row"), counted(2000, "row"), counted(2, "row has", "rows have")
        ('1 row', '2,000 rows', '2 rows have')
    """
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"
