"""What is checked and completed before trial 0."""

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.builders import make_spec
from tuner.domain.errors import InputError
from tuner.domain.workload import Trace, TraceFormat
from tuner.load.traces import describe_trace
from tuner.server.engine import EngineInfo
from tuner.study.setting import check_flags, fingerprint, setting, with_platform_defaults

KNOWN = frozenset({"max-num-seqs", "max-num-batched-tokens", "max-model-len", "compilation-config"})


def info(platform: str) -> EngineInfo:
    return EngineInfo("0.32.0", "api_server", KNOWN, "3.11.2", platform, resolves=True)


@pytest.mark.parametrize(("platform", "added"), [("cpu", {"gpu-memory-utilization": 0.3}), ("cuda", {})])
def test_every_launch_covers_the_longest_request_and_a_cpu_gets_a_memory_share_that_starts(
    platform: str, added: dict[str, float]
):
    completed = with_platform_defaults(make_spec(), info(platform))
    assert completed.base_flags() == {"max-model-len": 160, **added}


def test_what_the_study_fixes_stays():
    flags = {"max-model-len": 4096, "gpu-memory-utilization": 0.5}
    completed = with_platform_defaults(make_spec(engine={"flags": flags}), info("cpu"))
    assert completed.base_flags() == flags


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"engine": {"flags": {"max-num-seq": 3}}}, "engine.flags"),
        ({"candidates": ["--max-num-seqs 4", {"max-num-seq": 3}]}, "candidates[1]"),
        ({"search_space": {"parameters": {"max-num-seq": {"type": "bool"}}}}, "search_space.parameters"),
    ],
)
def test_a_flag_that_the_engine_lacks_is_named_with_its_place_and_the_nearest(changes: dict[str, Any], where: str):
    with pytest.raises(InputError) as caught:
        check_flags(make_spec(**changes), KNOWN)
    assert caught.value.where == where
    assert "--max-num-seq;" in caught.value.what
    assert "max-num-seqs" in caught.value.what


def test_a_dotted_flag_is_known_by_its_head():
    check_flags(make_spec(candidates=[{"compilation-config.cudagraph_mode": "NONE"}]), KNOWN)


def test_equal_configurations_have_equal_fingerprints_whatever_their_order():
    one = fingerprint({"max-num-seqs": 128, "block-size": None})
    assert one == fingerprint({"block-size": None, "max-num-seqs": 128})
    assert one != fingerprint({"block-size": None, "max-num-seqs": 129})


@pytest.mark.parametrize(
    ("content", "reason"), [("changed", "has changed: its sha256 was"), (None, "there is no such")]
)
async def test_a_study_goes_on_only_with_the_trace_that_it_began_with(tmp_path: Path, content: str | None, reason: str):
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "a"}\n')
    trace = describe_trace(Trace(file=str(file), format=TraceFormat.PROMPTS))
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    spec = make_spec(workload={"trace": trace.model_dump()})
    with pytest.raises(InputError, match=f"{file}: {reason}"):
        async with setting(spec, cwd=tmp_path, environ={}, on_line=lambda _: None):
            pass
