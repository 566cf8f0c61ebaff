"""Accounts, sessions and tokens as documents: what is secret of them is in none."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from dicomnode.db.models import Account, ApiToken, WebSession


class AccountItem(BaseModel):
    """Somebody who may come in."""

    id: int
    name: str
    display_name: str
    roles: list[str]
    issuer: str | None = Field(description="The OIDC provider that vouches for the person; null for local people.")
    created_at: datetime
    signed_in_at: datetime | None
    disabled_at: datetime | None
    locked_until: datetime | None

    @classmethod
    def of(cls, row: Account) -> Self:
        return cls(
            id=row.id,
            name=row.name,
            display_name=row.display_name,
            roles=row.roles,
            issuer=row.issuer,
            created_at=row.created_at,
            signed_in_at=row.signed_in_at,
            disabled_at=row.disabled_at,
            locked_until=row.locked_until,
        )


class SessionItem(BaseModel):
    """A browser that is signed in."""

    id: str
    created_at: datetime
    seen_at: datetime
    ends_at: datetime
    address: str
    browser: str

    @classmethod
    def of(cls, row: WebSession) -> Self:
        return cls(
            id=row.secret_sha256[:16],
            created_at=row.created_at,
            seen_at=row.seen_at,
            ends_at=row.ends_at,
            address=row.peer,
            browser=row.browser,
        )


class TokenItem(BaseModel):
    """A program's way in."""

    id: int
    name: str
    roles: list[str]
    created_at: datetime
    used_at: datetime | None
    ends_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, row: ApiToken) -> Self:
        return cls(
            id=row.id,
            name=row.name,
            roles=row.roles,
            created_at=row.created_at,
            used_at=row.used_at,
            ends_at=row.ends_at,
            revoked_at=row.revoked_at,
        )


class NewTokenItem(TokenItem):
    """A token that was just made."""

    token: str = Field(description="The secret; it is not shown again.")
