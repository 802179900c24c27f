import io
import json
import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.fakes.deployables import HOSTILE, make_deployable, make_hostile, problems
from tests.fakes.workbench import ROOT
from tuner.deploy.compose import compose
from tuner.deploy.deployable import Deployable

SCHEMA = json.loads((ROOT / "tests" / "data" / "schemas" / "compose-spec.json").read_text())
VARIABLE = re.compile(r"\$(?:\$|\{HF_HOME:-\$\{HOME\}/\.cache/huggingface\}|(.))")


def service_of(deployable: Deployable) -> dict[str, Any]:
    yaml: Any = YAML(typ="safe", pure=True)
    return yaml.load(io.StringIO(compose(deployable)))["services"]["vllm"]


def interpolated(text: str) -> str:
    """Text as Compose reads it; a variable other than the cache's would be an injection."""

    def replace(match: re.Match[str]) -> str:
        assert match[1] is None, text
        return "$" if match[0] == "$$" else "/cache"

    return VARIABLE.sub(replace, text)


@pytest.mark.parametrize(
    "deployable",
    [
        make_deployable(),
        make_deployable(gpus=(2, 3), env={"VLLM_A": "1"}),
        make_deployable(on_gpu=False, model="/srv/m", is_directory=True),
        make_hostile(),
    ],
)
def test_the_file_is_what_the_compose_specification_allows(deployable: Deployable):
    yaml: Any = YAML(typ="safe", pure=True)
    document = yaml.load(io.StringIO(compose(deployable)))
    assert problems(SCHEMA, document) == []


def test_the_schema_refuses_what_compose_would_not_know():
    assert problems(SCHEMA, {"services": {"vllm": {"imagee": "x"}}})


def test_the_service_has_its_gpus_a_health_check_and_a_restart():
    service = service_of(make_deployable())
    assert service["deploy"]["resources"]["reservations"]["devices"] == [
        {"driver": "nvidia", "count": 2, "capabilities": ["gpu"]}
    ]
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["environment"] == {"HF_TOKEN": None}
    assert service["healthcheck"]["start_period"] == "2022s"
    assert service["restart"] == "unless-stopped"
    assert service["command"][0] == "Qwen/Qwen3-8B"
    named = service_of(make_deployable(gpus=(2, 3)))["deploy"]["resources"]["reservations"]["devices"]
    assert named == [{"driver": "nvidia", "device_ids": ["2", "3"], "capabilities": ["gpu"]}]


def test_nothing_hostile_is_interpolated():
    hostile = make_hostile()
    service = service_of(hostile)
    assert [interpolated(word) for word in service["command"]] == hostile.serve_arguments("0.0.0.0", model="/model")  # noqa: S104
    assert interpolated(service["environment"]["VLLM_LOGGING_PREFIX"]) == HOSTILE
    assert interpolated(service["volumes"][0]["source"]) == hostile.model
    assert service["volumes"][0]["read_only"] is True
