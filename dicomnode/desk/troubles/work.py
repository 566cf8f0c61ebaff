"""Jobs that were set aside, dead letters, conflicts, drift: what became of images."""

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote, urlencode

from sqlalchemy.orm import Session

from dicomnode.db.repositories import troubles as rows
from dicomnode.desk.troubles.trouble import MOST, Trouble, alike, plural, sentence
from dicomnode.flow.enhancing.drift import summary


def of_work(session: Session, since: datetime) -> Iterator[Trouble]:
    """What jobs and deliveries left for people; what is merely unknown, since then."""
    yield from alike(rows.failed_jobs(session, MOST), _job)
    yield from alike(rows.dead_letters(session, MOST), _dead_letter)
    yield from _conflicts(session)
    yield from alike(rows.abandoned_commitments(session, MOST), _abandoned)
    yield from alike(rows.unconfirmed(session, since, MOST), _unconfirmed)
    yield from _drift(session)


def _job(pipeline: str, reason: str, words: str, count: int) -> Trouble:
    message = f"{words} {plural(count, 'job')} of {pipeline} failed: {sentence(reason)} The originals were not touched."
    way_out = "Mend what the reason names, then retry; or have another pipeline do it."
    href = f"/queue?{urlencode({'state': 'failed', 'pipeline': pipeline})}"
    return Trouble("job.failed", "failure", message, way_out, href)


def _dead_letter(destination: str, reason: str, words: str, count: int) -> Trouble:
    deliveries = f"{words} {plural(count, 'delivery', 'deliveries')} to {destination}"
    message = f"{deliveries} will not be tried again: {sentence(reason)}"
    way_out = "Mend what the reason names, then send again; or send elsewhere; or give it up."
    href = f"/queue/deliveries?{urlencode({'state': 'failed', 'destination': destination})}"
    return Trouble("delivery.failed", "failure", message, way_out, href)


def _conflicts(session: Session) -> Iterator[Trouble]:
    for uid, count, newest in rows.quarantined(session, MOST):
        instances = f"{count} {plural(count, 'instance')} of a series came again with other content"
        message = f"{instances}. The first is kept and used, the other is in quarantine."
        way_out = "Find out at the sender which is right; then release the series, which settles it."
        yield Trouble("instance.conflict", "failure", message, way_out, f"/series/{quote(uid)}", count, newest)


def _abandoned(aet: str, reason: str, words: str, count: int) -> Trouble:
    requests = f"{words} {plural(count, 'request')} of {aet} for storage commitment"
    message = f"{requests} could not be answered: {sentence(reason)} {aet} may keep its images and not delete them."
    way_out = f"Once {aet} can be reached, run: dicomnode commitments report."
    return Trouble("commitment.abandoned", "failure", message, way_out, f"/series?{urlencode({'sender': aet})}")


def _unconfirmed(destination: str, reason: str, words: str, count: int) -> Trouble:
    deliveries = f"{words} {plural(count, 'delivery', 'deliveries')} today"
    message = f"{destination} took {deliveries}; whether it keeps them is not known: {sentence(reason)}"
    way_out = "Once it can say, have it asked again there; if it never can, set its confirm to none."
    href = f"/queue/deliveries?{urlencode({'state': 'sent', 'destination': destination})}"
    return Trouble("delivery.unconfirmed", "notice", message, way_out, href)


def _drift(session: Session) -> Iterator[Trouble]:
    for row in rows.drifting(session, MOST):
        found = summary(row)
        usual = "" if found["low"] is None else f", usual are {found['low']:.4g} to {found['high']:.4g}"
        message = f"What {row.scanner} sends has changed: {row.quantity} is {found['now']:.4g}{usual}."
        way_out = "Ask whether the scanner, its kernel or its protocol was changed; look at its newest derived series."
        yield Trouble("drift", "warning", message, way_out, f"/pipelines/{quote(row.pipeline)}", since=row.updated_at)
