from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.flags import from_arguments
from tuner.server.command import API_SERVER, CLI, engine_environment, server_argv, server_environment

NAMES = st.sampled_from(["max-num-seqs", "gpu-memory-utilization", "enforce-eager", "dtype", "kv-cache-dtype"])
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
VALUES = st.integers(1, 1 << 40) | st.floats(0.01, 1.0) | st.booleans() | st.text("abcdefgh", min_size=1)


def test_the_api_server_takes_the_model_as_a_flag():
    argv = server_argv("/p", API_SERVER, "/m", {"max-num-seqs": 64}, host="127.0.0.1", port=81, served_name="tuner-x")

    assert argv == (
        "/p", "-m", "vllm.entrypoints.openai.api_server", "--model=/m",
        "--host=127.0.0.1", "--port=81", "--served-model-name=tuner-x", "--max-num-seqs=64",
    )  # fmt: skip


def test_the_command_takes_the_model_as_a_word():
    argv = server_argv("/p", CLI, "org/m", {}, host="127.0.0.1", port=81, served_name="tuner-x")

    assert argv[:5] == ("/p", "-m", "vllm.entrypoints.cli.main", "serve", "org/m")


@given(st.dictionaries(NAMES, VALUES))
def test_the_flags_can_be_read_back_from_the_argv(flags: dict[str, bool | int | float | str]):
    argv = server_argv("/p", API_SERVER, "/m", flags, host="127.0.0.1", port=81, served_name="x")

    assert from_arguments(argv[7:]) == {name: flags[name] for name in flags}


@given(st.dictionaries(NAMES, TEXT))
def test_no_value_becomes_an_argument_of_its_own(flags: dict[str, str]):
    argv = server_argv("/p", API_SERVER, "/m", flags, host="127.0.0.1", port=81, served_name="x")

    assert len(argv) == 7 + len(flags)
    assert all(argument.startswith("--") for argument in argv[3:])


def test_only_what_the_engine_needs_is_passed_on():
    caller = {
        "PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "CUDA_HOME": "/cuda", "HF_TOKEN": "hf_x", "https_proxy": "p",
        "VLLM_CPU_KVCACHE_SPACE": "1", "TORCH_HOME": "/t", "SSL_CERT_FILE": "/c", "VLLM_SERVER_DEV_MODE": "1",
        "VLLM_API_KEY": "mine", "PYTHONPATH": "/evil", "AWS_SECRET_ACCESS_KEY": "s", "OPENAI_API_KEY": "s",
        "XPATH": "x", "PATHS": "x",
    }  # fmt: skip

    env = engine_environment(caller, {"MY_OWN": "1"})

    assert set(env) == {
        "PATH", "HOME", "LC_ALL", "CUDA_HOME", "HF_TOKEN", "https_proxy", "VLLM_CPU_KVCACHE_SPACE", "TORCH_HOME",
        "SSL_CERT_FILE", "MY_OWN", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "PYTHONSAFEPATH", "VLLM_HOST_IP",
        "VLLM_LOOPBACK_IP", "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME",
    }  # fmt: skip


def test_parts_of_the_engine_meet_on_loopback_whatever_the_shell_says_but_the_study_may_say_otherwise():
    caller = {"VLLM_HOST_IP": "192.0.2.7", "GLOO_SOCKET_IFNAME": "eth0", "NCCL_SOCKET_IFNAME": "eth0"}

    env = engine_environment(caller, {"NCCL_SOCKET_IFNAME": "ib0"})

    assert (env["VLLM_HOST_IP"], env["VLLM_LOOPBACK_IP"]) == ("127.0.0.1", "127.0.0.1")
    assert (env["GLOO_SOCKET_IFNAME"], env["NCCL_SOCKET_IFNAME"]) == ("lo", "ib0")


def test_a_server_has_its_key_and_its_gpus():
    env = server_environment({"CUDA_VISIBLE_DEVICES": "7"}, {}, api_key="k", gpus=(0, 2))

    assert (env["VLLM_API_KEY"], env["CUDA_VISIBLE_DEVICES"]) == ("k", "0,2")


def test_no_choice_of_gpus_leaves_the_callers():
    assert engine_environment({"CUDA_VISIBLE_DEVICES": "7"}, {})["CUDA_VISIBLE_DEVICES"] == "7"
