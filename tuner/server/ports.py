"""Reserving a port for a server that binds it itself."""

import errno
import socket

from tuner.domain.errors import SurroundingsError

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
        what = "is in use" if error.errno == errno.EADDRINUSE else f"can't be used: {error.strerror}"
        raise SurroundingsError(
            f"port {port} {what}", where="engine.port", advice="Choose another one, or leave it out for a free one."
        ) from error
    return reservation
