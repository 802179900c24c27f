"""A small, safe expression language over flags, for conditions and constraints of a search space.

`max-num-batched-tokens >= max-num-seqs`, `enable-chunked-prefill and max-num-seqs <= 256`, `dtype in ['a', 'b']`.
Flag names keep their hyphens; a minus sign stands between spaces. The text is cut into the tokens of this language,
parsed with `ast` and walked node by node: nothing is evaluated by Python, no attribute is read, only `min`, `max` and
`abs` can be called, and arithmetic takes numbers only.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from tuner.domain.flags import FLAG_NAME, Flags, FlagValue

_LONGEST = 500
_DEEPEST = 20
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    | (?P<text>'[^'\\\r\n]*'|"[^"\\\r\n]*")
    | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.]))
    | (?P<word>{FLAG_NAME.pattern}(?![\w.-]))
    | (?P<mark>==|!=|<=|>=|//|[-+*/%<>()\[\],])
    """,
    re.VERBOSE,
)
_WORDS = frozenset({"and", "or", "not", "in", "min", "max", "abs"})
_CONSTANTS = {"true": "True", "false": "False"}

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda left, right: left / right,
    ast.FloorDiv: lambda left, right: left // right,
    ast.Mod: operator.mod,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.Not: operator.not_}
_CALLS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs}


class Expression:
    """A parsed expression. `names` are the flags it reads; evaluating it has no side effect."""

    def __init__(self, text: str) -> None:
        """Parse the text.

        Raises:
            ValueError: the text is no expression of this language; the message says which part.
        """
        self.text = text
        code, self._flag_of = _translate(text)
        self._body = _parse(code, text)
        _check(self._body, 0)
        self.names = frozenset(self._flag_of.values())

    def evaluate(self, flags: Flags) -> FlagValue | None:
        """Return the expression's value, or None when a flag that it reads has none.

        Raises:
            ValueError: operands of the wrong type, or a division by zero.
        """
        if not self.names <= flags.keys():
            return None
        values = {identifier: flags[name] for identifier, name in self._flag_of.items()}
        try:
            return _evaluate(self._body, values)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ValueError(f"{self.text!r} can't be evaluated: {error}") from error

    def holds(self, flags: Flags) -> bool:
        """Return whether it is true; one that reads a flag without a value holds."""
        value = self.evaluate(flags)
        return value is None or bool(value)


@lru_cache(maxsize=1024)
def expression(text: str) -> Expression:
    """Return the parsed expression, parsed once per text."""
    return Expression(text)


def _translate(text: str) -> tuple[str, dict[str, str]]:
    """Return Python's spelling of the text, token by token, and the flag behind each of its identifiers."""
    if len(text) > _LONGEST:
        raise ValueError(f"an expression of {len(text)} characters: the limit is {_LONGEST}")
    identifiers: dict[str, str] = {}
    pieces: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(_not_understood(text, position))
        pieces.append(_piece(match, identifiers))
        position = match.end()
    return "".join(pieces).strip(), {identifier: name for name, identifier in identifiers.items()}


def _piece(match: re.Match[str], identifiers: dict[str, str]) -> str:
    word = match[0]
    if match["space"]:
        return " "
    if not match["word"] or word in _WORDS:
        return word
    return _CONSTANTS.get(word) or identifiers.setdefault(word, f"f{len(identifiers)}")


def _not_understood(text: str, position: int) -> str:
    rest = text[position:].split(maxsplit=1)[0][:40]
    if re.match(r"[A-Za-z_]", rest):
        return f"{rest!r} is no flag name: write it as vLLM does, such as max-num-seqs"
    return f"{rest!r} can't be used in an expression"


def _parse(code: str, text: str) -> ast.expr:
    try:
        return ast.parse(code, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text!r} is no expression: write it like max-num-batched-tokens >= max-num-seqs") from error


def _check(node: ast.AST, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError("the expression is nested too deeply")
    if not _is_allowed(node):
        raise ValueError(f"a {type(node).__name__.lower()} can't be used here: only min, max and abs can be called")
    for child in _children(node):
        _check(child, depth + 1)


def _children(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.Call):
        return list(node.args)
    return [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr_context)]


def _is_allowed(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=value):
            return isinstance(value, (bool, int, float, str))
        case ast.Name(id=identifier):
            return identifier not in _CALLS
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]):
            return function in _CALLS and bool(arguments)
        case ast.BoolOp() | ast.BinOp() | ast.UnaryOp() | ast.Compare() | ast.List() | ast.Tuple():
            return True
        case ast.And() | ast.Or():
            return True
        case _:
            return any(type(node) in table for table in (_BINARY, _COMPARE, _UNARY))


def _evaluate(node: ast.AST, values: Mapping[str, FlagValue]) -> Any:  # noqa: ANN401, PLR0911  # a case a node
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=identifier):
            return values[identifier]
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_evaluate(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_evaluate(part, values) for part in parts)
        case ast.BinOp(left=left, op=operation, right=right):
            return _BINARY[type(operation)](_number(_evaluate(left, values)), _number(_evaluate(right, values)))
        case ast.UnaryOp(op=operation, operand=operand):
            return _UNARY[type(operation)](_evaluate(operand, values))
        case ast.Compare():
            return _compare(node, values)
        case ast.Call(func=ast.Name(id=function), args=arguments):
            return _CALLS[function](*(_evaluate(argument, values) for argument in arguments))
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_evaluate(part, values) for part in parts]
        case _:
            raise AssertionError(f"unchecked node {node!r}")


def _number(value: Any) -> Any:  # noqa: ANN401
    # Python would repeat and format texts without bound: 'a' * 999999999, '%999999999d' % 1.
    if not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a number")
    return value


def _compare(node: ast.Compare, values: Mapping[str, FlagValue]) -> bool:
    left = _evaluate(node.left, values)
    for operation, right_node in zip(node.ops, node.comparators, strict=True):
        right = _evaluate(right_node, values)
        if not _COMPARE[type(operation)](left, right):
            return False
        left = right
    return True


def _valid(text: str) -> str:
    expression(text)
    return text


ExpressionText = Annotated[str, AfterValidator(_valid), Field(max_length=_LONGEST)]
"""The text of a valid expression."""
