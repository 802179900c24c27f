"""The study file: reading it, and what about a study may change while it goes on.

Owns the step from a mapping (a file's, or one that the command line built) to a `StudySpec`. A study's starter file is
in `tuner.study.starter`, its JSON Schema in `tuner.study.schema`; both are offered here too.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic import BaseModel, ValidationError

from tuner.domain.errors import InputError
from tuner.domain.problems import explain
from tuner.domain.study import StudySpec
from tuner.space.feasibility import check_possible
from tuner.space.loader import load_space
from tuner.space.yaml_file import read_yaml
from tuner.study.schema import json_schema
from tuner.study.starter import starter
from tuner.study.workload import described, load_workload, workload_data

__all__ = ["json_schema", "read_study", "spec_difference", "starter", "study_from"]

MAY_CHANGE = (
    "budget", "engine.hang_timeout", "engine.port", "engine.start_timeout", "engine.vllm_python", "repeats",
    "warm_start", "workload.trace.file",
)  # fmt: skip
"""Keys that say how a study is carried out, not what is measured. Candidates may be added at the end.

A trace may lie elsewhere: what it holds is told by its hash.
"""

_NOT_SET = "not set"
_NAMED = ("search_space", "workload")
"""Keys of things that a study may name instead of saying them."""


class _Load(Protocol):
    def __call__(self, name_or_path: str, /, *, relative_to: Path) -> BaseModel: ...


def read_study(path: Path) -> StudySpec:
    """Return the study that a file describes.

    Raises:
        InputError: the file can't be read, or every problem in it: file, key, reason.
    """
    return study_from(read_yaml(path), source=str(path), relative_to=path.parent)


def study_from(data: Mapping[str, Any], *, source: str, relative_to: Path) -> StudySpec:
    """Return the study that a mapping describes.

    Args:
        data: as a study file's; `search_space` and `workload` are a shipped one's name, a path, or the thing itself.
        source: names the mapping in errors: the file's path, or `command line`.
        relative_to: the directory that relative paths of search spaces, workloads and traces start from.

    Raises:
        InputError: every problem: source, key, reason. A space without any possible configuration is one, and a
            workload's trace that can't be read.
    """
    whole = dict(data)
    space, workload = whole.get("search_space"), whole.get("workload")
    if isinstance(space, str):
        whole["search_space"] = _named(load_space, space, source, relative_to)
    if isinstance(workload, str):
        whole["workload"] = _named(load_workload, workload, source, relative_to)
    elif isinstance(workload, Mapping):
        own = cast("Mapping[str, Any]", workload)
        whole["workload"] = workload_data(own, where=f"{source}: workload.", relative_to=relative_to)
    if isinstance(whole.get("warm_start"), Mapping):
        whole["warm_start"] = _located(cast("Mapping[str, Any]", whole["warm_start"]), relative_to)
    try:
        spec = StudySpec.model_validate(whole)
    except ValidationError as error:
        raise explain(error, source=source, model=StudySpec) from error
    spec = spec.model_copy(update={"workload": described(spec.workload)})
    check_possible(spec.search_space, spec.base_flags(), where=f"{source}: search_space")
    return spec


def _located(warm_start: Mapping[str, Any], relative_to: Path) -> dict[str, Any]:
    """Return a warm start whose result file is an absolute path: the study may go on from another directory."""
    db: object = warm_start.get("db")
    if not isinstance(db, str) or "://" in db:
        return dict(warm_start)
    return {**warm_start, "db": str((relative_to / db).resolve())}


def _named(load: _Load, name: str, source: str, relative_to: Path) -> BaseModel:
    try:
        return load(name, relative_to=relative_to)
    except InputError as error:
        where = f"{source}: {error.where}" if error.where in _NAMED else error.where
        raise InputError(error.what, where=where, advice=error.advice) from error


def spec_difference(old: StudySpec, new: StudySpec) -> tuple[str, ...]:
    """Return what keeps `new` from going on under `old`'s name, a line for each key: `target_rps: 5 -> 10`.

    Measurements of a study are only comparable while these keys stay as they were.
    """
    before, after = dict(_settled(old)), dict(_settled(new))
    keys = [*before, *(key for key in after if key not in before)]
    changed = (
        f"{key}: {before.get(key, _NOT_SET)} -> {after.get(key, _NOT_SET)}"
        for key in keys
        if before.get(key) != after.get(key)
    )
    return (*changed, *_lost_candidates(old, new))


def _lost_candidates(old: StudySpec, new: StudySpec) -> Iterator[str]:
    for index, flags in enumerate(old.candidates):
        now = new.candidates[index] if index < len(new.candidates) else None
        if now != flags:
            yield f"candidates[{index}]: {_text(flags)} -> {_text(now)}"


def _settled(spec: StudySpec) -> Iterator[tuple[str, str]]:
    """Yield the keys that may not change, dotted as in the file, with their values as text."""
    data = spec.model_dump(mode="json", exclude={"candidates"})
    data["slos"] = {slo.name: f"{slo.limit * 1e3:.10g} ms" for slo in spec.slos}
    for key, text in _flat("", data):
        if not _may_change(key):
            yield key, text


def _may_change(key: str) -> bool:
    is_prose = key.startswith(("search_space.", "workload.")) and key.endswith(".description")
    return is_prose or any(key == name or key.startswith(f"{name}.") for name in MAY_CHANGE)


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401  # any part of the dumped study
    """Yield every scalar with its key; a fixed length or pause is the number that the file has."""
    match value:
        case None:
            pass
        case {"type": "fixed", "tokens": tokens}:
            yield prefix, _text(tokens)
        case {"type": "fixed", "seconds": seconds}:
            yield prefix, f"{_text(seconds)} s"
        case dict():
            for name, part in cast("dict[str, Any]", value).items():
                yield from _flat(f"{prefix}.{name}" if prefix else name, part)
        case [dict(), *_]:
            for index, part in enumerate(cast("list[Any]", value)):
                yield from _flat(f"{prefix}[{index}]", part)
        case _:
            yield prefix, _text(value)


def _text(value: Any) -> str:  # noqa: ANN401
    match value:
        case None:
            return _NOT_SET
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.10g}"
        case list():
            return f"[{', '.join(_text(part) for part in cast('list[Any]', value))}]"
        case dict():
            items = cast("dict[str, Any]", value).items()
            return f"{{{', '.join(f'{name}: {_text(part)}' for name, part in items)}}}"
        case _:
            return str(value)
