"""Run a line: operators, redirections, built-ins, and programs that wait for standard input.

A program that reads standard input waits for its end, and so does the rest of the line. Commands are generators: a
command that needs input yields, and is sent all of the input.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from functools import partial

from provmode.lab.windows.cmd import builtins, paths, programs
from provmode.lab.windows.cmd.language import (
    For,
    Group,
    If,
    Joined,
    Node,
    Redirection,
    Simple,
    SyntaxProblem,
    expand,
    parse,
    substituted,
    words,
    written,
)
from provmode.lab.windows.cmd.texts import message
from provmode.lab.windows.session import Session
from provmode.lab.windows.state import PcState

MAX_LINE = 8191
MAX_NESTED = 20
TERMINATED, INTERRUPTED = 1, 0xC000013A
MAX_TURNS = 10_000
"""Turns of all loops of a line. cmd.exe has no limit; the lab must not hang."""
_KEEP_ERRORLEVEL = {"echo", "set", "title", "rmdir", "rd", "cls", "rem"}
"""Commands that leave ``ERRORLEVEL`` as it is, by published tests of it; a failure of ``rmdir`` sets it at ``||``."""
NOT_FOUND = 9009
"""``ERRORLEVEL`` after an unknown command; the command's own exit code is 1."""
_EXECUTABLE = (".com", ".exe", ".bat", ".cmd")

Work = Generator[None, bytes, int]
"""Yields when it needs standard input, is sent all of it, returns its exit code."""


class Running:
    """A command line that is running or has ended."""

    def __init__(self, session: Session, work: Work) -> None:
        self._session = session
        self._work = work
        self._given = bytearray()
        self.exit_code: int | None = None
        """``None`` while it runs."""
        self._advance(None)

    def feed(self, data: bytes, end: bool) -> None:
        """Take standard input; *end*: this is all of it."""
        self._given += data
        if end and self.exit_code is None:
            self._advance(bytes(self._given))

    def read(self) -> tuple[bytes, bytes]:
        """Return the new standard output and standard error since the last call."""
        out, err = bytes(self._session.out), bytes(self._session.err)
        self._session.out.clear()
        self._session.err.clear()
        return out, err

    def signal(self, code: str) -> None:
        """End it: ``.../terminate``, ``.../ctrl_c`` or ``.../ctrl_break``."""
        if self.exit_code is None:
            self._work.close()
            self.exit_code = TERMINATED if code.endswith("terminate") else INTERRUPTED

    def _advance(self, stdin: bytes | None) -> None:
        session = self._session
        try:
            with session.pc.changes_by("shell"):
                if stdin is None:
                    next(self._work)
                else:
                    while True:
                        self._work.send(stdin)
                        stdin = b""  # a second reader gets no input
        except StopIteration as stop:
            self.exit_code = int(stop.value) & 0xFFFFFFFF


def start(
    pc: PcState,
    line: str,
    *,
    codepage: int = 437,
    environment: Mapping[str, str] | None = None,
    directory: str | None = None,
    user: str = "lab\\provmode",
) -> Running:
    """Run *line* as ``cmd.exe /c`` does."""
    pc.tick()
    given = {name.lower(): value for name, value in (environment or {}).items()}
    variables = {**pc.environment, "username": user.rpartition("\\")[2], **given}
    codec = "utf-8" if codepage == 65001 else f"cp{codepage}"
    try:
        "".encode(codec)
    except LookupError:
        codec = "cp437"
    session = Session(pc, codec, variables, directory or "C:\\Windows\\system32", user)
    pc.processes.started.append(f"cmd.exe /c {line}")
    return Running(session, _line(session, _unquoted(session, line)))


def _unquoted(session: Session, line: str, *, always: bool = False) -> str:
    """Return what ``cmd /c`` executes of *line*: without its first and last quotes, if the first character is one.

    The quotes stay if they are the only two, have a blank but none of ``&<>()@^|`` between them, and name an
    executable file; with ``/s`` (*always*) they never stay. Source: the help of cmd.exe (``cmd /?``).
    """
    line = line.lstrip(" \t")
    if not line.startswith('"'):
        return line
    end = line.rfind('"')
    inside = line[1:end]
    names_a_program = line.count('"') == 2 and " " in inside and not set(inside) & set("&<>()@^|")
    if not always and names_a_program and _is_executable(session, inside):
        return line
    return inside + line[end + 1 :] if end else line[1:]


def _is_executable(session: Session, name: str) -> bool:
    """Return whether a file of that name can be executed, with or without its extension."""
    path = session.path(name)
    return any(
        session.pc.files.get(path + extension) is not None and (path + extension).lower().endswith(_EXECUTABLE)
        for extension in ("", *_EXECUTABLE)
    )


def _line(session: Session, line: str) -> Work:
    if len(line) > MAX_LINE:
        session.print_error(message(session.pc, "line-too-long"))
        return 1
    try:
        own = {"errorlevel": str(session.errorlevel), "cd": session.directory}
        node = parse(expand(line, {**own, **session.variables}))
    except SyntaxProblem as problem:
        if str(problem):
            session.print_error(message(session.pc, "unexpected", str(problem)))
            return 1
        return 0
    return (yield from _run(session, node))


def _run(session: Session, node: Node) -> Work:
    if session.ended:
        return 0
    if isinstance(node, Joined):
        return (yield from _joined(session, node))
    if isinstance(node, If):
        holds = _holds(session, node)
        branch = node.then if holds is not node.negated else node.otherwise
        return (yield from _run(session, branch)) if branch is not None else 0
    if isinstance(node, For):
        return (yield from _loop(session, node))
    redirected = _Redirected(session, node.redirections)
    if not redirected.opened:
        return 1
    inner = node.inner if isinstance(node, Group) else node
    code = yield from (_run(session, inner) if isinstance(node, Group) else _simple(session, node))
    redirected.close()
    return code


def _joined(session: Session, node: Joined) -> Work:
    """Run joined commands; a loop instead of recursion, so that a chain can have any length."""
    if node.operator == "|":
        return (yield from _pipeline(session, node))
    chain = [node]
    while isinstance(chain[-1].left, Joined) and chain[-1].left.operator != "|":
        chain.append(chain[-1].left)
    code = yield from _run(session, chain[-1].left)
    for step in reversed(chain):
        if session.ended:
            break
        if (step.operator == "&&" and code) or (step.operator == "||" and not code):
            continue
        if step.operator == "||":
            session.errorlevel = code
        code = yield from _run(session, step.right)
    return code


def _loop(session: Session, node: For) -> Work:
    """Run the body for each item; show it first, as cmd.exe does while echo is on, unless it begins with ``@``."""
    code = 0
    for item in _items(session, node):
        session.turns += 1
        if session.turns > MAX_TURNS:
            session.print_error(message(session.pc, "no-memory"))
            session.ended = True
            return 1
        body = substituted(node.body, node.variable, item, partial(paths.described, session))
        if not node.quiet:
            session.print(f"\r\n{session.directory}>{written(body)}\r\n")
        code = yield from _run(session, body)
        if session.ended:
            break
    return code


def _items(session: Session, node: For) -> list[str]:
    """Return the values of a loop's variable: numbers, or words, where wildcards stand for the names of files."""
    if node.counted:
        start, step, end = (int(item) for item in node.items)
        count = (end - start) // step + 1 if step else 0  # step 0 never ends in cmd.exe; here it does not begin
        return [str(start + step * number) for number in range(min(max(count, 0), MAX_TURNS + 1))]
    found: list[str] = []
    for item in node.items:
        bare = item.strip('"')
        folder = bare[: bare.rfind("\\") + 1]
        matches = [folder + path.rpartition("\\")[2] for path in paths.files(session, bare)]
        found += matches if "*" in bare or "?" in bare else [item]
    return found


def _pipeline(session: Session, node: Node) -> Work:
    """Run commands one after another; the output of each is the input of the next."""
    commands: list[Node] = []
    while isinstance(node, Joined) and node.operator == "|":
        commands.insert(0, node.right)
        node = node.left
    out, stdin = session.out, session.stdin
    try:
        session.out = bytearray()
        yield from _run(session, node)
        for command in commands[:-1]:
            session.stdin, session.out = bytes(session.out), bytearray()
            yield from _run(session, command)
        session.stdin, session.out = bytes(session.out), out
        return (yield from _run(session, commands[-1]))
    finally:
        session.out, session.stdin = out, stdin


def _holds(session: Session, node: If) -> bool:
    if node.errorlevel is not None:
        return session.errorlevel >= node.errorlevel
    if node.exist is not None:
        return paths.exists(session, node.exist)
    assert node.equal is not None
    return node.equal[0] == node.equal[1]


class _Redirected:
    """The redirections of a command; `close` writes the output to its targets."""

    def __init__(self, session: Session, redirections: tuple[Redirection, ...]) -> None:
        self._session = session
        self._redirections = redirections
        self._held = (session.out, session.err, session.stdin)
        self.opened = True
        if redirections:
            session.out, session.err = bytearray(), bytearray()
        for item in redirections:
            if item.handle == 0:
                data = session.pc.files.read(session.path(item.target))
                if data is None and item.target.lower() != "nul":
                    session.out, session.err, session.stdin = self._held
                    session.print_error(message(session.pc, "file-not-found"))
                    self.opened = False
                    return
                session.stdin = data or b""

    def close(self) -> None:
        session = self._session
        if not self._redirections:
            return
        written = {1: bytes(session.out), 2: bytes(session.err)}
        session.out, session.err, session.stdin = self._held
        places: dict[int, str] = {}
        for item in self._redirections:
            if item.target.startswith("&"):
                places[item.handle] = places.get(int(item.target[1]), item.target)
            elif item.handle:
                places[item.handle] = item.target
                if item.target.lower() != "nul":
                    self._write(item, written[item.handle])
        for handle, own in ((1, session.out), (2, session.err)):
            place = places.get(handle, f"&{handle}")
            if place.startswith("&"):
                (session.out if place == "&1" else session.err if place == "&2" else own).extend(written[handle])

    def _write(self, item: Redirection, data: bytes) -> None:
        pc, path = self._session.pc, self._session.path(item.target)
        before = pc.files.read(path) or b"" if item.append else b""
        pc.files.write(path, before + data, pc.now())


def _simple(session: Session, node: Simple) -> Work:
    name = node.name.lower().rpartition("\\")[2]
    if not name:
        return 0
    code = yield from _command(session, node, name)
    if name not in _KEEP_ERRORLEVEL and not session.ended:
        known = name in ("cmd", "cmd.exe") or name in builtins.COMMANDS or _program(name) is not None
        session.errorlevel = code if known else NOT_FOUND
    return code


def _program(name: str) -> programs.Program | None:
    return programs.PROGRAMS.get(name.removesuffix(".exe"))


def _command(session: Session, node: Simple, name: str) -> Work:
    if name in ("cmd", "cmd.exe"):
        return (yield from _nested(session, node.rest))
    builtin = builtins.COMMANDS.get(name)
    if builtin is not None:
        return builtin(session, node.rest)
    program = _program(name)
    if program is None:
        session.print_error(message(session.pc, "not-recognized", node.name))
        return 1
    session.pc.processes.started.append(f"{node.name}{node.rest}")
    found = program(session, words(node.rest))
    if isinstance(found, int):
        return found
    if session.stdin is not None:
        return _with_input(found, session.stdin)
    return (yield from found)


def _with_input(work: Work, data: bytes) -> int:
    """Run a program whose input comes from a pipe or a file."""
    try:
        next(work)
        while True:
            work.send(data)
            data = b""
    except StopIteration as stop:
        return int(stop.value)


def _nested(session: Session, rest: str) -> Work:
    """Run ``cmd /c LINE``; without ``/c`` do nothing."""
    lowered = rest.lower()
    at = next((lowered.find(flag) for flag in ("/c", "/k") if flag in lowered), -1)
    if at < 0:
        return 0
    if session.nested >= MAX_NESTED:
        session.print_error(message(session.pc, "no-memory"))
        return 1
    session.pc.processes.started.append(f"cmd.exe{rest}")
    line = _unquoted(session, rest[at + 2 :].strip(), always="/s" in lowered[:at])
    variables, directory = dict(session.variables), session.directory
    session.nested += 1
    session.errorlevel = 0
    code = yield from _line(session, line)
    session.nested -= 1
    session.variables, session.directory = variables, directory
    session.ended = False
    return code
