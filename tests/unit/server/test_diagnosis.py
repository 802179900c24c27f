from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.failure import FailureKind
from tuner.server.diagnosis import diagnose, resolved_settings

LOGS = Path(__file__).parents[2] / "data" / "vllm-logs"


def recorded(name: str) -> str:
    return (LOGS / "0.32.0" / f"{name}.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "kind", "advice"),
    [
        (
            "ValueError: max_num_batched_tokens (512) is smaller than max_model_len (4096). This effectively limits",
            FailureKind.INVALID_ARGS,
            "at least 4096",
        ),
        (
            "ValueError: World size (4) is larger than the number of available GPUs (2) in this node.",
            FailureKind.INVALID_ARGS,
            "Only 2 GPUs",
        ),
        ("ValueError: No common block size for 7. ", FailureKind.INVALID_ARGS, "block-size"),
        (
            (
                "pydantic_core._pydantic_core.ValidationError: 1 validation error for CacheConfig\n"
                "gpu_memory_utilization\n"
                "  Input should be less than or equal to 1 [type=less_than_equal, input_value=1.5, input_type=float]"
            ),
            FailureKind.INVALID_ARGS,
            "",
        ),
        (
            "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name'",
            FailureKind.MODEL_NOT_FOUND,
            "",
        ),
        ("huggingface_hub.errors.GatedRepoError: 403 Client Error.", FailureKind.MODEL_NOT_FOUND, "HF_TOKEN"),
        ("ValueError: Model architectures ['FooForCausalLM'] are not supported for now.", FailureKind.UNSUPPORTED, ""),
        (
            (
                "ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 89. "
                "Current capability: 80."
            ),
            FailureKind.UNSUPPORTED,
            "is 80, the quantisation needs 89",
        ),
        ("ValueError: The model type 'gemma3' does not support float16.", FailureKind.UNSUPPORTED, "dtype"),
        ("ValueError: Cannot find the config file for awq", FailureKind.UNSUPPORTED, "quantization"),
        (
            "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
            FailureKind.KV_TOO_SMALL,
            "gpu-memory-utilization",
        ),
        (
            (
                "ValueError: To serve at least one request with the models's max seq len (8192), (1.00 GiB KV cache is "
                "needed, which is larger than the available KV cache memory (0.50 GiB)."
            ),
            FailureKind.KV_TOO_SMALL,
            "8192",
        ),
        (
            (
                "ValueError: The model's max seq len (32768) is larger than the maximum number of tokens that can be "
                "stored in KV cache (9744)."
            ),
            FailureKind.KV_TOO_SMALL,
            "at most 9744",
        ),
        (
            (
                "ValueError: Free memory on device cuda:0 (20.1/79.2 GiB) on startup is less than desired GPU memory "
                "utilization (0.92, 72.86 GiB)."
            ),
            FailureKind.GPU_BUSY,
            "below 0.25",
        ),
        (
            (
                "ValueError: Free memory on device cuda:0 (78.5/79.2 GiB) on startup is less than desired GPU memory "
                "utilization (0.995, 78.8 GiB)."
            ),
            FailureKind.OOM_START,
            "below 0.99",
        ),
        (
            "AssertionError: Error in memory profiling. Initial free memory 70.1 GiB, current free memory 75 GiB.",
            FailureKind.GPU_BUSY,
            "try again",
        ),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", FailureKind.OOM_START, "Lower"),
        (
            "RuntimeError: CUDA out of memory occurred when warming up sampler with 1024 dummy requests.",
            FailureKind.OOM_START,
            "max-num-seqs",
        ),
        ("torch.AcceleratorError: CUDA error: an illegal memory access was encountered", FailureKind.CUDA_ERROR, ""),
        (
            "RuntimeError: previous compilation failed, leading to a corrupted compilation artifact",
            FailureKind.COMPILE_CACHE,
            "VLLM_CACHE_ROOT",
        ),
        ("TimeoutError: Timed out waiting for engine core processes to start.", FailureKind.START_TIMEOUT, ""),
        ("EngineCore encountered a fatal error.", FailureKind.ENGINE_DEAD, ""),
        ("Worker proc VllmWorker-0 died unexpectedly, shutting down executor.", FailureKind.ENGINE_DEAD, ""),
    ],
)
def test_texts_that_no_cpu_shows_are_classified(text: str, kind: FailureKind, advice: str):
    log = f"(EngineCore pid=7) ERROR 11-24 05:39:50 [core.py:1510] {text}".replace(
        "\n", "\n(EngineCore pid=7) ERROR 11-24 05:39:50 [core.py:1510] "
    )

    failure = diagnose(log, exit_code=1, ready=False)

    assert (failure.kind, advice in failure.advice) == (kind, True)


def test_running_out_of_memory_after_ready_is_another_kind():
    log = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."

    assert diagnose(log, exit_code=1, ready=True).kind is FailureKind.OOM_RUN


def test_a_cuda_error_is_the_cause_and_the_dead_engine_its_effect():
    log = "EngineCore encountered a fatal error.\nRuntimeError: CUDA error: an illegal memory access was encountered"

    assert diagnose(log, exit_code=1, ready=True).kind is FailureKind.CUDA_ERROR


def test_the_reason_of_a_validation_error_is_the_evidence():
    log = (
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for VllmConfig\n"
        "  Value error, this does not go together. [type=value_error, input_value={'shutdown_timeout': 0}]"
    )

    failure = diagnose(log, exit_code=1, ready=False)

    assert (failure.kind, failure.evidence) == (FailureKind.INVALID_ARGS, "this does not go together.")


@pytest.mark.parametrize("exit_code", [-9, 137])
def test_a_kill_from_outside_means_the_hosts_memory(exit_code: int):
    assert diagnose("INFO loading", exit_code=exit_code, ready=False).kind is FailureKind.OOM_START


def test_a_healthy_log_with_its_harmless_errors_proves_nothing():
    failure = diagnose(recorded("healthy"), exit_code=0, ready=False)

    assert failure.kind is FailureKind.UNKNOWN


def test_a_death_without_a_text_after_ready_is_a_dead_engine():
    assert diagnose(recorded("healthy"), exit_code=1, ready=True).kind is FailureKind.ENGINE_DEAD


def test_an_unknown_failure_names_the_last_error_that_says_something():
    log = (
        "KeyError: 'lm_head'\n"
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n"
    )

    failure = diagnose(log, exit_code=1, ready=False)

    assert (failure.kind, failure.evidence) == (FailureKind.UNKNOWN, "KeyError: 'lm_head'")


def test_an_empty_log_still_gives_a_sentence():
    assert diagnose("", exit_code=3, ready=False).evidence == "the server ended with exit code 3 and wrote no log"


@given(st.text(), st.none() | st.integers(-64, 255), st.booleans())
def test_any_log_gets_one_line_of_evidence_of_bounded_length(log: str, exit_code: int | None, ready: bool):
    evidence = diagnose(log, exit_code=exit_code, ready=ready).evidence

    assert 0 < len(evidence) <= 300
    assert evidence.splitlines() == [evidence]


def test_settings_in_force_are_read_from_a_healthy_log():
    settings = resolved_settings(recorded("healthy"))

    assert settings == {
        "vllm_version": "0.32.0",
        "architecture": "LlamaForCausalLM",
        "dtype": "bfloat16",
        "kv_cache_dtype": "auto",
        "load_format": "dummy",
        "tensor_parallel_size": 1,
        "pipeline_parallel_size": 1,
        "enforce_eager": True,
        "max_model_len": 160,
        "enable_chunked_prefill": True,
        "enable_prefix_caching": True,
        "cudagraph_mode": "NONE",
        "device_memory_gib": 8.21,
        "beside_kv_gib": 0.63,
        "kv_cache_gib": 1.84,
        "kv_cache_tokens": 602480,
        "max_concurrency": 3765.5,
        "engine_init_s": 5.43,
    }


def test_settings_of_a_gpu_log_are_read():
    log = (
        "Using FLASH_ATTN attention backend out of potential backends: ['FLASH_ATTN', 'FLASHINFER'].\n"
        "Model loading took 14.99 GiB memory and 3.1 seconds\nAvailable KV cache memory: 52.31 GiB\n"
        "GPU KV cache size: 428,512 tokens, Maximum concurrency for 1,024 tokens per request: 418.47x\n"
        "Graph capturing finished in 4 secs, took 0.51 GiB\n"
    )

    assert resolved_settings(log) == {
        "attention_backend": "FLASH_ATTN",
        "weights_gib": 14.99,
        "kv_cache_gib": 52.31,
        "kv_cache_tokens": 428512,
        "max_concurrency": 418.47,
        "graph_capture_gib": 0.51,
    }


def test_a_share_that_leaves_less_than_nothing_for_the_cache_is_too_small_and_not_too_much():
    log = (
        "ValueError: Available memory on node 0 (21.35/23.54 GiB) on kv cache allocation is less than requested memory "
        "for kv (-0.53/0.02 GiB). Reduce CPU memory used by other processes.\n"
    )
    failure = diagnose(log, exit_code=1, ready=False)
    assert failure.kind is FailureKind.KV_TOO_SMALL
    assert "Raise gpu-memory-utilization" in failure.advice


def test_the_sum_that_old_versions_log_is_read():
    log = (
        "the current vLLM instance can use total_gpu_memory (79.33GiB) x gpu_memory_utilization (0.90) = 71.39GiB\n"
        "model weights take 4.03GiB; non_torch_memory takes 1.39GiB; PyTorch activation peak memory takes 0.32GiB; "
        "the rest of the memory reserved for KV Cache is 65.65GiB.\n"
    )
    assert resolved_settings(log) == {
        "device_memory_gib": 79.33,
        "weights_gib": 4.03,
        "outside_torch_gib": 1.39,
        "activations_gib": 0.32,
        "kv_cache_gib": 65.65,
    }


def test_the_estimate_for_graphs_is_read():
    log = "Estimated CUDA graph memory: 0.45 GiB total\nGraph capturing finished in 4 secs, took 0.51 GiB\n"
    assert resolved_settings(log) == {"graph_estimate_gib": 0.45, "graph_capture_gib": 0.51}


def test_an_empty_log_names_no_settings():
    assert resolved_settings("") == {}
