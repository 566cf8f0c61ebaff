"""Names of accounts. The audit log calls people by them, so none may look like something else in it."""

import re
import unicodedata

from dicomnode.desk.refused import Refused

TAKEN = frozenset({"node", "nobody", "command line", "doctor", "the sign-in provider"})
"""Who else acts in the audit log."""
_NAME = re.compile(r"[\w.@+-]+( [\w.@+-]+)*")
LONGEST = 64


def checked(name: str) -> str:
    """The name as it is stored. Raises Refused."""
    plain = unicodedata.normalize("NFKC", name).strip()
    if len(plain) > LONGEST or not _NAME.fullmatch(plain):
        raise Refused(f"a name has letters, digits, single spaces and . @ + - _ only, {LONGEST} characters at most")
    if folded(plain) in TAKEN:
        raise Refused(f"the audit log means something else by {plain!r}: take another name")
    return plain


def folded(name: str) -> str:
    """What is the same in names that only look different; whatever was typed, a database takes it."""
    plain = unicodedata.normalize("NFKC", name[: 4 * LONGEST]).strip().casefold()
    return "".join(each for each in plain if each.isprintable())
