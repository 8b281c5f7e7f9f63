"""Provisioning packages: many small ones, made by the lab and by wimlib, and one of a gigabyte, mostly a hole."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contest import Bench, ContenderFailed, start
from benchmarks.row import Row
from provmode.lab.packages.image import Zeros
from provmode.lab.packages.signer import self_signed, sign
from provmode.lab.packages.writer import Asset, Description, Setting, command, package, package_files, write_package

PACKAGES, SMALL_SECONDS = 39, 0.5
LARGE_SECONDS, LARGE_MEGABYTES = 0.1, 64
SETTING = [Setting("Policies/Start/HidePowerButton", "Yes", "1")]


@dataclass(frozen=True)
class Cost:
    """What reading cost, once."""

    seconds: float
    cpu: float
    memory: int
    told: int
    """Settings, or packages that are intact."""


def measure(bench: Bench) -> list[Row]:
    """Read each kind several times, each time in a process of its own."""
    with TemporaryDirectory(prefix="provmode-bench-") as name:
        bench.say(f"{PACKAGES} packages, half of them by wimlib")
        small = list(_small(Path(name)))
        sizes = sorted(path.stat().st_size for path in small)
        many = [_cost("read", *small) for _ in range(bench.sizes.repeats)]
        bench.say(f"a package of {bench.sizes.package >> 20:,} MB")
        large = Path(name) / "large.ppkg"
        write_package(
            large,
            Description(_id(99), "large", settings=SETTING, assets=[Asset("A/B", "big", Zeros(bench.sizes.package))]),
        )
        with large.open("r+b") as stream:
            sign(stream, self_signed())
        one = [_cost("read", large) for _ in range(bench.sizes.repeats)]
        whole = [_cost("signature", large) for _ in range(bench.sizes.repeats)]
    if {each.told for each in whole} != {1}:
        raise ContenderFailed("the signature of the large package was read wrong")
    if {each.told for each in one} != {1} or min(each.told for each in many) < PACKAGES:
        raise ContenderFailed("not every setting was read")
    size = f"{bench.sizes.package / (1 << 30):.2g} GB"
    return [
        Row(
            f"{PACKAGES} packages of {sizes[0] / 1e3:.0f} KB to {sizes[-1] / 1e6:.1f} MB, {PACKAGES // 2} of them "
            "packed by wimlib: all but whether they are intact",
            f"at most {SMALL_SECONDS} s of CPU",
            f"{_spread([each.cpu for each in many], 3)} s of CPU",
            max(each.cpu for each in many) <= SMALL_SECONDS,
        ),
        Row(
            f"Metadata and settings of a package of {size} (sparse)",
            f"at most {LARGE_SECONDS} s and {LARGE_MEGABYTES} MB",
            f"{_spread([each.seconds for each in one], 4)} s; the process at most {_megabytes(one)}",
            max(each.seconds for each in one) <= LARGE_SECONDS
            and max(each.memory for each in one) <= LARGE_MEGABYTES << 20,
        ),
        Row(
            f"Its signature, which needs every byte of {size}",
            "none",
            f"{_spread([each.seconds for each in whole], 2)} s; the process at most {_megabytes(whole)}",
            None,
        ),
    ]


def _megabytes(costs: list[Cost]) -> str:
    return f"{max(each.memory for each in costs) / (1 << 20):.0f} MB"


def _spread(values: list[float], digits: int) -> str:
    middle, *_ = sorted(values)[len(values) // 2 :]
    text = f"{middle:.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def _cost(what: str, *paths: Path) -> Cost:
    return Cost(**json.loads(start("packages", what, *paths)))


def _id(number: int) -> str:
    return f"{{00000000-0000-4000-8000-{number:012}}}"


def _small(folder: Path) -> Iterator[Path]:
    """Make the packages: from a few settings to some hundred, and assets up to a megabyte."""
    noise = random.Random(39)
    for number in range(PACKAGES):
        settings = [Setting(f"Policies/Area{each % 7}/Policy{each}", "Yes", "1") for each in range(1 + number % 13)]
        settings += command("first", "cmd /c first.cmd", file="first.cmd")
        place = "ProvisioningCommands/PrimaryContext/Command/0/CommandFile"
        assets = [Asset(place, "first.cmd", b"@echo off\r\nmsiexec /i setup.msi /qn /norestart\r\n" * 40)]
        if number % 3:
            assets.append(Asset(place, "setup.msi", noise.randbytes(int(10 ** noise.uniform(3, 6)))))
        described = Description(_id(number), f"package {number}", settings=settings, assets=assets)
        path = folder / f"{number}.ppkg"
        if number % 2:
            _capture(described, folder / str(number), path)
        else:
            path.write_bytes(package(described))
        yield path


def _capture(described: Description, folder: Path, path: Path) -> None:
    """Let wimlib pack the files of a package."""
    if shutil.which("wimlib-imagex") is None:
        raise ContenderFailed("wimlib-imagex is missing; run `make system` as root")
    for name, content in package_files(described).items():
        assert isinstance(content, bytes)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    options = ("--compress=XPRESS", "--chunk-size=32768", "--rpfix", "--no-acls")
    subprocess.run(["wimlib-imagex", "capture", folder, path, *options], check=True, capture_output=True)
