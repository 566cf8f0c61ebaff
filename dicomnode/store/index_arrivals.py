"""What a batch brought to the index: what the flow is told, inside the batch's transaction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydicom import Dataset

from dicomnode.db.models import Instance, Series
from dicomnode.store.versions import Version


class NewInstance:
    """An instance that the index did not know, or whose bytes were gone. Dear things are made when asked for."""

    def __init__(self, columns: Mapping[str, Any], derived_by_node: bool, read: Callable[[], Dataset]) -> None:
        """`columns` are those of its row, `read` gets its header; `derived_by_node` says that it carries a mark."""
        self.columns = columns
        self.derived_by_node = derived_by_node
        self._read = read

    @property
    def series_uid(self) -> str:
        return str(self.columns["series_uid"])

    @property
    def sop_class_uid(self) -> str:
        return str(self.columns["sop_class_uid"])

    @cached_property
    def row(self) -> Instance:
        """Its row's columns as an object of its own, of no session."""
        return Instance(**self.columns)

    @cached_property
    def header(self) -> Dataset:
        """Its header as pydicom reads it, without elements where it cannot."""
        return self._read()


@dataclass
class Arrivals:
    """What one batch brought: new instances in order of arrival, and the series that this touched."""

    new: list[NewInstance] = field(default_factory=list)
    series: dict[str, Series] = field(default_factory=dict)
    contradicted: dict[str, Version] = field(default_factory=dict)
    """Series of which a known instance came again as a correction or a conflict."""
    events: list[Mapping[str, Any]] = field(default_factory=list)
    """What receivers noted, in its order, applied already as far as the index is concerned."""
