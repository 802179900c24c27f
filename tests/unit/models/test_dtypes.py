from typing import Any

import pytest

from tests.fakes.configs import LLAMA, shape_of
from tuner.domain.errors import InputError
from tuner.models.dtypes import served_dtype
from tuner.models.fields import Fields


def served(config: dict[str, Any], *, stored: str | None = None, asked: str | None = None) -> str:
    return served_dtype(Fields(config, where="config.json"), stored, asked)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"torch_dtype": "bfloat16"}, "bfloat16"),
        ({"torch_dtype": "float16"}, "float16"),
        ({"dtype": "torch.float16"}, "float16"),
        ({"torch_dtype": "float32"}, "bfloat16"),
        ({}, "bfloat16"),
        ({"torch_dtype": "float16", "model_type": "gemma2"}, "bfloat16"),
        ({"text_config": {"torch_dtype": "float16"}}, "float16"),
        ({"vision_config": {"torch_dtype": "float16"}}, "float16"),
    ],
)
def test_auto_is_the_configurations_dtype_and_never_float32(config: dict[str, Any], expected: str):
    assert served(config) == served(config, asked="auto") == expected


def test_the_weight_files_decide_where_the_configuration_does_not():
    assert served({}, stored="float16") == "float16"
    assert served({"dtype": "bfloat16"}, stored="float16") == "bfloat16"


def test_what_is_asked_for_is_served():
    assert served({"torch_dtype": "bfloat16"}, asked="half") == "float16"


def test_float32_takes_twice_the_bytes():
    half, whole = shape_of(LLAMA), shape_of(LLAMA, dtype="float32")
    assert [group.bytes * 2 for group in half.weights] == [group.bytes for group in whole.weights]


@pytest.mark.parametrize(("asked", "config"), [("int8", {}), ("float16", {"model_type": "gemma3"})])
def test_what_can_not_be_served_is_refused(asked: str, config: dict[str, Any]):
    with pytest.raises(InputError, match="--dtype"):
        served(config, asked=asked)
