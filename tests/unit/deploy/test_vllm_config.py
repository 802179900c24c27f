import io
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tests.fakes.deployables import make_deployable, make_hostile
from tuner.deploy.vllm_config import config_options, vllm_config
from tuner.domain.flags import FLAG_NAME, FlagValue, from_arguments, normal_value

NAMES = st.from_regex(FLAG_NAME, fullmatch=True).filter(lambda name: not name.startswith("no-"))
VALUES = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20),
)


def loaded(text: str) -> dict[str, Any]:
    """A file as vLLM's PyYAML reads it: version 1.1."""
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    return yaml.load(io.StringIO(text))


def arguments(options: Mapping[str, Any]) -> list[str]:
    """What vLLM 0.32 makes of a file, whose outer parser has no `--no-…` (`load_config_file`)."""
    found: list[str] = []
    for key, value in options.items():
        if isinstance(value, bool):
            found += [f"--{key}"] if value else []
        else:
            found += [f"--{key}={value if not isinstance(value, dict) else json.dumps(value)}"]
    return found


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_vllm_reads_the_flags_that_were_measured(raw: dict[str, FlagValue]):
    flags = {name: normal_value(name, value) for name, value in raw.items()}
    deployable = make_deployable(flags=flags)
    options = loaded(vllm_config(deployable))
    assert options.pop("model") == "Qwen/Qwen3-8B"
    assert from_arguments(arguments(options)) == {**deployable.owned_flags("127.0.0.1"), **flags}


def test_what_vllm_would_drop_or_misread_is_written_so_that_it_is_not():
    flags: dict[str, FlagValue] = {
        "enable-prefix-caching": False, "compilation-config.level": True, "a": "-x.y", "b": -0.5, "c": -1,
    }  # fmt: skip
    assert config_options(flags) == {
        "no-enable-prefix-caching": True, "compilation-config.level": "true", "a=-x.y": True, "b=-0.5": True,
        "c=-1": True,
    }  # fmt: skip


def test_the_comment_says_how_to_start_it_and_what_to_export():
    text = vllm_config(make_deployable(env={"VLLM_A": "1"}))
    assert "vllm serve --config vllm-night.yaml" in text.splitlines()[0]
    assert "# Note: set in the environment of the server: VLLM_A=1" in text
    bare = make_deployable(python=("/p", "-m", "vllm.entrypoints.openai.api_server"))
    assert "python -m vllm.entrypoints.openai.api_server --config vllm-night.yaml" in vllm_config(bare)


def test_a_hostile_model_stays_text():
    hostile = make_hostile()
    assert loaded(vllm_config(hostile))["model"] == hostile.model
