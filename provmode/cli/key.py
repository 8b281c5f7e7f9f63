"""``provmode key``: make a pair of keys to sign plans and journals with, and say which key a file holds."""

from __future__ import annotations

import os
from pathlib import Path

import click

from provmode.cli.common import complain, file_path, printing
from provmode.fleet.results import COMPLIANT, EXIT_CODES
from provmode.text import visible


@click.group(epilog=EXIT_CODES["key"].help)
def key() -> None:
    """Make a pair of keys to sign plans and journals with, and say which key a file holds. No PC is asked."""


@key.command(epilog=EXIT_CODES["key"].help)
@click.argument("file", type=file_path())
def new(file: Path) -> int:
    """Write a private key to FILE, which only you can read, and its public key to FILE.pub. Existing files stay."""
    from provmode.fleet.key_files import write_pair
    from provmode.signing.keys import PrivateKey

    made = PrivateKey(os.urandom(32))
    public = write_pair(file, made)
    with printing(changes=True):
        print(visible(f"{file}: the private key; it stays with you"))
        print(visible(f"{public}: the public key, for everybody who checks what you sign"))
        print(f"fingerprint {made.fingerprint}")
    return COMPLIANT


@key.command(epilog=EXIT_CODES["key"].help)
@click.argument("file", type=file_path())
def show(file: Path) -> int:
    """Say which kind of key FILE holds, its fingerprint, and its public key as a line. No secret is shown.

    Of a pair both files have one fingerprint, and openssl pkey -pubin -in FILE.pub -outform DER | sha256sum prints it.
    """
    from provmode.fleet.key_files import read_key
    from provmode.signing.key_text import public_line
    from provmode.signing.keys import PrivateKey, PublicKey

    found = read_key(file)
    public = found.public if isinstance(found, PrivateKey) else found
    with printing():
        print(visible(f"{file}: a {found.kind} ({found.algorithm})"))
        print(f"fingerprint {found.fingerprint}")
        if isinstance(public, PublicKey):
            print(f"public key  {public_line(public)}")
    if not isinstance(public, PublicKey):
        complain("whoever has a shared key to check with can sign with it too: provmode key new makes a pair")
    return COMPLIANT
