import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "make-tiny-model"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "deep" / "tiny"
    subprocess.run([sys.executable, SCRIPT, directory], check=True)
    return directory


def test_every_token_id_lies_within_the_vocabulary_and_stands_once(model: Path):
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    tokenizer = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    ids = sorted(tokenizer["model"]["vocab"].values())
    assert ids == list(range(len(ids)))
    assert len(ids) == 4 + 256
    assert len(ids) <= config["vocab_size"]


def test_the_special_tokens_of_the_three_files_agree(model: Path):
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    vocabulary = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    names = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    for kind in ("bos", "eos", "pad"):
        assert vocabulary[names[f"{kind}_token"]] == config[f"{kind}_token_id"]


def test_the_attention_heads_divide_the_hidden_size(model: Path):
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    assert config["num_attention_heads"] * config["head_dim"] == config["hidden_size"]
    assert config["num_attention_heads"] % config["num_key_value_heads"] == 0


def test_writing_again_changes_no_byte(model: Path):
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    subprocess.run([sys.executable, SCRIPT, model], check=True)
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before
