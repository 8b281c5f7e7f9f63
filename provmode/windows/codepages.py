"""Console output of Windows as text: code pages by their Windows numbers. Pure."""

from __future__ import annotations

import codecs

UTF_8 = 65001
"""Windows' number for UTF-8."""


def codec_of(codepage: int) -> str:
    """Return Python's name for a Windows code page.

    Raises:
        ValueError: Python has no codec for it.
    """
    name = "utf-8" if codepage == UTF_8 else f"cp{codepage}"
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError(f"code page {codepage} is not known here; 65001 (UTF-8) always works") from None


def decode_console(output: bytes, codepage: int) -> list[str]:
    """Return console output as lines without their line ends; no lines for no output.

    Bytes that the code page cannot decode become U+FFFD: programs write any bytes, and one stray byte must not lose
    the rest.
    """
    return output.decode(codec_of(codepage), errors="replace").splitlines()
