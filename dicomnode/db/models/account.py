"""Who may come in: accounts, their sessions in browsers, tokens of programs, sign-ins under way elsewhere."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.db.models.base import Base
from dicomnode.db.types import Identity


class Account(Base):
    """A person. Never deleted, since the audit log speaks of it; disabled instead."""

    __tablename__ = "account"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    name: Mapped[str]
    """What is typed at the sign-in, and what the audit log calls this person."""
    folded_name: Mapped[str] = mapped_column(unique=True)
    """`name` without regard to case: no two people differ by that alone."""
    display_name: Mapped[str] = mapped_column(default="")
    roles: Mapped[list[Any]]
    """Names of `domain.roles.Role`. Of a person that comes by OIDC: what the groups said at the last sign-in."""
    password_hash: Mapped[str] = mapped_column(default="")
    """Argon2id; empty: this person does not come in by a password."""
    issuer: Mapped[str | None]
    """The OIDC provider that vouches for this person, and what it calls them; null for local people."""
    subject: Mapped[str | None]
    failures: Mapped[int] = mapped_column(default=0)
    """Wrong passwords in a row."""
    locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    signed_in_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]


class WebSession(Base):
    """A browser that somebody signed in at. The cookie holds a secret, this row its SHA-256 alone."""

    __tablename__ = "web_session"

    secret_sha256: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    """The last request, to the nearest minute: idle sessions end by it."""
    ends_at: Mapped[datetime] = mapped_column(index=True)
    """The absolute end, however busy it is."""
    ended_at: Mapped[datetime | None]
    """When it was signed out of, or revoked."""
    names_until: Mapped[datetime | None]
    """Until when patients' names are shown in it; null: they are hidden."""
    peer: Mapped[str]
    browser: Mapped[str]


class ApiToken(Base):
    """A program's way in: a secret shown once, of which this row keeps the SHA-256."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    name: Mapped[str]
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    """Who made it; it never may more than this person still may."""
    roles: Mapped[list[Any]]
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class SignInAttempt(Base):
    """A sign-in that went to an OIDC provider and has not come back yet."""

    __tablename__ = "sign_in_attempt"
    __table_args__ = (Index("ix_sign_in_attempt_ends", "ends_at"),)

    state_sha256: Mapped[str] = mapped_column(primary_key=True)
    nonce: Mapped[str]
    code_verifier: Mapped[str]
    return_to: Mapped[str]
    """The page that was asked for: a path of this node, never an address elsewhere."""
    ends_at: Mapped[datetime]
