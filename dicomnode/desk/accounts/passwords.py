"""Passwords: the rule, and Argon2id (RFC 9106) with the parameters that argon2-cffi recommends."""

import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dicomnode.desk.refused import Refused

SHORTEST = 12
LONGEST = 256
FEWEST_DIFFERENT = 5
AT_A_TIME = 2
"""Hashes computed at once. Each takes 64 MiB and a core for a moment: a flood of sign-ins waits, the node goes on."""

_HASHER = PasswordHasher()
_places = threading.BoundedSemaphore(AT_A_TIME)
_lock = threading.Lock()
_nobodys: str | None = None


def check(password: str, name: str) -> None:
    """Raises Refused unless `password` may be the one of the account `name`."""
    plain = _plain(password)
    if len(plain) < SHORTEST:
        raise Refused(f"a password has at least {SHORTEST} characters: several words are easy to keep in mind")
    if len(plain) > LONGEST:
        raise Refused(f"a password has at most {LONGEST} characters")
    if len(set(plain)) < FEWEST_DIFFERENT:
        raise Refused("this password repeats too few characters")
    if plain.casefold().replace(name.casefold(), "").strip() == "":
        raise Refused("the name is no password")


def hashed(password: str) -> str:
    """What is stored in place of the password."""
    with _places:
        return _HASHER.hash(_plain(password).encode("utf-8", "surrogatepass"))


def matches(password_hash: str, password: str) -> bool:
    """Whether it is that password. Without a hash the same work is done for nothing, so that time tells no names."""
    with _places:
        try:
            plain = _plain(password).encode("utf-8", "surrogatepass")
            return _HASHER.verify(password_hash or _of_nobody(), plain) and bool(password_hash)
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(password_hash: str) -> bool:
    """Whether new hashes are made with other parameters."""
    return _HASHER.check_needs_rehash(password_hash)


def _plain(password: str) -> str:
    """As typed on any keyboard: `é` is the same character however a system composes it."""
    return unicodedata.normalize("NFKC", password[: 4 * LONGEST])


def _of_nobody() -> str:
    global _nobodys
    with _lock:
        if _nobodys is None:
            _nobodys = _HASHER.hash("nobody's")
        return _nobodys
