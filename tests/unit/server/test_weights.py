import json
from pathlib import Path
from typing import Any

import pytest

from tuner.server.weights import model_identity, vocabulary_size


def a_model(directory: Path, **config: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    return directory


@pytest.mark.parametrize(
    ("config", "size"),
    [
        ({"vocab_size": 512}, 512),
        ({"text_config": {"vocab_size": 262144}}, 262144),
        ({"llm_config": {"vocab_size": 9}, "text_config": []}, 9),
        ({"vocab_size": "many"}, None),
        ({}, None),
    ],
)
def test_the_vocabulary_stands_in_the_configuration(tmp_path: Path, config: dict[str, Any], size: int | None):
    assert vocabulary_size(str(a_model(tmp_path / "m", **config))) == size


def test_a_broken_configuration_has_no_vocabulary(tmp_path: Path):
    (a_model(tmp_path / "m") / "config.json").write_text("{")

    assert vocabulary_size(str(tmp_path / "m")) is None


def test_the_identity_follows_the_configuration_and_the_weights(tmp_path: Path):
    model = a_model(tmp_path / "m", vocab_size=512)
    first = model_identity(str(model))
    (model / "model.safetensors").write_bytes(b"123")
    second = model_identity(str(model))
    (model / "README.md").write_text("no weight")

    assert first != second
    assert model_identity(str(model)) == second


def test_a_hub_model_is_its_cached_revision(tmp_path: Path):
    revision = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "hub" / "models--org--name"
    a_model(folder / "snapshots" / revision, vocab_size=7)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(revision)
    environ = {"HF_HOME": str(tmp_path)}

    assert model_identity("org/name", environ) == revision
    assert vocabulary_size("org/name", environ) == 7
    assert vocabulary_size("org/other", environ) is None
