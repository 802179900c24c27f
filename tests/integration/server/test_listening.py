"""Where processes listen, with real sockets."""

import socket
import subprocess
import sys

import pytest

from tuner.server.listening import beyond_loopback, is_loopback

CHILD = """
import socket, subprocess, sys
host, detached = sys.argv[1], sys.argv[2] == "detached"
code = "import socket, sys; s = socket.create_server((sys.argv[1], 0), family=socket.AF_INET6 if ':' in sys.argv[1] "
code += "else socket.AF_INET); print(s.getsockname()[1], flush=True); sys.stdin.read()"
child = subprocess.Popen([sys.executable, "-c", code, host], start_new_session=detached)
child.wait()
"""


def found_for(host: str, how: str = "together") -> tuple[int, tuple[str, ...]]:
    """Return the port of a grandchild that listens there, and what is found of its launch."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, host, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as leader:
        assert leader.stdout is not None
        port = int(leader.stdout.readline())
        found = beyond_loopback(leader.pid)
        leader.communicate()
    return port, found


@pytest.mark.parametrize("how", ["together", "detached"])
def test_a_port_for_other_machines_is_found_wherever_in_the_launch_it_is(how: str):
    port, found = found_for("0.0.0.0", how)  # noqa: S104  # what must be found

    assert [each.partition(" ")[0] for each in found] == [f"0.0.0.0:{port}"]
    assert "(process " in found[0]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_a_port_on_every_address_of_ipv6_is_found():
    port, found = found_for("::")

    assert [each.partition(" ")[0] for each in found] == [f"[::]:{port}"]


def test_a_port_on_loopback_is_nobodys_business():
    assert found_for("127.0.0.1")[1] == ()


def test_a_process_that_has_gone_listens_nowhere():
    assert beyond_loopback(2**22 + 1) == ()


def test_strangers_ports_are_not_the_launchs():
    waiting = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with (
        socket.create_server(("0.0.0.0", 0)),  # noqa: S104
        subprocess.Popen(waiting, stdin=subprocess.PIPE, start_new_session=True) as other,
    ):
        found = beyond_loopback(other.pid)
        other.communicate()
    assert found == ()


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False),  # noqa: S104
     ("::", False), ("::ffff:192.0.2.2", False), ("192.0.2.2", False), ("fe80::1", False)],
)  # fmt: skip
def test_loopback_is_told_from_the_rest(address: str, expected: bool):
    assert is_loopback(address) is expected
