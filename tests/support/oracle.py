"""pynetdicom's own Storage SCP around the node's Keeper: what the receiver's transport is held against."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pynetdicom import AE, _config, build_context, evt
from pynetdicom.sop_class import Verification

from dicomnode.receive.keeper import Keeper
from dicomnode.receive.store_request import Sender, StoreRequest
from dicomnode.store.journal import Journal


class Oracle:
    """A running SCP; `data_sets` are what its library made of the bytes on the wire, in their order."""

    def __init__(self, root: Path, gate: Any) -> None:
        self.data_sets: list[bytes] = []
        self._journal = Journal(root, "oracle", "oracle", min_free_gb=0.0)
        self._keeper = Keeper(self._journal, gate)
        self.port = 0

    def store(self, event: Any) -> int:
        """The node's judgement on what pynetdicom received."""
        data_set = event.request.DataSet.getvalue()
        self.data_sets.append(data_set)
        request = StoreRequest(
            str(event.request.AffectedSOPClassUID),
            str(event.request.AffectedSOPInstanceUID),
            str(event.context.abstract_syntax),
            str(event.context.transfer_syntax),
        )
        answer = self._keeper.keep(request, Sender("MODALITY", "DICOMNODE", "127.0.0.1", "1"), memoryview(data_set))
        return int(answer.status)


@contextmanager
def oracle(root: Path, sop_classes: list[str], syntaxes: list[str], gate: Any = lambda: None) -> Iterator[Oracle]:
    """The SCP on a free port of the loopback, for the length of a test."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    before = _config.VALIDATORS["UI"]
    _config.VALIDATORS["UI"] = lambda value: (True, "")
    scp = Oracle(root, gate)
    entity = AE(ae_title="DICOMNODE")
    entity.maximum_associations = 1000  # it counts those that are over until their threads have ended
    entity.supported_contexts = [build_context(Verification), *(build_context(uid, syntaxes) for uid in sop_classes)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, scp.store)])
    scp.port = server.server_address[1]
    try:
        yield scp
    finally:
        server.shutdown()
        _config.VALIDATORS["UI"] = before
