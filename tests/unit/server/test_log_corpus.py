"""Logs of several vLLM versions, recorded or cut to the lines that matter: the kind, its proof, the advice."""

from pathlib import Path

import pytest

from tuner.domain.failure import FailureKind as Kind
from tuner.server.diagnosis import diagnose, infeasible

LOGS = Path(__file__).parents[2] / "data" / "vllm-logs"
HEALTHY = {"0.32.0/healthy", "0.8.5/started"}
CORPUS = (
    ("0.6.6/kv-too-small", False, Kind.KV_TOO_SMALL, "max seq len (32768)", "max-model-len to at most 9744"),
    ("0.6.6/bfloat16", False, Kind.UNSUPPORTED, "Tesla T4", "dtype: half"),
    ("0.6.6/nccl", False, Kind.CUDA_ERROR, "NCCL error: unhandled cuda error", "NCCL_DEBUG"),
    ("0.6.6/oom-under-load", True, Kind.OOM_RUN, "CUDA out of memory", "max-num-seqs"),
    ("0.8.5/poisoned-cache", False, Kind.COMPILE_CACHE, "too many values to unpack", "compile cache"),
    ("0.9.0/poisoned-cache", False, Kind.COMPILE_CACHE, "corrupted compilation artifact", "compile cache"),
    ("0.11.0/gpu-busy", False, Kind.GPU_BUSY, "Free memory on device (61.05/119.7 GiB)", "below 0.51"),
    ("0.11.0/gpu-hang", False, Kind.CUDA_ERROR, "GPU Hang", "Xid"),
    ("0.11.0/worker-killed", False, Kind.OOM_START, "'EngineCore_DP0': -9", "host's memory"),
    ("0.20.0/no-kv-cache", False, Kind.KV_TOO_SMALL, "No available memory for the cache", "gpu-memory-utilization"),
    ("0.20.0/oom-under-load", True, Kind.OOM_RUN, "Tried to allocate 50.00 MiB", "max-num-seqs"),
    ("0.20.0/poisoned-aot-cache", False, Kind.COMPILE_CACHE, "Expected tensors only", "compile cache"),
    ("0.32.0/bad-dcp", False, Kind.INVALID_ARGS, "tp_size=1 must be divisible by dcp_size=2", "divides 1"),
    ("0.32.0/bad-tp", False, Kind.INVALID_ARGS, "attention heads (4)", "divides 4"),
    ("0.32.0/cpu-memory", False, Kind.OOM_START, "Available memory on node 0 (7.0/8.34 GiB)", "below 0.83"),
    ("0.32.0/invalid-choice", False, Kind.INVALID_ARGS, "--dtype: invalid choice: 'float7'", "values that vLLM names"),
    ("0.32.0/invalid-json", False, Kind.INVALID_ARGS, "--speculative-config/-sc: Value {ngram", "valid JSON"),
    ("0.32.0/invalid-json-field", False, Kind.INVALID_ARGS, "mode: Input should be 0, 1, 2", "--compilation-config"),
    ("0.32.0/invalid-number", False, Kind.INVALID_ARGS, "invalid int value: 'many'", "--max-num-seqs a value"),
    ("0.32.0/kv-above-memory", False, Kind.OOM_START, "requested memory for kv", "kv-cache-memory-bytes"),
    ("0.32.0/kv-too-small", False, Kind.KV_TOO_SMALL, "max seq len (2048)", "max-model-len to at most 256"),
    ("0.32.0/max-model-len", False, Kind.INVALID_ARGS, "max_model_len (100000)", "at most 2048"),
    ("0.32.0/model-not-found", False, Kind.MODEL_NOT_FOUND, "LocalEntryNotFoundError", "name or directory"),
    ("0.32.0/no-awq", False, Kind.UNSUPPORTED, "Cannot find the config file for awq", "another quantization"),
    ("0.32.0/no-tokenizer", False, Kind.MODEL_NOT_FOUND, "instantiate the backend tokenizer", "tokenizer's files"),
    ("0.32.0/no-weights", False, Kind.MODEL_NOT_FOUND, "Cannot find any model weights", "load-format: dummy"),
    ("0.32.0/port-in-use", False, Kind.PORT_IN_USE, "Address already in use", "another port"),
    ("0.32.0/seqs-above-batched", False, Kind.INVALID_ARGS, "max_num_batched_tokens (8) must be", "at least 256"),
    ("0.32.0/sleep-mode", False, Kind.UNSUPPORTED, "Sleep mode is not supported", "Leave out"),
    ("0.32.0/too-many-workers", False, Kind.INVALID_ARGS, "16 local CPUWorkers", "too few for 16 workers"),
    ("0.32.0/torn-config", False, Kind.MODEL_NOT_FOUND, "is not a valid JSON file", "config.json is damaged"),
    ("0.32.0/two-invalid-fields", False, Kind.INVALID_ARGS, "max_num_batched_tokens: Input", "or max-num-seqs"),
    ("0.32.0/unknown-architecture", False, Kind.UNSUPPORTED, "`alien`", "use a newer one"),
    ("0.32.0/unknown-flag", False, Kind.INVALID_ARGS, "unrecognized arguments: --no-such-flag=3", "--no-such-flag"),
)


@pytest.mark.parametrize(("name", "ready", "kind", "evidence", "advice"), CORPUS, ids=[row[0] for row in CORPUS])
def test_a_recorded_log_gets_its_kind_its_line_and_a_suggestion(
    name: str, ready: bool, kind: Kind, evidence: str, advice: str
):
    log = (LOGS / f"{name}.log").read_text(encoding="utf-8")

    failure = diagnose(log, exit_code=1, ready=ready)

    assert failure.kind is kind
    assert evidence in failure.evidence
    assert advice in failure.advice


def test_every_recorded_log_is_judged():
    recorded = {f"{path.parent.name}/{path.stem}" for path in LOGS.glob("*/*.log")}

    assert recorded == {row[0] for row in CORPUS} | HEALTHY


@pytest.mark.parametrize("name", sorted(HEALTHY))
def test_a_healthy_log_proves_nothing(name: str):
    log = (LOGS / f"{name}.log").read_text(encoding="utf-8")

    assert diagnose(log, exit_code=0, ready=False).kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("text", "kind", "advice"),
    [
        ("ValueError: block_size_x must be even when some_flag is set", Kind.INVALID_ARGS, "block-size-x or some-flag"),
        ("NotImplementedError: no such thing yet", Kind.INVALID_ARGS, "one that starts"),
        ("AssertionError", Kind.INVALID_ARGS, "one that starts"),
        ("KeyError: 'lm_head'", Kind.UNKNOWN, "log"),
        ("ModuleNotFoundError: No module named 'deep_ep'", Kind.UNSUPPORTED, "interpreter"),
        ("ImportError: libcuda.so.1: cannot open shared object file", Kind.CUDA_ERROR, "nvidia-smi"),
        ("RuntimeError: No CUDA GPUs are available", Kind.CUDA_ERROR, "nvidia-smi"),
        ("RuntimeError: CUDA error: invalid device ordinal", Kind.INVALID_ARGS, "engine.gpus"),
        (
            "RuntimeError: CUDA error: no kernel image is available for execution on the device",
            Kind.UNSUPPORTED,
            "build",
        ),
        ("OSError: [Errno 28] No space left on device", Kind.MACHINE, "full"),
        ("OSError: [Errno 24] Too many open files", Kind.MACHINE, "ulimit"),
        ("PermissionError: [Errno 13] Permission denied: '/home/x/.cache'", Kind.MACHINE, "HF_HOME"),
        (
            "safetensors_rust.SafetensorError: Error while deserializing header",
            Kind.MODEL_NOT_FOUND,
            "cut",
        ),
        (
            "ValueError: Selected backend AttentionBackendEnum.FLASHINFER is not valid for this configuration.",
            Kind.UNSUPPORTED,
            "attention-backend",
        ),
        (
            "torch.bfloat16 is not supported for quantization method awq. Supported dtypes: [torch.float16]",
            Kind.UNSUPPORTED,
            "With awq choose a dtype of [torch.float16]",
        ),
        (
            "ValueError: It contains custom code which must be executed to load it",
            Kind.UNSUPPORTED,
            "trust",
        ),
        (
            "ValueError: max_num_seqs (256) exceeds available Mamba cache blocks (41). Each decode sequence",
            Kind.KV_TOO_SMALL,
            "at most 41",
        ),
    ],
)
def test_texts_of_other_machines_are_classified_before_the_engine_is_ready(text: str, kind: Kind, advice: str):
    failure = diagnose(f"INFO ok\n(EngineCore pid=7) {text}", exit_code=1, ready=False)

    assert (failure.kind, advice in failure.advice) == (kind, True), failure


def test_the_source_of_a_traceback_proves_nothing():
    log = (
        'Traceback (most recent call last):\n  File "/opt/hub.py", line 7, in load\n'
        '    raise RuntimeError("Cannot find any model weights with")\nKeyError: 3\n'
    )

    assert diagnose(log, exit_code=1, ready=False).evidence == "KeyError: 3"


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("max_num_batched_tokens (8) must be greater than or equal to max_num_seqs (256).", "at least 256"),
        ("unrecognized arguments: --no-such-flag=3", "--no-such-flag"),
        ("max_num_seqs: Input should be greater than or equal to 1", "Change or leave out max-num-seqs."),
        ("nothing that names a flag", "one that starts"),
    ],
)
def test_a_refusal_before_the_launch_has_a_suggestion_too(reason: str, advice: str):
    failure = infeasible(reason)

    assert (failure.kind, failure.evidence) == (Kind.INFEASIBLE, reason)
    assert advice in failure.advice


@pytest.mark.parametrize(("exit_code", "kind"), [(-6, Kind.ENGINE_DEAD), (-11, Kind.ENGINE_DEAD), (1, Kind.UNKNOWN)])
def test_a_crash_without_a_text_is_a_dead_engine(exit_code: int, kind: Kind):
    assert diagnose("INFO loading", exit_code=exit_code, ready=False).kind is kind
