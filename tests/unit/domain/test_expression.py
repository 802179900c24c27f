import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.expression import Expression, expression

FLAGS = {"max-num-seqs": 64, "max-num-batched-tokens": 2048, "watermark": 0.5, "dtype": "auto", "enforce-eager": False}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("max-num-batched-tokens >= max-num-seqs", True),
        ("max-num-seqs < 32 or dtype == 'auto'", True),
        ("not enforce-eager and max-num-seqs <= 64", True),
        ("dtype in ['auto', 'half']", True),
        ("dtype not in ('auto', \"half\")", False),
        ("1 < max-num-seqs <= 64", True),
        ("max-num-batched-tokens % max-num-seqs == 0", True),
        ("max-num-batched-tokens // 100 - 20", 0),
        ("max(max-num-seqs, 100) / 8", 12.5),
        ("abs(0 - max-num-seqs)", 64),
        ("-max-num-seqs", -64),
        ("enforce-eager == false", True),
        ("max-num-seqs\n  >= 1e1", True),
    ],
)
def test_an_expression_evaluates_as_it_reads(text: str, value: object) -> None:
    assert expression(text).evaluate(FLAGS) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "max-num-seqs =",
        "max-num-seqs = 3",
        "max_num_seqs > 1",
        "Max-Num-Seqs > 1",
        "__import__('os').system('id')",
        "dtype.__class__",
        "open('x')",
        "[x for x in [1]]",
        "lambda: 1",
        "dtype[0]",
        "2 ** 99999999",
        "1 if enforce-eager else 2",
        "min()",
        "min(*dtype)",
        "min(dtype, key=abs)",
        "max",
        "f'{dtype}'",
        r"'\x41'",
        "'open",
        "1; 2",
        "{1: 2}",
        "dtype is dtype",
        "1j",
        "0x10",
        "1and 2",
        "a := 1",
        "a # b",
        "\x00",
        "not " * 100 + "enforce-eager",
        "(" * 240 + "1" + ")" * 240,
        "1" * 501,
    ],
)
def test_everything_else_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "dtype * 999999999",
        "'%999999999d' % max-num-seqs",
        "dtype < 3",
        "max-num-seqs / 0",
        "max-num-seqs % 0",
        "9" * 400 + " / 0.5 > 1",
        "min(3)",
        "max([])",
        "-dtype",
        "3 in max-num-seqs",
    ],
)
def test_what_cannot_be_evaluated_is_a_value_error_and_never_a_large_allocation(text: str) -> None:
    with pytest.raises(ValueError, match="can't be evaluated"):
        expression(text).evaluate(FLAGS)


def test_an_expression_that_reads_an_omitted_flag_has_no_value_and_holds() -> None:
    reading = expression("block-size > 16 and max-num-seqs > 100")
    assert reading.evaluate(FLAGS) is None
    assert reading.holds(FLAGS)


def test_names_are_the_flags_that_are_read_and_hyphens_and_dots_stay_apart() -> None:
    reading = expression("a-b + 10 * a.b + 100 * f0 + min(c, 1)")
    assert reading.names == {"a-b", "a.b", "f0", "c"}
    assert reading.evaluate({"a-b": 1, "a.b": 2, "f0": 3, "c": 9}) == 322


def test_parsing_is_cached_per_text() -> None:
    assert expression("max-num-seqs > 1") is expression("max-num-seqs > 1")


@given(st.text(max_size=60))
def test_arbitrary_text_raises_nothing_but_value_errors(text: str) -> None:
    _parse_and_evaluate(text)


TOKENS = [
    *("max-num-seqs", "dtype", "'a'", "'%9d'", "1", "2.5", "1e9", "true", "min", "max", "abs"),
    *("(", ")", "[", "]", ",", "+", "-", "*", "/", "//", "%", "<", "==", "and", "or", "not", "in"),
]


@given(st.lists(st.sampled_from(TOKENS), max_size=14).map(" ".join))
def test_arbitrary_tokens_raise_nothing_but_value_errors(text: str) -> None:
    _parse_and_evaluate(text)


def _parse_and_evaluate(text: str) -> None:
    try:
        Expression(text).holds(FLAGS)
    except ValueError as error:
        assert str(error)  # noqa: PT017  # any other error fails the test


# A random tree, written as text and computed in plain Python: both must agree.

Tree = tuple[str, Callable[[dict[str, int]], Any]]
ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def _number(value: int) -> Tree:
    return str(value), lambda _: value


def _flag(name: str) -> Tree:
    return name, lambda flags: flags[name]


def _binary(table: dict[str, Callable[[Any, Any], Any]]) -> Callable[[tuple[Tree, str, Tree]], Tree]:
    def build(parts: tuple[Tree, str, Tree]) -> Tree:
        (left, compute_left), sign, (right, compute_right) = parts
        return f"({left} {sign} {right})", lambda flags: table[sign](compute_left(flags), compute_right(flags))

    return build


def _logic(parts: tuple[Tree, str, Tree]) -> Tree:
    (left, compute_left), word, (right, compute_right) = parts
    combine = all if word == "and" else any
    return f"({left} {word} {right})", lambda flags: combine((compute_left(flags), compute_right(flags)))


def _negation(tree: Tree) -> Tree:
    return f"(not {tree[0]})", lambda flags: not tree[1](flags)


NUMBERS: st.SearchStrategy[Tree] = st.recursive(
    st.integers(0, 50).map(_number) | st.sampled_from(["a", "b-c", "d.e_f"]).map(_flag),
    lambda inner: st.tuples(inner, st.sampled_from(sorted(ARITHMETIC)), inner).map(_binary(ARITHMETIC)),
    max_leaves=6,
)
BOOLEANS: st.SearchStrategy[Tree] = st.recursive(
    st.tuples(NUMBERS, st.sampled_from(sorted(COMPARISONS)), NUMBERS).map(_binary(COMPARISONS)),
    lambda inner: st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(_logic) | inner.map(_negation),
    max_leaves=4,
)


@given(BOOLEANS.filter(lambda tree: len(tree[0]) <= 500), st.tuples(*[st.integers(-20, 20)] * 3))
def test_evaluation_agrees_with_python(tree: Tree, values: tuple[int, ...]) -> None:
    text, compute = tree
    flags = dict(zip(["a", "b-c", "d.e_f"], values, strict=True))
    assert expression(text).evaluate(flags) == compute(flags)
