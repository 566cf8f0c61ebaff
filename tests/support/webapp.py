"""The web application in this process, over a database of its own, with somebody signed in."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fastapi.testclient import TestClient
from support.databases import put_sqlite

from dicomnode.app import build_flow
from dicomnode.db import migrate
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Account, WebSession
from dicomnode.desk.live import Live
from dicomnode.flow import Flow
from dicomnode.settings import Settings
from dicomnode.web.access.identify import COOKIE
from dicomnode.web.application import create_app

HOST = "http://testserver"


@dataclass
class Headless:
    """A node without network: what pages see of one."""

    flow: Flow
    listening: bool = True
    processes: Live | None = None

    def live(self) -> Live:
        """What `processes` says; without, a node that listens and has no worker."""
        return self.processes or Live(listening=self.listening)


def headless(folder: Path, url: str = "", **sections: object) -> Headless:
    """Over an empty database in `folder`, or at `url`; `sections` are settings, `web={...}`."""
    (folder / "store").mkdir(parents=True, exist_ok=True)
    file = folder / "node.db"
    is_new = not url and not file.exists()
    if is_new:
        put_sqlite(file)
    database = {"url": url or f"sqlite:///{file}"}
    settings = Settings(database=database, store={"root": folder / "store"}, **sections)  # type: ignore[arg-type]
    flow = build_flow(settings)
    if not is_new:
        migrate.upgrade(flow.database)
    return Headless(flow)


def account(flow: Flow, *roles: str, name: str = "") -> Account:
    """An account with these roles, without a password; its name is the first role unless given."""
    name = name or (roles[0] if roles else "nobody")
    with flow.database.write() as session:
        row = Account(name=name, folded_name=name.casefold(), roles=list(roles), created_at=database_now(session))
        session.add(row)
    return row


def session_of(flow: Flow, person: Account, *, names_shown: bool = False) -> str:
    """A session of that person as if just signed in: the secret of its cookie."""
    secret = secrets.token_urlsafe(32)
    with flow.database.write() as session:
        now = database_now(session)
        session.add(
            WebSession(
                secret_sha256=hashlib.sha256(secret.encode()).hexdigest(),
                account_id=person.id,
                created_at=now,
                seen_at=now,
                ends_at=now + timedelta(hours=1),
                names_until=now + timedelta(hours=1) if names_shown else None,
                peer="127.0.0.1",
                browser="a test",
            )
        )
    return secret


def client(node: Headless, *roles: str, names_shown: bool = False, name: str = "") -> TestClient:
    """A browser in which somebody with these roles is signed in; nobody is, without roles."""
    found = TestClient(
        create_app(node), base_url=HOST, follow_redirects=False, headers={"Sec-Fetch-Site": "same-origin"}
    )
    if roles:
        found.cookies.set(COOKIE, session_of(node.flow, account(node.flow, *roles, name=name), names_shown=names_shown))
    return found
