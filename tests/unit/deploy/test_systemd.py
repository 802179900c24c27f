from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.deployables import HOSTILE, make_deployable, make_hostile
from tuner.deploy.systemd import exec_line, systemd

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=15)


def values(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def words(line: str) -> list[str]:
    """The words of a line as systemd splits it (systemd.syntax(7)); specifiers first, then quotes."""
    found: list[str] = []
    word, quoted, started = "", False, False
    characters = iter(line)
    for character in characters:
        if character == '"':
            quoted, started = not quoted, True
        elif character == "\\":
            word += next(characters)
        elif character == "%":
            assert next(characters) == "%", line
            word += "%"
        elif character == " " and not quoted:
            found += [word] if word or started else []
            word, started = "", False
        else:
            word += character
    assert not quoted
    return [*found, *([word] if word or started else [])]


def executed(line: str) -> list[str]:
    """The argv of a line: variables are expanded in arguments only, where `$$` is a dollar sign."""
    program, *arguments = words(line)
    assert not set("'\"\\") & set(program), "systemd refuses such a program"
    assert all("$" not in word.replace("$$", "") for word in arguments)
    read = [word.replace("$$", "$") for word in arguments]
    return read if program == "/usr/bin/env" else [program, *read]


@given(PRINTABLE.map(lambda text: "/" + text), st.lists(PRINTABLE, max_size=4))
def test_systemd_reads_exactly_the_words(program: str, arguments: list[str]):
    assert executed(exec_line([program, *arguments])) == [program, *arguments]


def test_the_unit_runs_the_measured_interpreter_with_the_measured_flags():
    deployable = make_deployable()
    (line,) = values(systemd(deployable), "ExecStart")
    assert executed(line) == [*deployable.python, *deployable.serve_arguments("127.0.0.1")]


def test_an_engine_without_the_vllm_command_gets_its_model_by_a_flag():
    deployable = make_deployable(python=("/p", "-m", "vllm.entrypoints.openai.api_server"))
    (line,) = values(systemd(deployable), "ExecStart")
    assert executed(line)[:4] == ["/p", "-m", "vllm.entrypoints.openai.api_server", "--model=Qwen/Qwen3-8B"]
    (line,) = values(systemd(make_deployable(python=())), "ExecStart")
    assert executed(line)[:3] == ["vllm", "serve", "Qwen/Qwen3-8B"]


def test_the_unit_has_started_when_the_server_answers_within_the_measured_start_with_its_margin():
    text = systemd(make_deployable(model="/srv/m", is_directory=True, flags={}))
    assert values(text, "TimeoutStartSec") == ["222"]
    (wait,) = values(text, "ExecStartPost")
    assert executed(wait)[-1] == "http://127.0.0.1:8000/health"


def test_hardening_leaves_the_gpus_and_the_compiler_alone():
    keys = {line.partition("=")[0] for line in systemd(make_deployable()).splitlines()}
    assert {"NoNewPrivileges", "ProtectSystem", "DynamicUser"} <= keys
    assert not {"PrivateDevices", "MemoryDenyWriteExecute", "DevicePolicy"} & keys


def test_a_hostile_configuration_stays_text():
    hostile = make_hostile()
    text = systemd(hostile)
    (line,) = values(text, "ExecStart")
    assert executed(line) == [*hostile.python, *hostile.serve_arguments("127.0.0.1")]
    variables = [words(value)[0] for value in values(text, "Environment")]
    assert f"VLLM_LOGGING_PREFIX={HOSTILE}" in variables


def test_no_value_begins_a_line_of_its_own():
    text = systemd(make_deployable(env={"VLLM_A": "x\nExecStartPre=/bin/evil\t\u202e"}))
    assert values(text, "ExecStartPre") == []
    assert values(text, "Environment")[-1] == r'"VLLM_A=x\x0aExecStartPre=/bin/evil\x09\xe2\x80\xae"'


def test_the_gpus_of_the_study_are_the_units():
    text = systemd(make_deployable(gpus=(2, 3)))
    assert "CUDA_VISIBLE_DEVICES=2,3" in values(text, "Environment")
