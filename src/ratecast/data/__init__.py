"""Data in and out: any table of reviews becomes checked reviews, and those become leak-free splits."""

from ratecast.data.columns import Columns, find_columns
from ratecast.data.harvest import Harvest, harvest_ratings
from ratecast.data.near import copy_groups, duplicate_groups
from ratecast.data.read import Source, read_table
from ratecast.data.report import DataReport
from ratecast.data.sample import load_sample, load_sample_unlabelled
from ratecast.data.split import Split, split_reviews
from ratecast.data.table import TableRead
from ratecast.data.validate import LoadedReviews, load_reviews
from ratecast.data.write import check_writable, write_table

__all__ = [
    "Source",
    "TableRead",
    "read_table",
    "write_table",
    "check_writable",
    "Columns",
    "find_columns",
    "DataReport",
    "LoadedReviews",
    "load_reviews",
    "Split",
    "split_reviews",
    "copy_groups",
    "duplicate_groups",
    "Harvest",
    "harvest_ratings",
    "load_sample",
    "load_sample_unlabelled",
]
