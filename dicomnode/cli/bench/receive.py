"""`bench receive`."""

from typing import Annotated

import typer

from dicomnode.cli.bench.network.options import (
    AllowTmpfs,
    Ct,
    CtSize,
    Folder,
    Markdown,
    Mr,
    MrSize,
    Page,
    Parallel,
    Repeats,
    measuring,
    print_document,
    surroundings,
)
from dicomnode.cli.common import JsonOption, fail

_PEERS = "storescp,storescp+B,orthanc,orthanc-as-it-comes,receiving,node"


def receive(
    ct: Ct = 400,
    mr: Mr = 1500,
    dx: Annotated[int, typer.Option(min=0, help="DX instances of a run; 0 leaves them out.")] = 10,
    nagle: Annotated[int, typer.Option(min=0, help="MR instances that a default storescu sends.")] = 80,
    opens: Annotated[int, typer.Option(min=0, help="Associations of one MR instance each.")] = 200,
    series: Annotated[int, typer.Option(min=0, help="Instances of the one series at which memory is read.")] = 2000,
    ct_size: CtSize = 512,
    mr_size: MrSize = 132,
    dx_size: Annotated[int, typer.Option(min=16, help="Rows and columns of a DX.")] = 3000,
    parallel: Parallel = 4,
    repeats: Repeats = 5,
    peers: Annotated[
        str, typer.Option(help="Which to measure, with commas; also `discarding` and `orthanc-unsynced`.")
    ] = _PEERS,
    processes: Annotated[str, typer.Option(help="Receiving processes of the node: a number, or auto.")] = "auto",
    directory: Folder = None,
    allow_tmpfs: AllowTmpfs = False,
    as_markdown: Markdown = False,
    page: Page = None,
    as_json: JsonOption = False,
) -> None:
    """Durable receiving, beside DCMTK's storescp and Orthanc: instances/s, CPU, memory, and what is to be reached.

    Makes its own data, starts every receiver on loopback and on one file system, measures them in turns and removes
    everything again. Our own sender does not limit; one row has a default storescu as its sender.
    """
    # Imported here: what measures is needed by no other command.
    from dicomnode.cli.bench.network import goals
    from dicomnode.cli.bench.network.disk import working_folder
    from dicomnode.cli.bench.network.document import document
    from dicomnode.cli.bench.network.instances import made_for
    from dicomnode.cli.bench.network.page import parts
    from dicomnode.cli.bench.network.peers import chosen
    from dicomnode.cli.bench.network.receiving import ReceiveBench
    from dicomnode.cli.bench.network.rows import OURS, receive_rows

    counts = {"ct": ct, "mr": mr, "dx": dx, "nagle": nagle, "each": opens, "series": series}
    rows = receive_rows(counts, parallel)
    if page is not None:
        parts(page, "receive")  # a page without a place for the tables is better refused before the minutes than after
    if not rows:
        fail("there is nothing to send: every count is 0, or there are fewer instances than associations")
    measured, absent = chosen(peers, processes)
    kinds = made_for({row.modality for row in rows}, {"CT": ct_size, "MR": mr_size, "DX": dx_size})
    with working_folder(directory, allow_tmpfs) as (folder, file_system):
        around = surroundings("receive", file_system, repeats, absent)
        bench = ReceiveBench(folder, kinds, rows, measured)
        with measuring(bench.steps(repeats), "starting") as told:
            bench.run(repeats, told)
    ours = [peer.key for peer in measured if peer.key in OURS]
    found = document(around, kinds.values(), rows, measured, bench.runs, ours, goals.RECEIVE)
    print_document(found, as_json, as_markdown, page)
