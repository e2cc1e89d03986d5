"""Training texts that are a little different in each pass: said in other words, words left out or replaced by synonyms."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ratecast.config import StrengthenConfig
from ratecast.text.thesaurus import Thesaurus
from ratecast.text.tokenise import TextEncoder, TokenisedTexts

_PARAPHRASED: Final = 0.5
"""Share of the texts with a paraphrase that are replaced by it in a pass."""

_IDEOGRAPHS: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"(\s*)([{_IDEOGRAPHS}]|[^\W{_IDEOGRAPHS}]+(?:['’][^\W{_IDEOGRAPHS}]+)*)")
"""White space and a word; Chinese and Japanese do not part their words, so there each character is one."""

_NEGATIONS: Final = frozenset(
    "no not never none nobody nothing neither nor nowhere cannot without hardly barely scarcely aint arent cant couldnt didnt "
    "doesnt dont hadnt hasnt havent isnt mustnt neednt shouldnt wasnt werent wont wouldnt "
    "不 沒 没 無 无 未 別 别 非 勿 莫".split()
)
_GRAMMATICAL: Final = frozenset(
    "a an the and or but if than then so as of to in on at by for from with into about after before over under up down out off "
    "i you he she it we they me him her us them my your his its our their mine yours ours theirs this that these those "
    "am is are was were be been being do does did done have has had having will would can could may might must shall should "
    "who whom whose which what when where why how there here just only too very all any each some such more most".split()
)
"""Words that carry grammar: a thesaurus knows them as other words (``in`` as a metal, ``a`` as a letter)."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Changes words at random (Wei & Zou 2019, "EDA", sections 2 and 3), never a negation, which would turn the meaning.

    Negations and the words that have no synonyms are known for English, the former for Chinese too.

    Attributes:
        word_deletion: probability that a word is left out.
        synonyms: probability that another word is replaced, if the thesaurus has it.
        thesaurus: where the synonyms come from.
        seed: with pass and row it decides what happens to a text.
    """

    word_deletion: float
    synonyms: float
    thesaurus: Thesaurus
    seed: int

    @classmethod
    def create(cls, config: StrengthenConfig, seed: int) -> "Augmentation | None":
        """The configured augmentation, None if there is none.

        Raises:
            ConfigError: if the thesaurus cannot be read.
        """
        if not config.word_deletion and not config.synonyms:
            return None
        uses_synonyms = config.synonyms > 0 and config.synonyms_file is not None
        thesaurus = Thesaurus.read(config.synonyms_file or "") if uses_synonyms else Thesaurus()
        return cls(word_deletion=config.word_deletion, synonyms=config.synonyms, thesaurus=thesaurus, seed=seed)

    def change(self, text: str, *, epoch: int, row: int) -> str:
        """The text as it reads in one pass; unchanged if every word would be gone.

        Example:
            >>> half = Augmentation(word_deletion=0.5, synonyms=0.0, thesaurus=Thesaurus(), seed=0)
            >>> half.change("The room was not clean, and the staff did not care.", epoch=1, row=0)
            'The room was not, staff did not care.'
        """
        words = list(_WORD.finditer(text))
        draws = np.random.default_rng([self.seed, epoch, row]).random((len(words), 3))
        pieces, end, kept = [], 0, 0
        for match, (deletion, replacement, choice) in zip(words, draws, strict=True):
            space, word = match.groups()
            pieces.append(text[end : match.start()])
            end = match.end()
            if deletion < self.word_deletion and not _is_negation(word):
                continue
            kept += 1
            pieces.append(space + (self._synonym(word, choice) if replacement < self.synonyms else word))
        return "".join([*pieces, text[end:]]).strip() if kept else text

    def _synonym(self, word: str, choice: float) -> str:
        """A synonym in the word's capitals, by a number from 0 to 1; the word itself if it has none."""
        plain = word.casefold()
        found = self.thesaurus.synonyms.get(plain, ())
        if not found or plain in _GRAMMATICAL or _is_negation(word):
            return word
        chosen = found[int(choice * len(found))]
        if word.isupper() and len(word) > 1:
            return chosen.upper()
        return chosen[0].upper() + chosen[1:] if word[0].isupper() else chosen


@dataclass(frozen=True, kw_only=True)
class AugmentedTexts:
    """Texts that are changed and tokenised anew for each pass.

    Attributes:
        texts: as they were written.
        encoder: tokenises them.
        augmentation: changes their words, or those of their paraphrases; None if they stay.
        paraphrases: what may stand in the place of each text, None where there is nothing; None without any.
        seed: decides with the pass which texts are paraphrased.
    """

    texts: Sequence[str]
    encoder: TextEncoder
    augmentation: Augmentation | None = None
    paraphrases: Sequence[str | None] | None = None
    seed: int = 0

    def in_pass(self, epoch: int) -> TokenisedTexts:
        """The texts of one pass over them; the same number gives the same texts."""
        texts = self._paraphrased(epoch)
        if self.augmentation is not None:
            texts = [self.augmentation.change(text, epoch=epoch, row=row) for row, text in enumerate(texts)]
        return self.encoder.encode(texts)

    def _paraphrased(self, epoch: int) -> Sequence[str]:
        if self.paraphrases is None:
            return self.texts
        draws = np.random.default_rng([self.seed, epoch, 0, 1]).random(len(self.texts))  # the words' draws have three numbers
        return [
            paraphrase if paraphrase is not None and draw < _PARAPHRASED else text
            for text, paraphrase, draw in zip(self.texts, self.paraphrases, draws, strict=True)
        ]


def _is_negation(word: str) -> bool:
    plain = word.casefold().replace("’", "'")
    return plain in _NEGATIONS or plain.endswith("n't")
