"""docs/running.md is true: its week is lived through with 14 PCs of a lab, and what it shows is what is printed.

A shell at a terminal runs every command of the page, in order. Between the days the test does what the page says that
others did: a night's look by the unit's own command line, a laptop that comes and goes, an edited registry.
"""

from __future__ import annotations

import csv
import json
import os
import pwd
import re
import select
import shlex
import shutil
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest

from provmode.cli.systemd import UNITS
from provmode.lab.process import LabProcess

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "running.md").read_text("utf-8")
PERSONAS = (
    *("overdue", "half-exited", "armed", "stuck-old-client", "self-healing", "osd-running"),
    *("black-hole", "refused"),  # these two are not in the table: a PC that is away has the address of the first
)
FLEET = {"healthy": 7, **dict.fromkeys(PERSONAS, 1), "overdue": 2}
LAPTOPS = ("PC-00008", "PC-00009", "PC-00016")
EXCLUDES = (r"HKLM\SOFTWARE\Microsoft\CCM\CcmExec", "SystemTaskExcludes", "SchedulerStartup;SchedulerLogon", "SZ")
"""What somebody writes who edits the registry in place of leaving the mode."""
OURS = ("provmode ", "pyinfra ")
LEFT_OUT = "..."
PATIENCE = 300
"""Seconds without any output after which a command counts as hung: one that waits for a PC for hours, for instance."""


class Block(NamedTuple):
    """A block of code of the page, and the heading that it is under."""

    heading: str
    kind: str
    text: str


def blocks() -> Iterator[Block]:
    """Yield the page's blocks in order."""
    heading = ""
    for title, kind, text in re.findall(r"^#+ ([^\n]*)$|^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        if title:
            heading = title
        else:
            yield Block(heading, kind, text)


BLOCKS = list(blocks())


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a block, and what the page shows of its output."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def plain(text: str) -> str:
    """Return a text without what differs from run to run (times, addresses, ids, widths) and without line breaks."""
    for pattern, instead in (
        (r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?)?", "DATE"),
        (r"\(\d+\.\d+\.\d+\.\d+:\d+\)", "(ADDRESS)"),
        (r"within \d s", "within SECONDS"),
        (r"seen (just now|[\d hmin]+ ago)", "seen AGO"),
        (r"\b\d+ lines\b", "LINES"),
        (r"--soak \d+", "--soak SECONDS"),
    ):
        text = re.sub(pattern, instead, " ".join(text.split()))
    return text


class Shell:
    """A shell whose input and output are a terminal of 80 columns."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._terminal, its_end = os.openpty()
        mode = termios.tcgetattr(its_end)
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(its_end, termios.TCSANOW, mode)
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env={**environment, "COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"},
            stdin=its_end,
            stdout=its_end,
            stderr=subprocess.DEVNULL,  # so it is not interactive, and prompts for nothing
            start_new_session=True,
        )
        os.close(its_end)
        self._ended = 0

    def run(self, command: str, answer: str = "") -> tuple[int, str]:
        """Run a command, give it a line of input, and return its exit code and what it printed."""
        self._ended += 1
        mark = f"@ended {self._ended}"
        lines = f"{{ {command}\n}} 2>&1; printf '\\n{mark} %s\\n' $?\n" + (f"{answer}\n" if answer else "")
        os.write(self._terminal, lines.encode())
        printed = b""
        while select.select([self._terminal], [], [], PATIENCE)[0]:
            printed += os.read(self._terminal, 65536)
            text = printed.decode(errors="replace").replace("\r\n", "\n")
            if ended := re.search(rf"^{mark} (\d+)\n", text, re.MULTILINE):
                return int(ended[1]), text[: ended.start() - 1]
        pytest.fail(f"{command} printed nothing for {PATIENCE} s; before that\n{printed.decode(errors='replace')}")

    def close(self) -> None:
        """End the shell."""
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


class Week:
    """The fleet, the controller's folders, and what happens between the page's commands."""

    def __init__(self, lab: LabProcess, root: Path, words_of: Callable[..., list[str]], environment: Any) -> None:
        self.lab, self.root, self._words_of, self._environment = lab, root, words_of, environment
        self.state = root / "var" / "lib"
        self.away = {"PC-00009", "PC-00016"}
        self.nights: list[int] = []
        for folder in ("home/provmode", "etc/provmode", "etc/systemd/system", "usr/local/bin", "var/lib/provmode"):
            (root / folder).mkdir(parents=True)
        (self.state / "prometheus" / "node-exporter").mkdir(parents=True)
        shutil.copytree(ROOT / "deploys", self.state / "provmode" / "deploys")
        self.write_table(root / "home" / "provmode" / "pcs.csv")
        self.between = {
            "Wednesday: the morning after": self.tuesday_night,
            "Thursday: change them in the window": self.wednesday_night,
            "Friday: what is left": self.friday,
        }

    def here(self, text: str) -> str:
        """Return a text of the page with this machine's folders, account and patience."""
        text = text.replace("EXAMPLE\\\\auditor", self.lab.user.replace("\\", "\\\\"))
        text = text.replace("winrm_connect_deadline = 3", "winrm_connect_deadline = 1")
        text = text.replace("--soak 300", "--soak 1")
        return re.sub(r"/(etc|var/lib|usr/local)/", rf"{self.root}/\1/", text)

    def there(self, printed: str) -> str:
        """Return what was printed with the folders of the page."""
        printed = printed.replace(self.lab.user.replace("\\", "\\\\"), "EXAMPLE\\\\auditor")
        return printed.replace(str(self.root), "")

    def write_table(self, path: Path) -> None:
        """Write the table of PCs; one that is away leads to an address that does not answer."""
        (nowhere,) = (host for host in self.lab.hosts if host.persona == "black-hole")
        lines = ["name;groups;winrm_address;winrm_port"]
        for host in self.lab.hosts:
            if host.persona not in ("black-hole", "refused"):
                place = nowhere if host.name in self.away else host
                group = "laptops" if host.name in LAPTOPS else "office"
                lines.append(f"{host.name};{group};{place.address};{place.port}")
        path.write_text("\n".join(lines) + "\n")

    def carry(self, *, goes: str = "", comes: str = "") -> None:
        """Let a laptop go, and another one come."""
        self.away = (self.away | {goes}) - {comes, ""}
        self.write_table(self.root / "etc" / "provmode" / "pcs.csv")

    def unit(self, name: str) -> int:
        """Run the command line of a service, as systemd would; return its exit code."""
        text = (self.root / "etc" / "systemd" / "system" / f"{name}.service").read_text()
        words = self._words_of(text, str(self.state))
        environment = {**self._environment, "STATE_DIRECTORY": str(self.state / "provmode")}
        folder = self.root / "etc" / "provmode"
        ran = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode in (0, 2, 8), ran.stderr
        return ran.returncode

    def tuesday_night(self) -> None:
        self.lab.set_registry("PC-00004", *EXCLUDES)
        self.carry(goes="PC-00008", comes="PC-00009")
        self.nights.append(self.unit("provmode-audit"))
        assert self.unit("provmode-retry") == 8, "two laptops are away"

    def wednesday_night(self) -> None:
        self.lab.set_registry("PC-00002", *EXCLUDES)
        self.nights.append(self.unit("provmode-audit"))
        figures = (self.state / "prometheus" / "node-exporter" / "provmode.prom").read_text()
        assert re.search(r'^provmode_hosts\{.*verdict="half-exited"\} 4$', figures, re.MULTILINE)

    def friday(self) -> None:
        self.carry(comes="PC-00008")

    def as_root(self, text: str) -> None:
        """Do what root is told to do with files. Users, owners, links and systemd are left out."""
        for line in self.here(text).splitlines():
            if line.startswith("install "):
                words = shlex.split(line.split(" && ")[0])
                if "-o" in words:
                    del words[words.index("-o") : words.index("-o") + 2]
                subprocess.run(words, cwd=self.root / "home" / "provmode", check=True)
        password = self.root / "etc" / "provmode" / "winrm-password"
        if "winrm-password" in text:
            password.write_text(self.lab.password)


@pytest.fixture(scope="module")
def own_lab() -> Iterator[LabProcess]:
    """The fleet of the page."""
    with LabProcess(16, 3, mix=FLEET) as running:
        yield running


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder in place of the controller's root; its name is short, so that lines break between words as there."""
    with TemporaryDirectory(prefix="w", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def week(own_lab: LabProcess, root: Path, words_of: Callable[..., list[str]]) -> Iterator[tuple[Week, Shell]]:
    """The week, and the shell of its admin."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PROVMODE", "COLUMNS"))}
    environment["PATH"] = f"{root}/bin:{Path(sys.executable).parent}:{environment['PATH']}"
    environment["HOME"], environment["XDG_STATE_HOME"] = f"{root}/home", f"{root}/var/lib"
    root.chmod(0o755)
    (root / "bin").mkdir()
    curl = root / "bin" / "curl"
    curl.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {root}/told.options; cat >> {root}/told\n')
    curl.chmod(0o755)
    lived = Week(own_lab, root, words_of, environment)
    shell = Shell(root, environment)
    yield lived, shell
    shell.close()


def write_file(week: Week, folder: Path, text: str) -> None:
    """Write a block to the file that its first comment names; "more of it" is added."""
    name = next(line for line in text.splitlines() if line.startswith("# "))[2:]
    path = folder / week.here(name.removesuffix(", more of it").split(":")[0])
    before = path.read_text() if name.endswith(", more of it") else ""
    path.write_text(before + week.here(text))
    path.chmod(0o755 if text.startswith("#!") else 0o644)


@pytest.mark.long
def test_the_week_goes_as_the_page_tells_it(week: tuple[Week, Shell], own_lab: LabProcess) -> None:
    lived, shell = week
    folder, heading, ran = lived.root / "home" / "provmode", "", 0
    for block in BLOCKS:
        if block.heading != heading:
            heading = block.heading
            lived.between.get(heading, lambda: None)()
        if block.kind in ("toml", "python", "sh"):
            write_file(lived, folder, block.text)
        elif block.kind == "text":
            lived.as_root(block.text)
        elif block.kind == "csv":
            table = csv.reader((folder / "pcs.csv").read_text().splitlines(), delimiter=";")
            assert block.text.splitlines() == [";".join(row[:2]) for row in table][:3]
        elif block.kind == "console":
            for command, shown in commands(block.text):
                if command == "cd /var/lib/provmode":
                    folder = lived.state / "provmode"
                    shell.run(f"export PROVMODE_CONFIG={lived.root}/etc/provmode/provmode.toml")
                    shell.run("unset PROVMODE_PASSWORD")
                answer = own_lab.password if command.startswith("read ") else "y" if "[y/N] y\n" in shown else ""
                code, printed = shell.run(lived.here(command), answer)
                ran += 1
                check(command, code, lived.there(printed), shown)
                assert own_lab.password not in printed
                if command.startswith("provmode systemd ") and not lived.nights:
                    lived.unit("provmode-audit")
                if command == "provmode history host PC-00008":
                    lived.carry(comes="PC-00016")
    assert ran == len([command for block in BLOCKS if block.kind == "console" for command in commands(block.text)]) > 30
    what_others_read_is_there(lived)


def check(command: str, code: int, printed: str, shown: str) -> None:
    """See that a command ended as it should, and that what the page shows of its output is in it, in this order."""
    fine = (0, 2, 8) if command.startswith("provmode ") else (0,)
    assert code in fine, f"{command}: {code}\n{printed}"
    assert "Traceback" not in printed
    parts = re.split(rf"^{re.escape(LEFT_OUT)}$", shown.replace("[y/N] y\n", "[y/N]\n"), flags=re.MULTILINE)
    wanted = " ?.* ?".join(re.escape(plain(part)) for part in parts)
    assert re.fullmatch(wanted, plain(printed)), f"{command}: the page shows\n{shown}\nand it prints\n{printed}"


def what_others_read_is_there(lived: Week) -> None:
    """The table is there, and who was to be told was told of what was new."""
    assert "PC-00016" in (lived.state / "provmode" / "audit.csv").read_text("utf-8-sig")
    told = (lived.root / "told").read_text()
    first, end = json.JSONDecoder().raw_decode(told)
    second = json.loads(told[end:])
    news = [[(one["host"], one["word"]) for one in drift["hosts"] if one["word"] == "new"] for drift in (first, second)]
    assert news == [[("PC-00004", "new")], [("PC-00002", "new")]]
    assert lived.nights == [2, 2]


def test_what_root_is_told_to_do_is_what_provmode_prints(week: tuple[Week, Shell]) -> None:
    lived, shell = week
    tuesday = [block for block in BLOCKS if block.heading.startswith("Tuesday")]
    (configured,) = (block.text for block in tuesday if block.kind == "toml")
    file = lived.root / "etc" / "provmode" / "provmode.toml"
    file.write_text(lived.here(configured))
    lived.write_table(file.with_name("pcs.csv"))

    _, printed = shell.run(f"provmode systemd --config {file} --write {lived.root}{UNITS}")

    told = "\n".join(block.text for block in tuesday)
    for line in printed.partition("as root:")[2].partition("\n\n")[0].splitlines():
        assert line.strip() in told or line.strip().startswith("cp ")
    if "provmode" not in [entry.pw_name for entry in pwd.getpwall()]:
        assert next(line for line in told.splitlines() if line.startswith("useradd ")) in printed


def test_every_command_of_ours_on_the_page_is_run() -> None:
    for block in BLOCKS:
        if block.kind != "console":
            assert not [line for line in block.text.splitlines() if line.startswith(OURS)], block.text
