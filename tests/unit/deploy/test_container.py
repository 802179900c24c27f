import pytest

from tests.fakes.deployables import H100, make_deployable
from tuner.deploy.container import environment, image, notes


@pytest.mark.parametrize(
    ("version", "on_gpu", "name"),
    [
        ("0.32.0", True, "vllm/vllm-openai:v0.32.0"),
        ("0.11.1rc2", True, "vllm/vllm-openai:v0.11.1rc2"),
        ("0.32.0+cu129", True, "vllm/vllm-openai:v0.32.0"),
        ("0.32.0", False, "vllm/vllm-openai-cpu:v0.32.0-x86_64"),
        ("0.33.1.dev7+gabc", True, "vllm/vllm-openai:latest"),
        (None, True, "vllm/vllm-openai:latest"),
    ],
)
def test_the_image_is_that_of_the_measured_version(version: str | None, on_gpu: bool, name: str):
    provenance = H100.model_copy(update={"vllm_version": version})
    assert image(make_deployable(provenance=provenance, on_gpu=on_gpu)).name == name


def test_a_version_without_a_published_image_is_said_to_have_none():
    provenance = H100.model_copy(update={"vllm_version": "0.33.1.dev7+gabc"})
    found = list(notes(make_deployable(provenance=provenance)))
    assert any("0.33.1.dev7 has no published image" in note for note in found)


def test_variables_about_the_measured_machine_stay_out_and_are_named():
    deployable = make_deployable(
        env={"HF_HOME": "/data", "LD_PRELOAD": "/x.so", "CUDA_VISIBLE_DEVICES": "2", "VLLM_USE_V1": "1"}
    )
    assert environment(deployable) == {"VLLM_USE_V1": "1"}
    assert any("CUDA_VISIBLE_DEVICES, HF_HOME, LD_PRELOAD" in note for note in notes(deployable))


def test_a_flag_that_names_a_path_is_pointed_at():
    deployable = make_deployable(flags={"chat-template": "./chat.jinja", "tokenizer": "a/b"})
    assert [note for note in notes(deployable) if note.startswith("chat-template: a path")]
    assert not list(notes(make_deployable()))
