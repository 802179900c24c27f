"""Local models by name; the hub is in tests/integration/models."""

import json
from pathlib import Path

import pytest

from tests.fakes.configs import LLAMA, write_config
from tuner.domain.errors import InputError
from tuner.domain.model import ModelShape
from tuner.models import read_model


def read(name: str) -> ModelShape:
    return read_model(name, environ={}, offline=True)


def test_a_directory_and_its_config_json_are_the_same_model(tmp_path: Path):
    path = write_config(tmp_path, LLAMA)
    assert read(str(path)).weights == read(str(tmp_path)).weights
    assert read(str(tmp_path)).name == str(tmp_path)


def test_any_json_file_is_a_configuration(tmp_path: Path):
    path = tmp_path / "llama.json"
    path.write_text(json.dumps(LLAMA))
    assert read(str(path)).parameters == 2_623_744


def test_a_directory_of_mistrals_own_format_is_read(tmp_path: Path):
    params = {"dim": 256, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "hidden_dim": 512, "vocab_size": 512}
    (tmp_path / "params.json").write_text(json.dumps(params))
    assert read(str(tmp_path)).architecture == "MistralForCausalLM"


@pytest.mark.parametrize(
    "name", ["./nowhere", "/nowhere/at/all", "~nobody-of-that-name/x", "a/b/c", "", " ", "x" * 5000 + "/y/z"]
)
def test_a_path_to_nothing_is_refused_with_what_would_do(name: str):
    with pytest.raises(InputError, match="no such directory or file") as caught:
        read(name)
    assert "config.json" in caught.value.advice


def test_a_directory_without_a_configuration_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"holds no config.json"):
        read(str(tmp_path))


def test_a_json_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"config.json: no such file"):
        read(str(tmp_path / "config.json"))


@pytest.mark.parametrize(("content", "words"), [("{", "not JSON"), ("[1]", "not a JSON object"), ("\xff", "not JSON")])
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, content: str, words: str):
    (tmp_path / "config.json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=f"config.json: {words}"):
        read(str(tmp_path))
