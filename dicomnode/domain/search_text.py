"""Text as people look for it: without regard to case, width, accents or the way a name is put together."""

import unicodedata
from dataclasses import dataclass

_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "þ": "th", "æ": "ae", "œ": "oe"}
)  # fmt: skip
"""Letters whose stroke or other half is no accent to Unicode, as they are typed where no key has them."""

_TRANSCRIBED = (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ø", "oe"), ("å", "aa"))
"""Letters that are written as two where there is no such letter: Mueller for Müller, Soerensen for Sørensen."""

TRANSCRIBED_LETTERS = "äöüÄÖÜøØåÅ\u0308\u030a"
"""Those letters as they stand in a text; the last two are the diaeresis and the ring of decomposed ones."""

_DELIMITERS = str.maketrans(dict.fromkeys("^=\\", " "))
_PUNCTUATION = str.maketrans({**dict.fromkeys(',;()*?"、・', " "), "’": "'", "ʼ": "'"})
"""Between the words of a search: as names are shown here, and the wild cards of DICOM queries (PS3.4 C.2.2.2.4)."""

_HIRAGANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}
_KATAKANA = {code + 0x60: code for code in range(0x3041, 0x3097)}


@dataclass(frozen=True)
class Word:
    """A word that is looked for, folded. `spellings`: each of them may stand for it.

    `transcribed` may as well, where the text that was folded has one of `TRANSCRIBED_LETTERS`; empty: there is none.
    Without that condition who looks for Michael would find every Michal.
    """

    spellings: tuple[str, ...]
    transcribed: str = ""


def folded(text: str) -> str:
    """`text` as it is compared: `MÜLLER^Jörg` and `muller jorg` are the same, so are full and half width (UAX #15).

    Person names lose the delimiters of their components and groups (PS3.5 6.2.1), each group stays: ideographic and
    phonetic spellings are found as well as alphabetic ones.
    """
    return _spaced(text.casefold().translate(_LETTERS))


def search_text(*fields: str) -> str:
    """One text of several fields, a line break between them, so that no search runs over from one into the next."""
    return "\n".join(folded(field) for field in fields if field)


def searched(text: str) -> list[Word]:
    """The words of a search, in the spellings under which `search_text` may have them.

    `Mueller` and `Müller` find each other, so do hiragana and katakana, and a name that is pasted as it is shown
    (`Yamada, Tarou (山田 太郎)`) or as DICOM has it. Wild cards are left out: words are found anywhere.
    """
    lowered = unicodedata.normalize("NFKC", text.casefold()).translate(_PUNCTUATION)
    return [_word(each) for each in _spaced(lowered, accents=True).split()]


def _spaced(lowered: str, *, accents: bool = False) -> str:
    decomposed = unicodedata.normalize("NFKD", lowered)
    # Classes below 10 are no accents but part of the letter: voiced kana, the nukta and the virama of Indic scripts.
    kept = decomposed if accents else "".join(each for each in decomposed if unicodedata.combining(each) < 10)
    return " ".join(unicodedata.normalize("NFC", kept).translate(_DELIMITERS).split())


def _word(typed: str) -> Word:
    plain = folded(typed)
    written_out = joined = typed
    for letter, pair in _TRANSCRIBED:
        written_out = written_out.replace(letter, pair)
        joined = joined.replace(pair, letter)
    spellings = [plain, folded(written_out), plain.translate(_HIRAGANA), plain.translate(_KATAKANA)]
    spellings += [plain.replace("'", "’"), _spaced(typed)]  # the last: rows that were written before `_LETTERS` was
    transcribed = folded(joined)
    return Word(tuple(dict.fromkeys(spellings)), transcribed if transcribed not in spellings else "")
