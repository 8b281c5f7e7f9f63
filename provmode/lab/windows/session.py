"""What a command on a modelled PC sees: the PC, its environment, where its output goes."""

from __future__ import annotations

from dataclasses import dataclass, field

from provmode.lab.windows.state import PcState


@dataclass
class Session:
    """What a command sees: the PC, its environment, where its output goes."""

    pc: PcState
    codec: str
    variables: dict[str, str]
    directory: str
    user: str
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    stdin: bytes | None = None
    """Input from a pipe or a file; ``None``: the command's own."""
    ended: bool = False
    """``exit`` was called."""
    nested: int = 0
    """How many shells are inside one another."""

    def print(self, text: str) -> None:
        """Write a line's text to standard output, in the console's code page."""
        self.out += text.encode(self.codec, "replace")

    def complain(self, text: str) -> None:
        """Write to standard error."""
        self.err += text.encode(self.codec, "replace")

    def path(self, given: str) -> str:
        """Return a full path."""
        if given[1:2] == ":":
            return given
        return f"{self.directory[:2]}{given}" if given[:1] in "\\/" else f"{self.directory}\\{given}"
