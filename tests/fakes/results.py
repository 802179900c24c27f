"""Real result files without an engine: Optuna's tables and ours, filled a trial at a time."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.fakes.builders import BEGAN, make_ladder, make_spec
from tuner.domain.flags import Flags
from tuner.domain.load import Outcome, RequestRecord
from tuner.domain.measurement import Capacity, LoadPoint
from tuner.domain.study import StudySpec
from tuner.domain.telemetry import GpuFigures, MachineFigures
from tuner.domain.trial import Provenance, Purpose, TrialRole, TrialState
from tuner.proposal.proposer import Proposal, open_proposer
from tuner.store.location import DatabaseLocation
from tuner.store.writer import Store, open_store

H100 = "NVIDIA H100 80GB HBM3"
A100 = "NVIDIA A100-SXM4-80GB"
RATES = (2.0, 4.0, 6.0, 8.0)
_MINUTE = timedelta(minutes=1)


class ResultFile:
    """One study in a result file, as a tuner would leave it."""

    def __init__(self, store: Store, spec: StudySpec, *, device: str = H100, began: datetime = BEGAN) -> None:
        """Make the study, or go on with it."""
        self.store = store
        self.spec = spec
        self.ran_on = Provenance(device=device, device_count=1, vllm_version="0.32.0")
        directions = ["maximize" if name == "capacity_rps" else "minimize" for name in spec.objectives]
        self.proposer = open_proposer(store.location.url, spec, directions)
        self._now = began
        if store.study(spec.study) is None:
            store.create_study(self.proposer.study_id, spec, self.ran_on, began)

    def measure(self, flags: Flags, holds: float, *, joules: float | None = None, **changes: Any) -> Proposal:
        """A whole trial that holds up to a rate of `RATES`; its capacity is known to 5 %."""
        proposal, launch_id = self.begin(flags)
        self.load(proposal, launch_id, holds, joules=joules, **changes)
        self.end(proposal, launch_id, holds)
        return proposal

    def begin(self, flags: Flags) -> tuple[Proposal, int]:
        """A trial that runs: its launch has begun."""
        proposal = self.proposer.ask_fixed(flags)
        self.store.begin_trial(
            proposal.trial_id, self.proposer.study_id, proposal.number,
            role=TrialRole.SAMPLED if proposal.number else TrialRole.BASELINE, flags=flags, resolved=dict(flags),
            fingerprint=repr(sorted(flags.items())), started_at=self._tick(),
        )  # fmt: skip
        return proposal, self.launch(proposal, 1)

    def launch(self, proposal: Proposal, attempt: int, purpose: Purpose = Purpose.MEASURE) -> int:
        """A launch that has begun."""
        return self.store.begin_launch(
            proposal.trial_id, attempt, purpose=purpose, argv=("vllm",), log_path=f".tuner/logs/{attempt}.log",
            started_at=self._tick(), provenance=self.ran_on,
        )  # fmt: skip

    def load(
        self, proposal: Proposal, launch_id: int, holds: float, *, first: int = 0, joules: float | None = None,
        **changes: Any,
    ) -> None:  # fmt: skip
        """The load points of a launch, with raw records."""
        for point in make_ladder(holds, **changes):
            used = MachineFigures(samples=9, gpus=(GpuFigures(index=0, energy_j=joules),)) if joules else point.machine
            moved = {"index": first + point.index, "started_at": self._tick(), "machine": used}
            self.store.save_load_point(
                proposal.trial_id, launch_id, point.model_copy(update=moved), tuple(make_records(point)), ()
            )

    def end(self, proposal: Proposal, launch_id: int, holds: float) -> None:
        """The end of a trial and of its launch."""
        found = Capacity(rps=holds, lower_rps=holds / 1.05, upper_rps=holds * 1.05, limited_by="ttft_p95")
        self.store.end_launch(launch_id, self._tick(), -15, None, {})
        values = {"capacity_rps": holds, "ttft_p95": 0.1}
        self.proposer.remember(proposal, dict(proposal.flags))
        self.store.finish_trial(
            proposal.trial_id, TrialState.MEASURED, ended_at=self._tick(), capacity=found, values=values
        )
        self.proposer.tell_measured(proposal, values, {"ttft_p95": -0.5})

    def _tick(self) -> datetime:
        self._now += _MINUTE
        return self._now


@contextmanager
def result_file(path: Path, **changes: Any) -> Generator[ResultFile]:
    """Open a result file, made where it is missing, at a study; `changes` are those of `make_spec`, or its device."""
    others = {name: changes.pop(name) for name in ("device", "began") if name in changes}
    with open_store(DatabaseLocation.parse(str(path))) as store:
        yield ResultFile(store, make_spec(**changes), **others)


def make_records(point: LoadPoint) -> Iterator[RequestRecord]:
    """A few requests of a load point; the last one was cut."""
    for n in range(4):
        yield RequestRecord(
            scheduled_at=float(n), sent_at=n + 0.001, event_times=(n + 0.1, n + 0.12), finished_at=n + 0.121,
            outcome=Outcome.OK if n < 3 else Outcome.CUT, input_tokens=128, output_tokens=2 if n < 3 else 0,
            requested_tokens=2, error="" if n < 3 else f"=cut at {point.index}",
        )  # fmt: skip
