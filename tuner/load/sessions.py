"""Owns what a load point asks for, as data: sessions of calls, each independent of every answer. Pure.

A session is what one user wants: a single call, a conversation of several turns, or a chain of calls with other work
between them. What a conversation's later turns send depends on the answers; everything else stands here.

Every purpose draws from a random stream of its own. What a study means to be the same everywhere (shared prefixes)
comes from the workload's seed alone; everything else from the load point's, so that no two load points share prompts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.domain.lengths import Length
from tuner.domain.workload import (
    ChainStep,
    Endpoint,
    ExponentialPause,
    Pause,
    RequestClass,
    SharedPrefix,
    Workload,
)
from tuner.load.prompts import Content, Source, lengths
from tuner.load.seeds import Purpose, generator
from tuner.load.trace_formats import TraceRequest

_BLOCK_TOKENS = 512
"""Tokens of a Mooncake trace's prefix block."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the model."""

    content: Content
    """Its prompt; of a conversation's turn what is new in it."""
    output_tokens: int
    """Completion tokens to ask for."""
    prefix: Content | None = None
    """What stands before the prompt, shared with others."""
    pause: float = 0.0
    """Seconds of other work, or thinking, before it."""
    label: str = ""

    @property
    def input_tokens(self) -> int:
        """Tokens of prefix and content; for text an estimate, one a word."""
        return _size(self.prefix or "") + _size(self.content)


@dataclass(frozen=True, slots=True)
class Session:
    """What one user wants: calls, one after another."""

    calls: tuple[Call, ...]
    follows: bool = False
    """Whether each call sends all that was said before."""
    tail: float = 0.0
    """Seconds of other work after its last call."""


def sessions(
    workload: Workload,
    count: int,
    seed: int,
    *,
    first_token: int,
    vocabulary: int,
    trace: Sequence[TraceRequest] = (),
) -> Iterator[Session]:
    """Yield a load point's sessions, in order of their start.

    Args:
        workload: what they are like.
        count: how many; of a trace as many as it holds, if those are fewer.
        seed: the load point's.
        first_token: lowest token id to draw.
        vocabulary: all token ids drawn are below.
        trace: the workload's recorded requests, where it replays a trace.

    Raises:
        ValueError: the range of token ids is empty.
    """
    words = workload.endpoint is Endpoint.CHAT
    draws = _Draws(workload.seed, seed, Source(first_token=first_token, vocabulary=vocabulary, words=words))
    if workload.trace is not None:
        return map(draws.recorded, trace[:count])
    if workload.conversation is not None:
        return draws.conversations(workload, count)
    if workload.chain:
        return draws.chains(workload.chain, count)
    if workload.classes:
        return draws.mix(workload.classes, count)
    return (Session((call,)) for call in draws.calls(workload, count, workload.prefix))


def _size(content: Content) -> int:
    return len(content.split()) if isinstance(content, str) else len(content)


class _Draws:
    """The random streams of one load point."""

    def __init__(self, workload_seed: int, seed: int, source: Source) -> None:
        self._workload_seed = workload_seed
        self._source = source
        self._inputs = generator(seed, Purpose.INPUT_LENGTHS)
        self._outputs = generator(seed, Purpose.OUTPUT_LENGTHS)
        self._prompts = generator(seed, Purpose.PROMPTS)
        self._choices = generator(seed, Purpose.CHOICES)
        self._pauses = generator(seed, Purpose.PAUSES)
        self._seed = seed

    def calls(
        self, like: Workload | RequestClass, count: int, prefix: SharedPrefix | None, label: str = ""
    ) -> Iterator[Call]:
        prefixes = self._prefixes(prefix, count, label)
        for inputs, outputs in zip(
            self._in(like.input_tokens, count), self._out(like.output_tokens, count), strict=True
        ):
            content = self._source.draw(self._prompts, inputs)
            yield Call(content, outputs, prefix=next(prefixes), label=label)

    def mix(self, classes: Sequence[RequestClass], count: int) -> Iterator[Session]:
        weights = np.array([one.weight for one in classes])
        chosen: list[int] = self._choices.choice(len(classes), count, p=weights / weights.sum()).tolist()
        waiting = [self.calls(one, chosen.count(index), one.prefix, one.name) for index, one in enumerate(classes)]
        return (Session((next(waiting[index]),)) for index in chosen)

    def conversations(self, workload: Workload, count: int) -> Iterator[Session]:
        talk = workload.conversation
        if talk is None:
            raise AssertionError("asked for conversations alone")
        prefixes = self._prefixes(workload.prefix, count, "")
        for turns in lengths(talk.turns, count, self._choices).tolist():
            said = self.calls(workload, turns, None)
            first = next(said)
            opening = Call(first.content, first.output_tokens, prefix=next(prefixes), label="turn 1")
            later = (
                Call(call.content, call.output_tokens, pause=self._pause(talk.think_time), label=f"turn {turn}")
                for turn, call in enumerate(said, 2)
            )
            yield Session((opening, *later), follows=True)

    def chains(self, steps: Sequence[ChainStep], count: int) -> Iterator[Session]:
        return (self._chain(steps) for _ in range(count))

    def _chain(self, steps: Sequence[ChainStep]) -> Session:
        calls: list[Call] = []
        pause = 0.0
        for step in steps:
            pause += self._pause(step.before)
            if step.input_tokens is None or step.output_tokens is None:
                continue
            (inputs,), (outputs,) = self._in(step.input_tokens, 1), self._out(step.output_tokens, 1)
            calls.append(Call(self._source.draw(self._prompts, inputs), outputs, pause=pause, label=step.name))
            pause = 0.0
        return Session(tuple(calls), tail=pause)

    def recorded(self, request: TraceRequest) -> Session:
        if request.text is not None:
            return Session((Call(request.text, request.output_tokens),))
        blocks = [self._block(number) for number in request.prefix_blocks]
        return Session((Call(self._filled(blocks, request.input_tokens or 1), request.output_tokens),))

    def _block(self, number: int) -> Content:
        """Return a block's tokens: drawn anew each time, since keeping all of a long trace's would fill the memory."""
        return self._source.draw(generator(self._seed, Purpose.BLOCKS, number), _BLOCK_TOKENS)

    def _filled(self, blocks: Sequence[Content], tokens: int) -> Content:
        """Return the blocks cut to the length, the rest of it drawn; the last block of a prompt is rarely full."""
        rest = max(tokens - len(blocks) * _BLOCK_TOKENS, 0)
        parts: list[Content] = [*blocks, *((self._source.draw(self._prompts, rest),) if rest else ())]
        if all(isinstance(part, str) for part in parts):
            return " ".join(" ".join(str(part) for part in parts).split(" ")[:tokens])
        return tuple(int(token) for part in parts for token in part)[:tokens]

    def _prefixes(self, prefix: SharedPrefix | None, count: int, label: str) -> Iterator[Content | None]:
        """Yield each request's shared prefix: the same for all load points of a study, by the workload's seed."""
        if prefix is None:
            return iter([None] * count)
        name = [ord(letter) for letter in label]
        draw = generator(self._workload_seed, Purpose.PREFIXES, *name)
        shared = [self._source.draw(draw, tokens) for tokens in lengths(prefix.tokens, prefix.count, draw).tolist()]
        has: list[bool] = (self._choices.random(count) < prefix.share).tolist()
        which: list[int] = self._choices.integers(0, prefix.count, count).tolist()
        return (shared[index] if yes else None for yes, index in zip(has, which, strict=True))

    def _in(self, length: Length, count: int) -> list[int]:
        return lengths(length, count, self._inputs).tolist()

    def _out(self, length: Length, count: int) -> list[int]:
        return lengths(length, count, self._outputs).tolist()

    def _pause(self, pause: Pause) -> float:
        if isinstance(pause, ExponentialPause):
            return float(self._pauses.exponential(pause.mean))
        return pause.seconds
