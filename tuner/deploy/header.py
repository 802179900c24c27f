"""The comment that every form begins with: what this is, what it was measured to do, and on what.

Owns the words of it. Everything in it is inert: no name can end the comment.
"""

from collections.abc import Iterator, Sequence

from tuner.deploy.deployable import Deployable
from tuner.domain.inert import inert
from tuner.domain.trial import Provenance
from tuner.domain.units import bounds_text

_REVISION_LENGTH = 40
_DUMMY = "dummy"


def header(deployable: Deployable, title: str, notes: Sequence[str] = (), *, single: bool = True) -> list[str]:
    """Return the lines of the comment, each with its `#`.

    Args:
        deployable: what is deployed.
        title: what the text is and what to do with it.
        notes: what the reader of this form must know beside it.
        single: whether the form starts one replica, however many are needed.
    """
    lines = [
        title,
        *_evidence(deployable),
        *(f"Note: {note}" for note in (*_cautions(deployable, single=single), *notes)),
    ]
    return [f"# {inert(line)}" for line in lines]


def _evidence(deployable: Deployable) -> Iterator[str]:
    wanted = f"{deployable.target_rps:g} req/s with {', '.join(deployable.slos)}"
    yield f"Study {deployable.study}, trial {deployable.trial}: chosen for {wanted}, {deployable.headroom:g}x headroom."
    yield f"One replica sustains {_capacity(deployable)}"
    yield f"Measured on {_machine(deployable.provenance)}, model {_model(deployable)}."
    yield "The figures hold for that, and for the study's workload; on anything else, measure again."


def _capacity(deployable: Deployable) -> str:
    capacity = deployable.capacity
    text = bounds_text(capacity.rps, capacity.lower_rps, capacity.upper_rps)
    what = text if capacity.upper_rps is None or capacity.rps <= 0 else f"{text}, {capacity.confidence:.0%} interval"
    times = f": {capacity.rps / deployable.target_rps:.2g} times the target." if capacity.rps > 0 else "."
    return what + times


def _machine(provenance: Provenance) -> str:
    count = f"{provenance.device_count} x " if provenance.device_count and provenance.driver else ""
    driver = f" (driver {provenance.driver})" if provenance.driver else ""
    version = f"vLLM {provenance.vllm_version}" if provenance.vllm_version else "an unknown version of vLLM"
    return f"{count}{provenance.device or 'an unknown device'}{driver} with {version}"


def _model(deployable: Deployable) -> str:
    identity = deployable.provenance.model_identity
    if identity is None:
        return deployable.model
    return f"{deployable.model} ({'revision' if len(identity) == _REVISION_LENGTH else 'identity'} {identity})"


def _cautions(deployable: Deployable, *, single: bool) -> Iterator[str]:
    yield from deployable.cautions
    if deployable.flags.get("load-format") == _DUMMY:
        yield "load-format=dummy serves random weights: right for measuring speed, useless to anybody. Take it out."
    if deployable.replicas is None:
        yield "no measured rate held the SLOs: this is the best that was found, not one that is good enough."
    elif deployable.replicas > 1 and single:
        wanted = deployable.target_rps * deployable.headroom
        yield f"{wanted:g} req/s need {deployable.replicas} replicas of this, behind a load balancer."
