"""Text as people look for it: without regard to case, width, accents or the way a name is put together."""

import unicodedata


def folded(text: str) -> str:
    """`text` as it is compared: `MÜLLER^Jörg` and `muller jorg` are the same, so are full and half width (UAX #15).

    Person names lose the delimiters of their components and groups (PS3.5 6.2.1), each group stays: ideographic and
    phonetic spellings are found as well as alphabetic ones.
    """
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    # Classes below 10 are no accents but part of the letter: voiced kana, the nukta and the virama of Indic scripts.
    kept = "".join(each for each in decomposed if unicodedata.combining(each) < 10)
    spaced = unicodedata.normalize("NFC", kept).translate({ord("^"): " ", ord("="): " ", ord("\\"): " "})
    return " ".join(spaced.split())


def search_text(*fields: str) -> str:
    """One text of several fields, a line break between them, so that no search runs over from one into the next."""
    return "\n".join(folded(field) for field in fields if field)
