"""Which texts a model learned from."""

from dataclasses import replace
from pathlib import Path

import pytest

from ratecast.errors import ModelFolderError
from ratecast.model.learned import learned_from, learned_warning, save_learned
from ratecast.model.store import Manifest
from ratecast.scale import RatingScale

SCALE = RatingScale.parse("1..5")


def saved(folder: Path, texts: list[str]) -> Manifest:
    return Manifest(scale=SCALE, components=(save_learned(folder, texts),), chain=())


def test_known_texts_are_found_however_they_are_written(tmp_path: Path) -> None:
    manifest = saved(tmp_path, ["It broke after a week.", "Very good", "电池很不好"])
    texts = ["it broke  after a WEEK", "It broke after a year.", "Very good", "电池很不好", ""]
    found = learned_from(tmp_path, manifest, texts)
    assert found is not None
    assert found.tolist() == [True, False, False, True, False]  # "very good" is equal by chance
    assert learned_warning("old", tmp_path, manifest, texts)[0].startswith("old learned from 2 of these 5 reviews")
    assert (tmp_path / "learned.npy").stat().st_size == 128 + 2 * 8


def test_unseen_texts_give_no_warning(tmp_path: Path) -> None:
    assert learned_warning("old", tmp_path, saved(tmp_path, ["It broke after a week."]), ["It never broke at all."]) == []
    assert learned_warning("old", tmp_path, saved(tmp_path, []), ["It never broke at all."]) == []


def test_a_folder_without_the_record_says_so(tmp_path: Path) -> None:
    manifest = replace(saved(tmp_path, []), components=())
    assert learned_from(tmp_path, manifest, ["It broke after a week."]) is None
    assert "earlier version" in learned_warning("old", tmp_path, manifest, ["It broke after a week."])[0]


def test_damage_is_found(tmp_path: Path) -> None:
    manifest = saved(tmp_path, ["It broke after a week."])
    (tmp_path / "learned.npy").write_bytes(b"")
    with pytest.raises(ModelFolderError, match=r"learned\.npy is damaged"):
        learned_from(tmp_path, manifest, ["x"])
