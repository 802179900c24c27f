"""Where an engine's processes listen: nobody on another machine should reach what has no key and unpickles messages.

Looks, and says what it found. What to do about it is the caller's.
"""

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv6Address, ip_address

import psutil

from tuner.server import procfs
from tuner.server.whose import plain


def beyond_loopback(root: int) -> tuple[str, ...]:
    """Return where processes listen on TCP for other machines: address, port and whose it is, one text each.

    Args:
        root: pid of the process that they are all below, such as the supervisor of a launch.
    """
    below = sorted(procfs.descendants(root), key=lambda process: process.pid)
    return tuple(f"{where} (process {plain(one.title)})" for one in below for where in _exposed(one.pid))


def _exposed(pid: int) -> Iterator[str]:
    with suppress(psutil.Error):  # it ended meanwhile
        for connection in psutil.Process(pid).net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and not is_loopback(connection.laddr.ip):
                yield f"{_host(connection.laddr.ip)}:{connection.laddr.port}"


def is_loopback(address: str) -> bool:
    """Return whether an address is of this machine alone, an IPv4 address in IPv6's clothes included."""
    parsed = ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return (mapped or parsed).is_loopback


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
