"""`tuner compare`: studies side by side, each measured by itself and never averaged with another. Pure.

Owns the comparison and its values. Whether the studies may be compared at all, and which SLOs and target rate they are
held against, was decided before (`tuner.study.compare`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.analysis.best import Contender, PointFigures, choose, point_figures
from tuner.analysis.cost import Bill, Efficiency, Price, bill, efficiency, gpus_per_replica, output_tokens_per_request
from tuner.analysis.figures import Direction, point_at
from tuner.analysis.overlay import FrontMember, Overlay, fronts
from tuner.analysis.ratio import Ratio, ratio
from tuner.domain.base import Frozen
from tuner.domain.flags import FlagValue, serve_command
from tuner.domain.slo import Slo
from tuner.domain.trial import Provenance, Study, TrialRole

_SAME_RATE = 1.05


@dataclass(frozen=True, slots=True)
class Side:
    """A study in a comparison."""

    label: str
    """What it is called there: its name, with its file where two share the name."""
    study: Study
    contenders: tuple[Contender, ...]
    """Its measured trials, judged by the question's SLOs; at least one."""
    provenance: Provenance
    """What its launches ran on."""
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What the studies are compared for."""

    slos: tuple[Slo, ...]
    target_rps: float
    headroom: float
    metrics: tuple[str, ...]
    directions: tuple[Direction, ...]


class Entry(Frozen):
    """A configuration of one study, in the figures that are compared."""

    study: str
    trial: int
    role: TrialRole
    flags: dict[str, FlagValue]
    command: str
    """The `vllm serve` line."""
    capacity_rps: float
    capacity_lower_rps: float
    capacity_upper_rps: float | None
    limited_by: str
    to_first: Ratio | None = None
    """Its capacity over that of the first study listed beside it; None for the first itself."""
    at_target: PointFigures | None
    """The load point that speaks for the target rate: at it, or the nearest measured above."""
    off_target: bool
    """It was measured at another rate: a bound from above where the rate is higher, no comparison where it is lower."""
    output_tokens_per_request: float | None
    efficiency: Efficiency | None
    """Through that load point; None where energy was not measured."""
    bill: Bill


class Compared(Frozen):
    """One study of a comparison."""

    label: str
    study: str
    model: str
    device: str | None
    device_count: int | None
    vllm_version: str | None
    measured: int
    """How many measured configurations the best was chosen from."""
    best: Entry
    baseline: Entry | None
    """vLLM's defaults."""
    hypervolume: float
    """What its front dominates, down to the reference point."""


class SameConfiguration(Frozen):
    """One configuration that several studies measured."""

    matched_by: str
    """`flags`: the same command line; `resolved`: the same settings as vLLM resolves them, written otherwise."""
    entries: tuple[Entry, ...]


class Difference(Frozen):
    """Something that the studies do not have in common."""

    what: str
    values: dict[str, str]
    """By study."""


class Comparison(Frozen):
    """What `tuner compare` says."""

    target_rps: float
    headroom_wanted: float
    slos: tuple[str, ...]
    studies: tuple[Compared, ...]
    configurations: tuple[SameConfiguration, ...]
    metrics: tuple[str, ...]
    directions: tuple[Direction, ...]
    reference_point: dict[str, float]
    """Of the hypervolumes, by figure; latencies in seconds."""
    hypervolume_of_all: float
    """Of the fronts together."""
    front: tuple[FrontMember, ...]
    """Every study's front, what no study beats first."""
    without_figures: dict[str, tuple[int, ...]]
    """Measured trials that lack one of the figures, by study."""
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    """What a reader must know before acting on it."""


def compare(sides: Sequence[Side], question: Question, differences: Sequence[Difference]) -> Comparison:
    """Return the comparison. Ratios are over the first study."""
    overlay = fronts(
        {side.label: side.contenders for side in sides},
        question.metrics,
        question.directions,
        target_rps=question.target_rps,
        limits={slo.name: slo.limit for slo in question.slos},
    )
    studies = _compared(sides, question, overlay)
    return Comparison(
        target_rps=question.target_rps,
        headroom_wanted=question.headroom,
        slos=tuple(str(slo) for slo in question.slos),
        studies=studies,
        configurations=_same_configurations(sides, question),
        metrics=question.metrics,
        directions=question.directions,
        reference_point=overlay.reference,
        hypervolume_of_all=overlay.volume_of_all,
        front=overlay.members,
        without_figures=overlay.without_figures,
        differences=tuple(differences),
        notes=_notes(studies, differences),
    )


def _compared(sides: Sequence[Side], question: Question, overlay: Overlay) -> tuple[Compared, ...]:
    chosen = [choose(side.contenders, question.target_rps, question.headroom, question.slos) for side in sides]
    best = _entries(list(zip(sides, chosen, strict=True)), question)
    return tuple(
        Compared(
            label=side.label,
            study=side.study.name,
            model=side.study.spec.model,
            device=side.provenance.device,
            device_count=side.provenance.device_count,
            vllm_version=side.provenance.vllm_version,
            measured=len(side.contenders),
            best=entry,
            baseline=next(
                (_entry(side, one, question) for one in side.contenders if one.trial.role is TrialRole.BASELINE), None
            ),
            hypervolume=overlay.volumes[side.label],
        )
        for side, entry in zip(sides, best, strict=True)
    )


def _entries(chosen: Sequence[tuple[Side, Contender]], question: Question) -> tuple[Entry, ...]:
    """Return one entry a study, each with its ratio to the first."""
    first = chosen[0][1].capacity
    return tuple(
        _entry(side, one, question).model_copy(update={"to_first": ratio(one.capacity, first) if place else None})
        for place, (side, one) in enumerate(chosen)
    )


def _entry(side: Side, one: Contender, question: Question) -> Entry:
    flags = {**side.study.spec.base_flags(), **one.trial.flags}
    at_target = point_at(one.points, question.target_rps)
    tokens = output_tokens_per_request(one.points)
    return Entry(
        study=side.label,
        trial=one.trial.number,
        role=one.trial.role,
        flags=one.trial.flags,
        command=serve_command(side.study.spec.model, flags),
        capacity_rps=one.capacity.rps,
        capacity_lower_rps=one.capacity.lower_rps,
        capacity_upper_rps=one.capacity.upper_rps,
        limited_by=one.capacity.limited_by,
        at_target=point_figures(at_target) if at_target else None,
        off_target=at_target is not None and _is_off(at_target.arrivals.offered_rps, question.target_rps),
        output_tokens_per_request=tokens,
        efficiency=efficiency(at_target) if at_target else None,
        bill=bill(
            one.capacity,
            target_rps=question.target_rps,
            headroom=question.headroom,
            gpus=gpus_per_replica(flags),
            tokens_per_request=tokens,
            price=side.price,
        ),
    )


def _is_off(rate: float | None, target_rps: float) -> bool:
    return rate is None or not 1 / _SAME_RATE <= rate / target_rps <= _SAME_RATE


def _same_configurations(sides: Sequence[Side], question: Question) -> tuple[SameConfiguration, ...]:
    """Return what at least two studies measured: matched by command line, else by what vLLM makes of it."""
    by_flags = _matched(sides, {side.label: {_key(one.trial.flags): one for one in side.contenders} for side in sides})
    used = {(side.label, one.trial.number) for match in by_flags for side, one in match}
    left = {
        side.label: {
            one.trial.fingerprint: one
            for one in side.contenders
            if one.trial.fingerprint and (side.label, one.trial.number) not in used
        }
        for side in sides
    }
    found = [("flags", match) for match in by_flags] + [("resolved", match) for match in _matched(sides, left)]
    same = (SameConfiguration(matched_by=how, entries=_entries(match, question)) for how, match in found)
    return tuple(sorted(same, key=_interest))


def _interest(same: SameConfiguration) -> tuple[bool, float]:
    """Order vLLM's defaults first, then what sustains the most."""
    return bool(same.entries[0].flags), -max(entry.capacity_rps for entry in same.entries)


def _key(flags: Mapping[str, FlagValue]) -> str:
    return repr(sorted(flags.items()))


def _matched(
    sides: Sequence[Side], by_key: Mapping[str, Mapping[str, Contender]]
) -> list[list[tuple[Side, Contender]]]:
    """Return the contenders that several sides have under one key, in the order of the first side that has them."""
    keys = dict.fromkeys(key for side in sides for key in by_key[side.label])
    matches = [[(side, by_key[side.label][key]) for side in sides if key in by_key[side.label]] for key in keys]
    return [match for match in matches if len(match) > 1]


def _notes(studies: Sequence[Compared], differences: Sequence[Difference]) -> tuple[str, ...]:
    notes: list[str] = []
    if any(difference.what == "model" for difference in differences):
        notes.append("The models differ: they give other answers, and a token of one is not a token of the other.")
    off = [study.label for study in studies if study.best.off_target]
    if off:
        notes.append(f"Not measured at the target rate: the best of {', '.join(off)}; its latencies are of another.")
    unknown = [study.label for study in studies if study.best.to_first and study.best.to_first.value is None]
    if unknown:
        notes.append(
            f"No ratio for {', '.join(unknown)}: no measured rate broke on it nor on {studies[0].label}; "
            "a higher `load.highest` would decide."
        )
    return tuple(notes)
