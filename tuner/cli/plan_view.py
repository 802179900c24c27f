"""A plan for people: the memory's sum, what to expect, where to start; a column for each GPU."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from tuner.cli.tables import plain_table
from tuner.cli.text import NOTHING, duration_text, joined, latency_text, plural
from tuner.domain.model import ModelShape, WeightUse
from tuner.domain.plan import Demand, MemoryItem, Plan, Suggestion
from tuner.study.plan import Planned
from tuner.study.study_plan import Bound, Estimate, StudyPlan

_GIB, _MIB, _KIB = 2**30, 2**20, 2**10
_MILLION, _BILLION = 1e6, 1e9
_ENDS: Mapping[Bound, str] = {
    "trials": "by budget.trials",
    "hours": "by budget.hours",
    "until": "by budget.until",
    "search_space": "then the search space is measured whole",
    "nothing": "",
}


def print_plans(console: Console, plans: Sequence[Planned]) -> None:
    """Print plans of one model side by side: all figures, their reasons, then what does not fit."""
    first = plans[0]
    console.print(_model_text(first.model))
    for planned in plans:
        console.print(_device_text(planned))
    console.print(f"For {_demand_text(first.demand)}:")
    for table in (_memory(plans), _cache(plans), _expectations(plans)):
        console.print()
        console.print(table)
    shared = [note for note in first.plan.notes if all(note in planned.plan.notes for planned in plans)]
    for planned in plans:
        _print_lines(console, _advice(planned, shared), name=_name(planned) if len(plans) > 1 else "")
    _print_lines(console, [f"note: {note}" for note in shared])


def _model_text(model: ModelShape) -> str:
    parameters = f"{_count(model.parameters)} parameters"
    if any(group.use is WeightUse.EXPERTS for group in model.weights):
        parameters += f", {_count(model.active_parameters)} active"
    counted = "counted in its weight files" if model.measured_weights else "by its configuration"
    return (
        f"{model.name}: {model.family} · {parameters} ({counted}) · {joined([model.quantization or '', model.dtype])}"
    )


def _count(parameters: int) -> str:
    if parameters < _BILLION / 10:
        return f"{parameters / _MILLION:.2f} million"
    return f"{parameters / _BILLION:.2f} billion"


def _device_text(planned: Planned) -> str:
    device, plan = planned.device, planned.plan
    flops = f"{_scaled(device.bf16_flops)}FLOP/s" if device.bf16_flops else ""
    fp8 = f"{_scaled(device.fp8_flops)}FLOP/s in fp8" if device.fp8_flops else ""
    figures = [f"{device.memory_bytes / _GIB:.2f} GiB", f"{_scaled(device.bandwidth)}B/s", flops, fp8]
    what = f"{plan.gpus} × {device.title}, each" if plan.gpus > 1 else f"{device.title},"
    return f"{device.name}: {what} {', '.join(figure for figure in figures if figure)}"


def _scaled(value: float) -> str:
    """Return a rate with its unit's prefix: `3.35 T`, `300 G`."""
    return f"{value / 1e12:,.4g} T" if value >= 1e12 else f"{value / 1e9:,.3g} G"  # noqa: PLR2004


def _demand_text(demand: Demand) -> str:
    rate = f"at {demand.rps:g} req/s" if demand.rps else ""
    slos = f"with {', '.join(map(str, demand.slos))}" if demand.slos else ""
    request = f"requests of {demand.input_tokens:,.0f} + {demand.output_tokens:,.0f} tokens"
    return " ".join(part for part in (request, rate, slos) if part)


def _table(title: str, plans: Sequence[Planned], *more: str) -> Table:
    table = plain_table(title, *map(_name, plans), *more)
    for column in table.columns[1 : 1 + len(plans)]:
        column.justify = "right"
    return table


def _name(planned: Planned) -> str:
    return f"{planned.plan.gpus} × {planned.device.name}" if planned.plan.gpus > 1 else planned.device.name


def _memory(plans: Sequence[Planned]) -> Table:
    """Return the sum, line by line; the reasons beside it where there is room for them."""
    alone = len(plans) == 1
    table = _table("memory", plans, "known", *(["why"] if alone else []))
    for name in dict.fromkeys(item.name for planned in plans for item in planned.plan.memory):
        items = [_item(planned.plan, name) for planned in plans]
        known = " / ".join(dict.fromkeys(item.basis for item in items if item))
        cells = [_gib(item.bytes) if item else NOTHING for item in items]
        table.add_row(name, *cells, known, *([items[0].why] if alone and items[0] else []))
    return table


def _item(plan: Plan, name: str) -> MemoryItem | None:
    return next((item for item in plan.memory if item.name == name), None)


def _gib(count: float) -> str:
    """Return an amount of memory: GiB, MiB where that is less than a tenth of one."""
    return f"{count / _MIB:,.1f} MiB" if abs(count) < _GIB / 10 else f"{count / _GIB:,.2f} GiB"


def _cache(plans: Sequence[Planned]) -> Table:
    table = _table("kv cache", plans)
    _row(table, plans, "a token", lambda plan: f"{plan.kv_bytes_per_token / _KIB:,.1f} KiB")
    _row(table, plans, "a request", lambda plan: f"{plan.kv_bytes_per_sequence / _MIB:,.1f} MiB")
    _row(table, plans, "tokens that fit", lambda plan: f"{plan.kv_tokens:,}")
    _row(table, plans, "requests that fit at a time", lambda plan: f"{plan.max_sequences:,}")
    return table


def _expectations(plans: Sequence[Planned]) -> Table:
    table = _table("expect", plans)
    _row(table, plans, "prefill of a prompt, at least", lambda plan: latency_text(plan.prefill_floor_s))
    _row(table, plans, "between tokens, at least", lambda plan: latency_text(plan.decode_floor_s))
    _row(table, plans, "requests a second, one replica", _rates)
    _row(table, plans, "what binds", lambda plan: plan.binding)
    _row(table, plans, "start with max-num-seqs", lambda plan: _value(plan.suggested and plan.suggested.max_num_seqs))
    _row(
        table,
        plans,
        "start with max-num-batched-tokens",
        lambda plan: _value(plan.suggested and plan.suggested.max_num_batched_tokens),
    )
    return table


def _row(table: Table, plans: Sequence[Planned], name: str, cell: Callable[[Plan], str]) -> None:
    table.add_row(name, *(cell(planned.plan) for planned in plans))


def _rates(plan: Plan) -> str:
    expected = plan.expected_rps
    if expected is None:
        return NOTHING
    low, high = f"{expected.low:.3g}", f"{expected.high:.3g}"
    return low if low == high else f"{low}–{high}"


def _value(suggestion: Suggestion | None) -> str:
    return NOTHING if suggestion is None else str(suggestion.value)


def _print_lines(console: Console, lines: Iterable[str], *, name: str = "") -> None:
    """Print lines below an empty one, each after the name of the GPU that it is about."""
    for number, line in enumerate(lines):
        if number == 0:
            console.print()
        console.print(f"{name}: {line}" if name else line, soft_wrap=True)


def _advice(planned: Planned, shared: Sequence[str]) -> Iterator[str]:
    """Yield what does not fit and what would, the reasons of the starting values, and this GPU's own notes."""
    plan = planned.plan
    if not plan.fits:
        yield f"does not fit: {plan.problem}"
    yield from (f"would fit: {remedy}" for remedy in plan.remedies)
    if plan.suggested:
        yield f"--max-num-seqs {plan.suggested.max_num_seqs.value}: {plan.suggested.max_num_seqs.why}"
        tokens = plan.suggested.max_num_batched_tokens
        yield f"--max-num-batched-tokens {tokens.value}: {tokens.why}"
    own = (note for note in (*plan.notes, planned.device.note) if note and note not in shared)
    yield from (f"note: {note}" for note in own)


def print_study_plan(console: Console, study: str, course: StudyPlan) -> None:
    """Print how long a study takes, and what it has no time for."""
    console.print()
    console.print(f"Study {study}: {_course(course)}")
    table = plain_table("", "", "known", "why")
    for name, estimate in _estimates(course):
        table.add_row(name, duration_text(estimate.value), estimate.basis, estimate.why)
    if course.gpu_hours is not None and course.gpus:
        hours = course.gpu_hours
        table.add_row("GPU-hours", f"{hours.value:.1f}", hours.basis, hours.why)
    if course.configurations is not None:
        size, why = course.configurations, "configurations, conditions and constraints aside"
        table.add_row("search space", f"{size:,.0f}" if size < _MILLION else f"{size:.2g}", "", why)
    console.print(table)
    for text in course.no_time_for:
        console.print(f"no time for {text}", soft_wrap=True)


def _course(course: StudyPlan) -> str:
    done = f"{plural(course.done, 'trial')} done" if course.done else ""
    if course.launches is None or course.seconds is None:
        return joined([done, "no bound in trials, hours or time of day"])
    left = f"{plural(round(course.launches.value), 'trial')} in {duration_text(course.seconds.value)}"
    return joined([done, left, _ENDS[course.ends_by]])


def _estimates(course: StudyPlan) -> Iterator[tuple[str, Estimate]]:
    yield "a launch until it answers", course.start_up_s
    yield "a trial's load points", course.load_s
    yield "a trial", course.trial_s
    if course.seconds is not None:
        yield "all of it", course.seconds
