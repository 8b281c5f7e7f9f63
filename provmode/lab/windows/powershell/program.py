"""``powershell.exe``: its command line, and the evaluation of a script."""

from __future__ import annotations

import base64
import json
from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import Any

from provmode.lab.windows.powershell import language, nodes, provisioning
from provmode.lab.windows.powershell.dotnet import DotNet, DotNetError, Opaque, Record, UnknownMember, member, text
from provmode.lab.windows.powershell.language import ParseProblem
from provmode.lab.windows.powershell.nodes import Block, Node
from provmode.lab.windows.session import Session

_FLAGS = {"-nologo", "-noprofile", "-noninteractive", "-sta", "-mta", "-noexit"}
_WITH_VALUE = {"-executionpolicy", "-ep", "-inputformat", "-outputformat", "-windowstyle", "-version"}


_MAX_TURNS = 10_000
_CORE_TYPES = {
    *("string", "int", "int32", "int64", "long", "bool", "boolean", "byte", "char", "array", "hashtable", "guid"),
    *("datetime", "timespan", "double", "decimal", "regex", "version", "uri"),
}
"""Of the types that scripts may use in constrained language mode: Microsoft, "about_Language_Modes"."""
_CORE_VALUES = (str, bool, int, bytes, list, dict)


class _Exit(Exception):
    """``exit N``."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def run(session: Session, words: list[str]) -> Generator[None, bytes, int]:
    """Run ``powershell.exe`` with these arguments.

    It waits for standard input only if its script is there, or before the first statement that reads it.
    """
    script = _script(words)
    if script is None:
        session.print_error("Cannot process the command because of a missing parameter.\r\n")
        return 1
    given: bytes | None = None
    if script == "-":
        script, given = (yield).decode("utf-8", "replace"), b""
    evaluation = _Evaluation(session)
    try:
        for statement in language.parse(script):
            if given is None and language.reads_input(statement):
                given = yield
                evaluation.give(given)
            evaluation.block((statement,))
    except _Exit as left:
        return left.code
    except ParseProblem as problem:
        session.print_error(f"{problem}\r\n    + CategoryInfo          : ParserError: (:) [], ParseException\r\n")
        return 1
    except DotNetError as error:
        session.print_error(f"{error.message}\r\n    + FullyQualifiedErrorId : {error.type_name}\r\n")
        return 1
    except UnknownMember as problem:
        session.print_error(f"Method invocation failed: '{problem}' is not available.\r\n")
        return 1
    except RecursionError:
        session.print_error("The script failed due to call depth overflow.\r\n")
        return 1
    return 0


def _script(words: list[str]) -> str | None:
    at = 0
    while at < len(words):
        word = words[at].lower()
        if word in _FLAGS:
            at += 1
        elif word in _WITH_VALUE:
            at += 2
        elif word in ("-encodedcommand", "-enc", "-e", "-ec"):
            try:
                return base64.b64decode(words[at + 1], validate=True).decode("utf-16-le")
            except (IndexError, ValueError):
                return None
        elif word in ("-command", "-c"):
            return " ".join(words[at + 1 :]) or None
        else:
            return " ".join(words[at:])
    return "-"


class _Evaluation:
    """One run of a script."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._variables: dict[str, Any] = {"null": None, "true": True, "false": False}
        self._net = DotNet(session.pc, session.print)

    def give(self, stdin: bytes) -> None:
        """Take all of standard input."""
        self._net.stdin = stdin

    def block(self, statements: Block) -> None:
        for statement in statements:
            self._statement(statement)

    def _statement(self, node: Node) -> None:
        if isinstance(node, nodes.Assignment):
            self._assign(node)
        elif isinstance(node, nodes.If):
            self._if(node)
        elif isinstance(node, nodes.Try):
            self._try(node)
        elif isinstance(node, nodes.FlowControl):
            self._flow_control(node)
        elif isinstance(node, nodes.ForEach):
            self._foreach(node)
        else:
            value = self._value(node)
            records = isinstance(value, list) and any(isinstance(each, Record) for each in value)
            for each in value if records else [] if value is None else [value]:
                self._session.print(f"{text(each)}\r\n")

    def _assign(self, node: nodes.Assignment) -> None:
        value = self._value(node.value)
        if isinstance(node.target, nodes.Variable):
            if node.target.name not in ("null", "true", "false"):
                self._variables[node.target.name] = value
            return
        assert isinstance(node.target, nodes.Member)
        target = self._value(node.target.target)
        if not isinstance(target, dict):
            raise DotNetError("SetValueException", f"The property '{node.target.name}' cannot be found.")
        spelled = next((key for key in target if key.lower() == node.target.name.lower()), node.target.name)
        target[spelled] = value

    def _if(self, node: nodes.If) -> None:
        for condition, body in node.branches:
            if _is_true(self._value(condition)):
                self.block(body)
                return
        self.block(node.otherwise)

    def _foreach(self, node: nodes.ForEach) -> None:
        for each in _list(self._value(node.values)):
            self._session.turns += 1
            if self._session.turns > _MAX_TURNS:
                raise DotNetError("InsufficientMemoryException")
            self._variables[node.name] = each
            self.block(node.body)

    def _try(self, node: nodes.Try) -> None:
        try:
            self.block(node.body)
        except DotNetError as error:
            if node.handler is None:
                raise
            before = self._variables.get("_")
            self._variables["_"] = Opaque("record", error)
            self.block(node.handler)
            self._variables["_"] = before
        finally:
            self.block(node.cleanup)

    def _flow_control(self, node: nodes.FlowControl) -> None:
        value = self._value(node.value) if node.value is not None else None
        if node.word == "throw":
            raise DotNetError("RuntimeException", text(value) or "ScriptHalted")
        if node.word == "return" and value is not None:
            self._session.print(f"{text(value)}\r\n")
        raise _Exit(value if node.word == "exit" and isinstance(value, int) else 0)

    def _value(self, node: Node) -> Any:
        try:
            return self._evaluate(node)
        except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as problem:
            # the member does not take arguments of these types or this number
            raise DotNetError("MethodException", f"Cannot convert argument: {problem}") from None

    def _evaluate(self, node: Node) -> Any:
        if isinstance(node, nodes.Literal):
            return node.value
        if isinstance(node, nodes.Variable):
            return self._variables.get(node.name)
        if isinstance(node, nodes.Expandable):
            return "".join(text(self._value(part)) for part in node.parts)
        if isinstance(node, nodes.Hashtable):
            return {name: self._value(value) for name, value in node.pairs}
        if isinstance(node, nodes.Static):
            self._check_core(node.type, node.name, node.arguments)
            return self._net.static(node.type, node.name, self._arguments(node.arguments))
        if isinstance(node, nodes.Member):
            target = self._value(node.target)
            if node.arguments is not None and not isinstance(target, _CORE_VALUES):
                self._check_core(type(target).__name__, node.name, node.arguments)
            return member(target, node.name, self._arguments(node.arguments))
        if isinstance(node, nodes.Array):
            return _list(self._value(node.value))
        if isinstance(node, nodes.Cast):
            return self._cast(node)
        if isinstance(node, nodes.Pipeline):
            return self._command(node.command, [self._value(node.value)])
        if isinstance(node, nodes.Not):
            return not _is_true(self._value(node.operand))
        if isinstance(node, nodes.Binary):
            return self._binary(node)
        assert isinstance(node, nodes.Command)
        return self._command(node)

    def _arguments(self, nodes: tuple[Node, ...] | None) -> tuple[Any, ...] | None:
        return None if nodes is None else tuple(self._value(node) for node in nodes)

    def _binary(self, node: nodes.Binary) -> Any:
        left = self._value(node.left)
        if node.operator == "-and":
            return _is_true(left) and _is_true(self._value(node.right))
        if node.operator == "-or":
            return _is_true(left) or _is_true(self._value(node.right))
        right = self._value(node.right)
        if node.operator == "+":
            return f"{left}{text(right)}" if isinstance(left, str) else (left or 0) + (right or 0)
        if node.operator == "-":
            return (left or 0) - (right or 0)
        same = left == right
        if isinstance(left, str) and right is not None:  # only null equals null
            same = left.lower() == text(right).lower()
        if node.operator.endswith("eq"):
            return same
        if node.operator.endswith("ne"):
            return not same
        compare = {"-gt": left > right, "-lt": left < right, "-ge": left >= right, "-le": left <= right}
        if node.operator not in compare:
            raise UnknownMember(node.operator)
        return compare[node.operator]

    def _check_core(self, type_name: str, member_name: str, arguments: object) -> None:
        """Refuse what a PC in constrained language mode refuses: methods of other types than the core types."""
        core = type_name.lower().removeprefix("system.") in _CORE_TYPES
        if self._session.pc.constrained_language and arguments is not None and not core:
            made = member_name == "new"
            raise DotNetError(
                "CannotCreateTypeConstrainedLanguage" if made else "MethodInvocationNotSupportedInConstrainedLanguage",
                "Cannot create type. Only core types are supported in this language mode."
                if made
                else "Cannot invoke method. Method invocation is supported only on core types in this language mode.",
            )

    def _cast(self, node: nodes.Cast) -> Any:
        value, kind = self._value(node.value), node.type.lower().removeprefix("system.")
        if kind == "string":
            return text(value)
        if kind in ("int", "int32", "int64", "long"):
            return int(value or 0)
        if kind in ("bool", "boolean"):
            return _is_true(value)
        if kind == "void":
            return None
        raise UnknownMember(f"[{node.type}]")

    def _cmdlet(self, name: str, node: nodes.Command) -> Any:
        """Run a cmdlet of the module Provisioning; its failure ends the script only if it is to stop at failures."""
        elements = [(switch, None if value is None else self._value(value)) for switch, value in node.elements]
        asked = next((value for (switch, _), (_, value) in pairwise(elements) if switch == "erroraction"), None)
        try:
            return provisioning.run(self._session, name, elements)
        except DotNetError as error:
            action = text(asked if asked is not None else self._variables.get("erroractionpreference")).lower()
            if action == "stop" or error.type_name.startswith("ParameterBinding"):
                raise
            if action not in ("silentlycontinue", "ignore"):
                self._session.print_error(f"{error.message}\r\n    + FullyQualifiedErrorId : {error.type_name}\r\n")
            return None

    def _command(self, node: nodes.Command, given: Sequence[Any] = ()) -> Any:
        name = node.name.lower()
        if provisioning.is_cmdlet(name):
            return self._cmdlet(name, node)
        values = [*given, *(self._value(argument) for argument in node.arguments)]
        if name == "out-null":
            return None
        if name == "new-object":
            return values[0]
        if name == "convertfrom-json":
            try:
                return json.loads(values[0])
            except ValueError:
                raise DotNetError("ArgumentException", "Invalid JSON primitive.") from None
        if name == "convertto-json":
            compact = (",", ":") if "compress" in node.switches else None
            return json.dumps(values[0], separators=compact, indent=None if compact else 4)
        if name in ("write-output", "write-host"):
            self._session.print(f"{' '.join(map(text, values))}\r\n")
            return None
        raise DotNetError(
            "CommandNotFoundException", f"The term '{node.name}' is not recognized as the name of a cmdlet."
        )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _is_true(value: Any) -> bool:
    return bool(value)
