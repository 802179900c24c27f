"""Reserving a port for a server that binds it itself."""

import errno
import socket

import psutil

from tuner.domain.errors import SurroundingsError
from tuner.server.whose import whose

HOST = "127.0.0.1"


def reserve(port: int | None) -> socket.socket:
    """Return a socket bound to the port, or to a free one, that lets the server bind it too.

    Both set SO_REUSEADDR, and only the server listens: while this socket is open, nobody is given the port by chance.

    Raises:
        SurroundingsError: the fixed port is taken.
    """
    reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind((HOST, port or 0))
    except OSError as error:
        reservation.close()
        taken = error.errno == errno.EADDRINUSE
        what = f"is in use by {_holder(port)}" if taken else f"can't be used: {error.strerror}"
        raise SurroundingsError(
            f"port {port} {what}", where="engine.port", advice="Choose another one, or leave it out for a free one."
        ) from error
    return reservation


def _holder(port: int | None) -> str:
    """Return who listens on a port; the system names other users' processes to root alone."""
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr[1] == port and connection.status == psutil.CONN_LISTEN:
            return whose(connection.pid) if connection.pid else "a process of another user"
    return "a process that does not listen on it yet"
