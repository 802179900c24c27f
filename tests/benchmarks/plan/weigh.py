"""vLLM's own weights and layers, run by an interpreter that has vLLM: builds its model class without memory and counts.

Prints JSON: parameters, their bytes, the bytes of buffers of rotary tables, as the model class allocates them for one
worker. Nothing of the tuner is imported: this is the judge.

Usage: PYTHON-WITH-VLLM weigh.py MODEL_DIRECTORY...
"""

# pyright: basic, reportMissingImports=false
# The project's own environment has neither vLLM nor torch.

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.update(VLLM_NO_USAGE_STATS="1", HF_HUB_OFFLINE="1", VLLM_LOGGING_LEVEL="ERROR")

import torch
from vllm.config import set_current_vllm_config
from vllm.distributed import init_distributed_environment, initialize_model_parallel
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.model_loader.utils import initialize_model
from vllm.utils.torch_utils import set_default_torch_dtype


def weigh(directory: str) -> dict[str, int]:
    """Return the model's parameters and bytes, on torch's meta device."""
    settings = EngineArgs(
        model=directory, skip_tokenizer_init=True, load_format="dummy", enforce_eager=True
    ).create_engine_config()
    with set_current_vllm_config(settings):
        if not torch.distributed.is_initialized():
            meeting = Path(tempfile.mkdtemp()) / "gloo"
            init_distributed_environment(1, 0, f"file://{meeting}", 0, "gloo")
            initialize_model_parallel(1, 1)
        with set_default_torch_dtype(settings.model_config.dtype), torch.device("meta"):
            model = initialize_model(settings)
    parameters = list(model.parameters())
    return {
        "parameters": sum(one.numel() for one in parameters),
        "bytes": sum(one.numel() * one.element_size() for one in parameters),
        "buffers": sum(one.numel() * one.element_size() for one in model.buffers()),
    }


if __name__ == "__main__":
    print(json.dumps({directory: weigh(directory) for directory in sys.argv[1:]}), flush=True)
    os._exit(0)  # gloo's threads don't end by themselves
