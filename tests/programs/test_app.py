"""The address that `hpe app` tells."""

import ipaddress
import socket

import pytest

from hpe.programs.app import reached


@pytest.mark.parametrize(
    ("host", "told"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("studio.local", "studio.local")]
)
def test_the_address_is_what_is_listened_on(host, told):
    assert reached(host) == told


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_of_all_addresses_the_one_that_others_reach_is_told(host):
    told = reached(host)
    assert told == socket.gethostname() or not ipaddress.ip_address(told).is_unspecified
