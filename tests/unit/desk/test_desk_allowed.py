"""Which hosts the browser may lead the node to."""

import socket
from pathlib import Path
from typing import Any

import pytest
from support.webapp import headless

from dicomnode.desk.destinations.allowed import check_allowed
from dicomnode.desk.refused import Refused
from dicomnode.flow import Flow


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return headless(tmp_path, web={"destination_networks": ["10.0.0.0/8", "127.0.0.1", "fd00::/8"]}).flow


@pytest.mark.parametrize("host", ["10.1.2.3", "127.0.0.1", "fd00::7", "::ffff:10.1.2.3"])
def test_addresses_inside_are_allowed(flow: Flow, host: str) -> None:
    assert check_allowed(flow, host) == (host,)


@pytest.mark.parametrize(
    "host", ["11.0.0.1", "127.0.0.2", "0.0.0.0", "169.254.169.254", "::", "::ffff:8.8.8.8", "fe80::1", "2130706434"]
)
def test_addresses_outside_are_refused_and_the_setting_is_named(flow: Flow, host: str) -> None:
    with pytest.raises(Refused, match=r"web\.destination_networks"):
        check_allowed(flow, host)


def test_a_name_is_allowed_only_if_all_its_addresses_are(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"inside": ["10.1.1.1", "fd00::1"], "both": ["10.1.1.1", "8.8.8.8"]}

    def resolve(host: str, *_: Any, **__: Any) -> Any:
        if host not in known:
            raise socket.gaierror("unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert check_allowed(flow, "inside") == ("10.1.1.1", "fd00::1")
    with pytest.raises(Refused, match=r"both \(8\.8\.8\.8\) is outside"):
        check_allowed(flow, "both")
    with pytest.raises(Refused, match="cannot be resolved"):
        check_allowed(flow, "nowhere")
