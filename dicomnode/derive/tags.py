"""Tags of keywords, looked up once."""

from collections.abc import Iterable
from functools import lru_cache

from pydicom.datadict import tag_for_keyword


@lru_cache(maxsize=4096)
def tag_of(keyword: str) -> int:
    """Tag of a keyword. Raises KeyError for a word that is none."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag


def tags_of(keywords: Iterable[str]) -> frozenset[int]:
    """Tags of keywords. Raises KeyError for a word that is none."""
    return frozenset(map(tag_of, keywords))
