"""What arithmetic excludes and suggests, before any launch and after some."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.builders import BEGAN, make_spec, make_trial
from tests.fakes.shapes import GIB, make_device, make_model
from tuner.domain.flags import FlagValue
from tuner.domain.model import Weights, WeightUse
from tuner.domain.plan import Demand
from tuner.domain.trial import Launch, Trial, TrialRole
from tuner.server.engine import EngineInfo
from tuner.study.arithmetic import Arithmetic, arithmetic_of

MODEL = make_model(weights=(Weights(use=WeightUse.MLP, parameters=6 * 10**9, bytes=12 * GIB),))
INFO = EngineInfo("0.32.0", "cli", frozenset(), "3.11", "cpu", resolves=True)


def arithmetic(**base: FlagValue) -> Arithmetic:
    flags: dict[str, FlagValue] = {"max-model-len": 4096, **base}
    device = make_device(memory_bytes=24 * GIB)
    return Arithmetic(MODEL, device, Demand(input_tokens=500, output_tokens=50, rps=4), flags, "0.32.0")


def launched(number: int, tokens: int, **flags: FlagValue) -> Trial:
    """A measured trial whose launch logged so many tokens."""
    resolved: dict[str, Any] = {"kv_cache_tokens": tokens}
    launch = Launch(
        id=number, trial_id=number, attempt=1, argv=("vllm",), log_path="x", started_at=BEGAN, resolved=resolved
    )
    role = TrialRole.SAMPLED if number else TrialRole.BASELINE
    return make_trial(number, role=role, flags={name.replace("_", "-"): flags[name] for name in flags},
                      resolved={}, launches=(launch,))  # fmt: skip


def test_a_cache_below_one_longest_request_is_excluded_with_its_sum():
    found = arithmetic().excluded({"gpu-memory-utilization": 0.3}, ())
    assert found is not None
    assert "is less than one request of 4,096 (max-model-len): 0.3 x 24.0 GiB - 12.0 GiB weights - " in found.evidence
    assert " for the KV cache" in found.evidence
    assert found.excess > 0


def test_what_fits_is_not_excluded():
    assert arithmetic().excluded({"gpu-memory-utilization": 0.9}, ()) is None


def test_what_is_within_the_sums_own_doubt_may_be_launched():
    by_share = [arithmetic().excluded({"gpu-memory-utilization": share / 1000}, ()) for share in range(300, 900, 10)]
    refused = [found is not None for found in by_share]
    assert refused == sorted(refused, reverse=True)
    assert 0 < sum(refused) < len(refused)


def test_a_cache_of_given_bytes_is_checked_against_one_request_and_against_the_device():
    small = arithmetic().excluded({"kv-cache-memory-bytes": 1_000_000}, ())
    large = arithmetic().excluded({"kv-cache-memory-bytes": 40 * GIB}, ())
    assert small is not None
    assert "is less than one request of 4,096" in small.evidence
    assert large is not None
    assert large.evidence.startswith("24.0 GiB - 12.0 GiB weights")
    assert large.evidence.endswith("more than there is")


def test_launches_correct_the_sum_and_are_named():
    """Two launches that had far less left than the sum expects: what ran by arithmetic alone is excluded."""
    before = arithmetic().excluded({"gpu-memory-utilization": 0.65}, ())
    seen = (launched(0, 20_000, gpu_memory_utilization=0.8), launched(1, 60_000, gpu_memory_utilization=0.9))
    after = arithmetic().excluded({"gpu-memory-utilization": 0.65}, seen)
    assert before is None
    assert after is not None
    assert after.evidence.endswith("(measured by 2 launches)")


@pytest.mark.parametrize("flag", ["quantization", "cpu-offload-gb", "enable-lora"])
def test_flags_that_the_sum_does_not_know_are_never_excluded(flag: str):
    assert arithmetic().excluded({"gpu-memory-utilization": 0.05, flag: 1}, ()) is None
    assert arithmetic().excluded({"gpu-memory-utilization": 0.05, flag: None}, ()) is not None


def test_a_tuned_dtype_is_not_calculated_with():
    assert arithmetic().excluded({"gpu-memory-utilization": 0.05, "dtype": "float32"}, ()) is None
    assert arithmetic(dtype="bfloat16").excluded({"gpu-memory-utilization": 0.05, "dtype": "bfloat16"}, ()) is not None


def test_what_can_not_be_calculated_is_left_to_the_engine():
    assert arithmetic().excluded({"tensor-parallel-size": 5}, ()) is None


def test_suggestions_are_for_the_target_for_twice_and_for_half_of_it():
    seqs = [int(flags["max-num-seqs"]) for flags in arithmetic().suggestions(())]
    assert len(seqs) == len(set(seqs))
    assert max(seqs) > min(seqs)


def config(directory: Path, **changes: Any) -> Path:
    values = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256, "intermediate_size": 688,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512,
        "max_position_embeddings": 2048, "torch_dtype": "bfloat16",
    }  # fmt: skip
    (directory / "config.json").write_text(json.dumps(values | changes))
    return directory


def test_a_known_model_on_a_cpu_has_an_arithmetic(tmp_path: Path):
    found = arithmetic_of(make_spec(model=str(config(tmp_path))), INFO, {})
    assert isinstance(found, Arithmetic)
    assert found.device.vendor == "cpu"
    assert found.facts["model.heads"] == 4


def test_a_model_that_can_not_be_read_gives_a_reason(tmp_path: Path):
    assert isinstance(arithmetic_of(make_spec(model=str(tmp_path)), INFO, {}), str)


def test_a_fixed_quantisation_gives_a_reason(tmp_path: Path):
    spec = make_spec(model=str(config(tmp_path)), engine={"flags": {"quantization": "fp8"}})
    assert arithmetic_of(spec, INFO, {}) == "--quantization changes what lies in memory"
