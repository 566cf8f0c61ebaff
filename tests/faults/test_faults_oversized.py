"""Lengths that nobody has memory for: cut off in every state, at no cost to the process or to the neighbours."""

import itertools
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from faults.observed import observed
from support import wire
from support.attack import PDU_TYPES, STATES, TINY_FORMS, Blow, endless_command, lengthy_pdu, tiny_pdvs
from support.footprint import MIB, MemoryWatch
from support.instances import ct_template
from support.matrix import Form, RecordRow, forms
from support.modality import Modality, Rejected
from support.rawfiles import RawFile
from support.sampler import EchoSampler
from support.siege import EIGHT_ADDRESSES
from support.targets import Target, a_node

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

MOST_GROWTH = 64 * MIB
PROMPT = 1.0
"""Seconds that a good client waits at most, on a machine of its own; beside other tests, half of the time."""
BUSY_SECONDS = 20.0
"""Beside other tests: less than the 30 s for which a node waits for the rest of a PDU."""
TRIES = 3


def blows(target: Target, form: Form) -> Iterator[Callable[[], Blow]]:
    """Every PDU type that promises 4 GiB, in every state; commands without end; tiny values by the thousand."""
    where = target.port, target.ae_title
    sources = itertools.cycle((*EIGHT_ADDRESSES, "127.0.0.1"))
    for state in STATES:
        for kind in PDU_TYPES:
            yield partial(lengthy_pdu, *where, kind, state, form["mebibytes"], next(sources))
    yield partial(endless_command, *where, form["mebibytes"], next(sources))
    instances = ct_template(64).series(13, len(TINY_FORMS))
    for name, instance in zip(TINY_FORMS, instances, strict=True):
        yield partial(tiny, *where, instance, name, form["tiny"], next(sources))


def tiny(port: int, called: str, instance: RawFile, name: str, count: int, source: str) -> Blow:
    """Cut before it began is cut as well."""
    try:
        return tiny_pdvs(port, called, instance, name, count, source)
    except (OSError, wire.Closed, Rejected):
        return Blow(f"{count} {name}", 0, True, 0.0)


def until_cut(blow: Callable[[], Blow]) -> Blow:
    """What came of it; who stood still for the seconds in which it should be cut off has another go."""
    for _ in range(TRIES - 1):
        if (found := blow()).cut:
            return found
    return blow()


def text(target: Target, form: Form) -> str:
    """What one target made of it."""
    with MemoryWatch(target.pids) as watch, EchoSampler(target.port, target.ae_title) as sampler:
        found = [blow() for blow in blows(target, form)]
    lengthy = [blow for blow in found if "FFFFFFFF" in blow.name]
    rest = ", ".join(f"{blow.name} {'cut' if blow.cut else 'taken'}" for blow in found if blow not in lengthy)
    cut = sum(blow.cut for blow in lengthy)
    most = max(blow.sent for blow in lengthy) / MIB
    return (
        f"{cut} of {len(lengthy)} lengths cut, at most {most:.0f} MiB taken of one; {rest}; "
        f"memory + {watch.growth() / MIB:.0f} MiB; {sampler.text()}"
    )


@pytest.mark.parametrize("form", forms(13))
def test_what_is_too_long_is_cut_off(form: Form, tmp_path: Path, record_row: RecordRow) -> None:
    with a_node(tmp_path / "node") as node:
        pids = node.pids()
        with MemoryWatch(node.pids) as watch, EchoSampler(node.port, node.ae_title, timeout=60.0) as sampler:
            found = [until_cut(blow) for blow in blows(node, form)]
        whole = {blow.name for blow in found if not blow.cut}
        assert whole <= {f"{form['tiny']} {name}" for name in TINY_FORMS if "two bytes of a data set" in name}
        lengthy = [blow for blow in found if "FFFFFFFF" in blow.name]
        assert len(lengthy) == len(PDU_TYPES) * len(STATES)
        assert max(blow.sent for blow in lengthy) <= form["mebibytes"] * MIB // 2
        grown = watch.growth()
        assert grown < MOST_GROWTH, f"{grown / MIB:.0f} MiB"
        assert statistics.median(sampler.seconds) < PROMPT, sampler.text()
        assert sampler.slowest < (PROMPT if form.is_long else BUSY_SECONDS), sampler.text()
        with Modality(node.port, node.ae_title) as modality:
            assert modality.store(ct_template(64).instance(1, 1)) == 0x0000
        assert node.pids() == pids
        seen = f"all {len(lengthy)} lengths and the endless cut off; memory + {grown / MIB:.0f} MiB; {sampler.text()}"
    record_row(form, node=seen, **observed(form, tmp_path, lambda target: text(target, form)))
