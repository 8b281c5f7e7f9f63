"""The session in which commands run on a modelled PC."""

from __future__ import annotations

from dataclasses import dataclass, field

from provmode.lab.windows.state import PcState


@dataclass
class Session:
    """What a command can reach: the PC, its environment, its input and output."""

    pc: PcState
    codec: str
    variables: dict[str, str]
    directory: str
    user: str
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    stdin: bytes | None = None
    """Input from a pipe or a file; ``None``: the standard input of the whole line."""
    ended: bool = False
    """``exit`` was called."""
    errorlevel: int = 0
    """``ERRORLEVEL``: the exit code of the last command that sets it."""
    turns: int = 0
    """How often the bodies of loops have run."""
    nested: int = 0
    """The depth of nested shells."""

    def print(self, text: str) -> None:
        """Write to standard output, in the console's code page."""
        self.out += text.encode(self.codec, "replace")

    def print_error(self, text: str) -> None:
        """Write to standard error, in the console's code page."""
        self.err += text.encode(self.codec, "replace")

    def path(self, given: str) -> str:
        """Return a full path."""
        if given[1:2] == ":":
            return given
        return f"{self.directory[:2]}{given}" if given[:1] in "\\/" else f"{self.directory}\\{given}"
