"""The fuse of one account and password: at most three refusals, and who has none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.transport.logon_fuse import MOST_REFUSED, LogonFuse, has_fuse, is_local
from provmode.transport.target import Credentials, Endpoint

PC = Endpoint("PC-0001.example.com", "10.0.0.1")


@given(st.lists(st.sampled_from(["begin", "refuse", "silent"])), st.integers(0, 2))
def test_before_the_first_success_at_most_three_logons_are_ever_refused(events: list[str], earlier: int) -> None:
    fuse, refused = LogonFuse(("before",) * earlier), earlier
    for event in events:
        if event == "begin":
            if fuse.may_begin:
                fuse.begin()
        elif fuse.in_flight:
            if event == "refuse":
                refused += 1
                fuse.refuse("PC")
            fuse.end()

        assert refused + fuse.in_flight <= MOST_REFUSED
        assert fuse.blown is (refused == MOST_REFUSED)


def test_a_success_ends_the_row_and_opens_the_window() -> None:
    fuse = LogonFuse(("PC-1", "PC-2"))
    fuse.begin()
    assert not fuse.may_begin

    fuse.accept()
    fuse.end()

    assert fuse.refused == ()
    for _ in range(100):
        assert fuse.may_begin
        fuse.begin()


def test_refusals_in_a_row_after_a_success_blow_it_too_and_no_late_success_mends_it() -> None:
    fuse = LogonFuse()
    fuse.accept()

    for pc in ("PC-1", "PC-2"):
        fuse.refuse(pc)
        assert fuse.may_begin
    fuse.refuse("PC-3")
    fuse.accept()

    assert fuse.blown
    assert not fuse.may_begin
    assert fuse.refused == ("PC-1", "PC-2", "PC-3")


def test_refusals_that_are_not_in_a_row_do_not_blow_it() -> None:
    fuse = LogonFuse()

    for _ in range(10):
        fuse.refuse("PC-1")
        fuse.refuse("PC-2")
        fuse.accept()

    assert not fuse.blown


@pytest.mark.parametrize("user", [".\\admin", "localhost\\admin", "PC-0001\\admin", "pc-0001\\admin"])
def test_a_local_account_is_another_one_on_each_pc_and_has_no_fuse(user: str) -> None:
    assert is_local(PC, user)
    assert not has_fuse(PC, Credentials("ntlm", user, "secret"))


@pytest.mark.parametrize("user", ["LAB\\admin", "admin@example.com", "admin", "PC-0002\\admin", "\\admin", "10\\admin"])
def test_any_other_name_can_be_one_account_for_all_pcs(user: str) -> None:
    assert has_fuse(Endpoint("PC-0001", "pc-0001.example.com"), Credentials("ntlm", user, "secret"))


def test_a_local_account_is_recognised_by_the_short_name_that_netbios_has() -> None:
    long = Endpoint("workstation-in-the-hall.example.com", "10.0.0.1")

    assert is_local(long, "WORKSTATION-IN-\\admin")


@pytest.mark.parametrize(
    ("authentication", "fused"),
    [("ntlm", True), ("basic", True), ("credssp", True), ("kerberos", False), ("certificate", False)],
)
def test_only_passwords_have_a_fuse(authentication: str, fused: bool) -> None:
    assert has_fuse(PC, Credentials(authentication, "LAB\\admin", "")) is fused  # type: ignore[arg-type]


def test_kerberos_inside_of_credssp_has_no_fuse() -> None:
    assert not has_fuse(PC, Credentials("credssp", "admin@LAB.TEST", "", credssp_mechanism="kerberos"))
