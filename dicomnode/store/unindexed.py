"""Which instances are stored and acknowledged, but not in SQL yet: what an answer of "never came" must wait for."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from dicomnode.store.members import InstanceMember, members
from dicomnode.store.reading import ContainerFile
from dicomnode.store.tar import END_OF_ARCHIVE


def unindexed(
    root: Path, files: Iterable[ContainerFile], indexed_to: Mapping[str, int], sop_uids: Collection[str]
) -> set[str]:
    """Those of these SOP Instance UIDs that one of `files`, all the containers under `root`, holds behind `indexed_to`.

    `indexed_to` must be of the view of SQL in which they were not found, or of an earlier one. Then an instance that
    was acknowledged before `files` were listed is in that view or in the result: its receipt was on disk by then, and
    a container's offset moves together with the rows that it stands for. Raises OSError.
    """
    wanted, found = set(sop_uids), set[str]()
    for container in files:
        offset = indexed_to.get(container.name, 0)
        if container.size - offset <= len(END_OF_ARCHIVE) or found == wanted:
            continue
        try:
            for member in members(root, container.name, offset, verify=False):
                if isinstance(member, InstanceMember):
                    found |= {member.receipt.sop_instance_uid} & wanted
        except FileNotFoundError:  # retention; what it held was in SQL long ago
            continue
    return found
