"""The probe, against the fake interpreter and against interpreters without vLLM."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tuner.domain.errors import InputError, SurroundingsError
from tuner.server.engine import EngineProbe
from tuner.server.weights import fetch_weights

FAKE = Path(__file__).parents[2] / "fakes" / "vllm" / "python"
ENV = dict(os.environ) | {"FAKE_VLLM_ANY_MODEL": "1"}


async def test_an_engine_says_what_it_is_and_resolves_defaults():
    async with EngineProbe(FAKE, ENV) as probe:
        resolution = await probe.resolve("/m", {"max-num-seqs": 4}, ["max-num-seqs", "max-num-batched-tokens", "nope"])

    assert (probe.info.entrypoint, probe.info.has_gpu, probe.info.resolves) == ("api_server", False, True)
    assert "max-num-seqs" in probe.info.flags
    assert resolution.values == {"max-num-seqs": 4, "max-num-batched-tokens": 2048, "nope": None}


async def test_a_refusal_is_the_engines_own_sentence():
    async with EngineProbe(FAKE, ENV) as probe:
        refused = await probe.resolve("/m", {"max-num-seqs": 64, "max-num-batched-tokens": 8}, [])

    assert refused.error == "max_num_batched_tokens (8) must be greater than or equal to max_num_seqs (64)."


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_probe_that_was_killed_is_replaced(number: signal.Signals):
    async with EngineProbe(FAKE, ENV) as probe:
        (process,) = psutil.Process().children()
        process.send_signal(number)
        answers = await asyncio.gather(*(probe.resolve("/m", {"max-num-seqs": 4}, ["max-num-seqs"]) for _ in range(3)))

    assert [answer.values for answer in answers] == [{"max-num-seqs": 4}] * 3


async def test_questions_asked_at_once_get_their_own_answers():
    async with EngineProbe(FAKE, ENV) as probe:
        answers = await asyncio.gather(
            *(probe.resolve("/m", {"max-num-seqs": n}, ["max-num-seqs"]) for n in range(1, 20))
        )

    assert [answer.values["max-num-seqs"] for answer in answers] == list(range(1, 20))


async def test_an_interpreter_without_vllm_is_said_so():
    with pytest.raises(SurroundingsError, match="no vLLM that can be imported: ModuleNotFoundError"):
        async with EngineProbe(Path(sys.executable), ENV):
            pass


async def test_an_interpreter_that_is_not_there_is_said_so(tmp_path: Path):
    with pytest.raises(SurroundingsError, match="can't be run"):
        async with EngineProbe(tmp_path / "python", ENV):
            pass


async def test_a_local_model_needs_no_fetching(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")

    await fetch_weights(Path("/no/such"), str(tmp_path), {}, on_line=lambda _: None)


@pytest.mark.parametrize("model", ["./missing", "/no/such/model", "somewhere/", "--evil"])
async def test_a_path_without_a_model_is_the_users_mistake(model: str):
    with pytest.raises(InputError, match="holds no config"):
        await fetch_weights(FAKE, model, {}, on_line=lambda _: None)


async def test_a_failed_download_gives_its_last_line():
    lines: list[str] = []
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}

    with pytest.raises(InputError, match=r"model not found: org/name: .*snapshot folder"):
        await fetch_weights(Path(sys.executable), "org/name", env, on_line=lines.append)

    assert lines
