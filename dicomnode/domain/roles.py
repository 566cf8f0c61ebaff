"""Roles and what they permit. What a role does not name, it does not permit."""

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Permission(StrEnum):
    """Something that a request needs. Every page and every call names exactly one."""

    SELF = "self"  # one's own account: password, sessions, tokens, sign out
    STATUS = "status"  # today, pipelines and models, system: no patient in it
    SERIES = "series"  # series and their stories; without PATIENTS, names and identifiers stay hidden
    PATIENTS = "patients"  # names and identifiers of patients, pictures
    SERIES_RUN = "series.run"  # have a series enhanced by hand, say that it is complete, keep it
    QUEUE = "queue"  # jobs and deliveries
    QUEUE_OPERATE = "queue.operate"  # retry, cancel, re-route, pause
    RULES = "rules"  # rules and destinations, revisions, decisions
    RULES_TRY = "rules.try"  # the draft and its replay
    RULES_PUBLISH = "rules.publish"  # put a revision in force, roll back
    DESTINATIONS_ASK = "destinations.ask"  # C-ECHO and probe
    SWITCH = "switch"  # the stop switch
    AUDIT = "audit"
    AUDIT_EXPORT = "audit.export"
    SETTINGS = "settings"  # the settings in force: addresses, networks and files of the house
    USERS = "users"  # see accounts and sessions
    USERS_CHANGE = "users.change"


class Role(StrEnum):
    """What an account has; it may have several."""

    VIEWER = "viewer"
    RADIOLOGIST = "radiologist"
    OPERATOR = "operator"
    ADMIN = "admin"
    AUDITOR = "auditor"


_P = Permission
_LOOK = frozenset({_P.SELF, _P.STATUS, _P.SERIES, _P.QUEUE, _P.RULES})

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _LOOK,
    Role.RADIOLOGIST: _LOOK | {_P.PATIENTS, _P.SERIES_RUN},
    Role.OPERATOR: _LOOK | {_P.PATIENTS, _P.SERIES_RUN, _P.QUEUE_OPERATE, _P.RULES_TRY, _P.DESTINATIONS_ASK, _P.SWITCH},
    Role.ADMIN: frozenset(Permission),
    Role.AUDITOR: frozenset(
        {_P.SELF, _P.STATUS, _P.SERIES, _P.RULES, _P.AUDIT, _P.AUDIT_EXPORT, _P.SETTINGS, _P.USERS}
    ),
}


def permitted(roles: Iterable[str]) -> frozenset[Permission]:
    """All that these roles permit together; a name that is no role permits nothing."""
    known = {role.value: role for role in Role}
    return frozenset().union(*(PERMISSIONS[known[name]] for name in roles if name in known))
