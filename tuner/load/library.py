"""Owns where the shipped workloads and their sample traces lie, inside the package: names and bytes. Reads no YAML.

A sample trace is named `shipped:azure-sample.csv` wherever a path could stand, so that a stored study finds it again on
another machine and after another installation.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

SHIPPED = "shipped:"
"""Before the name of a file that comes with the tuner."""
_SUFFIX = ".yaml"


def shipped_workloads() -> tuple[str, ...]:
    """Return the names of the workloads that come with the tuner, sorted."""
    names = (file.name for file in _directory().iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def shipped_workload(name: str) -> bytes:
    """Return the YAML of one of `shipped_workloads()`."""
    return (_directory() / f"{name}{_SUFFIX}").read_bytes()


def locate(file: str) -> Traversable:
    """Return the file that a trace's `file` means: a shipped one by `shipped:NAME`, any other by its path."""
    if not file.startswith(SHIPPED):
        return Path(file)
    return _directory() / Path(file.removeprefix(SHIPPED)).name


def _directory() -> Traversable:
    return files("tuner.load") / "workloads"
