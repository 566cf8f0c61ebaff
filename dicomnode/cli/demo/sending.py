"""The modality of the demo: the node's own SCU, under another AE title."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydicom import dcmread

from dicomnode.cli.common import fail
from dicomnode.cli.demo.node import AE_TITLE
from dicomnode.cli.process import LOOPBACK
from dicomnode.deliver.destination import Destination
from dicomnode.deliver.outcome import AssociationFailed
from dicomnode.deliver.scu import Outgoing, open_association

CALLING = "DEMO_CT"


def send_series(files: Sequence[Path], port: int, progress: Callable[[], None]) -> float:
    """C-STORE every file over one association. Returns the seconds it took. Raises CommandFailed on any refusal."""
    destination = Destination("the node", AE_TITLE, LOOPBACK, port)
    outgoings = [_outgoing(path) for path in files]
    began = time.monotonic()
    try:
        with open_association(destination, CALLING, outgoings) as session:
            for outgoing in outgoings:
                response = session.send(outgoing)
                if not response.stored:
                    fail(f"the node did not take instance {outgoing.sop_instance_uid}: {response.detail}")
                progress()
    except AssociationFailed as failure:
        fail(f"cannot send to the node: {failure.reason}")
    return time.monotonic() - began


def _outgoing(path: Path) -> Outgoing:
    header = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
    syntax = str(header.file_meta.TransferSyntaxUID)
    return Outgoing(str(header.SOPClassUID), str(header.SOPInstanceUID), syntax, path.read_bytes)
