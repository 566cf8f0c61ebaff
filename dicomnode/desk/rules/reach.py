"""Where a destination that is written in the browser may lie."""

from collections.abc import Iterable

from dicomnode.desk.destinations.allowed import check_allowed
from dicomnode.desk.person import Person
from dicomnode.domain.site import Site
from dicomnode.flow import Flow


def check_hosts(flow: Flow, person: Person, hosts: Iterable[object], known: Iterable[Site]) -> None:
    """Raise Refused for a host outside of the allowed networks, unless a site named it before or a command does.

    Names are looked up here, so call it outside of a transaction.
    """
    if person.via == "command line":
        return
    named = {destination.host for site in known for destination in site.destinations}
    for host in dict.fromkeys(hosts):
        if isinstance(host, str) and host and host not in named:
            check_allowed(flow, host)
