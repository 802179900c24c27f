"""What `--json` prints of studies and trials: stable keys, latencies in milliseconds."""

from collections.abc import Mapping
from typing import Any

from tuner.analysis.best import point_figures
from tuner.analysis.explain import explain_trial, is_throttled
from tuner.analysis.figures import point_at
from tuner.analysis.undecided import Undecided
from tuner.domain.flags import serve_command
from tuner.domain.measurement import LoadPoint
from tuner.domain.trial import Study, Trial, TrialState


def study_record(study: Study, states: Mapping[TrialState, int]) -> dict[str, Any]:
    """Return a study with the number of its trials by state."""
    return {
        "study": study.name,
        "model": study.spec.model,
        "target_rps": study.spec.target_rps,
        "slos": [str(slo) for slo in study.spec.slos],
        "objectives": list(study.spec.objectives),
        "created_at": study.created_at.isoformat(),
        "provenance": study.provenance.model_dump(mode="json"),
        "workload": study.spec.workload.model_dump(mode="json"),
        "workload_id": study.spec.workload.identity,
        "trials": {str(state): states.get(state, 0) for state in TrialState},
    }


def trial_record(study: Study, trial: Trial, undecided: Undecided | None = None) -> dict[str, Any]:
    """Return a trial with its load points, their explanations (figures in seconds and shares), and its launches.

    Args:
        study: its study, with the SLOs that the trial is judged by.
        trial: as it is under these SLOs.
        undecided: what its load points leave open of its capacity.
    """
    at_target = point_at(trial.judged_points, study.spec.target_rps)
    return {
        "study": study.name,
        "trial": trial.number,
        "slos": [str(slo) for slo in study.spec.slos],
        "role": str(trial.role),
        "state": str(trial.state),
        "flags": trial.flags,
        "resolved": trial.resolved,
        "duplicate_of": trial.duplicate_of,
        "command": serve_command(study.spec.model, {**study.spec.base_flags(), **trial.flags}),
        "capacity_rps": trial.capacity.rps if trial.capacity else None,
        "capacity_lower_rps": trial.capacity.lower_rps if trial.capacity else None,
        "capacity_upper_rps": trial.capacity.upper_rps if trial.capacity else None,
        "capacity": trial.capacity.model_dump(mode="json") if trial.capacity else None,
        "undecided": undecided.model_dump(mode="json") if undecided else None,
        "load_cost": trial.load_cost.model_dump(mode="json"),
        "values": trial.values,
        "failure": trial.failure.model_dump(mode="json") if trial.failure else None,
        "at_target": point_figures(at_target).model_dump(mode="json") if at_target else None,
        "load_points": [_load_point(point) for point in trial.load_points],
        "explanations": [point.model_dump(mode="json") for point in explain_trial(trial, study.spec)],
        "launches": [launch.model_dump(mode="json") for launch in trial.launches],
    }


def _load_point(point: LoadPoint) -> dict[str, Any]:
    return {**point.model_dump(mode="json"), "thermally_throttled": is_throttled(point)}
