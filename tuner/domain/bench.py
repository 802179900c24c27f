"""A measurement of a server that was already running: it belongs to no study."""

from tuner.domain.base import Frozen
from tuner.domain.measurement import LoadPoint
from tuner.domain.slo import Slo
from tuner.domain.workload import Workload


class Bench(Frozen):
    """One `tuner bench`, as it is stored and read back."""

    url: str
    model: str
    workload: Workload
    slos: tuple[Slo, ...] = ()
    point: LoadPoint
