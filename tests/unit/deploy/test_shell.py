import csv
import shlex

from tests.fakes.deployables import HOSTILE, make_deployable, make_hostile
from tuner.deploy.deployable import Deployable
from tuner.deploy.shell import command, docker
from tuner.domain.flags import from_arguments


def words_of(text: str) -> list[str]:
    """The words of the one command under the comment."""
    return shlex.split("\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " "))


def after(words: list[str], option: str) -> list[str]:
    return [words[index + 1] for index, word in enumerate(words) if word == option]


def with_own(deployable: Deployable, host: str) -> dict[str, object]:
    return {**deployable.flags, **deployable.owned_flags(host)}


def test_the_command_serves_the_model_with_the_measured_flags_on_the_loopback():
    deployable = make_deployable()
    program, verb, model, *flags = words_of(command(deployable))
    assert (program, verb, model) == ("vllm", "serve", "Qwen/Qwen3-8B")
    assert from_arguments(flags) == with_own(deployable, "127.0.0.1")


def test_the_command_sets_the_studys_environment_and_gpus():
    words = words_of(command(make_deployable(env={"VLLM_A": "x y"}, gpus=(2, 3))))
    start = words.index("vllm")
    assert words[:start] == ["env", "VLLM_A=x y", "CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=2,3"]


def test_a_hostile_configuration_stays_text_in_the_command():
    hostile = make_hostile()
    words = words_of(command(hostile))
    model, *flags = words[words.index("serve") + 1 :]
    assert model == f"/srv/{HOSTILE}"
    assert from_arguments(flags) == with_own(hostile, "127.0.0.1")
    assert f"VLLM_LOGGING_PREFIX={HOSTILE}" in words


def test_docker_runs_vllms_image_of_the_measured_version_on_the_loopback():
    deployable = make_deployable()
    words = words_of(docker(deployable))
    assert words[:2] == ["docker", "run"]
    assert after(words, "--publish") == ["127.0.0.1:8000:8000"]
    assert after(words, "--gpus") == ["2"]
    assert after(words, "--shm-size") == ["8g"]
    assert after(words, "--env") == ["HF_TOKEN"]
    assert after(words, "--volume") == ["${HF_HOME:-$HOME/.cache/huggingface}:/root/.cache/huggingface"]
    assert after(words, "--health-start-period") == ["2022s"]
    start = words.index("--entrypoint")
    assert words[start : start + 5] == ["--entrypoint", "vllm", "vllm/vllm-openai:v0.32.0", "serve", "Qwen/Qwen3-8B"]
    assert from_arguments(words[start + 5 :]) == with_own(deployable, "0.0.0.0")  # noqa: S104  # in a container


def test_docker_is_given_the_gpus_that_the_study_names():
    assert after(words_of(docker(make_deployable(gpus=(2, 3)))), "--gpus") == ['"device=2,3"']
    assert "--gpus" not in words_of(docker(make_deployable(on_gpu=False)))


def test_a_directory_is_mounted_read_only_whatever_its_name():
    hostile = make_hostile(model=f"/srv/{HOSTILE},readonly=false")
    words = words_of(docker(hostile))
    (mount,) = after(words, "--mount")
    assert next(csv.reader([mount])) == ["type=bind", f"source={hostile.model}", "target=/model", "readonly"]
    assert words[words.index("serve") + 1] == "/model"
    assert f"VLLM_LOGGING_PREFIX={HOSTILE}" in after(words, "--env")
    assert not any(word.startswith("HF_HOME=") for word in words)
