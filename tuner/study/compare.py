"""Which studies are compared, and whether they may be: what differs is named, what is not comparable is refused.

Studies of other GPUs, models or vLLM versions are what a comparison is for. Studies of another workload answer another
question. Other SLOs or another target rate can be made the same by asking, since raw records are kept.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.analysis.best import Contender
from tuner.analysis.comparison import Comparison, Difference, Question, Side, compare
from tuner.analysis.cost import Price, price_of, words_of
from tuner.devices.catalogue import by_driver_name
from tuner.domain.errors import InputError
from tuner.domain.slo import Slo
from tuner.domain.study import CAPACITY
from tuner.domain.trial import Provenance, Study
from tuner.store.reader import Reader
from tuner.study.answer import contenders
from tuner.study.front import directions_of

_WHERE = "tuner compare"


@dataclass(frozen=True, slots=True)
class Stored:
    """A study and the open file that holds it."""

    reader: Reader
    study: Study

    @property
    def name(self) -> str:
        """`FILE:STUDY`, which is never ambiguous."""
        return f"{self.reader.location.display}:{self.study.name}"

    @property
    def origin(self) -> tuple[object, ...]:
        """What two files have in common that hold the same study: one was imported into the other, or copied."""
        return self.study.name, self.study.created_at, self.study.spec.model


def chosen_studies(readers: Sequence[Reader], names: Sequence[str]) -> tuple[Stored, ...]:
    """Return the studies of these names, each looked for in every file; without names all, each once.

    Args:
        readers: the open files.
        names: `STUDY`, or `FILE:STUDY` where several files have one of that name.

    Raises:
        InputError: no such study, a name that several files have, or a study named twice.
    """
    every = [Stored(reader, study) for reader in readers for study in reader.studies()]
    if not every:
        raise InputError("no study in it yet", where=", ".join(reader.location.display for reader in readers))
    if not names:
        return tuple({one.origin: one for one in reversed(every)}.values())[::-1]
    found = {(one := _named(every, name)).origin: one for name in names}
    if len(found) < len(names):
        raise InputError("the same study is named twice, or stands in two files", where=_WHERE)
    return tuple(found.values())


def _named(every: Sequence[Stored], name: str) -> Stored:
    found = [one for one in every if name in (one.study.name, one.name)]
    if len(found) == 1:
        return found[0]
    if found:
        choices = " or ".join(one.name for one in found)
        raise InputError(f"several files have a study named {name}", where=_WHERE, advice=f"Write {choices}.")
    known = ", ".join(dict.fromkeys(one.study.name for one in every))
    raise InputError(f"no study named {name!r} in any of the files; there are: {known}", where=_WHERE)


def compare_studies(
    chosen: Sequence[Stored],
    *,
    slos: Sequence[Slo] = (),
    target_rps: float | None = None,
    headroom: float,
    metrics: Sequence[str] = (),
    prices: Sequence[Price] = (),
) -> Comparison:
    """Return the comparison of studies, in this order; ratios are over the first.

    Args:
        chosen: at least one.
        slos: what all are held against; without them the studies' own, which must be equal.
        target_rps: requests per second to serve; without it the studies' own, which must be equal.
        headroom: how many times the target rate must be sustained.
        metrics: figures of the fronts; without them capacity and TTFT p95.
        prices: per GPU and hour.

    Raises:
        InputError: the studies are not comparable, one has no measured trial, or a price fits none of them.
    """
    studies = {label: one.study for label, one in zip(_labels(chosen), chosen, strict=True)}
    _check_workloads(studies)
    names = tuple(metrics) or (CAPACITY, "ttft_p95")
    question = Question(
        slos=tuple(slos) or _own_slos(studies),
        target_rps=target_rps or _own_target(studies),
        headroom=headroom,
        metrics=names,
        directions=directions_of(names),
    )
    sides = [_side(label, one, question.slos) for label, one in zip(studies, chosen, strict=True)]
    return compare(_priced(sides, prices), question, _differences(sides))


def _labels(chosen: Sequence[Stored]) -> list[str]:
    names = [one.study.name for one in chosen]
    return [one.study.name if names.count(one.study.name) == 1 else one.name for one in chosen]


def _check_workloads(studies: Mapping[str, Study]) -> None:
    (first, one), *others = studies.items()
    for label, other in others:
        if other.spec.workload.identity != one.spec.workload.identity:
            told = _workload(one), _workload(other)
            keys = [key for key in told[0] if told[0][key] != told[1][key]]
            differ = "; ".join(f"{key}: {_brief(told[0][key])} and {_brief(told[1][key])}" for key in keys)
            raise InputError(
                f"{first} and {label} have other workloads, and no figure of one speaks for the other ({differ})",
                where=_WHERE,
                advice="Measure both with the same workload: `workload:` of the two study files.",
            )


def _workload(study: Study) -> dict[str, Any]:
    return study.spec.workload.model_dump(mode="json", exclude={"description": True, "trace": {"file"}})


def _brief(value: Any) -> str:  # noqa: ANN401  # any value of a workload
    if isinstance(value, dict) and value.keys() == {"type", "tokens"}:  # pyright: ignore[reportUnknownMemberType]
        return str(value["tokens"])  # pyright: ignore[reportUnknownArgumentType]
    return json.dumps(value)


def _own_slos(studies: Mapping[str, Study]) -> tuple[Slo, ...]:
    told = {label: tuple(sorted(study.spec.slos, key=str)) for label, study in studies.items()}
    first = next(iter(studies.values())).spec.slos
    if len(set(told.values())) > 1:
        differ = "; ".join(f"{label}: {', '.join(map(str, slos))}" for label, slos in told.items())
        asked = " ".join(f"--slo {slo.name}={slo.limit * 1e3:g}ms" for slo in first)
        raise InputError(
            f"the studies have other SLOs ({differ})",
            where=_WHERE,
            advice=f"Say which to hold all of them against, such as {asked}.",
        )
    return first


def _own_target(studies: Mapping[str, Study]) -> float:
    targets = {label: study.spec.target_rps for label, study in studies.items()}
    if len(set(targets.values())) > 1:
        differ = "; ".join(f"{label}: {rps:g} req/s" for label, rps in targets.items())
        raise InputError(
            f"the studies have other target rates ({differ})",
            where=_WHERE,
            advice=f"Say which to serve, such as --target-rps {max(targets.values()):g}: "
            "latencies are read at the nearest measured rate above it, and the rate is shown.",
        )
    return next(iter(targets.values()))


def _side(label: str, one: Stored, slos: Sequence[Slo]) -> Side:
    trials = one.reader.trials(one.study.id)
    among = contenders(trials, one.study.spec, slos, one.reader)
    if not among:
        advice = f"`tuner trials --study {one.study.name} --db {one.reader.location.display}` shows what became of them"
        raise InputError("no trial of this study is measured yet", where=label, advice=advice)
    return Side(label, one.study, among, _ran_on(one.study, among))


def _ran_on(study: Study, among: Sequence[Contender]) -> Provenance:
    """Return what the last launch ran on; the study's own word where no launch says."""
    launches = (launch.provenance for one in reversed(among) for launch in reversed(one.trial.launches))
    return next((told for told in launches if told.device), study.provenance)


def _priced(sides: Sequence[Side], prices: Sequence[Price]) -> list[Side]:
    words = {side.label: _device_words(side.provenance) for side in sides}
    idle = next((price for price in prices if not any(price.names(its) for its in words.values())), None)
    if idle is not None:
        devices = ", ".join(dict.fromkeys(side.provenance.device or "unknown" for side in sides))
        raise InputError(f"{idle.device} is no device of these studies; they ran on: {devices}", where="--price")
    try:
        found = [price_of(words[side.label], prices) for side in sides]
    except ValueError as error:
        raise InputError(str(error), where="--price") from error
    return [
        Side(side.label, side.study, side.contenders, side.provenance, price)
        for side, price in zip(sides, found, strict=True)
    ]


def _device_words(provenance: Provenance) -> frozenset[str]:
    if provenance.device is None:
        return frozenset()
    known = by_driver_name(provenance.device)
    return words_of(provenance.device, *((known.name, known.title) if known else ()))


def _differences(sides: Sequence[Side]) -> tuple[Difference, ...]:
    """Return what the studies do not share, all that a figure can depend on."""
    told = {side.label: _circumstances(side) for side in sides}
    whats = dict.fromkeys(what for its in told.values() for what in its)
    found = [Difference(what=what, values={label: its[what] for label, its in told.items()}) for what in whats]
    return tuple(difference for difference in found if len(set(difference.values.values())) > 1)


def _circumstances(side: Side) -> dict[str, str]:
    spec, ran_on = side.study.spec, side.provenance
    return {
        "model": spec.model,
        "model files": ran_on.model_identity or "unknown",
        "device": ran_on.device or "unknown",
        "devices": str(ran_on.device_count or "unknown"),
        "driver": ran_on.driver or "unknown",
        "vLLM": ran_on.vllm_version or "unknown",
        "tuner": ran_on.tuner_version or "unknown",
        "fixed flags": _listed(spec.base_flags().items()),
        "environment": _listed(spec.engine.env.items()),
        "tuned flags": ", ".join(spec.search_space.parameters),
        "target rate": f"{spec.target_rps:g} req/s",
        "own SLOs": ", ".join(map(str, spec.slos)),
    }


def _listed(items: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(items)) or "none"
