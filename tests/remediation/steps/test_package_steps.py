"""Which steps bring a PC of the lab to what it should have: for the operations, as for a plan."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from provmode.errors import AccessDenied
from provmode.lab.packages.catalogue import made, signer
from provmode.lab.packages.engine import KEPT, Faults
from provmode.lab.packages.writer import Description, Setting, command, package
from provmode.packages.container import of_bytes
from provmode.packages.read import read_package
from provmode.reading import Known, Unknown
from provmode.remediation.execute import CHANGED
from provmode.remediation.packages import PackageFile, PackageSteps, Wanted, look_at_packages
from provmode.remediation.steps import AddPackage, RemovePackage
from provmode.windows.files import sha256
from provmode.wsman import Invoke

ID, OTHER = (f"{{a1b2c3d4-0000-4000-8000-00000000000{number}}}" for number in (1, 2))
POWER = Setting("Policies/Start/HidePowerButton", "1")
PLAIN = package(Description(ID, "Pins", settings=[POWER]))


def wanted(data: bytes = PLAIN) -> Wanted:
    return Wanted((PackageFile("pins.ppkg", sha256(data), read_package(of_bytes(data))),))


def look(windows: Any, asked: Wanted, **how: Any) -> Any:
    return windows.converse(look_at_packages(asked, **how))


def test_what_is_missing_is_added_and_what_is_there_is_left(windows: Any) -> None:
    found = look(windows, wanted())
    (step,) = found.value.steps

    assert isinstance(step, AddPackage)
    assert step.wins == ("Start/HidePowerButton",)
    assert step.effects[:2] == ("- Policies/Start/HidePowerButton: not set", "+ Policies/Start/HidePowerButton: 1")
    assert windows.carry_out(step, data=PLAIN) == CHANGED
    assert look(windows, wanted()) == Known(PackageSteps())


def test_a_package_that_would_lose_is_added_and_not_expected_to_win(windows: Any) -> None:
    strong = package(Description(OTHER, "Strong", rank=7, settings=[Setting(POWER.path, "0")]))
    (first,) = look(windows, wanted(strong)).value.steps
    windows.carry_out(first, data=strong)

    (step,) = look(windows, wanted()).value.steps

    assert step.wins == ()
    assert step.effects[0] == "- Policies/Start/HidePowerButton: 0, of Strong 1.0"
    assert "its value would not hold: Strong 1.0 wins over Pins 1.0" in step.effects[2]
    assert windows.carry_out(step, data=PLAIN) == CHANGED


def test_an_encrypted_package_there_leaves_open_whose_values_hold(windows: Any) -> None:
    windows.pc.files.write(f"{KEPT}\\secure.ppkg", made("secure").data, windows.pc.now())
    (step,) = look(windows, wanted()).value.steps
    assert step.wins == ()
    assert "? 1 package there could not be read: whether its values hold is not known" in step.effects


def test_a_package_that_is_still_applied_is_neither_done_nor_added_again(windows: Any) -> None:
    data = package(Description(ID, "Pins", settings=[POWER, *command("a", "cmd /c rem")]))
    windows.engine.command_time = timedelta(hours=1)
    windows.carry_out(look(windows, wanted(data)).value.steps[0], data=data)

    assert look(windows, wanted(data)).value == PackageSteps((), ("Pins 1.0: it is there, and is still being applied",))
    windows.pc.advance(3600)
    assert look(windows, wanted(data)).value == PackageSteps()


def test_a_package_that_failed_there_is_said_with_its_number(windows: Any) -> None:
    windows.engine.faults = Faults(categories={"Policies": (0x8007054B, "Policies/Start")})
    windows.carry_out(look(windows, wanted()).value.steps[0], data=PLAIN)

    (why,) = look(windows, wanted()).value.left
    assert "failed: 0x8007054B at Policies/Start" in why


def test_a_package_is_removed_with_what_stays_and_only_if_it_is_there(windows: Any) -> None:
    assert look(windows, Wanted(absent=(ID,))) == Known(PackageSteps())
    windows.carry_out(look(windows, wanted()).value.steps[0], data=PLAIN)

    (step,) = look(windows, Wanted(absent=(ID,))).value.steps
    assert isinstance(step, RemovePackage)
    assert step.effects == ("! a removal does not take back: Policies; these settings stay as they are",)
    assert windows.carry_out(step) == CHANGED


def test_who_will_be_trusted_by_then_may_have_signed_it(windows: Any) -> None:
    windows.pc.registry.set(
        *(0x80000002, "SOFTWARE\\Microsoft\\PolicyManager\\current\\device\\Security"),
        *("RequireProvisioningPackageSignature", 4, 1),
    )
    signed = made("signed").data
    assert "does not trust the signer" in look(windows, wanted(signed)).value.left[0]
    assert look(windows, wanted(signed), trusting=[signer().thumbprint.lower()]).value.left == ()


def test_a_pc_that_does_not_tell_is_unknown_and_no_guess(windows: Any) -> None:
    windows.instead = lambda asked: AccessDenied("denied") if isinstance(asked, Invoke) else None
    found = look(windows, wanted())
    assert isinstance(found, Unknown)
    assert "could not tell" in found.detail
