"""Tokens and syntax of the PowerShell subset. Source: "Windows PowerShell Language Specification 3.0"."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass

from provmode.lab.windows.powershell.nodes import (
    Array,
    Assignment,
    Binary,
    Block,
    Cast,
    Command,
    Expandable,
    FlowControl,
    ForEach,
    Hashtable,
    If,
    Literal,
    Member,
    Node,
    Not,
    Pipeline,
    Static,
    Try,
    Variable,
)


class ParseProblem(ValueError):
    """The script is outside the subset; the message names the token."""


def reads_input(part: object) -> bool:
    """Return whether a statement opens the standard input."""
    if isinstance(part, Static) and part.type.lower().removeprefix("system.") == "console":
        return part.name.lower() == "openstandardinput"
    if isinstance(part, tuple):
        return any(reads_input(item) for item in part)
    return is_dataclass(part) and any(reads_input(getattr(part, each.name)) for each in fields(part))


_TOKEN = re.compile(
    r"""(?P<space>[ \t]+|`\r?\n|\#[^\n]*)|(?P<line>\r?\n|;)|(?P<text>'(?:[^']|'')*')|(?P<expand>"(?:[^"`]|`.|"")*")"""
    r"""|(?P<number>0x[0-9a-fA-F]+|[0-9]{1,300})|(?P<variable>\$(?:_|[A-Za-z][\w:]*))|(?P<operator>-(?:c|i)?(?:eq|ne|gt|lt|ge|le|and|or|not|like|match)\b)"""
    r"""|(?P<switch>-[A-Za-z]+)|(?P<type>\[[A-Za-z][\w.]*\])|(?P<word>[A-Za-z][\w-]*)|(?P<sign>::|@\{|@\(|[(){}.,=+\-!|:])""",
    re.IGNORECASE,
)
_KEYWORDS = {"if", "elseif", "else", "try", "catch", "finally", "throw", "exit", "return", "foreach"}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


def tokens(script: str) -> list[tuple[str, str]]:
    """Return the tokens of a script as (kind, text), without blanks and comments."""
    found, at = [], 0
    while at < len(script):
        match = _TOKEN.match(script, at)
        if match is None or match.lastgroup is None:
            raise ParseProblem(f"Unexpected token '{script[at : at + 20].splitlines()[0]}' in expression or statement.")
        if match.lastgroup != "space":
            found.append((match.lastgroup, match.group()))
        at = match.end()
    return found


def parse(script: str) -> Block:
    """Return the statements of a script.

    Raises:
        ParseProblem: the script is outside the subset.
    """
    parser = _Parser(tokens(script))
    block = parser.statements(until="")
    if parser.peek() is not None:
        raise ParseProblem(f"Unexpected token '{parser.peek()[1]}' in expression or statement.")  # type: ignore[index]
    return block


class _Parser:
    def __init__(self, found: list[tuple[str, str]]) -> None:
        self._tokens = found
        self._at = 0
        self._depth = 0

    # -- tokens -----------------------------------------------------------------------------------------------

    def peek(self) -> tuple[str, str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _is(self, text: str) -> bool:
        token = self.peek()
        return token is not None and token[0] not in ("text", "expand") and token[1].lower() == text

    def _take(self, text: str) -> bool:
        if self._is(text):
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        self._skip_newlines()
        if not self._take(text):
            raise ParseProblem(f"Missing '{text}' in statement.")

    def _next(self) -> tuple[str, str]:
        token = self.peek()
        if token is None:
            raise ParseProblem("The script ends early.")
        self._at += 1
        return token

    def _skip_newlines(self) -> None:
        while (token := self.peek()) is not None and token[0] == "line":
            self._at += 1

    # -- statements -------------------------------------------------------------------------------------------

    def statements(self, until: str) -> Block:
        found: list[Node] = []
        self._skip_newlines()
        while self.peek() is not None and not (until and self._is(until)):
            found.append(self._statement())
            token = self.peek()
            ended = token is None or token[0] == "line" or (until and self._is(until)) or token[1] == "}"
            if token is not None and not ended and not isinstance(found[-1], (If, Try)):
                raise ParseProblem(f"Unexpected token '{token[1]}' in expression or statement.")
            if token is not None and token[1] == "}" and until != "}":
                break
            self._skip_newlines()
        return tuple(found)

    def _block(self) -> Block:
        self._depth += 1
        if self._depth > 30:
            raise ParseProblem("The script is nested too deep.")
        self._expect("{")
        inner = self.statements(until="}")
        self._expect("}")
        self._depth -= 1
        return inner

    def _statement(self) -> Node:
        token = self.peek()
        word = token[1].lower() if token is not None and token[0] == "word" else ""
        if word == "if":
            return self._if()
        if word == "try":
            return self._try()
        if word == "foreach":
            return self._foreach()
        if word in ("throw", "exit", "return"):
            self._at += 1
            following = self.peek()
            ends = following is None or following[0] == "line" or following[1] == "}"
            return FlowControl(word, None if ends else self._pipeline())
        value = self._pipeline()
        if self._take("="):
            if not isinstance(value, (Variable, Member)):
                raise ParseProblem("The assignment expression is not valid.")
            self._skip_newlines()
            return Assignment(value, self._pipeline())
        return value

    def _if(self) -> Node:
        branches = []
        self._at += 1
        while True:
            self._expect("(")
            condition = self._pipeline()
            self._expect(")")
            branches.append((condition, self._block()))
            if not self._after_block("elseif"):
                break
        otherwise = self._block() if self._after_block("else") else ()
        return If(tuple(branches), otherwise)

    def _foreach(self) -> Node:
        self._at += 1
        self._expect("(")
        kind, name = self._next()
        if kind != "variable" or not self._take("in"):
            raise ParseProblem("Missing variable name after foreach.")
        values = self._pipeline()
        self._expect(")")
        return ForEach(name[1:].lower(), values, self._block())

    def _try(self) -> Node:
        self._at += 1
        body = self._block()
        handler = self._block() if self._after_block("catch") else None
        cleanup = self._block() if self._after_block("finally") else ()
        return Try(body, handler, cleanup)

    def _after_block(self, word: str) -> bool:
        at = self._at
        self._skip_newlines()
        if self._take(word):
            return True
        self._at = at
        return False

    # -- expressions ------------------------------------------------------------------------------------------

    def _pipeline(self) -> Node:
        node = self._stage()
        while self._take("|"):
            self._skip_newlines()
            command = self._stage()
            if not isinstance(command, Command):
                raise ParseProblem("Expressions are only allowed as the first element of a pipeline.")
            node = Pipeline(node, command)
        return node

    def _stage(self) -> Node:
        token = self.peek()
        if token is not None and token[0] == "word" and token[1].lower() not in _KEYWORDS:
            return self._command()
        return self._logical()

    def _command(self) -> Node:
        name = self._next()[1]
        elements: list[tuple[str, Node | None]] = []
        while (token := self.peek()) is not None and token[0] != "line" and token[1] not in (")", "}", "|"):
            if token[0] == "switch":
                switch = self._next()[1][1:].lower()
                elements.append((switch, self._postfix() if self._take(":") else None))
            elif token[0] == "word":
                elements.append(("", self._bare_argument()))
            else:
                elements.append(("", self._postfix()))
        arguments = tuple(value for switch, value in elements if not switch and value is not None)
        return Command(name, arguments, tuple(switch for switch, _ in elements if switch), tuple(elements))

    def _bare_argument(self) -> Node:
        """Read an unquoted argument: a type's name (``IO.StreamReader``), with its arguments in parentheses."""
        name = self._next()[1]
        while self._is(".") and self._tokens[self._at + 1 : self._at + 2] and self._tokens[self._at + 1][0] == "word":
            self._at += 1
            name += "." + self._next()[1]
        if self._is("("):
            return Static(name, "new", self._arguments())
        return Literal(name)

    def _logical(self) -> Node:
        left = self._comparison()
        while (token := self.peek()) is not None and token[1].lower() in ("-and", "-or"):
            self._at += 1
            left = Binary(token[1].lower(), left, self._comparison())
        return left

    def _comparison(self) -> Node:
        left = self._sum()
        while (token := self.peek()) is not None and token[0] == "operator" and token[1].lower() not in ("-and", "-or"):
            self._at += 1
            left = Binary(token[1].lower(), left, self._sum())
        return left

    def _sum(self) -> Node:
        left = self._unary()
        while self._is("+") or self._is("-"):
            sign = self._next()[1]
            left = Binary(sign, left, self._unary())
        return left

    def _unary(self) -> Node:
        if self._take("!") or self._take("-not"):
            return Not(self._unary())
        return self._postfix()

    def _postfix(self) -> Node:
        node = self._primary()
        while self._is("."):
            self._at += 1
            kind, name = self._next()
            if kind != "word":
                raise ParseProblem("Missing property name after reference operator.")
            node = Member(node, name, self._arguments() if self._is("(") else None)
        return node

    def _primary(self) -> Node:
        kind, text = self._next()
        if kind == "text":
            return Literal(text[1:-1].replace("''", "'"))
        if kind == "expand":
            return _expandable(text[1:-1])
        if kind == "number":
            return Literal(int(text, 16) if text[:2].lower() == "0x" else int(text))
        if kind == "variable":
            return Variable(text[1:].lower())
        if kind == "type":
            if not self._is("::"):
                return Cast(text[1:-1], self._unary())
            self._expect("::")
            name = self._next()[1]
            return Static(text[1:-1], name, self._arguments() if self._is("(") else None)
        if text == "@{":
            return self._hashtable()
        if text == "@(":
            self._skip_newlines()
            inner = Literal(None) if self._is(")") else self._pipeline()
            self._expect(")")
            return Array(inner)
        if text == "(":
            inner = self._pipeline()
            self._expect(")")
            return inner
        raise ParseProblem(f"Unexpected token '{text}' in expression or statement.")

    def _arguments(self) -> tuple[Node, ...]:
        self._expect("(")
        found: list[Node] = []
        while not self._take(")"):
            found.append(self._pipeline())
            self._take(",")
        return tuple(found)

    def _hashtable(self) -> Node:
        pairs: list[tuple[str, Node]] = []
        self._skip_newlines()
        while not self._take("}"):
            kind, name = self._next()
            if kind not in ("word", "text"):
                raise ParseProblem("Missing key before '=' in hash literal.")
            self._expect("=")
            pairs.append((name.strip("'"), self._pipeline()))
            self._skip_newlines()
        return Hashtable(tuple(pairs))


def _expandable(text: str) -> Node:
    parts: list[Node] = []
    at = 0
    for match in re.finditer(r"`(.)|\$([A-Za-z_]\w*)|\"\"", text, re.DOTALL):
        if match.start() > at:
            parts.append(Literal(text[at : match.start()]))
        if match.group(1):
            parts.append(Literal(_ESCAPES.get(match.group(1), match.group(1))))
        elif match.group(2):
            parts.append(Variable(match.group(2).lower()))
        else:
            parts.append(Literal('"'))
        at = match.end()
    parts.append(Literal(text[at:]))
    return Expandable(tuple(parts))
