"""Owns one session under way: which call is its current one, and the request bytes of it. Sends nothing."""

from tuner.domain.load import LoadJob, Outcome
from tuner.domain.workload import Endpoint
from tuner.load.dialogue import ChatDialogue, Dialogue, TokenDialogue
from tuner.load.exchange import Exchange
from tuner.load.payload import Form, parse_target
from tuner.load.prompts import Source
from tuner.load.seeds import Purpose, generator
from tuner.load.sessions import Call, Session
from tuner.load.sse import CompletionStream


class Writer:
    """Makes exchanges of calls, with their request bytes."""

    def __init__(self, job: LoadJob, api_key: str) -> None:
        """Take what all requests of a job have in common.

        Raises:
            InputError: its URL is no http or https URL.
        """
        workload = job.workload
        self._chat = workload.endpoint is Endpoint.CHAT
        self._talks = workload.conversation is not None
        self._in_sessions = self._talks or bool(workload.chain)
        self._exact = workload.ignore_eos
        self.target = parse_target(job.url, workload.endpoint)
        self._form = Form(
            self.target, job.model, workload.ignore_eos, api_key, return_token_ids=self._talks and not self._chat
        )
        self._source = Source(first_token=job.first_token, vocabulary=job.vocabulary, words=self._chat)
        self._draw = generator(job.seed, Purpose.ANSWERS)

    def dialogue(self) -> Dialogue:
        """Return an empty one."""
        return ChatDialogue() if self._chat else TokenDialogue(self._source, self._draw)

    def exchange(self, call: Call, dialogue: Dialogue, *, session: int, step: int) -> Exchange:
        """Return the exchange of a session's call, after what its dialogue has heard."""
        prompt = dialogue.ask(call)
        tokens = len(prompt) if isinstance(prompt, tuple) and not self._chat else call.input_tokens
        return Exchange(
            payload=self._form.request(prompt, call.output_tokens),
            input_tokens=tokens,
            requested_tokens=call.output_tokens,
            exact=self._exact,
            session=session if self._in_sessions else -1,
            step=step,
            label=call.label,
            stream=CompletionStream(keep=self._talks),
        )


class Visitor:
    """One session under way: its calls one after another."""

    def __init__(self, session: Session, writer: Writer, number: int) -> None:
        """Make the first call the current one, ready to be sent."""
        self._session = session
        self._writer = writer
        self._number = number
        self._step = 0
        self._dialogue = writer.dialogue()
        self.exchange = self._written()
        """Of its current call."""
        self.tail = session.tail
        """Seconds of other work after the last call."""

    @property
    def pause(self) -> float:
        """Seconds before its current call."""
        return self._session.calls[self._step].pause

    def go_on(self) -> bool:
        """Make the next call the current one, and say whether there is one; the current one has ended."""
        ended = self.exchange
        if ended.outcome is not Outcome.OK or self._step + 1 == len(self._session.calls):
            return False
        self._step += 1
        if self._session.follows:
            self._dialogue.hear(b"".join(ended.stream.body or ()), ended.stream.completion_tokens or 0)
        else:
            self._dialogue = self._writer.dialogue()
        self.exchange = self._written()
        return True

    def _written(self) -> Exchange:
        call = self._session.calls[self._step]
        return self._writer.exchange(call, self._dialogue, session=self._number, step=self._step)
