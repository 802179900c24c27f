"""Owns what the figures rest on: model, machine, versions, workload, load, budget."""

from collections.abc import Iterator

from tuner.domain.study import StudySpec
from tuner.domain.trial import TrialState
from tuner.report.material import Material
from tuner.report.page_model import Fact
from tuner.report.words import NOTHING, counted, duration_text, flags_text, moment_text

_GIB = 2**30


def provenance_facts(material: Material) -> tuple[Fact, ...]:
    """Return what a reader needs to measure it again, or to doubt it."""
    return (*_machine(material), *_load(material.study.spec), *_cost(material))


def _machine(material: Material) -> Iterator[Fact]:
    known = material.study.provenance
    memory = f"{known.device_memory_bytes / _GIB:.0f} GiB" if known.device_memory_bytes else ""
    yield Fact("model", material.study.spec.model, f"identity {known.model_identity}" if known.model_identity else "")
    device = f"{known.device_count} × {known.device}" if (known.device_count or 1) > 1 else known.device
    yield Fact("device", device or NOTHING, memory)
    yield Fact("driver", known.driver or NOTHING)
    yield Fact("vLLM", known.vllm_version or NOTHING, f"Python {known.python}" if known.python else "")
    yield Fact("tuner", known.tuner_version or NOTHING)
    yield Fact("host CPUs", NOTHING if known.host_cpus is None else str(known.host_cpus))
    yield Fact("begun", moment_text(material.study.created_at, material.zone))


def _load(spec: StudySpec) -> Iterator[Fact]:
    workload = spec.workload
    yield Fact("workload", workload.description or _lengths(spec), f"identity {workload.identity}")
    yield Fact("SLOs", ", ".join(map(str, spec.slos)), f"target {spec.target_rps:g} req/s")
    yield Fact("search space", ", ".join(spec.search_space.parameters), spec.search_space.description)
    yield Fact("fixed flags", flags_text(spec.base_flags()))
    yield Fact("sampler", f"{spec.sampler.name}, seed {spec.sampler.seed}")
    tolerance = f"capacity to ±{spec.load.tolerance:.0%}"
    most = f" within {duration_text(spec.load.time_budget)} a trial" if spec.load.time_budget else ""
    yield Fact("load", f"{tolerance}{most}", f"at least {spec.load.min_requests} requests a load point")


def _lengths(spec: StudySpec) -> str:
    parts = [
        f"{name} {value}"
        for name, lengths in (("input", spec.workload.input_tokens), ("output", spec.workload.output_tokens))
        if (value := getattr(lengths, "tokens", None) or lengths.type)
    ]
    return f"{', '.join(parts)} tokens"


def _cost(material: Material) -> Iterator[Fact]:
    states = [trial.state for trial in material.trials]
    each = [(state, states.count(state)) for state in TrialState if state in states]
    yield Fact("trials", ", ".join(f"{count:,} {state}" for state, count in each) or "none")
    costs = [trial.load_cost for trial in material.trials]
    requests = sum(cost.requests for cost in costs)
    yield Fact(
        "measured",
        f"{counted(sum(cost.load_points for cost in costs), 'load point')}, {counted(requests, 'request')}",
        f"{duration_text(sum(cost.seconds for cost in costs))} under load",
    )
