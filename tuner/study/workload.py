"""Finding and reading workloads: shipped ones by name, others by path, with the traces that they replay.

Owns the step from what a study says (a name, a path, or the workload itself) to a workload whose trace was found, read
once and described. What a workload file may add to a workload's own keys: `base`, another workload to start from.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from tuner.domain.errors import InputError
from tuner.domain.problems import explain, nearest
from tuner.domain.workload import Workload
from tuner.load.library import SHIPPED, shipped_workload, shipped_workloads
from tuner.load.traces import describe_trace
from tuner.space.yaml_file import parse_yaml, read_yaml

_SUFFIX = ".yaml"
_SUFFIXES = frozenset({_SUFFIX, ".yml"})
_KINDS = ("classes", "chain", "trace")
_IDLE = ("input_tokens", "output_tokens", "prefix")
"""Keys that mean nothing beside a kind of workload that says lengths itself."""


def load_workload(name_or_path: str, *, relative_to: Path | None = None) -> Workload:
    """Return the workload that a name or a path means, its trace described.

    `chat` is the shipped workload of that name; `chat.yaml` is the file of that name in `relative_to` where there is
    one, else the shipped workload; anything with a slash is a path.

    Args:
        name_or_path: a shipped workload's name, or a path.
        relative_to: the directory that a relative path starts from; without it the current one.

    Raises:
        InputError: no such workload, one that isn't valid, or a trace that can't be read.
    """
    return described(_valid(*_read(name_or_path, relative_to or Path(), "workload", through=())))


def workload_data(written: Mapping[str, Any], *, where: str, relative_to: Path) -> dict[str, Any]:
    """Return a workload's mapping with its `base` merged in and its trace's path made absolute.

    Types and limits are left to the workload's own model.

    Args:
        written: the mapping, as a file holds it.
        where: begins the place of an error, up to the key: `night.yaml: workload.`.
        relative_to: the directory that relative paths start from.

    Raises:
        InputError: no such base, or a key that has no effect beside another.
    """
    return _merged(written, where, relative_to, through=())


def described(workload: Workload) -> Workload:
    """Return the workload with its trace read and described, or as it is where it replays none.

    Raises:
        InputError: the trace can't be read, or is not the one whose hash the workload names.
    """
    if workload.trace is None:
        return workload
    return workload.model_copy(update={"trace": describe_trace(workload.trace)})


def _valid(data: Mapping[str, Any], source: str) -> Workload:
    try:
        return Workload.model_validate(data)
    except ValidationError as error:
        raise explain(error, source=source, model=Workload) from error


def _merged(written: Mapping[str, Any], where: str, relative_to: Path, *, through: tuple[str, ...]) -> dict[str, Any]:
    own = dict(written)
    base = own.pop("base", None)
    if isinstance(own.get("trace"), Mapping):
        own["trace"] = _placed(cast("Mapping[str, Any]", own["trace"]), relative_to)
    if base is not None:
        if not isinstance(base, str):
            raise InputError("must be the name or the path of a workload", where=f"{where}base")
        under, source = _read(base, relative_to, f"{where}base", through=through)
        _valid(under, source)
        own = under | own
    _refuse_idle_keys(own, where)
    return own


def _read(name: str, relative_to: Path, where: str, *, through: tuple[str, ...]) -> tuple[dict[str, Any], str]:
    """Return a workload's mapping, and the file that holds it.

    Args:
        name: a shipped workload's name, or a path.
        relative_to: the directory that relative paths start from.
        where: the place that names it, for errors.
        through: the files that led here, each by its base.
    """
    path = relative_to / Path(name).expanduser()
    if "/" in name or (path.suffix in _SUFFIXES and path.is_file()):
        data, source, itself = read_yaml(path), str(path), str(path.resolve())
    else:
        itself = _shipped_name(name, where)
        source = f"{itself}{_SUFFIX}"
        data = _of_the_package(parse_yaml(shipped_workload(itself), source=source))
    if itself in through:
        raise InputError("leads back to this file", where=f"{source}: base")
    return _merged(data, f"{source}: ", path.parent, through=(*through, itself)), source


def _shipped_name(name: str, where: str) -> str:
    bare = name.removesuffix(_SUFFIX)
    if bare not in shipped_workloads():
        raise InputError(
            f"there is no workload named {name!r}; {nearest(bare, shipped_workloads())}",
            where=where,
            advice=f"shipped are {', '.join(shipped_workloads())}; name a file by its path, such as ./my-workload.yaml",
        )
    return bare


def _of_the_package(data: dict[str, Any]) -> dict[str, Any]:
    """Name the trace of a shipped workload, which lies beside it, so that it is found from everywhere."""
    trace = data.get("trace")
    return data | {"trace": trace | {"file": f"{SHIPPED}{trace['file']}"}} if trace else data


def _placed(trace: Mapping[str, Any], relative_to: Path) -> dict[str, Any]:
    file = trace.get("file")
    if not isinstance(file, str) or file.startswith(SHIPPED):
        return dict(trace)
    return {**trace, "file": str((relative_to / Path(file).expanduser()).absolute())}


def _refuse_idle_keys(data: Mapping[str, Any], where: str) -> None:
    kind = next((key for key in _KINDS if data.get(key)), None)
    idle = next((key for key in _IDLE if key in data), None)
    if kind and idle:
        raise InputError(f"has no effect beside {kind}, which says lengths itself", where=f"{where}{idle}")
