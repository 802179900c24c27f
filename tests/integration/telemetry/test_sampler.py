"""The machine sampled while a real session of processes works."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Generator

import pytest

from tests.fakes.nvml import NO_LIBRARY, Card, FakeNvml
from tuner.telemetry.sampler import sampling

ENGINE = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
print(child.pid, flush=True)
child.wait()
"""
PATIENCE_S = 30.0
NO_DRIVER = FakeNvml(init_error=NO_LIBRARY)


@contextlib.contextmanager
def session() -> Generator[tuple[int, int]]:
    """Start a leader that waits and a child that works; yield their pids."""
    command = [sys.executable, "-c", ENGINE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as leader:
        try:
            assert leader.stdout is not None
            yield leader.pid, int(leader.stdout.readline())
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(leader.pid, signal.SIGKILL)


async def test_every_process_of_the_session_is_sampled_with_its_share_and_no_other():
    clock = asyncio.get_running_loop().time
    with session() as (leader, child):
        async with sampling(session_id=leader, interval=0.1, clock=clock, nvml=NO_DRIVER) as sampler:
            origin = clock()
            await asyncio.sleep(1.0)
            end = clock()
    samples = sampler.samples(origin)
    assert samples[0].at < 0 < samples[1].at < end - origin < samples[-1].at
    assert samples[0].processes == ()
    for sample in samples[1:]:
        assert {process.pid for process in sample.processes} == {leader, child}
    shares = {process.pid: process.cpu_share for process in samples[-2].processes}
    assert shares[child] > shares[leader]
    assert all(sample.memory_available_bytes for sample in samples)
    assert sampler.failures == 0


async def test_a_session_that_ends_under_load_disturbs_nothing():
    with session() as (leader, _):
        async with sampling(session_id=leader, interval=0.05, nvml=NO_DRIVER) as sampler:
            os.killpg(leader, signal.SIGKILL)
            await asyncio.sleep(0.2)
    assert len(sampler.samples(0.0)) >= 3
    assert sampler.failures == 0


async def test_gpus_stand_in_every_sample_and_nvml_is_let_go():
    nvml = FakeNvml(Card(), Card())
    async with sampling(session_id=None, gpus=(1,), interval=0.02, nvml=nvml) as sampler:
        assert nvml.initialised == 1
        await asyncio.sleep(0.05)
    samples = sampler.samples(0.0)
    assert all([gpu.index for gpu in sample.gpus] == [1] for sample in samples)
    assert await asyncio.to_thread(nvml.idle.wait, PATIENCE_S)  # its thread lets it go, without the load waiting


async def test_an_error_of_the_load_passes_through():
    nvml = FakeNvml(Card())
    with pytest.raises(ZeroDivisionError):
        async with sampling(session_id=None, interval=0.02, nvml=nvml):
            raise ZeroDivisionError
    assert await asyncio.to_thread(nvml.idle.wait, PATIENCE_S)


async def test_the_real_nvml_gives_gpus_or_none_and_never_an_error():
    async with sampling(session_id=None) as sampler:
        pass
    assert len(sampler.samples(0.0)) == 2
    assert sampler.failures == 0
