"""A flow bench whose clock has run on: series that rested, deliveries that are done, and retention's turn."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydicom import Dataset
from sqlalchemy import func, select, update
from support.flowbench import FlowBench

from dicomnode.db.models import AuditEvent, Container, Delivery, DeliveryItem, Enhancement, Instance, Series
from dicomnode.flow.upkeep.retention import Retained, retain
from dicomnode.settings import NodeSettings, Settings, StoreSettings

FORWARD = """
  - name: onward
    state: live
    when: {all: []}
    forward_original_to: [archive]
"""
PASSTHROUGH = """
  - name: every image
    state: live
    when: {all: []}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs]
"""


class RetentionBench(FlowBench):
    """`days` and `keep_free_gb` are the settings of its retention."""

    def __init__(self, root: Path, rules: str = "  []", *, days: float = 30, keep_free_gb: float = 0) -> None:
        super().__init__(root, rules)
        self.set_retention(days, keep_free_gb)

    def set_retention(self, days: float, keep_free_gb: float = 0) -> None:
        store = StoreSettings(root=self.root / "store", min_free_gb=0, retention_days=days, keep_free_gb=keep_free_gb)
        url = self.flow.settings.database.model_copy(update={"url": f"sqlite:///{self.root}/node.db"})
        self.flow.settings = Settings(node=NodeSettings(name="n"), store=store, database=url)

    @property
    def containers(self) -> set[str]:
        """Names of the received containers on disk."""
        return {f"containers/{path.name}" for path in (self.flow.root / "containers").glob("*.tar")}

    @property
    def derived(self) -> list[Path]:
        """The containers of derived instances on disk."""
        return sorted((self.flow.root / "derived").glob("*/*.tar"))

    def close_containers(self) -> None:
        """As when nothing came for a while."""
        self.journal._series.close()

    def send_all(self) -> None:
        """All that is pending was taken by its destinations."""
        with self.flow.database.write() as session:
            now = datetime.now(UTC)
            session.execute(update(DeliveryItem).values(state="sent", sent_at=now))
            session.execute(update(Delivery).values(state="sent", finished_at=now))

    def let_days_pass(self, days: float, uid: str | None = None) -> None:
        """Move what happened into the past: of one series, or of all."""
        past = timedelta(days=days)
        with self.flow.database.write() as session:
            for row in session.scalars(select(Series).where(Series.uid == uid) if uid else select(Series)):
                row.last_arrival_at -= past
                row.completed_at = row.completed_at and row.completed_at - past
                row.purged_at = row.purged_at and row.purged_at - past
                for instance in session.scalars(select(Instance).where(Instance.series_uid == row.uid)):
                    instance.received_at -= past
                    instance.purged_at = instance.purged_at and instance.purged_at - past
                for model in (Delivery, Enhancement):
                    for each in session.scalars(select(model).where(model.series_uid == row.uid)):
                        each.finished_at = each.finished_at and each.finished_at - past

    def retain(self) -> Retained:
        return retain(self.flow)

    def again(self, datasets: list[Dataset], calling_aet: str = "CT1") -> None:
        """They come over the network once more."""
        for dataset in datasets:
            self.receive(dataset, calling_aet)

    def purge_events(self) -> list[AuditEvent]:
        with self.flow.database.read() as session:
            return list(session.scalars(select(AuditEvent).where(AuditEvent.kind == "series.purged")))

    def removed(self) -> int:
        """Number of containers whose rows say that they were removed."""
        with self.flow.database.read() as session:
            return session.scalar(select(func.count()).where(Container.removed_at.is_not(None))) or 0
