"""The queue as people read it: pages of jobs and of deliveries, each with what it waits for."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dicomnode.db.database import now as database_now
from dicomnode.db.models import Delivery, Enhancement, Hold
from dicomnode.db.repositories import delivery_list, holds, job_list, nodes
from dicomnode.db.repositories.delivery_list import DeliveryFilter
from dicomnode.db.repositories.job_list import JobFilter
from dicomnode.desk.destinations.health import Health, healths
from dicomnode.desk.refused import Refused
from dicomnode.domain.priority import PRIORITIES, SHADOW_PRIORITY
from dicomnode.domain.states import DELIVERY, ENHANCEMENT
from dicomnode.flow import Flow
from dicomnode.jobs.waiting import waits_for

PRIORITY_NAMES: Mapping[int, str] = {**{number: name for name, number in PRIORITIES.items()}, SHADOW_PRIORITY: "shadow"}
JOB_STATES = tuple(sorted(ENHANCEMENT.states))
DELIVERY_STATES = tuple(sorted(DELIVERY.states))


class JobLine(NamedTuple):
    """A job, what its series is, and what it waits for if it waits."""

    job: Enhancement
    modality: str
    description: str
    waits_for: str

    @property
    def priority(self) -> str:
        return PRIORITY_NAMES[self.job.priority]


class DeliveryLine(NamedTuple):
    """A delivery, what its series is, its instances by state, and what it waits for if it waits."""

    delivery: Delivery
    modality: str
    description: str
    instances: Mapping[str, int]
    waits_for: str

    @property
    def priority(self) -> str:
        return PRIORITY_NAMES[self.delivery.priority]


class Choices(NamedTuple):
    """What filters can be set to, and what can be done to what is chosen."""

    pipelines: Sequence[str]
    """That have jobs."""
    usable: Sequence[str]
    """That can be given work."""
    nodes: Sequence[str]
    destinations: Sequence[str]
    rules: Sequence[str]


def job_filter(
    states: Sequence[str] = (),
    pipeline: str = "",
    series: str = "",
    node: str = "",
    priority: str = "",
    up_to: int | None = None,
) -> JobFilter:
    """A filter in people's words. Raises Refused for a state or a priority that there is not."""
    _require_known(states, JOB_STATES, "state of a job")
    numbers = {name: number for number, name in PRIORITY_NAMES.items()}
    _require_known([priority] if priority else [], tuple(numbers), "priority")
    _require_text(pipeline, series, node)
    return JobFilter(tuple(states), pipeline, series, node, numbers.get(priority), up_to)


def delivery_filter(
    states: Sequence[str] = (), destination: str = "", series: str = "", rule: str = "", up_to: int | None = None
) -> DeliveryFilter:
    """A filter in people's words. Raises Refused for a state that there is not."""
    _require_known(states, DELIVERY_STATES, "state of a delivery")
    _require_text(destination, series, rule)
    return DeliveryFilter(tuple(states), destination, series, rule, up_to)


def jobs(flow: Flow, wanted: JobFilter, limit: int, before: int | None = None) -> list[JobLine]:
    """The newest first."""
    hours = flow.settings.engine.off_peak_hours
    with flow.database.read() as session:
        held, now = _of_jobs(holds.listing(session)), database_now(session)
        rows = job_list.page(session, wanted, limit, before)
    return [JobLine(*row, waits_for(row.job, held, hours, now)) for row in rows]


def deliveries(flow: Flow, wanted: DeliveryFilter, limit: int, before: int | None = None) -> list[DeliveryLine]:
    """The newest first."""
    with flow.database.read() as session:
        rows = delivery_list.page(session, wanted, limit, before)
        counts = delivery_list.instances(session, [row.delivery.id for row in rows])
        fare = healths(session, flow.site.get(session)[1].destinations)
    return [DeliveryLine(*row, counts[row.delivery.id], send_waits_for(row.delivery, fare)) for row in rows]


def held(flow: Flow) -> list[Hold]:
    """What keeps jobs from being started: the stop switch, and what is paused."""
    with flow.database.read() as session:
        return _of_jobs(holds.listing(session))


def choices(flow: Flow) -> Choices:
    """As they are now."""
    with flow.database.read() as session:
        site = flow.site.get(session)[1]
        pipelines, known = job_list.pipelines(session), [row.name for row in nodes.listing(session)]
    usable = sorted({entry.name for entry in flow.registry if entry.usable})
    return Choices(pipelines, usable, known, [each.name for each in site.destinations], [r.name for r in site.rules])


def send_waits_for(row: Delivery, fare: Mapping[str, Health]) -> str:
    """What a delivery that is pending waits for; empty for any other."""
    if row.state != "pending":
        return ""
    health = fare.get(row.destination)
    if health is None:
        return "a destination of this name: the site has none"
    return "" if health.state == "up" else f"the destination, which is {health.state}: {health.reason}".rstrip(": ")


def _require_known(said: Sequence[str], known: Sequence[str], what: str) -> None:
    if unknown := [word for word in said if word not in known]:
        raise Refused(f"{unknown[0]!r} is no {what}; there are {', '.join(known)}")


def _require_text(*words: str) -> None:
    """PostgreSQL takes no NUL in a text, not even to compare with."""
    if any("\0" in word for word in words):
        raise Refused("a name has no NUL character")


def _of_jobs(found: Sequence[Hold]) -> list[Hold]:
    return [row for row in found if row.kind in (holds.ENHANCING, holds.JOBS)]
