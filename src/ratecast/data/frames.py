"""Tables that are in memory already: pandas, polars, Arrow, Hugging Face datasets."""

from typing import Any, Final

from arro3.core import Array, DataType, Table

from ratecast.data.table import TableRead, build_array, distinct_names, plain_table, time_array
from ratecast.errors import DataError

_SOURCES: Final = {"arro3": "the table", "pyarrow": "the table", "datasets": "the data set"}


def read_frame(frame: Any) -> TableRead | None:
    """Table from a frame, None if it is nothing that is known here.

    pandas' NaN means that there is no value, and becomes null.

    Raises:
        DataError: for a dictionary of data sets, of which one must be chosen, or a frame that Arrow cannot hold.
    """
    package = type(frame).__module__.partition(".")[0]
    if package == "pandas" and hasattr(frame, "columns"):
        return TableRead(table=_from_pandas(frame), source="the pandas frame")
    if package == "polars" and hasattr(frame, "collect"):  # a LazyFrame
        frame = frame.collect()
    if package == "datasets" and isinstance(frame, dict):
        raise DataError(f"found a dictionary of data sets; choose one of {', '.join(map(repr, frame))}")
    if package == "datasets" and hasattr(frame, "with_format"):
        frame = frame.with_format("arrow")[:]  # not .data, which ignores a selection or shuffle of the rows
    if not hasattr(frame, "__arrow_c_stream__"):
        return None
    try:
        table = plain_table(Table.from_arrow(frame))
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"the {package} object cannot be read as a table: {error}") from error
    return TableRead(table=table, source=_SOURCES.get(package, f"the {package} frame"))


def _from_pandas(frame: Any) -> Table:
    # pandas exports itself to Arrow only where pyarrow is installed, and refuses columns of mixed types.
    names = distinct_names([str(name) for name in frame.columns])
    return Table.from_arrays([_pandas_array(frame.iloc[:, index]) for index in range(len(names))], names=names)


def _pandas_array(series: Any) -> Array:
    missing = series.isna().to_numpy()
    kind = getattr(series.dtype, "kind", "O")
    if kind == "M":
        if getattr(series.dtype, "tz", None) is not None:
            series = series.dt.tz_convert("UTC").dt.tz_localize(None)
        microseconds = series.to_numpy(dtype="datetime64[us]").astype("int64").tolist()
        return time_array([None if gap else value for gap, value in zip(missing, microseconds, strict=True)])
    values = [None if gap else value for gap, value in zip(missing, series.tolist(), strict=True)]
    if kind == "f":
        return Array(values, DataType.float64())
    return build_array(values)
