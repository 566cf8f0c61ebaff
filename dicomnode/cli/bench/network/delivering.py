"""`bench deliver` at work: rounds over all rows and senders, in turns, into a Storage SCP that throws all away."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dicomnode.cli.bench.network.dcmtk import Discarding
from dicomnode.cli.bench.network.figures import Run
from dicomnode.cli.bench.network.instances import Kind
from dicomnode.cli.bench.network.rows import Row
from dicomnode.cli.bench.network.senders import Sending
from dicomnode.cli.bench.network.sending import Target
from dicomnode.cli.bench.network.stock import Stock

_WARM_UP = 20


class DeliverBench:
    """One receiver for all; everything sent is in the page cache, as what was just received or derived is."""

    def __init__(
        self, folder: Path, kinds: Mapping[str, Kind], rows: Sequence[Row], senders: Sequence[Sending]
    ) -> None:
        self._folder, self._kinds, self._rows, self._senders = folder, kinds, rows, senders
        self.runs: list[Run] = []

    def steps(self, repeats: int) -> int:
        """How often `run` tells what it does."""
        return repeats * len(self._rows) * len(self._senders)

    def run(self, repeats: int, told: Callable[[str], None]) -> None:
        """Measure everything `repeats` times. Raises CommandFailed where an instance is not taken."""
        stocks = self._stocks()
        receiver = Discarding()
        try:
            receiver.start(self._folder / "discarding")
            receiver.wait_ready()
            for sender in self._senders:
                row = self._rows[0]
                warm_up = Row("warm-up", row.modality, min(_WARM_UP, row.instances))
                sender.send(warm_up, stocks[row.modality], Target(receiver.called, receiver.port(1)))
            for number in range(repeats):
                for row in self._rows:
                    target = Target(receiver.called, receiver.port(row.associations))
                    self._row(row, number, stocks[row.modality], target, told)
        finally:
            receiver.stop()

    def _row(self, row: Row, number: int, stock: Stock, target: Target, told: Callable[[str], None]) -> None:
        first = number % len(self._senders)
        for sender in [*self._senders[first:], *self._senders[:first]]:
            told(f"{row.title}: {sender.title}")
            sent = sender.send(row, stock, target)
            self.runs.append(
                Run(
                    round=number,
                    row=row.key,
                    peer=sender.key,
                    instances=row.instances,
                    seconds=sent.seconds,
                    p50_ms=sent.p50_ms,
                    p99_ms=sent.p99_ms,
                    cpu_s=sent.cpu_s,
                )
            )

    def _stocks(self) -> dict[str, Stock]:
        most = {row.modality: max(r.instances for r in self._rows if r.modality == row.modality) for row in self._rows}
        stamp = time.time_ns()
        return {name: Stock.of(self._kinds[name], count, self._folder / name, stamp) for name, count in most.items()}
