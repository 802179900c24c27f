import io
import json
import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.fakes.deployables import HOSTILE, make_deployable, make_hostile, problems
from tests.fakes.workbench import ROOT
from tuner.deploy.deployable import Deployable
from tuner.deploy.kubernetes import kubernetes

DEFINITIONS = json.loads((ROOT / "tests" / "data" / "schemas" / "kubernetes.json").read_text())
KINDS = {"Deployment": "io.k8s.api.apps.v1.Deployment", "Service": "io.k8s.api.core.v1.Service"}


def documents(deployable: Deployable) -> tuple[dict[str, Any], dict[str, Any]]:
    yaml: Any = YAML(typ="safe", pure=True)
    deployment, service = yaml.load_all(io.StringIO(kubernetes(deployable)))
    return deployment, service


def container_of(deployable: Deployable) -> dict[str, Any]:
    (container,) = documents(deployable)[0]["spec"]["template"]["spec"]["containers"]
    return container


def schema_of(kind: str) -> dict[str, Any]:
    return {**DEFINITIONS, "$ref": f"#/$defs/{KINDS[kind]}"}


def expanded(text: str) -> str:
    """Text as Kubernetes reads it in arguments: `$$` is a dollar sign, `$(NAME)` would be a variable."""
    assert "$(" not in text.replace("$$", "")
    return text.replace("$$", "$")


@pytest.mark.parametrize(
    "deployable",
    [
        make_deployable(),
        make_deployable(replicas=3, env={"VLLM_A": "1"}),
        make_deployable(on_gpu=False, model="/srv/m", is_directory=True, replicas=None),
        make_hostile(),
    ],
)
def test_both_documents_are_what_kubernetes_allows(deployable: Deployable):
    for document in documents(deployable):
        assert problems(schema_of(document["kind"]), document) == []


def test_the_schema_refuses_what_kubernetes_would_not_know():
    deployment, _ = documents(make_deployable())
    deployment["spec"]["template"]["spec"]["containers"][0]["startupProbe"]["failureTreshold"] = 3
    assert problems(schema_of("Deployment"), deployment)


def test_the_service_leads_to_the_pods():
    deployment, service = documents(make_deployable())
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["ports"][0]["targetPort"] == container_of(make_deployable())["ports"][0]["name"]
    assert service["metadata"]["name"] == "vllm-night"


def test_the_startup_probe_waits_for_the_measured_start_with_its_margin():
    deployable = make_deployable(model="/srv/m", is_directory=True, flags={})
    probe = container_of(deployable)["startupProbe"]
    assert 222 <= probe["periodSeconds"] * probe["failureThreshold"] < 232
    assert documents(deployable)[0]["spec"]["progressDeadlineSeconds"] > 230


def test_replicas_gpus_shared_memory_and_the_token_come_from_where_they_should():
    deployment, _ = documents(make_deployable(replicas=3))
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert deployment["spec"]["replicas"] == 3
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 2}
    assert pod["volumes"][0] == {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}
    assert container["env"] == [
        {
            "name": "HF_TOKEN",
            "valueFrom": {"secretKeyRef": {"name": "huggingface", "key": "token", "optional": True}},
        }
    ]
    assert pod["enableServiceLinks"] is False


def test_every_mount_has_its_volume():
    for deployable in (make_deployable(), make_hostile()):
        pod = documents(deployable)[0]["spec"]["template"]["spec"]
        mounts = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounts == {volume["name"] for volume in pod["volumes"]}


def test_nothing_hostile_is_expanded():
    hostile = make_hostile()
    container = container_of(hostile)
    assert [expanded(word) for word in container["args"]] == hostile.serve_arguments("0.0.0.0", model="/model")  # noqa: S104
    values = {each["name"]: expanded(each["value"]) for each in container["env"] if "value" in each}
    assert values == {"VLLM_LOGGING_PREFIX": HOSTILE}
    assert re.fullmatch(r"[a-z0-9-]+", documents(hostile)[0]["metadata"]["name"])
