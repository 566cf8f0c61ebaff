"""Equal troubles are told of as one."""

from datetime import UTC, datetime, timedelta

from dicomnode.db.repositories.troubles import Failed
from dicomnode.desk.troubles.trouble import MOST, Trouble, alike, plural, sentence

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def told(what: str, reason: str, words: str, count: int) -> Trouble:
    return Trouble("kind", "failure", f"{words} {what}: {reason}", "mend it", "/")


def test_reasons_that_differ_in_how_many_instances_are_the_same() -> None:
    rows = [
        Failed("pacs", "2 of 2 instances were refused for good: A900", NOW),
        Failed("pacs", "4 of 9 instances were refused for good: A900", NOW + timedelta(hours=1)),
        Failed("pacs", "4 of 9 instances were refused for good: C000", None),
        Failed("archive", "2 of 2 instances were refused for good: A900", NOW),
    ]
    found = [(each.message, each.count, each.since) for each in alike(rows, told)]
    assert found == [
        ("1 archive: instances were refused for good: A900", 1, NOW),
        ("2 pacs: instances were refused for good: A900", 2, NOW + timedelta(hours=1)),
        ("1 pacs: instances were refused for good: C000", 1, None),
    ]


def test_whoever_reads_knows_when_not_all_were_counted() -> None:
    (found,) = alike([Failed("pacs", "full", NOW)] * MOST, told)
    assert found.message == f"{MOST} and more pacs: full"


def test_words() -> None:
    assert [plural(1, "job"), plural(2, "job"), plural(2, "delivery", "deliveries")] == ["job", "jobs", "deliveries"]
    assert [sentence("It is so"), sentence("It is so."), sentence("")] == ["It is so.", "It is so.", ""]
