"""The device that an engine started here would run on: the first GPU that it sees, else the CPU."""

from collections.abc import Mapping, Sequence

from tuner.devices.cpu import local_cpu
from tuner.devices.local import load_nvml, local_gpu
from tuner.domain.device import Device
from tuner.telemetry.gpu import visible_gpus


def local_device(gpus: Sequence[int] | None, environ: Mapping[str, str]) -> Device:
    """Return this machine's device; a CPU is measured, which takes about half a second.

    Args:
        gpus: which GPUs a study names; without them CUDA_VISIBLE_DEVICES decides.
        environ: the environment that an engine would inherit.

    Raises:
        InputError: a GPU that the catalogue does not have.
    """
    return local_gpu(load_nvml(), visible_gpus(gpus, environ)) or local_cpu()
