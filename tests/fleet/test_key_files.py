"""Files with keys: who may read and write them, and the commands that make and show them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import UsageError
from provmode.fleet.key_files import read_key, read_private, read_public, write_pair
from provmode.signing.key_text import private_pem, public_pem
from provmode.signing.keys import PrivateKey, SharedKey

ALICE = PrivateKey(bytes(range(32)))


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    write_pair(tmp_path / "alice.key", ALICE)
    return tmp_path / "alice.key"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def belongs(monkeypatch: pytest.MonkeyPatch, *, owner: int, me: int = 1000) -> None:
    """Let every open file belong to a user, and let us be one."""
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        status = list(real(descriptor))
        status[stat.ST_UID] = owner
        return os.stat_result(status)

    monkeypatch.setattr("provmode.fleet.key_files.os.fstat", fstat)
    monkeypatch.setattr("provmode.fleet.key_files.os.geteuid", lambda: me)


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_only_its_owner_reads_a_private_key_and_everybody_a_public_one(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        public = write_pair(tmp_path / "alice.key", ALICE)
    finally:
        os.umask(before)

    assert (mode(tmp_path / "alice.key"), mode(public)) == (0o600, 0o644)
    assert read_private(tmp_path / "alice.key") == ALICE
    assert read_public([public, str(public)]) == (ALICE.public,)


def test_of_a_file_without_end_no_more_is_read_than_any_key_has() -> None:
    code = (
        "import resource, pathlib; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30));"
        "from provmode.fleet.key_files import read_key; read_key(pathlib.Path('/dev/zero'))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert "/dev/zero has over 100,000 bytes: it is no key" in ran.stderr


@pytest.mark.parametrize("there", ["alice.key", "alice.key.pub"])
@pytest.mark.parametrize("as_link", [False, True])
def test_a_key_is_never_overwritten_and_no_half_of_a_pair_is_left(tmp_path: Path, there: str, as_link: bool) -> None:
    if as_link:
        (tmp_path / there).symlink_to(tmp_path / "nowhere")
    else:
        (tmp_path / there).write_text("somebody's")

    with pytest.raises(UsageError, match=rf"there is a file .*{there} already; give another name"):
        write_pair(tmp_path / "alice.key", ALICE)

    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert as_link or (tmp_path / there).read_text() == "somebody's"


def test_a_pair_that_cannot_be_written_whole_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = os.fsync, []

    def full(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr("provmode.fleet.key_files.os.fsync", full)
    with pytest.raises(UsageError, match=r"cannot write .*alice\.key\.pub: No space left on device"):
        write_pair(tmp_path / "alice.key", ALICE)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o644, 0o610])
def test_a_private_key_that_others_can_read_is_refused(pair: Path, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    belongs(monkeypatch, owner=1000)
    pair.chmod(bits)

    with pytest.raises(UsageError) as refused:
        read_key(pair)

    assert str(refused.value) == (
        f"others can read the private key {pair}; "
        f"make a new one (provmode key new), and if nobody has read this one: chmod 600 {pair}"
    )


def test_a_private_key_as_systemd_hands_it_over_is_read(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential belongs to root; the access list for the service's user shows as a right of the group."""
    belongs(monkeypatch, owner=0)
    for bits in (0o400, 0o440):
        pair.chmod(bits)
        assert read_private(pair) == ALICE
    for bits in (0o444, 0o460, 0o404):
        pair.chmod(bits)
        with pytest.raises(UsageError, match="others can read the private key"):
            read_private(pair)


def test_a_private_key_of_another_user_is_refused(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    belongs(monkeypatch, owner=4321)

    with pytest.raises(UsageError, match=r"belongs to user 4321, not to you or root; use a key of your own"):
        read_key(pair)


def test_a_public_key_that_others_can_change_is_refused(pair: Path) -> None:
    public = Path(f"{pair}.pub")
    public.chmod(0o666)
    pair.parent.chmod(0o755)

    with pytest.raises(UsageError, match="says whose plans and journals are believed, and others can write to it"):
        read_key(public)


def test_a_key_of_the_wrong_kind_is_refused_with_the_right_one(pair: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.key").write_bytes(b"k" * 32)

    with pytest.raises(UsageError, match=r"alice\.key is a private key, and this takes a public one; give .*key\.pub$"):
        read_public([pair])
    with pytest.raises(UsageError, match=r"plan\.key is a shared key, and this takes a public one; make a pair"):
        read_public([tmp_path / "plan.key"])
    with pytest.raises(UsageError, match=r"alice\.key\.pub is a public key, and this takes a private one; make one"):
        read_private(Path(f"{pair}.pub"))


def test_a_shared_key_is_read_as_before(tmp_path: Path) -> None:
    (tmp_path / "plan.key").write_bytes(b"k" * 32 + b"\n")
    (tmp_path / "plan.key").chmod(0o644)

    assert read_key(tmp_path / "plan.key") == SharedKey(b"k" * 32)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "nosuch.key", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError) as refused:
            read_key(path)
        assert str(refused.value) == f"cannot read the key file {path}: {why}"


# -- commands ---------------------------------------------------------------------------------------------------------


def test_a_new_pair_is_what_openssl_reads(commands: Any) -> None:
    file = commands.bench.folder / "alice.key"

    made = commands.run("key", "new", file)
    shown, shown_public = commands.run("key", "show", file), commands.run("key", "show", f"{file}.pub")

    checked = ["openssl", "pkey", "-in", str(file), "-noout", "-text"]
    assert b"ED25519 Private-Key" in subprocess.run(checked, capture_output=True, check=True).stdout
    fingerprint = read_private(file).fingerprint
    assert made.code == shown.code == shown_public.code == 0
    assert f"fingerprint {fingerprint}\n" in made.out
    line = Path(f"{file}.pub").read_text().splitlines()[1]
    assert shown.out == f"{file}: a private key (Ed25519)\nfingerprint {fingerprint}\npublic key  {line}\n"
    assert shown_public.out == shown.out.replace(f"{file}: a private", f"{file}.pub: a public")


def test_two_new_pairs_are_different(commands: Any) -> None:
    for name in ("one", "two"):
        assert commands.run("key", "new", commands.bench.folder / name).code == 0

    assert read_key(commands.bench.folder / "one") != read_key(commands.bench.folder / "two")


def test_no_secret_is_shown(commands: Any) -> None:
    shared, private = commands.bench.folder / "plan.key", commands.bench.folder / "alice.key"
    shared.write_text("0123456789abcdef0123456789abcdef")
    private.write_text(private_pem(ALICE))
    private.chmod(0o600)

    of_shared, of_private = commands.run("key", "show", shared), commands.run("key", "show", private)

    assert of_shared.code == of_private.code == 0
    assert of_shared.out.startswith(f"{shared}: a shared key (HMAC-SHA256)\nfingerprint ")
    assert "whoever has a shared key to check with can sign with it too" in of_shared.err
    assert "0123456789abcdef" not in of_shared.out + of_shared.err
    assert private_pem(ALICE).splitlines()[1][20:] not in of_private.out + of_private.err


def test_a_command_about_keys_that_fails_leaves_everything_as_it_was(commands: Any) -> None:
    file = commands.bench.folder / "alice.pub"
    file.write_text(public_pem(ALICE.public))

    again, nowhere = (
        commands.run("key", "new", file),
        commands.run("key", "new", commands.bench.folder / "no" / "a.key"),
    )

    assert (again.code, nowhere.code) == (1, 1)
    assert "there is a file" in again.err
    assert "No such file or directory" in nowhere.err
    assert read_key(file) == ALICE.public
