"""A study's workload as the mean request that a plan calculates with. Launches nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuner.domain.lengths import Length
from tuner.domain.plan import Demand
from tuner.domain.study import StudySpec
from tuner.domain.workload import Conversation, SharedPrefix, Workload
from tuner.load.prompts import lengths
from tuner.load.traces import estimated_tokens, read_trace

_DRAWS = 20_000
"""Lengths drawn for the mean of a distribution: it is right within a percent."""


def demand_of(spec: StudySpec) -> Demand:
    """Return a study's mean request, and how many of them a second its target means.

    A workload of several calls counts each call as a request: the target's rate is that of whole user requests.

    Raises:
        InputError: the workload's trace can't be read.
    """
    mean = mean_request(spec.workload)
    return Demand(
        input_tokens=mean.input_tokens,
        output_tokens=mean.output_tokens,
        rps=spec.target_rps * mean.calls,
        slos=spec.slos,
    )


@dataclass(frozen=True, slots=True)
class MeanRequest:
    """A workload's mean call."""

    input_tokens: float
    output_tokens: float
    calls: float = 1.0
    """Calls of one user request."""


def mean_request(workload: Workload) -> MeanRequest:
    """Return what one call of a workload is like on average: shared prefixes and what was said before included.

    Raises:
        InputError: the trace can't be read.
    """
    if workload.trace is not None:
        found = read_trace(workload.trace)
        prompts = [each.input_tokens or estimated_tokens(each.text or "") for each in found]
        return MeanRequest(_mean(prompts), _mean([each.output_tokens for each in found]))
    if workload.chain:
        calls = [(step.input_tokens, step.output_tokens) for step in workload.chain]
        known = [(mean_length(one), mean_length(two)) for one, two in calls if one and two]
        return MeanRequest(_mean([one for one, _ in known]), _mean([two for _, two in known]), calls=len(known))
    if workload.classes:
        weights = [each.weight for each in workload.classes]
        prompts = [mean_length(each.input_tokens) + _prefix(each.prefix) for each in workload.classes]
        answers = [mean_length(each.output_tokens) for each in workload.classes]
        return MeanRequest(_mean(prompts, weights), _mean(answers, weights))
    prompt, answer = mean_length(workload.input_tokens), mean_length(workload.output_tokens)
    if workload.conversation is not None:
        return _turn(workload.conversation, prompt, answer, _prefix(workload.prefix))
    return MeanRequest(prompt + _prefix(workload.prefix), answer)


def _turn(talk: Conversation, prompt: float, answer: float, prefix: float) -> MeanRequest:
    """Return the mean turn: turn k sends k prompts and the k - 1 answers before it."""
    turns = _drawn(talk.turns)
    earlier = float((turns * (turns - 1) / 2).sum() / turns.sum())
    return MeanRequest(prefix + prompt + earlier * (prompt + answer), answer, calls=float(turns.mean()))


def mean_length(length: Length) -> float:
    """Return the mean of a length distribution, in tokens."""
    return float(_drawn(length).mean())


def _drawn(length: Length) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return lengths(length, _DRAWS, np.random.default_rng(0))


def _prefix(prefix: SharedPrefix | None) -> float:
    return 0.0 if prefix is None else prefix.share * mean_length(prefix.tokens)


def _mean(values: Sequence[float], weights: Sequence[float] | None = None) -> float:
    return float(np.average(values, weights=weights))
