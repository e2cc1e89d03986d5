"""Back-translation: training texts that went into another language and back say the same in other words."""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from ratecast.config import translation_models
from ratecast.errors import ConfigError, ModelFolderError
from ratecast.files import explained_write, replace_file
from ratecast.model.translate import Translator
from ratecast.train.loop import Run

FOLDER: Final = "back-translation"
SHARE: Final = 0.2
"""Share of the time that back-translation may take."""

_BATCH_TEXTS: Final = 32
_BATCH_SECONDS: Final = 10.0
_TICKS: Final = 1000


@dataclass(kw_only=True)
class _Done:
    """What is translated: the paraphrase of each row, None where there is none, and what it took over all sessions.

    Of the seconds, those in which models were loaded are not translating seconds.
    """

    limit_seconds: float | None
    seconds: float = 0.0
    translating_seconds: float = 0.0
    batches: int = 0
    found: dict[int, str | None] = field(default_factory=dict)

    def affordable(self) -> int:
        """Texts of the next batch. With a limit it takes at most half of the time left, so that a slow one stays within."""
        if self.limit_seconds is None:
            return _BATCH_TEXTS
        left = self.limit_seconds - self.seconds
        if not self.found:  # nothing is measured yet
            return int(left > 0)
        each = max(self.translating_seconds / len(self.found), 1e-9)
        return max(0, min(_BATCH_TEXTS, max(1, int(_BATCH_SECONDS / each)), int(left / 2 / each)))

    def progress(self, texts: int) -> float:
        """Share of the texts or of the time that is done, whichever is more."""
        share = len(self.found) / texts
        return share if self.limit_seconds is None else min(1.0, max(share, self.seconds / max(self.limit_seconds, 1e-9)))


def back_translate(run: Run, texts: Sequence[str], time_left: Callable[[], float] | None) -> list[str | None]:
    """Paraphrase training texts by the two configured models.

    Sources: Yu et al. 2018, "QANet", section 3; Xie et al. 2020, "Unsupervised Data Augmentation for Consistency Training",
    section 2.2. The paraphrases are kept in the working folder of the run, from which ``resume`` reads them.

    Args:
        run: settings and places.
        texts: the training texts.
        time_left: seconds that are left for all of fine-tuning; None without a limit.

    Returns:
        A paraphrase for each text; None if it came back unchanged or incomplete, or the time was too short for it. Which texts
        the time is spent on is drawn with the seed of the run.

    Raises:
        BackboneError: if a model cannot be loaded.
        ConfigError: if what a run to resume has left belongs to other data or settings.
        ModelFolderError: if it is damaged.
        OutputError: if the working folder cannot be written.
    """
    folder = run.folder / FOLDER
    if not run.resume:
        shutil.rmtree(folder, ignore_errors=True)
    done = _read(folder, run.fingerprint) or _Done(limit_seconds=None if time_left is None else SHARE * time_left())
    order = np.random.default_rng(run.config.seed).permutation(len(texts)).tolist()
    waiting = [row for row in order if row not in done.found]
    if waiting and done.affordable():
        _translate(run, texts, waiting, done)
    changed = sum(paraphrase is not None for paraphrase in done.found.values())
    run.reporter.tell(f"back-translation: {changed:,} of {len(texts):,} training texts, {done.seconds:.0f} s")
    return [done.found.get(row) for row in range(len(texts))]


def _translate(run: Run, texts: Sequence[str], waiting: list[int], done: _Done) -> None:
    started = time.monotonic() - done.seconds
    forward, back = (Translator.load(name) for name in translation_models(run.config.strengthen.back_translation or ""))
    done.seconds = time.monotonic() - started
    loading_seconds, shown = done.seconds - done.translating_seconds, 0
    with run.reporter.track("back-translation", _TICKS) as advance:
        while rows := waiting[: done.affordable()]:
            del waiting[: len(rows)]
            paraphrases = _there_and_back([texts[row] for row in rows], forward, back)
            done.seconds = time.monotonic() - started
            done.translating_seconds = done.seconds - loading_seconds
            _write(run, done, dict(zip(rows, paraphrases, strict=True)))
            ticks = int(_TICKS * done.progress(len(texts)))
            advance(ticks - shown, f"{len(done.found):,} of {len(texts):,} texts")
            shown = ticks


def _there_and_back(texts: Sequence[str], forward: Translator, back: Translator) -> list[str | None]:
    there = forward.translate(texts)
    returned = iter(back.translate([text for text in there if text is not None]))
    found = [None if text is None else next(returned) for text in there]
    return [None if new == text else new for new, text in zip(found, texts, strict=True)]


def _write(run: Run, done: _Done, paraphrases: dict[int, str | None]) -> None:
    """Add a batch to what is done, on disk first."""
    path = run.folder / FOLDER / f"{done.batches:06d}.json"
    facts = {name: value for name, value in vars(done).items() if "seconds" in name} | {"fingerprint": run.fingerprint}
    partial = path.with_suffix(".partial")
    with explained_write(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(facts | {"found": list(paraphrases.items())}), encoding="utf-8")
        replace_file(partial, path)
    done.found |= paraphrases
    done.batches += 1


def _read(folder: Path, fingerprint: str) -> _Done | None:
    """What an earlier session has done; None if there is nothing."""
    done: _Done | None = None
    for number, path in enumerate(sorted(folder.glob("*.json")), start=1):
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            found = {int(row): paraphrase for row, paraphrase in facts["found"]}
            written_for = facts.pop("fingerprint")
            done = _Done(**facts | {"batches": number, "found": ({} if done is None else done.found) | found})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelFolderError(f"{path} is damaged ({error}); delete {folder} and run without --resume") from None
        if written_for != fingerprint:
            raise ConfigError(
                f"the back-translations in {folder} were made with other data or settings; use the same ones, or run without "
                "--resume"
            )
    return done
