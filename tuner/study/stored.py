"""What a result file holds of a study, as far as the study's plan is about it: its trials, its GPU, its memory.

Owns nothing of the regression that corrects a plan (`tuner.plan.calibration`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tuner.devices.catalogue import by_driver_name
from tuner.domain.device import Device
from tuner.domain.model import ModelShape
from tuner.domain.plan import Demand
from tuner.domain.study import StudySpec
from tuner.domain.trial import Provenance, Trial
from tuner.plan.calibration import Calibration
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader
from tuner.study.arithmetic import Arithmetic


@dataclass(frozen=True, slots=True)
class Stored:
    """A study's trials so far; none before it has run."""

    trials: tuple[Trial, ...] = ()
    spec: StudySpec | None = None
    """The study as it is stored, with the flags that the platform fixed."""

    @property
    def vllm_version(self) -> str | None:
        """The version that its last launch ran."""
        return next((found.vllm_version for found in self._provenances() if found.vllm_version), None)

    @property
    def device(self) -> Device | None:
        """The GPU that its last launch ran on, where the catalogue has it."""
        named = (by_driver_name(found.device) for found in self._provenances() if found.device)
        return next((device for device in named if device is not None), None)

    def calibration(self, model: ModelShape, device: Device, demand: Demand) -> Calibration | None:
        """Return what its launches have shown of this device's memory; None where none of them ran this model on it.

        Raises:
            InputError: flags that can't be calculated with.
        """
        ran_on = next((found.device for found in self._provenances() if found.device), None)
        if self.spec is None or self.spec.model != model.name or ran_on not in (device.title, *device.driver_names):
            return None
        flags, version = self.spec.base_flags(), self.vllm_version or ""
        found = Arithmetic(model, device, demand, flags, version).calibration(self.trials)
        return found if found.launches else None

    def _provenances(self) -> Iterator[Provenance]:
        """Yield what launches ran on, the last one first."""
        for trial in reversed(self.trials):
            for launch in reversed(trial.launches):
                yield launch.provenance


def stored(study: str, database: str) -> Stored:
    """Return what a result file holds of the study of this name; nothing where there is no such file yet.

    Raises:
        InputError: not a result file that this tuner wrote.
        SurroundingsError: it can't be read.
    """
    location = DatabaseLocation.parse(database)
    if location.path is not None and not location.path.exists():
        return Stored()
    with open_reader(location) as reader:
        found = reader.study(study)
        return Stored(reader.trials(found.id), found.spec) if found else Stored()
