"""A comparison of studies as tables for people."""

from collections.abc import Sequence

from rich.console import Console

from tuner.analysis.comparison import Compared, Comparison, Entry, SameConfiguration
from tuner.analysis.ratio import Ratio
from tuner.cli.tables import met_text, metric_text, plain_table
from tuner.cli.text import NOTHING, bounds_text, figure_text, flags_text, milliseconds_text, plural, role_text

_MOST_CONFIGURATIONS = 8


def print_comparison(console: Console, found: Comparison) -> None:
    """Print what `tuner compare` found, the answer first."""
    target = f"{found.target_rps:g} req/s with {', '.join(found.slos)}, {found.headroom_wanted:g}× headroom"
    console.print(f"{plural(len(found.studies), 'study').replace('studys', 'studies')} for {target}")
    console.print()
    _print_best(console, found)
    _print_bills(console, found.studies)
    _print_configurations(console, found.configurations)
    _print_front(console, found)
    _print_differences(console, found)
    for note in found.notes:
        console.print(note, soft_wrap=True)


def _print_best(console: Console, found: Comparison) -> None:
    first = found.studies[0].label
    figures = ("capacity", f"over {first}", "", "TTFT p95", "TPOT p95", "at")
    table = plain_table("study", "model", "device", "vLLM", "best", *figures)
    for study in found.studies:
        best = study.best
        table.add_row(
            study.label,
            study.model,
            _device(study),
            study.vllm_version or NOTHING,
            f"trial {best.trial}",
            capacity_of(best),
            *_ratio(best),
            *_at_target(best),
        )
    console.print(table)
    for study in found.studies:
        console.print(f"  {study.label}, trial {study.best.trial}: {flags_text(study.best.flags)}")
    console.print()


def _print_bills(console: Console, studies: Sequence[Compared]) -> None:
    """Print GPUs for the target rate, and money and energy where they are known."""
    priced = any(study.best.bill.price_per_gpu_hour for study in studies)
    measured = any(study.best.efficiency for study in studies)
    columns = ["study", "GPUs a replica", "replicas", "GPUs for the target"]
    columns += ["per hour", "per 1M output tokens", "at the target"] if priced else []
    columns += ["power", "output tokens per joule"] if measured else []
    table = plain_table(*columns)
    for study in studies:
        bill = study.best.bill
        row = [study.label, str(bill.gpus_per_replica), _count(bill.replicas), _gpus(study.best)]
        row += _money(study.best) if priced else []
        row += _energy(study.best) if measured else []
        table.add_row(*row)
    console.print(table)
    console.print()


def _gpus(entry: Entry) -> str:
    gpus, most = entry.bill.gpus, entry.bill.gpus_upper
    return f"{gpus} (up to {_count(most)})" if gpus is not None and most != gpus else _count(gpus)


def _money(entry: Entry) -> list[str]:
    bill = entry.bill
    low, high = bill.per_million_output_tokens_lower, bill.per_million_output_tokens_upper
    span = f" ({figure_text(low, '.3g')}–{figure_text(high, '.3g')})" if bill.per_million_output_tokens else ""
    return [
        figure_text(bill.per_hour, ".2f"),
        figure_text(bill.per_million_output_tokens, ".3g") + span,
        figure_text(bill.per_million_output_tokens_at_target, ".3g"),
    ]


def _energy(entry: Entry) -> list[str]:
    found = entry.efficiency
    return [f"{found.power_w:.0f} W", f"{found.output_tokens_per_joule:.3g}"] if found else [NOTHING, NOTHING]


def _print_configurations(console: Console, configurations: Sequence[SameConfiguration]) -> None:
    if not configurations:
        return
    console.print("The same configuration on several:")
    table = plain_table("", "study", "trial", "capacity", "over the first", "", "TTFT p95", "TPOT p95", "at")
    for same in configurations[:_MOST_CONFIGURATIONS]:
        told = flags_text(same.entries[0].flags)
        what = told if same.matched_by == "flags" else f"{told} (resolved the same)"
        for place, entry in enumerate(same.entries):
            table.add_row(
                "" if place else what,
                entry.study,
                str(entry.trial),
                capacity_of(entry),
                *_ratio(entry),
                *_at_target(entry),
            )
    console.print(table)
    hidden = len(configurations) - _MOST_CONFIGURATIONS
    if hidden > 0:
        console.print(f"{plural(hidden, 'more configuration')} stand in --json.")
    console.print()


def _print_front(console: Console, found: Comparison) -> None:
    wanted = ", ".join(f"{name} ({direction})" for name, direction in zip(found.metrics, found.directions, strict=True))
    console.print(f"Fronts over {wanted}:")
    table = plain_table("", "study", "trial", "", *found.metrics, "SLOs", "flags")
    for member in found.front:
        table.add_row(
            "front" if member.on_common_front else "beaten",
            member.study,
            str(member.trial),
            role_text(member.role),
            *(metric_text(name, member.figures[name]) for name in found.metrics),
            met_text(slo_met=member.slo_met),
            flags_text(member.flags),
        )
    console.print(table)
    reference = ", ".join(f"{name} {metric_text(name, value)}" for name, value in found.reference_point.items())
    volumes = ", ".join(f"{study.label} {_share(study.hypervolume, found)}" for study in found.studies)
    console.print(f"Hypervolume down to {reference}, of that of all together: {volumes}")
    for label, numbers in found.without_figures.items():
        console.print(f"Without one of these figures in {label}: trial {', '.join(map(str, numbers))}.")
    console.print()


def _share(volume: float, found: Comparison) -> str:
    return f"{volume / found.hypervolume_of_all:.0%}" if found.hypervolume_of_all else NOTHING


def _print_differences(console: Console, found: Comparison) -> None:
    if not found.differences:
        return
    labels = [study.label for study in found.studies]
    console.print("What the studies do not have in common:")
    table = plain_table("", *labels)
    for difference in found.differences:
        table.add_row(difference.what, *(difference.values[label] for label in labels))
    console.print(table)


def ratio_text(ratio: Ratio) -> str:
    """Return a ratio: `1.8× (1.6–2.1)`, `≥ 1.6×`, `≤ 0.5×`, a dash where nothing is known."""
    if ratio.value is None:
        return NOTHING
    if ratio.upper is None:
        return f"≥ {ratio.value:.3g}×"
    if ratio.lower is None:
        return f"≤ {ratio.value:.3g}×"
    return f"{ratio.value:.3g}× ({ratio.lower:.3g}–{ratio.upper:.3g})"


def _ratio(entry: Entry) -> list[str]:
    """Return the ratio to the first, and what may be said of it."""
    ratio = entry.to_first
    if ratio is None or ratio.value is None:
        return [NOTHING, ""]
    if not ratio.is_different:
        return [ratio_text(ratio), "no difference shown"]
    return [ratio_text(ratio), "more" if ratio.value > 1 else "less"]


def capacity_of(entry: Entry) -> str:
    """Return an entry's capacity with its interval."""
    return bounds_text(entry.capacity_rps, entry.capacity_lower_rps, entry.capacity_upper_rps)


def _at_target(entry: Entry) -> list[str]:
    point = entry.at_target
    if point is None:
        return [NOTHING] * 3
    rate = figure_text(point.rate, ".3g", " req/s")
    return [
        milliseconds_text(point.ttft_p95_ms),
        milliseconds_text(point.tpot_p95_ms),
        rate + (" !" * entry.off_target),
    ]


def _device(study: Compared) -> str:
    device = study.device or NOTHING
    return f"{study.device_count} × {device}" if study.device_count and study.device_count > 1 else device


def _count(number: int | None) -> str:
    return NOTHING if number is None else str(number)
