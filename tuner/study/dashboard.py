"""What optuna-dashboard shows of a study's trials beside Optuna's own: figures and outcomes with readable names."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from tuner.domain.overview import Overview
from tuner.domain.study import CAPACITY
from tuner.store.reader import Reader

_THROUGHPUTS = {
    CAPACITY: ("capacity", "req/s"),
    "goodput_rps": ("goodput", "req/s"),
    "achieved_rps": ("achieved rate", "req/s"),
    "output_tokens_per_s": ("output", "tokens/s"),
    "users_mean": ("users in flight", "mean"),
}
_AT_TARGET = ("ttft_p95", "tpot_p95", "goodput_rps", "output_tokens_per_s")


def figure_label(name: str, of: str = "") -> str:
    """Return a figure's name for people, with its unit: `TTFT p95 at the target (s)`."""
    latency, _, statistic = name.partition("_")
    said, unit = _THROUGHPUTS.get(name, (f"{latency.upper()} {statistic}", "s"))
    return f"{said}{of} ({unit})"


def shown_attributes(open_reader: Callable[[], AbstractContextManager[Reader]]) -> Callable[[int], dict[int, Any]]:
    """Return what reads, for a study's id, what is known of each trial by its id, also while the study is running.

    Args:
        open_reader: opens the result file, at each reading anew.
    """

    def attributes(study_id: int) -> dict[int, Any]:
        with open_reader() as reader:
            study = next((one for one in reader.studies() if one.id == study_id), None)
            if study is None:
                return {}
            found = reader.overviews(study_id, study.spec.target_rps, _AT_TARGET)
        return {one.id: _attributes(one) for one in found}

    return attributes


def _attributes(one: Overview) -> Mapping[str, Any]:
    shown: dict[str, Any] = {"origin": str(one.role), "outcome": str(one.failure_kind or one.state)}
    if one.capacity is not None:
        shown[figure_label(CAPACITY)] = one.capacity.rps
        shown[figure_label(CAPACITY, ", lower end")] = one.capacity.lower_rps
        shown[figure_label(CAPACITY, ", upper end")] = one.capacity.upper_rps
    if one.at_rate is not None:
        shown["SLOs at the target"] = "met" if one.at_rate.slo_met else "broken"
        shown |= {figure_label(name, " at the target"): one.at_rate.figures[name] for name in _AT_TARGET}
    return {name: _short(value) for name, value in shown.items() if value is not None}


def _short(value: float | str) -> float | str:
    return float(f"{value:.4g}") if isinstance(value, float) else value
