"""Where a module can be changed by one small fault: a mutant. Pure: text in, mutants out."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass

COMPARED = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
CALCULATED = {ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.FloorDiv: "*", ast.Div: "*", ast.Mod: "*"}
_BLOCKS = ("body", "orelse", "handlers", "finalbody")
_UNTOUCHED = {"__all__", "TypeVar", "ParamSpec", "NewType", "cast", "getLogger"}


@dataclass(frozen=True)
class Mutant:
    """One fault: *after* stands in the module instead of *before*."""

    kind: str
    line: int
    before: str
    after: str
    start: int
    """Offset of *before* in the module's UTF-8 bytes."""
    lines: tuple[int, int]
    """First and last line of the statement, or of the head of a block: a test that runs one of them can notice.

    In a generator those of its whole body, as coverage loses track of a generator that an error is thrown into."""
    at_import: bool
    """Whether the statement runs when the module is imported, so that every test of the module can notice."""

    def apply(self, source: str) -> str:
        """Return the module with the fault."""
        data, old = source.encode(), self.before.encode()
        return (data[: self.start] + self.after.encode() + data[self.start + len(old) :]).decode()

    def __str__(self) -> str:
        """Return the fault on one line."""
        return f"L{self.line} {self.kind}: `{_short(self.before)}` -> `{_short(self.after)}`"


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its lines.

    Raises:
        SyntaxError: *source* is not Python.
    """
    return sorted(set(_Finder(source).found()), key=lambda mutant: (mutant.start, mutant.kind, mutant.after))


def sample(source: str, count: int, seed: str) -> list[Mutant]:
    """Return *count* mutants of a module that compile, or all of them; the same for the same seed."""
    chosen: list[Mutant] = []
    found = mutants(source)
    for mutant in random.Random(seed).sample(found, len(found)):  # noqa: S311 - no secret
        if len(chosen) == count:
            break
        if _compiles(mutant.apply(source)):
            chosen.append(mutant)
    return sorted(chosen, key=found.index)


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 110 else f"{line[:107]}..."


class _Finder:
    def __init__(self, source: str) -> None:
        self._tree = ast.parse(source)
        self._data = source.encode()
        self._starts = [0]
        for line in self._data.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def found(self) -> Iterator[Mutant]:
        yield from self._block(self._tree.body, at_import=True)

    def _block(
        self, body: list[ast.stmt], function: tuple[int, int] | None = None, *, at_import: bool
    ) -> Iterator[Mutant]:
        for statement in body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue  # a docstring, also that of an attribute
            yield from self._statement(statement, function, at_import=at_import)

    def _statement(self, statement: ast.stmt, function: tuple[int, int] | None, *, at_import: bool) -> Iterator[Mutant]:
        inner = isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef))
        last = statement.end_lineno or statement.lineno
        blocks = [value for name in _BLOCKS if isinstance(value := getattr(statement, name, None), list) and value]
        blocks += [case.body for case in statement.cases] if isinstance(statement, ast.Match) else []
        if blocks:
            last = max(statement.lineno, min(_first_line(block[0]) for block in blocks) - 1)
        here = function or (statement.lineno, last)
        within = function if not inner else (last + 1, statement.end_lineno or last) if _yields(statement) else None
        for change in self._head(statement):
            node, kind, after = change
            yield self._mutant(node, kind, after, here, at_import=at_import)
        for block in blocks:
            for item in block:
                if isinstance(item, ast.ExceptHandler):
                    yield from self._block(item.body, within, at_import=at_import)
            if not isinstance(block[0], ast.ExceptHandler):
                yield from self._block(block, within, at_import=at_import and not inner)

    def _mutant(
        self, node: ast.expr | ast.stmt, kind: str, after: str, here: tuple[int, int], *, at_import: bool
    ) -> Mutant:
        start = self._starts[node.lineno - 1] + node.col_offset
        end = self._starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        return Mutant(kind, node.lineno, self._data[start:end].decode(), after, start, here, at_import)

    def _head(self, statement: ast.stmt) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
        """Yield the changes of a statement, without those of the statements in its blocks."""
        if isinstance(statement, ast.Raise):
            yield statement, "remove-raise", "pass"
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield statement, "remove-stmt", "pass"
        if isinstance(statement, (ast.AugAssign, ast.Delete)):
            yield statement, "remove-stmt", "pass"
        if isinstance(statement, ast.Return) and statement.value is not None and not _is_none(statement.value):
            yield statement, "return-none", "return None"
        if isinstance(statement, (ast.If, ast.While)):
            yield statement.test, "negate-if", f"(not ({self._text(statement.test)}))"
            yield statement.test, "if-false", "False"
        for expression in _expressions(statement):
            yield from self._expression(expression)

    def _expression(self, node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
        if isinstance(node, ast.JoinedStr):
            return  # its parts have no place of their own in the source before Python 3.12
        if isinstance(node, ast.Subscript) and _name(node.value) == "Literal":
            return  # a type
        if isinstance(node, ast.Lambda):
            yield from self._expression(node.body)
            return
        yield from self._changes(node)
        if isinstance(node, ast.Call) and _name(node.func) in _UNTOUCHED:
            return
        for child in ast.iter_child_nodes(node):
            yield from self._expression(child)

    def _changes(self, node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bool):
                yield node, "bool", str(not node.value)
            elif isinstance(node.value, int):
                yield node, "int", str(node.value + 1)
            elif isinstance(node.value, str) and node.value:
                yield node, "str", repr(f"XX{node.value}")
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            after = COMPARED[type(node.ops[0])]
            yield node, "compare", f"({self._text(node.left)} {after} {self._text(node.comparators[0])})"
        elif isinstance(node, ast.Compare):
            for place, operator in enumerate(node.ops):
                text = self._text(node.left)
                for number, value in enumerate(node.comparators):
                    sign = COMPARED[type(operator)] if number == place else _SIGNS[type(node.ops[number])]
                    text = f"{text} {sign} {self._text(value)}"
                yield node, "compare", f"({text})"
        elif isinstance(node, ast.BoolOp):
            operands = [f"({self._text(value)})" for value in node.values]
            now, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            yield node, "andor", f"({f' {other} '.join(operands)})"
            for place in range(len(operands)):
                yield node, "drop-operand", f"({f' {now} '.join(operands[:place] + operands[place + 1 :])})"
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, "un-not", f"({self._text(node.operand)})"
        elif isinstance(node, ast.IfExp):
            yield node.test, "negate-if", f"(not ({self._text(node.test)}))"
        elif isinstance(node, ast.BinOp) and type(node.op) in CALCULATED:
            after = CALCULATED[type(node.op)]
            yield node, "arith", f"({self._text(node.left)} {after} {self._text(node.right)})"
        elif isinstance(node, ast.Call):
            yield from self._swapped(node)
        elif isinstance(node, (ast.Tuple, ast.List, ast.Set)) and isinstance(
            getattr(node, "ctx", ast.Load()), ast.Load
        ):
            if len(node.elts) > 1:
                yield from ((node, "drop-element", text) for text in self._shorter(node))
        elif isinstance(node, ast.Dict) and len(node.values) > 1:
            pairs = [
                f"**{self._text(value)}" if key is None else f"{self._text(key)}: {self._text(value)}"
                for key, value in zip(node.keys, node.values, strict=True)
            ]
            for place in range(len(pairs)):
                yield node, "drop-element", f"{{{', '.join(pairs[:place] + pairs[place + 1 :])}}}"

    def _swapped(self, node: ast.Call) -> Iterator[tuple[ast.expr, str, str]]:
        """Swap the first two arguments of a call."""
        if len(node.args) < 2 or any(isinstance(argument, ast.Starred) for argument in node.args[:2]):
            return
        first, second = self._text(node.args[0]), self._text(node.args[1])
        if first == second:
            return
        rest = [self._text(argument) for argument in node.args[2:]]
        rest += [
            f"**{self._text(item.value)}" if item.arg is None else f"{item.arg}={self._text(item.value)}"
            for item in node.keywords
        ]
        yield node, "swap-args", f"{self._text(node.func)}({', '.join([second, first, *rest])})"

    def _shorter(self, node: ast.Tuple | ast.List | ast.Set) -> Iterator[str]:
        opening, closing = {ast.Tuple: "()", ast.List: "[]", ast.Set: "{}"}[type(node)]
        texts = [self._text(item) for item in node.elts]
        for place in range(len(texts)):
            rest = texts[:place] + texts[place + 1 :]
            yield f"{opening}{', '.join(rest)}{',' if len(rest) == 1 and opening == '(' else ''}{closing}"

    def _text(self, node: ast.expr) -> str:
        """Return the source of an expression, as one line if it has several."""
        start = self._starts[node.lineno - 1] + node.col_offset
        end = self._starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        text = self._data[start:end].decode()
        if "\n" not in text and not isinstance(node, (ast.NamedExpr, ast.Yield, ast.YieldFrom)):
            return text
        return f"({ast.unparse(node)})" if isinstance(node, _LOOSE) else ast.unparse(node)


_LOOSE = (ast.NamedExpr, ast.Yield, ast.YieldFrom, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Lambda)
_SIGNS = {
    **{ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="},
    **{ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in"},
}


def _expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yield the expressions in the head of a statement that run; annotations, bases and subscripts of types do not."""
    if isinstance(statement, (ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal)):
        return
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        defaults = [*statement.args.defaults, *statement.args.kw_defaults]
        yield from (item for item in (*statement.decorator_list, *defaults) if item is not None)
        return
    if isinstance(statement, ast.ClassDef):
        yield from statement.decorator_list
        return
    if isinstance(statement, ast.AnnAssign):
        if statement.value is not None:
            yield statement.value
        return
    if isinstance(statement, ast.Assign) and any(_name(target) in _UNTOUCHED for target in statement.targets):
        return
    for name, value in ast.iter_fields(statement):
        if name in _BLOCKS or name == "cases":
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.expr):
                yield item
            elif isinstance(item, ast.withitem):
                yield item.context_expr


def _yields(function: ast.stmt) -> bool:
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in ast.walk(function))


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _first_line(node: ast.stmt | ast.ExceptHandler) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(item.lineno for item in decorators)])
