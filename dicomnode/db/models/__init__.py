"""The tables. One file for each part of the flow; importing this package declares all of them."""

from dicomnode.db.models.account import Account, ApiToken, SignInAttempt, WebSession
from dicomnode.db.models.audit import AuditChain, AuditCursor, AuditEvent
from dicomnode.db.models.base import Base
from dicomnode.db.models.commitment import Commitment, CommitmentReport, CommitmentRequest
from dicomnode.db.models.delivery import Delivery, DeliveryItem
from dicomnode.db.models.drift import DriftState, InputStatistic
from dicomnode.db.models.head_start import HeadStart, HeadStartTally
from dicomnode.db.models.node import Hold, NodeRow
from dicomnode.db.models.outage import Outage
from dicomnode.db.models.outdated import Outdating, Rejection
from dicomnode.db.models.received import Association, Container, Instance, InstanceVersion, Manifest
from dicomnode.db.models.series import Series, SeriesFactsRow, Study
from dicomnode.db.models.site import Replay, ReplayChange, RuleDecision, SiteDraft, SiteRevision
from dicomnode.db.models.work import DerivedSeriesRow, Enhancement, Output

__all__ = [
    "Account",
    "ApiToken",
    "Association",
    "AuditChain",
    "AuditCursor",
    "AuditEvent",
    "Base",
    "Commitment",
    "CommitmentReport",
    "CommitmentRequest",
    "Container",
    "Delivery",
    "DeliveryItem",
    "DerivedSeriesRow",
    "DriftState",
    "Enhancement",
    "HeadStart",
    "HeadStartTally",
    "Hold",
    "InputStatistic",
    "Instance",
    "InstanceVersion",
    "Manifest",
    "NodeRow",
    "Outage",
    "Outdating",
    "Output",
    "Rejection",
    "Replay",
    "ReplayChange",
    "RuleDecision",
    "Series",
    "SeriesFactsRow",
    "SignInAttempt",
    "SiteDraft",
    "SiteRevision",
    "Study",
    "WebSession",
]
