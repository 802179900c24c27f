import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tuner.domain.flags import (
    CODE_OR_NETWORK,
    OWNED_BY_LAUNCHER,
    FixedFlags,
    FlagValue,
    canonical_name,
    fixed_name,
    from_arguments,
    normal_value,
    parse_command_line,
    parse_value,
    serve_command,
    to_arguments,
    tunable_name,
)

FIXED: TypeAdapter[dict[str, FlagValue]] = TypeAdapter(FixedFlags)


def _usable(name: str) -> bool:
    try:
        return fixed_name(name) == name
    except ValueError:
        return False


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,5}){0,3}(\.[a-z][a-z0-9_]{0,5}){0,2}", fullmatch=True).filter(
    _usable
)
NUMBER_LIKE = st.sampled_from(
    ["64", "0.90", "1.10", "007", "1e5", "12e45", "-1", "true", "false", "null", "NaN", "[1]"]
)
TEXTS = st.text(st.characters(categories=["L", "M", "N", "P", "S"], include_characters=" "), max_size=20)
VALUES = (
    st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | NUMBER_LIKE
    | TEXTS
)


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_flags_of_a_study_survive_the_way_to_argv_and_back(written: dict[str, FlagValue]) -> None:
    flags = FIXED.validate_python(written)
    back = from_arguments(to_arguments(flags))
    assert back == flags
    assert {name: type(value) for name, value in back.items()} == {name: type(value) for name, value in flags.items()}


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_normal_form_is_reached_in_one_step(written: dict[str, FlagValue]) -> None:
    flags = FIXED.validate_python(written)
    assert FIXED.validate_python(flags) == flags


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_the_serve_line_reads_back_as_the_flags(written: dict[str, FlagValue]) -> None:
    flags = FIXED.validate_python(written)
    assert parse_command_line(serve_command("org/model", flags)) == flags


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_every_argument_is_a_single_flag_whatever_its_value(written: dict[str, FlagValue]) -> None:
    assert all(argument.startswith("--") for argument in to_arguments(written))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("-1", -1),
        ("0.90", 0.9),
        ("1e-05", 1e-05),
        ("true", True),
        ("false", False),
        ("auto", "auto"),
        ("007", "007"),
        ("1e5", "1e5"),
        ("12e45", "12e45"),
        ("1" * 400 + ".0", "1" * 400 + ".0"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("null", "null"),
        ('{"a": 1}', '{"a": 1}'),
        ("[" * 100_000, "[" * 100_000),
        ("", ""),
    ],
)
def test_text_becomes_a_number_only_where_it_reads_back_as_that_number(text: str, value: FlagValue) -> None:
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_a_revision_stays_text() -> None:
    assert normal_value("revision", "1.10") == "1.10"
    assert normal_value("revision", 7) == "7"
    assert from_arguments(["--revision=1.10"]) == {"revision": "1.10"}


def test_the_same_argument_is_the_same_value() -> None:
    assert FIXED.validate_python({"max-num-seqs": "64"}) == FIXED.validate_python({"max_num_seqs": 64})


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("--max-num-seqs 64 --enforce-eager", {"max-num-seqs": 64, "enforce-eager": True}),
        ("vllm serve org/model --max_num_seqs=64", {"max-num-seqs": 64}),
        ("vllm serve org/model \\\n  --max-num-seqs 64 \\\n  -tp 2", {"max-num-seqs": 64, "tensor-parallel-size": 2}),
        ("--no-enable-prefix-caching", {"enable-prefix-caching": False}),
        ("-cc.cudagraph_mode=NONE -q fp8", {"compilation-config.cudagraph_mode": "NONE", "quantization": "fp8"}),
        ("--watermark -0.5", {"watermark": -0.5}),
        ("", {}),
    ],
)
def test_a_command_line_of_today_is_understood(line: str, flags: dict[str, FlagValue]) -> None:
    assert parse_command_line(line) == flags


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("max-num-seqs 64", "belongs to no flag"),
        ("--max-num-seqs 64 65", "'65' belongs to no flag"),
        ("--enforce-eager -x 2", "no flag that is known"),
        ("--max-num-seqs 64 --max_num_seqs 65", "stands twice"),
        ("--no-enforce-eager=1", "takes no value"),
        ("--max-num-seqs '64", "quotation"),
        ("--Max-Seqs 1", "not a flag name"),
        ("--", "not a flag name"),
    ],
)
def test_a_line_that_is_no_list_of_flags_is_refused(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_command_line(line)


@pytest.mark.parametrize(
    "name", [";rm", "$(id)", "--", "<script>", "../x", "a b", "max--num", "", "a=b", "-x", "é", "a\n"]
)
def test_a_hostile_name_is_no_flag(name: str) -> None:
    with pytest.raises(ValueError, match="not a flag name"):
        canonical_name(name)


@pytest.mark.parametrize("spelling", ["max-num-seqs", "max_num_seqs", "--max-num-seqs", "--max_num_seqs"])
def test_every_spelling_of_vllm_has_one_canonical_name(spelling: str) -> None:
    assert canonical_name(spelling) == "max-num-seqs"


@pytest.mark.parametrize("name", sorted(OWNED_BY_LAUNCHER))
def test_a_flag_of_the_launcher_can_neither_be_fixed_nor_tuned(name: str) -> None:
    for check in (fixed_name, tunable_name):
        with pytest.raises(ValueError, match="set by the launcher"):
            check(name)


@pytest.mark.parametrize("name", sorted(CODE_OR_NETWORK))
def test_a_flag_that_loads_code_cannot_be_tuned(name: str) -> None:
    with pytest.raises(ValueError, match=r"can't be tuned"):
        tunable_name(name)


@pytest.mark.parametrize(
    "name", ["trust-remote", "trust_remote_cod", "compilation-config.backend.x", "comp.backend", "sched", "hos", "t"]
)
def test_a_beginning_that_argparse_takes_for_a_forbidden_flag_is_forbidden(name: str) -> None:
    with pytest.raises(ValueError, match=r"can't be tuned|set by the launcher"):
        tunable_name(name)


@pytest.mark.parametrize("name", ["compilation-config", "speculative_config", "comp"])
def test_a_json_flag_is_tuned_key_by_key(name: str) -> None:
    with pytest.raises(ValueError, match="as a whole"):
        tunable_name(name)
    assert tunable_name("speculative-config.num_speculative_tokens") == "speculative-config.num_speculative_tokens"


@pytest.mark.parametrize(
    "name", ["max-num-seqs", "kv-cache-dtype", "compilation-config.cudagraph_mode", "tokenizer-mode"]
)
def test_an_engine_flag_can_be_tuned(name: str) -> None:
    assert tunable_name(name) == name


def test_a_negated_flag_is_written_as_false() -> None:
    with pytest.raises(ValueError, match="write enable-prefix-caching: false"):
        fixed_name("no-enable-prefix-caching")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"max-num-seqs": 1, "max_num_seqs": 2}, "two spellings"),
        ({"watermark": math.nan}, "not a finite number"),
        ({"watermark": math.inf}, "not a finite number"),
        ({"dtype": "a\x00b"}, "control character"),
        ({"dtype": "a\nb"}, "control character"),
        ({"dtype": "a\u202eb"}, "can't be seen"),
        ({"otlp-traces-endpoint": "http://me:pass-word@host:1"}, "holds a password"),
        ({"hf-token": "hf_0123456789"}, "export HF_TOKEN"),
        ("--hf_tok hf_0123456789", "export HF_TOKEN"),
        ({"port": 1}, "set by the launcher"),
        ("--host 0.0.0.0", "set by the launcher"),
    ],
)
def test_impossible_fixed_flags_are_refused(flags: object, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        FIXED.validate_python(flags)


def test_a_negated_and_a_dotted_boolean_have_their_own_spelling() -> None:
    flags = {"enable-prefix-caching": False, "enforce-eager": True, "compilation-config.pass_config.enable_sp": False}
    assert to_arguments(flags) == [
        "--compilation-config.pass_config.enable_sp=false",
        "--no-enable-prefix-caching",
        "--enforce-eager",
    ]


def test_the_serve_line_is_quoted_for_a_shell() -> None:
    line = serve_command("my model", {"quantization-config": '{"a": 1}', "max-num-seqs": 8})
    assert line == """vllm serve 'my model' --max-num-seqs=8 '--quantization-config={"a": 1}'"""
