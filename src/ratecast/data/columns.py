"""Which column holds the text, the rating and the rest: by name first, then by content."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from arro3.core import ChunkedArray, Table

from ratecast.config import ColumnsConfig
from ratecast.data.table import is_number, is_text, is_time
from ratecast.data.values import read_numbers
from ratecast.errors import DataError
from ratecast.scale import MAX_LEVELS

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "text": (
        *("text", "review", "reviewtext", "reviewbody", "body", "content", "comment", "comments", "fulltext", "feedback"),
        *("message", "opinion", "sentence", "document", "reviews", "reviewcontent", "reviewcomment", "reviewdescription"),
        *("bewertungstext", "rezension", "kommentar", "inhalt", "bewertung", "avis", "commentaire", "texte", "contenu"),
        *("resena", "comentario", "comentarios", "texto", "recensione", "commento", "testo", "avaliacao"),
        *("评论", "评论内容", "评价", "评价内容", "内容", "正文", "文本", "短评", "レビュー", "отзыв"),
    ),
    "rating": (
        *(
            "rating",
            "ratings",
            "star",
            "stars",
            "starrating",
            "score",
            "overall",
            "overallrating",
            "userrating",
            "reviewerscore",
        ),
        *("reviewrating", "reviewscore", "reviewstars", "ratingvalue", "ratingscore"),
        *("sterne", "bewertung", "gesamtbewertung", "punkte", "wertung", "note", "etoiles", "notation"),
        *("puntuacion", "calificacion", "estrellas", "valoracion", "nota", "voto", "stelle", "punteggio", "estrelas"),
        *("评分", "星级", "打分", "得分", "评价星级", "評価", "оценка"),
    ),
    "title": (
        *("reviewtitle", "title", "headline", "summary", "subject", "heading", "titel", "uberschrift", "betreff", "titre"),
        *("titulo", "asunto", "titolo", "标题"),
    ),
    "id": ("reviewid", "id", "commentid", "recordid", "rowid", "uuid", "key", "评论id"),
    "user": (
        *(
            "userid",
            "reviewerid",
            "customerid",
            "authorid",
            "userhash",
            "user",
            "username",
            "reviewer",
            "reviewername",
            "author",
        ),
        *("authorname", "customer", "customername", "profilename", "nutzer", "benutzer", "kunde", "utilisateur", "auteur"),
        *("usuario", "autor", "cliente", "用户id", "用户", "用户名"),
    ),
    "item": (
        *("itemid", "productid", "asin", "parentasin", "businessid", "hotelid", "appid", "movieid", "bookid", "restaurantid"),
        *("sku", "asins", "item", "product", "itemname", "productname", "producttitle", "hotelname", "appname", "moviename"),
        *("movietitle", "bookname", "booktitle", "businessname", "restaurantname", "app", "hotel", "business", "restaurant"),
        *("movie", "book", "artikelnummer", "artikel", "produkt", "hotelname", "produit", "producto", "商品id", "商品", "产品"),
    ),
    "category": (
        *("category", "maincategory", "productcategory", "itemcategory", "categories", "genre", "department", "departmentname"),
        *("domain", "kategorie", "categorie", "categoria", "类别", "分类", "品类"),
    ),
    "time": (
        *("timestamp", "unixreviewtime", "unixtime", "reviewtime", "reviewdate", "datetime", "date", "time", "createdat"),
        *("created", "at", "dateadded", "dateposted", "postedat", "publishedat", "publisheddate", "submittedat", "datecreated"),
        *("updatedat", "datum", "zeit", "zeitpunkt", "fecha", "日期", "时间", "评论时间"),
    ),
    "split": ("split", "partition", "fold", "subset"),
    "weight": (),
}
"""Usual names of each column, folded (see `_fold`), the likeliest first. Those of text and rating are of equal rank.

A weight has none: a column of that name may as well be that of a parcel.
"""

_WEAK_RATINGS: Final = frozenset({"label", "labels", "target", "y", "points", "grade", "mark", "polarity", "sentiment"})
_RATING_WORDS: Final = frozenset({"rating", "ratings", "star", "stars", "score"})
_NO_RATING_WORDS: Final = frozenset(
    "average avg mean median std min max count counts number num total sum helpful useful vote votes sentiment predicted item "
    "product business hotel restaurant seller shop movie book app id ids date time text comment reason title scale index "
    "length words year version price".split()
)
_TEXT_WORDS: Final = frozenset(
    {"text", "review", "reviews", "body", "content", "comment", "comments", "feedback", "rezension", "avis"}
)
_NO_TEXT_WORDS: Final = frozenset(
    "id ids date time title summary headline subject rating ratings score star stars count counts number num total user author "
    "reviewer name url link image images photo lang language length words reply response answer vote votes helpful useful type "
    "status source year month version created sentiment label predicted category verified".split()
)
NO_NUMBER_WORDS: Final = frozenset({"id", "ids", "index", "unnamed", "predicted", "uuid", "key"})

_SAMPLE_ROWS: Final = 2000
_SHORTEST_FREE_TEXT: Final = 15  # characters on average; shorter columns are names, codes and tags
_UNSPACED: Final = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The name of the column that holds each part of a review; None where the table has no such column.

    Attributes:
        numbers: further numeric columns.
    """

    text: str
    rating: str | None = None
    title: str | None = None
    id: str | None = None
    item: str | None = None
    user: str | None = None
    category: str | None = None
    time: str | None = None
    split: str | None = None
    weight: str | None = None
    numbers: tuple[str, ...] = ()

    def roles(self) -> dict[str, str]:
        """The found columns by role, ``{"text": "review_body", ...}``, without the further numbers."""
        found = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "numbers"}
        return {role: name for role, name in found.items() if name is not None}


def find_columns(table: Table, config: ColumnsConfig | None = None, *, need_rating: bool) -> Columns:
    """Find the columns of a table of reviews.

    A column that the configuration names is taken. The others are found by their usual names in some languages, exact names
    before partial ones; text and rating, failing that, by content: the longest free text, and the numeric column with few
    distinct values.

    Args:
        table: the table.
        config: columns that are known already.
        need_rating: whether a rating column must be found. If not, one is taken by name only, and none in case of doubt.

    Raises:
        DataError: if a named column does not exist, no text column is found, or, where ratings are needed, none or more than
            one column could hold them.
    """
    finder = _Finder(table, config or ColumnsConfig())
    text = finder.given.get("text") or finder.text()
    finder.used.add(text)
    rating = finder.given.get("rating") or finder.rating(is_needed=need_rating)
    finder.used.update([rating] if rating else [])
    others = {role: finder.given.get(role) or finder.named(role) for role in NAMES if role not in ("text", "rating")}
    return Columns(text=text, rating=rating, **others, numbers=finder.numbers())


def with_known(config: ColumnsConfig, known: Mapping[str, str], table: Table) -> ColumnsConfig:
    """The configuration with the columns that a model was fitted on, where the table has them and no other ones are given.

    Args:
        config: columns that the user names.
        known: name of each column by its role.
        table: the table.
    """
    given = {part.name: getattr(config, part.name) for part in fields(config) if part.name.endswith("_column")}
    free = set(table.column_names) - set(given.values())
    open_roles = {f"{role}_column": name for role, name in known.items() if given[f"{role}_column"] is None and name in free}
    return replace(config, **open_roles)


class _Finder:
    """The columns of one table, and which of them are spoken for."""

    def __init__(self, table: Table, config: ColumnsConfig) -> None:
        self.table = table
        self.names: list[str] = table.column_names
        self.given = {role: name for role in NAMES if (name := getattr(config, f"{role}_column")) is not None}
        for role, name in self.given.items():
            if name not in self.names:
                raise DataError(f"there is no column {name!r} for the {role}; {missing_hint(name, self.names)}")
        self.used = set(self.given.values())
        self._samples: dict[str, list[Any]] = {}

    def text(self) -> str:
        """The column with the reviews' texts."""
        texts = [name for name in self._free() if is_text(self.table[name].type) and not self._is_numeric(name)]
        for named in (
            [name for name in texts if _matches(name, NAMES["text"])],
            [name for name in texts if name_words(name) & _TEXT_WORDS and not name_words(name) & _NO_TEXT_WORDS],
            [name for name in texts if self._is_free_text(name)],
        ):
            if named:
                return max(named, key=self._length)
        raise DataError(f"found no column with texts among {listed(self.names)}; name it with --text-column")

    def rating(self, *, is_needed: bool) -> str | None:
        """The column with the ratings, None if there is none and it is not needed."""
        named = [name for name in self._free() if _matches(name, NAMES["rating"])]
        weak = [name for name in self._free() if _fold(name) in _WEAK_RATINGS]
        partial = [
            name for name in self._free() if name_words(name) & _RATING_WORDS and not name_words(name) & _NO_RATING_WORDS
        ]
        by_content = [name for name in self._free() if is_needed and self._looks_like_ratings(name)]
        tiers = [[name for name in tier if self._is_numeric(name)] for tier in (named, weak, partial)]
        for candidates in (*tiers, named, by_content):  # words under the right name are told as such by the validation
            if len(candidates) > 1 and is_needed:
                raise DataError(
                    f"{listed(candidates, 'and')} could each be the rating; choose with --rating-column, as in "
                    f"--rating-column {candidates[0]}"
                )
            if candidates:
                return candidates[0] if len(candidates) == 1 else None
        if is_needed:
            raise DataError(f"found no rating column among {listed(self.names)}; name it with --rating-column")
        return None

    def named(self, role: str) -> str | None:
        """The column with the likeliest name for a role."""
        for usual in NAMES[role]:
            for name in self._free():
                if usual in _keys(name):
                    self.used.add(name)
                    return name
        return None

    def numbers(self) -> tuple[str, ...]:
        """Numeric columns that are left."""
        return tuple(
            name for name in self._free() if is_number(self.table[name].type) and not name_words(name) & NO_NUMBER_WORDS
        )

    def _free(self) -> list[str]:
        return [name for name in self.names if name not in self.used]

    def _sample(self, name: str) -> list[Any]:
        """Cells, without empty ones, from all over the column: the first rows may all lack a rating."""
        if name not in self._samples:
            self._samples[name] = [cell for cell in sample_cells(self.table[name], _SAMPLE_ROWS) if cell is not None]
        return self._samples[name]

    def _length(self, name: str) -> float:
        cells = self._sample(name)
        return sum(map(len, cells)) / len(cells) if cells else 0.0

    def _is_numeric(self, name: str) -> bool:
        column = self.table[name]
        if is_number(column.type) or not is_text(column.type):
            return is_number(column.type)
        numbers = read_numbers(sampled(column, _SAMPLE_ROWS))
        filled = int((~numbers.is_absent).sum())
        return filled > 0 and int(numbers.is_word.sum()) < 0.5 * filled

    def _is_free_text(self, name: str) -> bool:
        cells = self._sample(name)
        if not cells or self._length(name) < _SHORTEST_FREE_TEXT:
            return False
        worded = sum(len(cell.split()) >= 3 or _UNSPACED.search(cell) is not None for cell in cells)
        links = sum(cell.startswith(("http://", "https://", "[", "{")) for cell in cells)
        return worded >= 0.5 * len(cells) and links < 0.5 * len(cells) and len(set(cells)) > 0.2 * len(cells)

    def _looks_like_ratings(self, name: str) -> bool:
        if (
            is_time(self.table[name].type)
            or name_words(name) & (_NO_RATING_WORDS | NO_NUMBER_WORDS)
            or not self._is_numeric(name)
        ):
            return False
        values = read_numbers(sampled(self.table[name], _SAMPLE_ROWS)).values
        found = np.unique(values[np.isfinite(values)])
        return 2 <= len(found) <= MAX_LEVELS and bool(found[0] >= -10 and found[-1] <= 100)


def sampled(column: ChunkedArray, rows: int) -> ChunkedArray:
    """At most about ``rows`` rows of a column, in ten stretches from its beginning to its end."""
    if len(column) <= rows:
        return column
    stretch = rows // 10
    starts = np.linspace(0, len(column) - stretch, 10).astype(int).tolist()
    return ChunkedArray([chunk for start in starts for chunk in column.slice(start, stretch).chunks], column.type)


def sample_cells(column: ChunkedArray, rows: int) -> list[Any]:
    """The cells that `sampled` takes, as Python values."""
    return list(sampled(column, rows).to_pylist())


def _matches(name: str, usual: Iterable[str]) -> bool:
    return not _keys(name).isdisjoint(usual)


def _keys(name: str) -> set[str]:
    """The folded name, with and without the leading "review": "reviews.rating" is a rating as well."""
    folded = _fold(name)
    return {folded, re.sub(r"^reviews?(?=.)", "", folded)}


def _fold(name: str) -> str:
    """The name in small letters, without accents and anything that is neither letter nor digit."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(character for character in plain if character.isalnum())


def name_words(name: str) -> set[str]:
    """The words of a name: {"helpful", "votes"} of helpfulVotes, helpful_votes and "Helpful votes"."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return set(re.split(r"[\W_]+", unicodedata.normalize("NFKD", parted).casefold())) - {""}


def missing_hint(name: str, names: Sequence[str]) -> str:
    """What may have been meant by the name of a column that is not among ``names``."""
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"the table has {listed(names)}"


def listed(names: Sequence[str], last: str = "") -> str:
    """The names in quotes with commas between, at most twenty; ``last`` may join the last one ("and")."""
    shown = [repr(name) for name in names[:20]]
    if len(names) > 20:
        return f"{', '.join(shown)} and {len(names) - 20} more"
    if last and len(shown) > 1:
        return f"{', '.join(shown[:-1])} {last} {shown[-1]}"
    return ", ".join(shown)
