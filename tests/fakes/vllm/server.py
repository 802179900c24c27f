"""A fake vLLM API server: its processes, its log, its HTTP interface, and its faults on demand.

FAKE_VLLM_MODE, words separated by commas, a number after a colon:

    healthy               the default
    oom_log               prints a CUDA out-of-memory error at start and ends with 1
    slow_start:S          listens after S seconds
    start_hang            never listens
    ignores_sigterm       nothing but SIGKILL ends it
    leaves_orphans        on SIGTERM the leader goes and its children stay
    exits_leaving:N       as leaves_orphans, by itself, at request N
    dies_under_load:N     at request N the engine dies: open streams end with an error chunk, then the server goes
    hangs_under_load:N    from request N on, no token comes
    error_chunks:N        every Nth request ends with an error chunk
    short_answers         every answer lacks its last token
    wrong_name            serves another model name than asked for
    leaks_secrets         writes its API key to its log
    leaks_in_answers:N    refuses every Nth request in words that repeat its API key and HF_TOKEN
    hostile_log           fails at start, with a line that steers terminals and repeats HF_TOKEN
    listens_everywhere    has a port that other machines reach
    detaches              one child leaves the session
    tires:N               from launch N on every step takes five times as long, as on a machine that throttles

A file called `poison` in VLLM_CACHE_ROOT is a poisoned compile cache: no start until it is gone.
    lottery:P             P % of launches draw one of the faults in DRAWN; the first launch never does

Its parts are as mortal as the real ones: when EngineCore or the Worker is killed the server ends with vLLM's words, and
when one of them is stopped no token comes while /health and /metrics go on answering.

Requests count from 1, and the launcher's readiness completion is the first. Faults that depend on flags are in
options.py; the speed is set by FAKE_VLLM_STEP_MS and its kin (service.py). FAKE_VLLM_ARGV names a file to which every
launch adds its arguments, as a line of JSON; it also counts the launches of a lottery.
"""

import asyncio
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import options
from service import Service

ENGINE_CORE = """
import os, signal, subprocess, sys
{ignore}
subprocess.Popen(['VLLM::Worker', '3600'], executable='/bin/sleep', start_new_session={detach})
os.execv('/bin/sleep', ['VLLM::EngineCore', '3600'])
"""
DRAWN = (
    "oom_log",
    "dies_under_load:3",
    "exits_leaving:4",
    "error_chunks:2",
    "ignores_sigterm",
    "leaves_orphans",
    "detaches,leaves_orphans",
    "short_answers",
)
HOSTILE = "\x1b[2J\x1b]8;;http://evil.example\x07\x1b]52;c;cm0gLXJmIH4=\x07\r\u202etrial 9: capacity 999\x9b31m\u200b"
"""Clears the screen, links, fills the clipboard, overwrites the line, reverses it, and hides."""
IGNORE = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
ERROR_CHUNK = {
    "error": {
        "message": "EngineCore encountered an issue. See stack trace (above) for the root cause.",
        "type": "InternalServerError",
        "param": None,
        "code": 500,
    }
}


def log(message: str) -> None:
    """Write a line as vLLM's API server does."""
    print(f"(APIServer pid={os.getpid()}) INFO 11-24 05:27:07 [fake.py:1] {message}", flush=True)


def modes(launches: int) -> dict[str, float]:
    """Return the faults that were asked for, and their numbers; `launches` counts this one."""
    faults = _faults(os.environ.get("FAKE_VLLM_MODE", "healthy"))
    draw = random.Random(launches)  # noqa: S311  # no secret
    if launches > 1 and draw.uniform(0, 100) < faults.get("lottery", 0):
        return _faults(draw.choice(DRAWN))
    if launches < faults.get("tires", 0):
        del faults["tires"]
    return faults


def _faults(text: str) -> dict[str, float]:
    pairs = (word.partition(":") for word in text.split(","))
    return {name: float(number or 1) for name, _, number in pairs}


def recorded_launches() -> int:
    """Write this launch's arguments down where that is asked for, and return how many there are."""
    if "FAKE_VLLM_ARGV" not in os.environ:
        return 1
    path = Path(os.environ["FAKE_VLLM_ARGV"])
    with path.open("a") as file:
        file.write(json.dumps(sys.argv[1:]) + "\n")
    return len(path.read_text().splitlines())


class Server:
    """One fake engine."""

    def __init__(self, values: dict[str, object], faults: dict[str, float]) -> None:
        """Take the flags and the faults."""
        self.values, self.faults = values, faults
        self.name = "another-model" if "wrong_name" in faults else str(values["served-model-name"] or values["model"])
        self.key = os.environ.get("VLLM_API_KEY", "")
        self.service = Service(
            int(options.number(values, "max-num-seqs")),
            int(options.number(values, "max-num-batched-tokens")),
            options.kv_tokens(values),
            slowness=5.0 if "tires" in faults else 1.0,
        )
        self.ids = itertools.count(1)
        self.dead = asyncio.Event()
        self.stopping = asyncio.Event()
        self.children: list[subprocess.Popen[bytes]] = []
        self.parts: list[int] = []
        self.memory: shared_memory.SharedMemory | None = None
        self.extra: socket.socket | None = None

    def start_processes(self) -> None:
        """Start EngineCore and its Worker, and take shared memory, so that a resource tracker runs too."""
        ignore = IGNORE if "ignores_sigterm" in self.faults else ""
        code = ENGINE_CORE.format(ignore=ignore, detach="detaches" in self.faults)
        self.children.append(subprocess.Popen([sys.executable, "-I", "-S", "-c", code]))
        self.memory = shared_memory.SharedMemory(create=True, size=4096)
        log(f"shared memory {self.memory.name}")

    def wait_for_processes(self) -> None:
        """Return when EngineCore, its Worker and the resource tracker bear their names."""
        for child in self.children:
            while not _command_line(child.pid).startswith(b"VLLM::"):
                time.sleep(0.005)
        while not any(b"resource_tracker" in _command_line(pid) for pid in _others()):
            time.sleep(0.005)
        cores = [child.pid for child in self.children]
        self.parts = cores + [pid for pid in _pids() if _stat(pid)[1:2] and int(_stat(pid)[1]) in cores]

    async def watch_parts(self) -> None:
        """Do what becomes of a part: die with it, or stand still with it."""
        while not self.dead.is_set():
            states = {_stat(pid)[0] for pid in self.parts}
            if states & {"", "Z", "X"}:
                log("Worker proc VllmWorker-0 died unexpectedly, or EngineDeadError: EngineCore encountered an issue.")
                self.die()
            elif states & {"T", "t"}:
                self.service.moving.clear()
            else:
                self.service.moving.set()
            await asyncio.sleep(0.05)

    def die(self) -> None:
        """Break every open stream, and end soon."""
        self.dead.set()
        self.service.moving.set()
        asyncio.get_running_loop().call_later(0.2, self.stopping.set)

    def end_processes(self) -> None:
        """End the children as vLLM does, the whole group, and give back the shared memory."""
        if self.faults.keys() & {"leaves_orphans", "exits_leaving"}:
            os._exit(0)
        if self.memory is not None:
            self.memory.close()
            self.memory.unlink()
        _kill_session()
        for child in self.children:
            child.wait()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while (request := await _read_request(reader)) is not None:
                await self.respond(writer, *request)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def respond(
        self, writer: asyncio.StreamWriter, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> None:
        """Answer one request."""
        if path.startswith("/v1") and self.key and headers.get("authorization") != f"Bearer {self.key}":
            _send(writer, 401, {"error": "Unauthorized"})
        elif path == "/v1/completions" and method == "POST":
            await self.complete(writer, json.loads(body))
        elif path == "/v1/models":
            _send(writer, 200, {"object": "list", "data": [{"id": self.name, "object": "model"}]})
        elif path == "/metrics":
            _send(writer, 200, self.service.render(self.name), "text/plain; version=0.0.4; charset=utf-8")
        elif path == "/health":
            _send(writer, 503 if self.dead.is_set() else 200, "")
        else:
            _send(writer, 404, {"detail": "Not Found"})
        await writer.drain()

    async def complete(self, writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        """Answer a completion, streamed or whole."""
        number = next(self.ids)
        prompt = body["prompt"]
        wanted = int(body.get("max_tokens", 16))
        if body["model"] != self.name:
            return _send(writer, 404, {"error": {"message": f"The model `{body['model']}` does not exist."}})
        if len(prompt) + wanted > options.number(self.values, "max-model-len"):
            return _send(writer, 400, {"error": {"message": "This model's maximum context length is exceeded."}})
        if number % self.faults.get("leaks_in_answers", float("inf")) == 0:
            said = f"\x1b[2Jkey {self.key}, token {os.environ.get('HF_TOKEN')}"
            return _send(writer, 400, {"error": {"message": said}})
        self.strike(number)
        given = wanted - 1 if "short_answers" in self.faults else wanted
        if not body.get("stream"):
            async for _ in self.service.tokens(len(prompt), given):
                pass
            return _send(writer, 200, _completion(self.name, number, len(prompt), given))
        await self.stream(writer, number, len(prompt), given, body.get("stream_options") or {})
        return None

    def strike(self, number: int) -> None:
        """Let the faults that count requests happen."""
        if number >= self.faults.get("dies_under_load", float("inf")) and not self.dead.is_set():
            log("EngineCore encountered a fatal error.")
            self.die()
        if number >= self.faults.get("exits_leaving", float("inf")):
            os._exit(7)

    async def stream(
        self, writer: asyncio.StreamWriter, number: int, prompt_tokens: int, wanted: int, stream_options: dict[str, Any]
    ) -> None:
        """Send one event a token, then the usage, then the end."""
        writer.write(
            b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        broken = number % self.faults.get("error_chunks", float("inf")) == 0
        async for token in self.service.tokens(prompt_tokens, wanted):
            if self.dead.is_set() or broken:
                _event(writer, ERROR_CHUNK)
                break
            if number >= self.faults.get("hangs_under_load", float("inf")):
                await asyncio.sleep(3600)
            _event(writer, _chunk(self.name, number, "length" if token == wanted else None))
            await writer.drain()
        else:
            if stream_options.get("include_usage"):
                _event(writer, _completion(self.name, number, prompt_tokens, wanted) | {"choices": []})
        _raw_chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")


def _kill_session() -> None:
    """Kill everyone in this session but the resource tracker; in a session that isn't ours, nobody."""
    if os.getsid(0) != os.getpid():
        return
    for pid in _others():
        if b"resource_tracker" not in _command_line(pid):
            os.kill(pid, signal.SIGKILL)


def _others() -> set[int]:
    """Return the pids of the others in this session."""
    return {pid for pid in _pids() - {os.getpid()} if _sid(pid) == os.getsid(0)}


def _pids() -> set[int]:
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}


def _stat(pid: int) -> list[str]:
    """Return a process's state letter, its parent and what follows; an empty letter where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return [""]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _sid(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _chunk(model: str, number: int, finish_reason: str | None) -> dict[str, Any]:
    choice = {"index": 0, "text": "$", "logprobs": None, "finish_reason": finish_reason, "stop_reason": None}
    return {"id": f"cmpl-{number}", "object": "text_completion", "created": 1, "model": model, "choices": [choice]}


def _completion(model: str, number: int, prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return _chunk(model, number, "length") | {"usage": usage | {"total_tokens": prompt_tokens + completion_tokens}}


def _event(writer: asyncio.StreamWriter, content: dict[str, Any]) -> None:
    _raw_chunk(writer, b"data: " + json.dumps(content, separators=(",", ":")).encode() + b"\n\n")


def _raw_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


def _send(
    writer: asyncio.StreamWriter, status: int, content: dict[str, Any] | str, content_type: str = "application/json"
) -> None:
    body = (content if isinstance(content, str) else json.dumps(content)).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes] | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (line := await reader.readline()) not in (b"\r\n", b"\n", b""):
        name, _, value = line.decode().partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return method, path.partition("?")[0], headers, body


async def serve(values: dict[str, object], faults: dict[str, float]) -> None:
    """Start as vLLM does, bind early and listen late, and serve until told to stop."""
    log("version 0.32.0+fake")
    options.check(values)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((str(values["host"]), int(options.number(values, "port"))))
    server = Server(values, faults)
    server.start_processes()
    loop = asyncio.get_running_loop()
    if "ignores_sigterm" in faults:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        loop.add_signal_handler(signal.SIGTERM, server.stopping.set)
    server.wait_for_processes()
    _log_start(values, faults)
    if "listens_everywhere" in faults:
        server.extra = socket.create_server(("0.0.0.0", 0))  # noqa: S104  # the fault
    watching = asyncio.create_task(server.watch_parts())
    if "start_hang" not in faults:
        await _unless_it_dies(server, asyncio.sleep(faults.get("slow_start", 0.0)))
        await _unless_it_dies(server, server.service.moving.wait())
        await asyncio.start_server(server.handle, sock=listener, backlog=2048)
        log(f"Starting vLLM server on http://{values['host']}:{values['port']}")
    await server.stopping.wait()
    watching.cancel()
    server.end_processes()
    sys.stdout.flush()
    os._exit(1 if server.dead.is_set() else 0)


async def _unless_it_dies(server: Server, work: Coroutine[None, None, object]) -> None:
    """Await the work, or the end of the server, whichever comes first."""
    await asyncio.wait(
        {asyncio.ensure_future(work), asyncio.ensure_future(server.stopping.wait())}, return_when="FIRST_COMPLETED"
    )


def _log_start(values: dict[str, object], faults: dict[str, float]) -> None:
    if (Path(os.environ.get("VLLM_CACHE_ROOT", "/nowhere")) / "poison").exists():
        raise options.RefusedError(
            "RuntimeError: vLLM failed to compile the model. The most likely reason for this is that a previous "
            "compilation failed, leading to a corrupted compilation artifact."
        )
    if "leaks_secrets" in faults:
        log(f"args: api_key={os.environ.get('VLLM_API_KEY')} hf_token={os.environ.get('HF_TOKEN')}")
    if "hostile_log" in faults:
        said = f"{HOSTILE} {os.environ.get('HF_TOKEN')}"
        raise options.RefusedError(f"torch.OutOfMemoryError: CUDA out of memory. {said}")
    if "oom_log" in faults:
        raise options.RefusedError("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.")
    options.check_memory(values)
    tokens, longest = options.kv_tokens(values), int(options.number(values, "max-model-len"))
    concurrency = f"Maximum concurrency for {longest:,} tokens per request: {tokens / longest:.2f}x"
    log(f"CPU KV cache size: {tokens:,} tokens, {concurrency}")


def main() -> None:
    """Run, or refuse as vLLM does: the text, vLLM's uninformative last line, its exit code."""
    launches = recorded_launches()
    try:
        values = options.parse(sys.argv[1:])
        asyncio.run(serve(values, modes(launches)))
    except options.RefusedError as refused:
        print(refused.text, flush=True)
        if refused.exit_code == 1:
            print("RuntimeError: Engine core initialization failed. See root cause above.", flush=True)
        _kill_session()
        os._exit(refused.exit_code)


main()
