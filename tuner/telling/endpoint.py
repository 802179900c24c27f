"""The Prometheus endpoint of a running study: prometheus_client's own server, on a registry of its own."""

from collections.abc import Generator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.registry import Collector

from tuner.domain.errors import SurroundingsError


@contextmanager
def endpoint(collector: Collector, *, host: str, port: int) -> Generator[int]:
    """Serve /metrics while the context lasts, from a thread; yields the port, which the system chose for port 0.

    Raises:
        SurroundingsError: the port is taken, or not to be had on that host.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise SurroundingsError(
            f"no metrics at {host}:{port}: {error.strerror or error}",
            where="--metrics-port",
            advice="Another study may use it (tuner_build_info there says so): choose another port.",
        ) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
