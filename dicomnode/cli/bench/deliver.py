"""`bench deliver`."""

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


def deliver(
    ct: Ct = 400,
    mr: Mr = 1500,
    ct_size: CtSize = 512,
    mr_size: MrSize = 132,
    parallel: Parallel = 4,
    repeats: Repeats = 5,
    directory: Folder = None,
    allow_tmpfs: AllowTmpfs = False,
    as_markdown: Markdown = False,
    page: Page = None,
    as_json: JsonOption = False,
) -> None:
    """Sending from the store into a PACS that throws all away, beside DCMTK's dcmsend and storescu.

    Makes its own data, puts the same instances into files and into a store, sends them in turns over one and over
    several associations and removes everything again.
    """
    # Imported here: what measures is needed by no other command.
    from dicomnode.cli.bench.network import dcmtk, goals
    from dicomnode.cli.bench.network.delivering import DeliverBench
    from dicomnode.cli.bench.network.disk import working_folder
    from dicomnode.cli.bench.network.document import document
    from dicomnode.cli.bench.network.instances import made_for
    from dicomnode.cli.bench.network.page import parts
    from dicomnode.cli.bench.network.rows import deliver_rows
    from dicomnode.cli.bench.network.senders import DcmtkSending, NodeSending

    rows = deliver_rows(ct, mr, parallel)
    if page is not None:
        parts(page, "deliver")  # a page without a place for the tables is better refused before the minutes than after
    if not rows:
        fail("there is nothing to send: every count is 0, or there are fewer instances than associations")
    if dcmtk.version("storescp") is None:
        fail("this needs something to send to: DCMTK's storescp, as /usr/bin/storescp (Debian's package dcmtk)")
    tools = ("dcmsend", "storescu")
    absent = [name for name in tools if dcmtk.version(name) is None]
    senders = [NodeSending(), *(DcmtkSending(name) for name in tools if name not in absent)]
    kinds = made_for({row.modality for row in rows}, {"CT": ct_size, "MR": mr_size})
    with working_folder(directory, allow_tmpfs) as (folder, file_system):
        around = surroundings("deliver", file_system, repeats, absent)
        bench = DeliverBench(folder, kinds, rows, senders)
        with measuring(bench.steps(repeats), "making instances") as told:
            bench.run(repeats, told)
    found = document(around, kinds.values(), rows, senders, bench.runs, ["node"], goals.DELIVER)
    print_document(found, as_json, as_markdown, page)
