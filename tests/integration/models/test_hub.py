"""Models of the hub, from a hub on this machine: what is asked for, cached, and said where it goes wrong."""

import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.configs import LLAMA
from tuner.domain.errors import InputError, SurroundingsError
from tuner.domain.model import ModelShape
from tuner.models import read_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = json.dumps(LLAMA).encode()


def safetensors(parameters: int) -> bytes:
    entry = {"dtype": "BF16", "shape": [parameters], "data_offsets": [0, 2 * parameters]}
    body = json.dumps({"model.embed_tokens.weight": entry}).encode()
    return len(body).to_bytes(8, "little") + body


FILES = {
    "/org/plain/resolve/main/config.json": CONFIG,
    "/org/stored/resolve/main/config.json": CONFIG,
    "/org/stored/resolve/main/model.safetensors": safetensors(5_000_000),
    "/org/broken/resolve/main/config.json": b"[]",
}
ERRORS = {"gated": (403, "GatedRepo"), "absent": (401, "RepoNotFound")}


class Hub(ThreadingHTTPServer):
    """Serves FILES as the hub does, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[tuple[str, str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Hub  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        del format, args

    def _answer(self, *, body: bool) -> None:
        self.server.asked.append((self.command, self.path, self.headers.get("authorization", "")))
        content = FILES.get(self.path)
        repository = self.path.split("/")[2]
        if content is None:
            status, code = ERRORS.get(repository, (404, "EntryNotFound"))
            self._head(status, b"", {"X-Error-Code": code})
            return
        self._head(200, content, {"ETag": '"etag"', "X-Repo-Commit": COMMIT})
        if body:
            self.wfile.write(content)

    def _head(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()


@pytest.fixture
def hub() -> Generator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def read(hub: Hub, home: Path, name: str, *, offline: bool = False, **environ: str) -> ModelShape:
    return read_model(name, environ={"HF_ENDPOINT": hub.url, "HF_HOME": str(home), **environ}, offline=offline)


def test_a_configuration_is_fetched_and_the_weights_computed(hub: Hub, tmp_path: Path):
    shape = read(hub, tmp_path, "org/plain")
    assert shape.parameters == 2_623_744
    assert not shape.measured_weights
    assert "computed from the configuration" in shape.notes[-1]


def test_headers_of_weight_files_are_believed_and_the_weights_not_fetched(hub: Hub, tmp_path: Path):
    shape = read(hub, tmp_path, "org/stored")
    assert shape.measured_weights
    assert shape.parameters == pytest.approx(5_000_000, abs=8)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_what_is_cached_is_read_without_the_hub(hub: Hub, tmp_path: Path):
    first = read(hub, tmp_path, "org/plain")
    asked = len(hub.asked)
    again = read(hub, tmp_path, "org/plain", offline=True)
    by_environment = read(hub, tmp_path, "org/plain", HF_HUB_OFFLINE="1")
    assert first.weights == again.weights == by_environment.weights
    assert len(hub.asked) == asked


def test_weights_that_are_cached_are_looked_into_without_the_hub(hub: Hub, tmp_path: Path):
    read(hub, tmp_path, "org/plain")
    snapshot = tmp_path / "hub" / "models--org--plain" / "snapshots" / COMMIT
    (snapshot / "model.safetensors").write_bytes(safetensors(4_000_000))
    shape = read(hub, tmp_path, "org/plain", offline=True)
    assert shape.measured_weights
    assert shape.parameters == pytest.approx(4_000_000, abs=8)


def test_the_token_is_sent(hub: Hub, tmp_path: Path):
    read(hub, tmp_path, "org/plain", HF_TOKEN="hf_secret")  # noqa: S106  # a token of this test
    assert {authorization for _, _, authorization in hub.asked} == {"Bearer hf_secret"}


@pytest.mark.parametrize(
    ("name", "words", "advice"),
    [
        ("org/gated", "the model is gated", "HF_TOKEN"),
        ("org/absent", "no such model", "Check the name"),
        ("org/empty", "has no config.json", "original"),
        ("org/broken", "not a JSON object", "config.json"),
        ("org/not a name", "neither a directory, nor a file, nor a name", "org/name"),
    ],
)
def test_what_the_hub_says_is_put_in_words(hub: Hub, tmp_path: Path, name: str, words: str, advice: str):
    with pytest.raises(InputError, match=words) as caught:
        read(hub, tmp_path, name)
    assert name in caught.value.where or "config.json" in caught.value.where
    assert advice in caught.value.advice


def test_offline_without_a_cache_is_the_surroundings_fault(hub: Hub, tmp_path: Path):
    with pytest.raises(SurroundingsError, match="the cache does not have the model") as caught:
        read(hub, tmp_path, "org/plain", offline=True)
    assert "HF_HUB_OFFLINE" in caught.value.advice
    assert hub.asked == []


def test_a_hub_that_is_not_there_is_the_surroundings_fault(hub: Hub, tmp_path: Path):
    with pytest.raises(SurroundingsError, match="can't be reached"):
        read(hub, tmp_path, "org/plain", HF_ENDPOINT="http://127.0.0.1:9")
