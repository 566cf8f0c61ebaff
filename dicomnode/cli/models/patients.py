"""Patients under names that say nothing, and who of them is held out.

The order of `patient-1`, `patient-2`, ... is that of a keyed hash of the Patient ID. The key is made for one run, kept
in memory alone and lost with it, so that nobody can find out later who was who by hashing known Patient IDs.
"""

import hmac
import secrets
from collections.abc import Iterable, Mapping

Patient = tuple[str, ...]
_HELD_OUT_SHARE = 0.1


def name_patients(patients: Iterable[Patient], key: bytes | None = None) -> dict[Patient, str]:
    """A name for each patient: `patient-1` and so on, in an order that only `key` (32 random bytes) explains."""
    secret = secrets.token_bytes(32) if key is None else key
    ordered = sorted(set(patients), key=lambda one: hmac.digest(secret, "\0".join(one).encode(), "sha256"))
    return {one: f"patient-{number}" for number, one in enumerate(ordered, start=1)}


def held_out(slices: Mapping[str, int]) -> frozenset[str]:
    """Which of the named patients (with their slices) no training step may see: a tenth of them, at least one.

    None of a single patient: then slices from the middle of the body are kept back instead, which says less. Those
    with the fewest slices are taken: what is held out is lost to training.
    """
    if len(slices) < 2:
        return frozenset()
    count = max(1, round(_HELD_OUT_SHARE * len(slices)))
    return frozenset(sorted(slices, key=lambda name: (slices[name], name))[:count])
