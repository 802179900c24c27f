"""What is asked of a server: how long prompts and answers are, what they share, and how calls follow one another."""

import hashlib
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from tuner.domain.base import Frozen
from tuner.domain.endpoint import Endpoint
from tuner.domain.lengths import FixedLength, Length, NotNegative, Positive, Tokens
from tuner.domain.units import DURATION_SCHEMA, parse_duration

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Share = Annotated[float, Field(strict=True, gt=0, le=1)]


class FixedPause(Frozen):
    """Always the same time."""

    type: Literal["fixed"] = "fixed"
    seconds: NotNegative
    """How long, in seconds."""


class ExponentialPause(Frozen):
    """Exponentially distributed: most are short, some are long."""

    type: Literal["exponential"]
    mean: Positive
    """Seconds."""


def _bare_duration(value: Any) -> Any:  # noqa: ANN401  # pydantic hands over whatever the file held
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return {"type": "fixed", "seconds": float(parse_duration(value, default_unit="s"))}
    return value


_Pause = Annotated[FixedPause | ExponentialPause, Field(discriminator="type")]
_BareDuration = Annotated[Any, WithJsonSchema(DURATION_SCHEMA)]
Pause = Annotated[_Pause, BeforeValidator(_bare_duration, json_schema_input_type=_BareDuration | _Pause)]
"""Time without a model call; a bare duration such as `300ms` means fixed."""


class SharedPrefix(Frozen):
    """Tokens that many prompts begin with, such as a system prompt: what prefix caching can save."""

    tokens: Length
    """How long each of them is."""
    share: Share = 1.0
    """Share of the requests that begin with one."""
    count: Annotated[int, Field(strict=True, ge=1)] = 1
    """How many different ones there are, each as likely as another."""


class RequestClass(Frozen):
    """One kind of request in a mix."""

    name: Name
    """What its requests are called in figures."""
    weight: Positive
    """Its share is its weight over the sum of all weights."""
    input_tokens: Length
    """Tokens of each prompt, a shared prefix not among them."""
    output_tokens: Length
    """Tokens of each answer."""
    prefix: SharedPrefix | None = None
    """Tokens that its prompts have in common."""


class Conversation(Frozen):
    """Requests that build on each other: every turn sends all that was said before, and some new tokens."""

    turns: Length
    """How many times the user speaks."""
    think_time: Pause = FixedPause(seconds=0.0)
    """From the end of an answer to the next turn."""


class ChainStep(Frozen):
    """One step of a user request: a model call, or other work alone."""

    name: Name
    """What the step is called in figures."""
    before: Pause = FixedPause(seconds=0.0)
    """Other work before the call, such as retrieval."""
    input_tokens: Length | None = None
    """Tokens of the call's prompt; without them the step is other work alone."""
    output_tokens: Length | None = None
    """Tokens of the call's answer."""

    @property
    def is_call(self) -> bool:
        """Whether the model is called."""
        return self.input_tokens is not None

    @model_validator(mode="after")
    def _is_a_call_or_none(self) -> Self:
        if (self.input_tokens is None) != (self.output_tokens is None):
            raise ValueError(f"step {self.name}: a model call needs input_tokens and output_tokens, other work neither")
        return self


class TraceFormat(StrEnum):
    """File formats of recorded traces."""

    MOONCAKE = "mooncake"
    """JSONL: timestamp in ms, input_length, output_length, hash_ids of 512-token prefix blocks."""
    AZURE = "azure"
    """CSV: TIMESTAMP, ContextTokens, GeneratedTokens."""
    BURSTGPT = "burstgpt"
    """CSV: Timestamp in s, Model, Request tokens, Response tokens, Total tokens, Log Type."""
    SHAREGPT = "sharegpt"
    """JSON: a list of conversations; the first question is asked."""
    PROMPTS = "prompts"
    """JSONL of your own: prompt, optionally output_tokens and timestamp in s."""


class Trace(Frozen):
    """Recorded requests to replay. The file stays where it is; what it held is known by its hash."""

    file: str
    """Its path, starting from the file that names it; `shipped:NAME` is a sample that comes with the tuner."""
    format: TraceFormat
    """`mooncake`, `azure`, `burstgpt`, `sharegpt` or `prompts`."""
    output_tokens: Tokens = 128
    """Tokens of each answer where a file of prompts gives none."""
    max_tokens: Tokens | None = None
    """Leave out requests that hold more tokens than this, prompt and answer together."""
    sha256: str = ""
    """Of the file's bytes; filled in when the file is read, and checked when it is read again."""
    requests: int = 0
    """How many it holds; filled in, as the next."""
    skipped: int = 0
    """How many it holds that can't be sent again: failed ones, and those with too many tokens."""
    longest: int = 0
    """Tokens of its longest request, prompt and answer; estimated where it holds text."""
    seconds: float | None = None
    """From its first request to its last one; None where it knows no times, and can't be replayed by them."""


class Workload(Frozen):
    """What requests are like. Without more: random token ids of given lengths that share no prefix.

    At most one of `classes`, `conversation`, `chain` and `trace` can be given.
    """

    description: str = ""
    """A line for people; no part of the identity."""
    endpoint: Endpoint = Endpoint.COMPLETIONS
    """`completions`, or `chat`."""
    input_tokens: Length = FixedLength(tokens=512)
    """Tokens of each prompt: a number, or a distribution. Of a conversation: the new ones of each turn."""
    output_tokens: Length = FixedLength(tokens=128)
    """Tokens of each answer: a number, or a distribution."""
    ignore_eos: Annotated[bool, Field(strict=True)] = True
    """Ask the server for the full output length; then a shorter answer is a failed request."""
    prefix: SharedPrefix | None = None
    """Tokens before `input_tokens` that prompts have in common; without it, no two prompts share any."""
    classes: tuple[RequestClass, ...] = ()
    """A mix of kinds of requests, in place of the lengths above."""
    conversation: Conversation | None = None
    """Several turns of the same user."""
    chain: tuple[ChainStep, ...] = ()
    """A user request as a sequence of model calls with other work between them."""
    trace: Trace | None = None
    """Recorded requests to replay."""
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = 0
    """Another seed gives other prompts, lengths and arrivals of the same kind."""

    @property
    def longest_request(self) -> int:
        """The most tokens that one request can hold, prompt and answer together."""
        plain = self.input_tokens.longest + self.output_tokens.longest
        if self.trace is not None:
            return self.trace.longest
        if self.chain:
            return max(_longest(step.input_tokens, step.output_tokens) for step in self.chain)
        if self.classes:
            return max(_longest(one.input_tokens, one.output_tokens) + _prefixed(one.prefix) for one in self.classes)
        if self.conversation is not None:
            return _prefixed(self.prefix) + self.conversation.turns.longest * plain
        return _prefixed(self.prefix) + plain

    @property
    def identity(self) -> str:
        """A short hash: two load points are comparable only where it is the same."""
        told = self.model_dump_json(exclude_defaults=True, exclude={"description": True, "trace": {"file"}})
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        kinds = {
            "classes": bool(self.classes),
            "conversation": self.conversation is not None,
            "chain": bool(self.chain),
            "trace": self.trace is not None,
        }
        given = [name for name, is_given in kinds.items() if is_given]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} don't go together: give one of them")
        return self

    @model_validator(mode="after")
    def _calls_the_model(self) -> Self:
        if self.chain and not any(step.is_call for step in self.chain):
            raise ValueError("chain: no step calls the model")
        names = [step.name for step in self.chain] + [one.name for one in self.classes]
        if len(set(names)) != len(names):
            raise ValueError("a name stands twice in chain or classes")
        return self


def _longest(prompt: Length | None, answer: Length | None) -> int:
    return prompt.longest + answer.longest if prompt and answer else 0


def _prefixed(prefix: SharedPrefix | None) -> int:
    return prefix.tokens.longest if prefix else 0
