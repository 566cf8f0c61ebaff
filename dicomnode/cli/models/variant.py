"""The pipeline file that runs a pipeline with other weights: a few lines in the administrator's folder.

A variant, not a setting: its name stands in rules, jobs and derived images, its weights' sha256 is part of the identity
of each output, and the shipped pipeline stays usable beside it, so that both can be compared in one node.
"""

from dicomnode.cli.common import fail
from dicomnode.cli.models.naming import Naming
from dicomnode.enhance.api import Pipeline
from dicomnode.enhance.registry import Entry

_SITE_PACKAGE = "dicomnode_site_"
"""Files of administrators' folders are loaded under such names (`enhance.discovery`), which no import can name."""

_WITH_LIMITS = '''\
"""{base} with other weights; written by `dicomnode models import`. What they are is in their card, beside them."""

from pathlib import Path

from dicomnode.enhance.api import read_limits
from {module} import {parent}


class {name}({parent}):
    """All of {base} but its weights and the limits of its guards."""

    name = "{pipeline}"
    version = {parent}.version  # the code is that of {base}; the weights' sha256 tells these outputs apart
    weights = "{weights}"
    guards = read_limits(Path(__file__).parent / "weights" / "{limits}")
'''

_WITHOUT_LIMITS = '''\
"""{base} with other weights; written by `dicomnode models import`. What they are is in their card, beside them."""

from dataclasses import replace

from {module} import {parent}


class {name}({parent}):
    """All of {base} but its weights."""

    name = "{pipeline}"
    version = {parent}.version  # the code is that of {base}; the weights' sha256 tells these outputs apart
    weights = "{weights}"
    guards = replace({parent}.guards, features=None)  # features of other weights: their distance says nothing here
'''


def parent_of(entry: Entry) -> type[Pipeline]:
    """The class that a variant of `entry` can import. Raises CommandFailed if there is none."""
    for ancestor in entry.pipeline.__mro__ if entry.pipeline else ():
        if issubclass(ancestor, Pipeline) and ancestor is not Pipeline and not _of_site(ancestor):
            return ancestor
    fail(f"pipeline {entry.name} is a file of this site that nothing can import; give its weights to itself by hand")


def variant_text(parent: type[Pipeline], naming: Naming, *, with_limits: bool) -> str:
    """The whole file. With limits they are read from beside the weights, else they are the parent's."""
    return (_WITH_LIMITS if with_limits else _WITHOUT_LIMITS).format(
        base=parent.name,
        module=parent.__module__,
        parent=parent.__name__,
        name=naming.class_name,
        pipeline=naming.name,
        weights=naming.weights,
        limits=naming.weights.removesuffix(".safetensors") + ".limits.toml",
    )


def _of_site(pipeline: type[Pipeline]) -> bool:
    return pipeline.__module__.startswith(_SITE_PACKAGE)
