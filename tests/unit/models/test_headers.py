import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuner.domain.errors import InputError
from tuner.models.headers import file_tensors, local_tensors, parse_header
from tuner.models.stored import BITS, Tensor

ENTRY = {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}


def safetensors(header: dict[str, Any], data: bytes = b"") -> bytes:
    body = json.dumps(header).encode()
    return len(body).to_bytes(8, "little") + body + data


def test_names_dtypes_and_shapes_are_read_and_the_data_is_not(tmp_path: Path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(safetensors({"__metadata__": {"format": "pt"}, "w": ENTRY}, b"x" * 12))
    assert file_tensors(file) == (Tensor("w", "BF16", (2, 3)),)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01",
        (2**63).to_bytes(8, "little") + b"{}",
        (99_999_999).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b"nope",
        (2).to_bytes(8, "little") + b"[]",
        (2).to_bytes(8, "little") + b"\xff\xfe",
        safetensors({"w": {"dtype": "X9", "shape": [1]}}),
        safetensors({"w": {"dtype": "BF16", "shape": [-1]}}),
        safetensors({"w": {"dtype": "BF16", "shape": [True]}}),
        safetensors({"w": {"dtype": "BF16"}}),
        safetensors({"w": 7}),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes):
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"model.safetensors: not a safetensors file") as caught:
        file_tensors(file)
    assert caught.value.advice


ENTRIES = st.dictionaries(
    st.text(min_size=1).filter(lambda name: name != "__metadata__"),
    st.tuples(st.sampled_from(sorted(BITS)), st.lists(st.integers(0, 2**40), max_size=4)),
    max_size=5,
)


@given(ENTRIES)
def test_a_header_comes_back_as_it_was_written(entries: dict[str, tuple[str, list[int]]]):
    header = json.dumps({name: {"dtype": dtype, "shape": shape} for name, (dtype, shape) in entries.items()})
    tensors = parse_header(header.encode(), where="m.safetensors")
    assert {tensor.name: (tensor.dtype, list(tensor.shape)) for tensor in tensors} == entries


@given(st.binary(max_size=64))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_make_it_stumble(tmp_path: Path, content: bytes):
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    try:
        file_tensors(file)
    except InputError as error:
        assert error.where == str(file)  # noqa: PT017  # either outcome is right


def write(directory: Path, name: str) -> None:
    (directory / name).write_bytes(safetensors({name: ENTRY}))


def test_the_index_says_which_files_are_loaded(tmp_path: Path):
    for name in ("a.safetensors", "b.safetensors", "leftover.safetensors"):
        write(tmp_path, name)
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert [tensor.name for tensor in local_tensors(tmp_path)] == ["a.safetensors", "b.safetensors"]


def test_half_a_model_says_nothing(tmp_path: Path):
    write(tmp_path, "a.safetensors")
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert local_tensors(tmp_path) == ()


def test_mistrals_consolidated_copy_is_not_counted_twice(tmp_path: Path):
    write(tmp_path, "model.safetensors")
    write(tmp_path, "consolidated.safetensors")
    assert [tensor.name for tensor in local_tensors(tmp_path)] == ["model.safetensors"]


@pytest.mark.parametrize(
    "index", ["nope", "[]", "{}", '{"weight_map": {"x": 7}}', '{"weight_map": {"x": "../secret.safetensors"}}']
)
def test_an_index_that_is_none_is_named(tmp_path: Path, index: str):
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InputError, match=r"index.json: not a safetensors file"):
        local_tensors(tmp_path)
