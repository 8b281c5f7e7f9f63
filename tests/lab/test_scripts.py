"""The project's PowerShell scripts: run by the modelled PCs, and by a real PowerShell if there is one.

The request is passed on standard input; the answer is one line of JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timezone
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provmode.lab.packages.catalogue import made, signer
from provmode.lab.packages.engine import Engine
from provmode.lab.windows import cmd
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC
from provmode.lab.windows.store import HKLM
from provmode.windows import scripts

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
LINES = {
    "read_bytes.ps1": scripts.READ_BYTES,
    "swap_bytes.ps1": scripts.SWAP_BYTES,
    "remove_file.ps1": scripts.REMOVE_FILE,
    "delete_file.ps1": scripts.DELETE_FILE,
    "remove_package.ps1": scripts.REMOVE_PACKAGE,
    "trust_certificate.ps1": scripts.TRUST_CERTIFICATE,
    "distrust_certificate.ps1": scripts.DISTRUST_CERTIFICATE,
}
POWERSHELLS = ["model", *(["pwsh"] if shutil.which("pwsh") else [])]


class Place(Protocol):
    """A folder on a modelled or real machine, where the scripts run."""

    def path(self, name: str) -> str: ...
    def put(self, name: str, data: bytes) -> str: ...
    def get(self, name: str) -> bytes | None: ...
    def names(self) -> list[str]: ...
    def run(self, line: str, stdin: bytes) -> tuple[int, bytes, bytes]: ...


class Modelled:
    """A folder on a modelled PC."""

    def __init__(self) -> None:
        self.pc = PC("PC-1", Clock(START, lambda: 0.0))
        self.pc.start_recording()
        self.put("other.txt", b"other")

    def path(self, name: str) -> str:
        return f"C:\\Data\\{name}"

    def put(self, name: str, data: bytes) -> str:
        self.pc.files.write(self.path(name), data, START)
        return self.path(name)

    def get(self, name: str) -> bytes | None:
        return self.pc.files.read(self.path(name))

    def names(self) -> list[str]:
        return [name for name in self.pc.files.listdir("C:\\Data") or [] if name != "other.txt"]

    def run(self, line: str, stdin: bytes) -> tuple[int, bytes, bytes]:
        running = cmd.start(self.pc, line, codepage=65001)
        running.feed(stdin, end=True)
        assert running.exit_code is not None
        return (running.exit_code, *running.read())


class Real:
    """The machine that runs the tests, and its PowerShell."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> str:
        return str(self._folder / name)

    def put(self, name: str, data: bytes) -> str:
        (self._folder / name).write_bytes(data)
        return self.path(name)

    def get(self, name: str) -> bytes | None:
        found = self._folder / name
        return found.read_bytes() if found.exists() else None

    def names(self) -> list[str]:
        return sorted(item.name for item in self._folder.iterdir())

    def run(self, line: str, stdin: bytes) -> tuple[int, bytes, bytes]:
        done = subprocess.run(["pwsh", *line.split()[1:]], input=stdin, capture_output=True, check=False, timeout=60)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(params=POWERSHELLS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Modelled() if request.param == "model" else Real(tmp_path)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def run(place: Place, line: str, request: Any) -> dict[str, Any]:
    code, out, err = place.run(line, json.dumps(request).encode())
    assert (code, err) == (0, b"")
    assert out.count(b"\n") == 1
    answer = json.loads(out)
    assert isinstance(answer, dict)
    return answer


def read(place: Place, path: str, offset: int = 0, count: int = 1000) -> dict[str, Any]:
    return run(place, scripts.READ_BYTES, {"path": path, "offset": offset, "count": count})


def swap(place: Place, path: str, expected: str, data: bytes) -> dict[str, Any]:
    request = {"path": path, "expected": expected, "base64": base64.b64encode(data).decode(), "backup": "before"}
    return run(place, scripts.SWAP_BYTES, request)


# -- the scripts themselves -------------------------------------------------------------------------------------


def text(name: str) -> str:
    return resources.files("provmode.windows.scripts").joinpath(name).read_text("utf-8")


@pytest.mark.parametrize("name", LINES)
def test_the_command_line_carries_the_script_and_fits_into_cmd(name: str) -> None:
    line = LINES[name]
    assert len(line) < 8191
    assert re.fullmatch(r"powershell\.exe( -[A-Za-z]+| [A-Za-z]+)* -EncodedCommand [A-Za-z0-9+/=]+", line), (
        "nothing that cmd.exe would interpret"
    )
    assert base64.b64decode(line.rpartition(" ")[2]).decode("utf-16-le") == text(name)


@pytest.mark.parametrize("name", LINES)
def test_a_script_is_ascii_and_interpolates_nothing(name: str) -> None:
    script = text(name)
    assert script.isascii()
    assert '"' not in script, "a double-quoted string is expanded"
    assert "`" not in script
    assert not re.search(r"Invoke-|iex|ScriptBlock|Add-Type|Start-Process|&\s*[$('{]|\$\(|\{\{|%[sdr]|@\"", script)
    assert script.count("OpenStandardInput") == 1


def test_there_are_no_other_scripts() -> None:
    found = {item.name for item in resources.files("provmode.windows.scripts").iterdir() if item.name.endswith(".ps1")}
    assert found == set(LINES)


# -- reading ----------------------------------------------------------------------------------------------------

DATA = bytes(range(256)) * 3


@pytest.mark.parametrize(
    ("offset", "count", "piece"),
    [
        (0, 1000, DATA),
        (0, 768, DATA),
        (0, 10, DATA[:10]),
        (300, 100, DATA[300:400]),
        (700, 100, DATA[700:]),
        (768, 100, b""),
        (5, 0, b""),
    ],
)
def test_a_part_of_a_file_is_read_with_the_hash_of_the_whole(
    place: Place, offset: int, count: int, piece: bytes
) -> None:
    answer = read(place, place.put("a.bin", DATA), offset, count)
    assert base64.b64decode(answer.pop("base64")) == piece
    assert answer == {"exists": True, "size": 768, "sha256": sha(DATA)}


def test_an_empty_file_exists_and_is_empty(place: Place) -> None:
    answer = read(place, place.put("a.bin", b""))
    assert answer == {"exists": True, "size": 0, "sha256": sha(b""), "base64": ""}


def test_a_missing_file_is_an_answer_not_an_error(place: Place) -> None:
    assert read(place, place.path("none.bin")) == {"exists": False}
    assert place.names() == []


def test_a_part_beyond_the_end_is_an_error_with_the_name_of_the_exception(place: Place) -> None:
    assert read(place, place.put("a.bin", b"abc"), 4, 1) == {"error": "ArgumentOutOfRangeException"}


def test_a_file_name_with_unicode_and_punctuation_is_found(place: Place) -> None:
    path = place.put("Grüße & $x 'it' (1).txt", b"abc")
    assert read(place, path)["size"] == 3


def test_the_contents_of_a_request_are_never_executed(place: Place) -> None:
    kept = place.put("kept.txt", b"kept")
    for hostile in ("$(Remove-Item kept.txt)", "'; exit 5; '", '"; exit 5 #', "\n[IO.File]::Delete('kept.txt')\n"):
        assert read(place, place.path(hostile)) in ({"exists": False}, {"error": "ArgumentException"})
    assert place.get("kept.txt") == b"kept", kept


# -- swapping ---------------------------------------------------------------------------------------------------


def test_a_file_with_the_expected_hash_is_swapped_and_backed_up(place: Place) -> None:
    path = place.put("a.bin", b"old")
    answer = swap(place, path, sha(b"old"), b"new\x00\xff")
    assert answer == {
        "result": "swapped",
        "before": sha(b"old"),
        "after": sha(b"new\x00\xff"),
        "backup": f"{path}.before",
    }
    assert (place.get("a.bin"), place.get("a.bin.before")) == (b"new\x00\xff", b"old")
    assert place.names() == ["a.bin", "a.bin.before"], "nothing else is left behind"


@pytest.mark.parametrize("expected", [hashlib.sha256(b"x").hexdigest(), "", "old"])
def test_a_file_with_another_hash_is_not_changed(place: Place, expected: str) -> None:
    answer = swap(place, place.put("a.bin", b"old"), expected, b"new")
    assert answer == {"result": "stale", "before": sha(b"old")}
    assert (place.names(), place.get("a.bin")) == (["a.bin"], b"old")


def test_the_hash_may_be_written_in_capitals(place: Place) -> None:
    assert swap(place, place.put("a.bin", b"old"), sha(b"old").upper(), b"new")["result"] == "swapped"


def test_a_file_that_must_not_exist_yet_is_created(place: Place) -> None:
    answer = swap(place, place.path("a.bin"), "", b"new")
    assert answer == {"result": "swapped", "before": "", "after": sha(b"new")}
    assert (place.names(), place.get("a.bin")) == (["a.bin"], b"new")


def test_a_missing_file_is_stale(place: Place) -> None:
    assert swap(place, place.path("a.bin"), sha(b"old"), b"new") == {"result": "stale", "before": ""}
    assert place.names() == []


def test_a_missing_folder_is_an_error_with_the_name_of_the_exception(place: Place) -> None:
    separator = "\\" if isinstance(place, Modelled) else "/"
    answer = swap(place, place.path(f"none{separator}a.bin"), "", b"new")
    assert answer == {"error": "DirectoryNotFoundException"}
    assert place.names() == []


def test_a_file_is_swapped_back_and_the_backup_follows(place: Place) -> None:
    path = place.put("a.bin", b"one")
    swap(place, path, sha(b"one"), b"two")
    assert swap(place, path, sha(b"two"), b"one")["after"] == sha(b"one")
    assert (place.get("a.bin"), place.get("a.bin.before")) == (b"one", b"two")


def test_a_file_is_emptied_and_filled_again(place: Place) -> None:
    path = place.put("a.bin", b"old")
    assert swap(place, path, sha(b"old"), b"")["after"] == sha(b"")
    assert swap(place, path, sha(b""), b"new")["after"] == sha(b"new")


def test_bytes_that_are_not_base64_change_nothing(place: Place) -> None:
    path = place.put("a.bin", b"old")
    request = {"path": path, "expected": sha(b"old"), "base64": "!!!", "backup": "before"}
    assert run(place, scripts.SWAP_BYTES, request) == {"error": "FormatException"}
    assert (place.names(), place.get("a.bin")) == (["a.bin"], b"old")


def test_a_request_without_an_expected_hash_swaps_nothing(place: Place) -> None:
    request = {"path": place.path("a.bin"), "base64": "", "backup": "before"}
    assert run(place, scripts.SWAP_BYTES, request) == {"result": "stale", "before": ""}
    assert place.names() == []


@pytest.mark.parametrize("line", LINES.values(), ids=list(LINES))
def test_a_request_that_is_not_json_fails(place: Place, line: str) -> None:
    code, out, err = place.run(line, b"{")
    assert (code, out) == (1, b"")
    assert err


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_are_read_back_unchanged(old: bytes, new: bytes) -> None:
    place = Modelled()
    path = place.put("a.bin", old)
    assert swap(place, path, sha(old), new)["after"] == sha(new)
    assert base64.b64decode(read(place, path)["base64"]) == new
    assert place.get("a.bin.before") == old


# -- only on the model ------------------------------------------------------------------------------------------


def denied() -> Modelled:
    place = Modelled()
    place.put("a.bin", b"secret")
    place.pc.protected = ("c:\\data\\",)
    return place


def refused_read(place: Modelled) -> dict[str, Any]:
    return read(place, place.path("A.BIN"))


def refused_swap(place: Modelled) -> dict[str, Any]:
    return swap(place, place.path("a.bin"), sha(b"secret"), b"new")


def refused_creation(place: Modelled) -> dict[str, Any]:
    return swap(place, place.path("b.bin"), "", b"new")


@pytest.mark.parametrize("attempt", [refused_read, refused_swap, refused_creation])
def test_a_denied_file_is_an_error_and_changes_nothing(attempt: Callable[[Modelled], dict[str, Any]]) -> None:
    place = denied()
    assert attempt(place) == {"error": "UnauthorizedAccessException"}
    assert (place.names(), place.get("a.bin")) == (["a.bin"], b"secret")


def test_variables_in_a_path_are_expanded() -> None:
    place = Modelled()
    assert read(place, "%WINDIR%\\win.ini")["exists"] is True
    assert swap(place, "%SystemDrive%\\Data\\b.bin", "", b"new")["result"] == "swapped"
    assert place.get("b.bin") == b"new"


def test_a_swap_is_recorded_as_made_by_the_shell() -> None:
    place = Modelled()
    swap(place, place.put("a.bin", b"old"), sha(b"old"), b"new")
    assert {item.road for item in place.pc.mutations if "a.bin" in item.what and item.road != "hand"} == {"shell"}


def test_reading_changes_nothing() -> None:
    place = Modelled()
    before = len(place.pc.mutations)
    read(place, place.path("other.txt"))
    assert len(place.pc.mutations) == before


def test_the_scripts_run_with_any_path_of_powershell() -> None:
    place = Modelled()
    line = scripts.READ_BYTES.replace("powershell.exe", "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\PowerShell")
    request = {"path": place.path("other.txt"), "offset": 0, "count": 9}
    assert run(place, line, request)["size"] == 5


# -- removing -----------------------------------------------------------------------------------------------------


def remove(place: Place, path: str, expected: str) -> dict[str, Any]:
    return run(place, scripts.REMOVE_FILE, {"path": path, "expected": expected, "backup": "before"})


def test_an_expected_file_is_removed_and_its_backup_stays(place: Place) -> None:
    path = place.put("a.bin", DATA)
    place.put("a.bin.before", b"an older backup")

    answer = remove(place, path, sha(DATA))

    assert answer == {"result": "removed", "before": sha(DATA), "backup": path + ".before"}
    assert place.get("a.bin") is None
    assert place.get("a.bin.before") == DATA


def test_a_file_with_another_hash_stays_and_the_removal_is_stale(place: Place) -> None:
    path = place.put("a.bin", DATA)

    assert remove(place, path, sha(b"expected"))["result"] == "stale"
    assert remove(place, place.path("none.bin"), sha(b""))["result"] == "stale"
    assert remove(place, place.path("none.bin"), "")["result"] == "stale"
    assert place.get("a.bin") == DATA


# -- deleting -----------------------------------------------------------------------------------------------------


def test_an_expected_file_is_deleted_and_nothing_is_kept(place: Place) -> None:
    path = place.put("a.bin", DATA)

    answer = run(place, scripts.DELETE_FILE, {"path": path, "expected": sha(DATA)})

    assert answer == {"result": "deleted", "before": sha(DATA)}
    assert place.names() == []


def test_a_file_with_another_hash_is_not_deleted(place: Place) -> None:
    path = place.put("a.bin", DATA)

    for name, expected in ((path, sha(b"expected")), (place.path("none.bin"), sha(b"")), (place.path("none.bin"), "")):
        assert run(place, scripts.DELETE_FILE, {"path": name, "expected": expected})["result"] == "stale"
    assert place.get("a.bin") == DATA


# -- packages: only the modelled PCs have the module Provisioning ---------------------------------------------------


def with_packages() -> Modelled:
    place = Modelled()
    place.pc.packages = Engine()
    place.put("signed.ppkg", made("signed").data)
    place.put("signer.cer", signer().certificate.public_bytes(Encoding.DER))
    return place


def test_a_package_is_removed_by_its_id_and_a_second_time_that_is_refused() -> None:
    place = with_packages()
    assert place.run(f'dism /online /add-provisioningpackage "/packagepath:{place.path("signed.ppkg")}"', b"")[0] == 0

    assert run(place, scripts.REMOVE_PACKAGE, {"id": made("signed").id}) == {"result": "done"}

    again = run(place, scripts.REMOVE_PACKAGE, {"id": made("signed").id})
    assert (again["result"], again["hresult"] & 0xFFFFFFFF) == ("refused", 0x80070490)


def test_a_certificate_is_trusted_and_distrusted() -> None:
    place = with_packages()
    key = "SOFTWARE\\Microsoft\\Provisioning\\TrustedProvisioners\\Certificates"

    assert run(place, scripts.TRUST_CERTIFICATE, {"path": place.path("signer.cer")}) == {"result": "done"}
    assert place.pc.registry.subkeys(HKLM, key) == [signer().thumbprint]
    assert run(place, scripts.DISTRUST_CERTIFICATE, {"thumbprint": signer().thumbprint}) == {"result": "done"}
    assert place.pc.registry.subkeys(HKLM, key) == []
    for line, request in (
        (scripts.TRUST_CERTIFICATE, {"path": place.path("signed.ppkg")}),
        (scripts.DISTRUST_CERTIFICATE, {"thumbprint": "00" * 20}),
    ):
        assert run(place, line, request)["result"] == "refused"
