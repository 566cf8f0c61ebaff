"""Secrets that browsers and programs hold; the database has their SHA-256 alone.

They are 256 random bits: nobody guesses them, and a slow hash such as passwords need would protect nothing.
"""

import hashlib
import secrets

TOKEN = "dn_"  # noqa: S105 - how a token begins, so that people and scanners of leaked secrets know one
BYTES = 32


def fresh() -> str:
    """A new secret, URL-safe."""
    return secrets.token_urlsafe(BYTES)


def sha256(secret: str) -> str:
    """How a row is found by a secret; as 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()
