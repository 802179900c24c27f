"""Weights and caches as the installed vLLM builds them, without weights: its own model classes on the meta device.

Where a new version of vLLM or transformers differs, the recorded tables in tests/unit/models are to be recorded again.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.configs import cache_counts, public_config, recorded, shape_of
from tuner.models.fields import family_defaults

pytestmark = pytest.mark.vllm

NAMES = (
    "llama-3.1-8b",
    "qwen2.5-7b",
    "mistral-7b-v0.1",
    "gemma-3-1b",
    "phi-3-mini-4k",
    "mixtral-8x7b",
    "deepseek-v2-lite",
    "jamba-v0.1",
)

BUILD = """
import collections, json, math, os, sys, tempfile
import torch
from vllm.config import set_current_vllm_config
from vllm.distributed import destroy_model_parallel, init_distributed_environment, initialize_model_parallel
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase
from vllm.model_executor.model_loader.utils import initialize_model
from vllm.utils.torch_utils import set_default_torch_dtype

def words(spec):
    name = type(spec).__name__
    if name == "MambaSpec":
        return " ".join(["state", *(str(math.prod(shape)) for shape in spec.shapes)])
    if name == "MLAAttentionSpec":
        return f"latent {spec.head_size}"
    window = [spec.sliding_window] if name == "SlidingWindowSpec" else []
    kind = "sliding" if window else "full"
    return " ".join(map(str, [kind, spec.num_kv_heads, spec.head_size, spec.head_size_v, *window]))

def build(directory):
    arguments = EngineArgs(model=directory, skip_tokenizer_init=True, load_format="dummy", enforce_eager=True)
    config = arguments.create_engine_config()
    with set_current_vllm_config(config):
        if torch.distributed.is_initialized():
            destroy_model_parallel()
        else:
            init_distributed_environment(1, 0, f"file://{tempfile.mktemp()}", 0, "gloo")
        initialize_model_parallel(1, 1)
        with set_default_torch_dtype(config.model_config.dtype), torch.device("meta"):
            model = initialize_model(config)
        layers = config.compilation_config.static_forward_context.values()
        specs = [layer.get_kv_cache_spec(config) for layer in layers if isinstance(layer, AttentionLayerBase)]
    return {
        "bytes": sum(weight.numel() * weight.element_size() for weight in model.parameters()),
        "dtype": str(config.model_config.dtype).removeprefix("torch."),
        "max_length": config.model_config.max_model_len,
        "caches": collections.Counter(words(spec) for spec in specs if spec is not None),
    }

print(json.dumps({name: build(directory) for name, directory in json.load(sys.stdin).items()}))
sys.stdout.flush()
os._exit(0)
"""

DEFAULTS = """
import dataclasses, json, sys
from transformers import CONFIG_MAPPING
asked = json.load(sys.stdin)
found = {
    name: {field.name: field.default for field in dataclasses.fields(CONFIG_MAPPING[name]) if field.name in keys}
    for name, keys in asked.items()
}
print(json.dumps(found))
"""


def asked(python: Path, program: str, question: object) -> Any:
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    done = subprocess.run(
        [python, "-c", program], input=json.dumps(question), capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_vllm_builds_what_was_computed_and_recorded(vllm_python: Path, tmp_path: Path):
    directories = {name: tmp_path / name for name in NAMES}
    for name, directory in directories.items():
        directory.mkdir()
        (directory / "config.json").write_text(json.dumps(public_config(name)))
    question = {name: str(directory) for name, directory in directories.items()}
    built = asked(vllm_python, BUILD, question)
    shapes = {name: shape_of(public_config(name)) for name in NAMES}
    computed = {
        name: {
            "bytes": sum(group.bytes for group in shape.weights),
            "dtype": shape.dtype,
            "max_length": shape.max_length,
            "caches": cache_counts(shape),
        }
        for name, shape in shapes.items()
    }
    assert computed == built
    assert {name: recorded("vllm")[name] for name in NAMES} == built


def test_what_families_assume_is_what_transformers_assumes(vllm_python: Path):
    keys = {name: list(defaults) for name, defaults in family_defaults().items()}
    assert asked(vllm_python, DEFAULTS, keys) == family_defaults()
