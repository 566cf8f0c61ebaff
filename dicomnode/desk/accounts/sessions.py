"""Sessions of browsers: a secret in a cookie, its SHA-256 in SQL."""

import hashlib

from dicomnode.db.database import now as database_now
from dicomnode.db.models import Account, WebSession
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission, permitted
from dicomnode.flow import Flow


def person_of(flow: Flow, secret: str) -> Person | None:
    """Whose session it is; None where it is unknown or over, or the account is disabled."""
    with flow.database.read() as session:
        row = session.get(WebSession, hashlib.sha256(secret.encode()).hexdigest())
        if row is None or row.ended_at is not None:
            return None
        now = database_now(session)
        account = session.get_one(Account, row.account_id)
        if row.ends_at <= now or account.disabled_at is not None:
            return None
        roles = tuple(account.roles)
        shown = row.names_until is not None and row.names_until > now and Permission.PATIENTS in permitted(roles)
        return Person(account.name, roles, "session", account.id, row.secret_sha256, shown)
