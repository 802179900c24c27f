"""Owns one session under way: which call is its current one, and the request bytes of it. Sends nothing."""

from collections import deque
from collections.abc import Iterator
from itertools import islice

from tuner.domain.endpoint import Endpoint
from tuner.domain.load import LoadJob, Outcome
from tuner.domain.workload import TraceFormat
from tuner.load.dialogue import ChatDialogue, Dialogue, TokenDialogue
from tuner.load.exchange import Exchange
from tuner.load.payload import Form, parse_target
from tuner.load.prompts import Source
from tuner.load.seeds import Purpose, generator
from tuner.load.sessions import Call, Session
from tuner.load.sse import CompletionStream

_READY_BYTES = 128 << 20
_BYTES_PER_TOKEN = 36
"""Of a token id that Python holds: the number, and where it lies."""
_TEXTS = frozenset({TraceFormat.SHAREGPT, TraceFormat.PROMPTS})


class Writer:
    """Makes exchanges of calls, with their request bytes."""

    def __init__(self, job: LoadJob, api_key: str) -> None:
        """Take what all requests of a job have in common.

        Raises:
            InputError: its URL is no http or https URL.
        """
        workload = job.workload
        self._chat = workload.endpoint is Endpoint.CHAT
        self.in_sessions = workload.conversation is not None or bool(workload.chain)
        """Whether user requests are of several calls, and so have numbers."""
        self._exact = workload.ignore_eos
        self.target = parse_target(job.url, workload.endpoint)
        self._form = Form(self.target, job.model, workload.ignore_eos, api_key, cache_salt=_salt(job))
        self._source = Source(first_token=job.first_token, vocabulary=job.vocabulary, words=self._chat)
        self._draw = generator(job.seed, Purpose.ANSWERS)

    def dialogue(self) -> Dialogue:
        """Return an empty one."""
        return ChatDialogue() if self._chat else TokenDialogue(self._source, self._draw)

    def exchange(self, call: Call, dialogue: Dialogue, *, session: int, step: int, keep: bool) -> Exchange:
        """Return the exchange of a call, after what its dialogue has heard; `keep` the answer for the next one."""
        prompt = dialogue.ask(call)
        tokens = len(prompt) if isinstance(prompt, tuple) and not self._chat else call.input_tokens
        return Exchange(
            payload=self._form.request(prompt, call.output_tokens, return_token_ids=keep and not self._chat),
            input_tokens=tokens,
            requested_tokens=call.output_tokens,
            exact=self._exact,
            session=session if self.in_sessions else -1,
            step=step,
            label=call.label,
            stream=CompletionStream(keep=keep),
        )


class Visitor:
    """One session under way: its calls one after another.

    Calls that don't depend on answers are written at once; a conversation's turn when the answer before it is there.
    """

    def __init__(self, session: Session, writer: Writer, number: int) -> None:
        """Make the first call the current one, ready to be sent."""
        self._writer = writer
        self._number = number
        self._step = 0
        self._pauses = [call.pause for call in session.calls]
        self._tail = session.tail
        self._dialogue = writer.dialogue()
        written = session.calls[:1] if session.follows else session.calls
        self._later = session.calls[len(written) :]  # what is written is kept as bytes alone, a tenth of the memory
        self._exchanges = [self._written(step, call) for step, call in enumerate(written)]

    @property
    def exchange(self) -> Exchange:
        """Its current call."""
        return self._exchanges[self._step]

    @property
    def pause(self) -> float:
        """Seconds before its current call."""
        return self._pauses[self._step]

    @property
    def tail(self) -> float:
        """Seconds of other work that are left after its current call, which was the last; none where that failed."""
        return self._tail if self.exchange.outcome is Outcome.OK else 0.0

    @property
    def size(self) -> int:
        """Bytes of memory that its contents take, roughly."""
        written = sum(len(exchange.payload) for exchange in self._exchanges)
        return written + _BYTES_PER_TOKEN * sum(call.input_tokens for call in self._later)

    def go_on(self) -> bool:
        """Make the next call the current one, and say whether there is one; the current one has ended."""
        ended = self.exchange
        if ended.outcome is not Outcome.OK or self._step + 1 == len(self._pauses):
            return False
        self._step += 1
        if self._step == len(self._exchanges):
            self._dialogue.hear(b"".join(ended.stream.body or ()), ended.stream.completion_tokens or 0)
            ended.stream.body = None
            self._exchanges.append(self._written(self._step, self._later[self._step - 1]))
        return True

    def _written(self, step: int, call: Call) -> Exchange:
        is_talk = bool(self._later)
        dialogue = self._dialogue if is_talk else self._writer.dialogue()
        keep = is_talk and step + 1 < len(self._pauses)
        return self._writer.exchange(call, dialogue, session=self._number, step=step, keep=keep)


class Supply:
    """A load point's visitors in order, the next ones ready ahead of need, as far as their requests fit in memory.

    Tens of thousands of long prompts would not: those beyond are written one by one, each after a request was sent.
    """

    def __init__(self, visitors: Iterator[Visitor], count: int, *, ready_bytes: int = _READY_BYTES) -> None:
        """Make visitors ready until their requests have `ready_bytes`; `count` says how many there are."""
        self._visitors = visitors
        self._ready: deque[Visitor] = deque()
        self.left = count
        """How many are still to be taken."""
        size = 0
        while size < ready_bytes and len(self._ready) < count:
            self.refill()
            size += self._ready[-1].size

    def take(self) -> Visitor:
        """Return the next one."""
        self.left -= 1
        return self._ready.popleft() if self._ready else next(self._visitors)

    def refill(self) -> None:
        """Make one more ready, where there is one."""
        self._ready.extend(islice(self._visitors, 1))


def _salt(job: LoadJob) -> str:
    """Return what keeps a trace's texts apart from those of other load points, which are the same; else nothing.

    A prefix cache would know them all from the load point before. `cache_salt` is vLLM's, as `ignore_eos` is.
    """
    trace = job.workload.trace
    return f"tuner-{job.seed}" if trace and trace.format in _TEXTS and job.workload.ignore_eos else ""
