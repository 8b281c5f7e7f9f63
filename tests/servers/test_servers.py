"""The servers that tests talk to start, answer and can be told apart from a stand-in."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.kdc
def test_a_kdc_gives_a_ticket_for_the_right_password_only(kdc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in kdc.env.items():
        monkeypatch.setenv(name, value)

    kdc.kinit(kdc.user_princ, kdc.password("user"))

    assert kdc.user_princ.encode() in kdc.run(["klist"])
    assert b"Password incorrect" in kdc.run(["kinit", kdc.user_princ], input="wrong\n", expected_code=1)


@pytest.mark.kdc
def test_pykerberos_makes_a_token_from_the_ticket(kdc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import kerberos

    for name, value in kdc.env.items():
        monkeypatch.setenv(name, value)
    kdc.kinit(kdc.user_princ, kdc.password("user"))

    _, context = kerberos.authGSSClientInit(kdc.host_princ.split("@")[0].replace("/", "@"))

    assert kerberos.authGSSClientStep(context, "") == kerberos.AUTH_GSS_CONTINUE
    assert len(kerberos.authGSSClientResponse(context)) > 400


@pytest.mark.active_directory
def test_a_domain_controller_gives_tickets_and_shows_its_directory(active_directory: Any) -> None:
    names = active_directory.run(
        "/usr/bin/samba-tool", "user", "list", f"--configfile={active_directory.folder / 'smb.conf'}"
    )

    assert "Administrator" in names.stdout.split(), names.stderr
    assert "krbtgt/LAB.TEST@LAB.TEST" in active_directory.run("klist").stdout


@pytest.mark.postgresql
def test_postgresql_keeps_what_it_is_given(postgresql: Any) -> None:
    postgresql.sql("CREATE TABLE runs (id bigint PRIMARY KEY, at timestamptz NOT NULL)")
    postgresql.sql("INSERT INTO runs VALUES (1, '2026-08-20T06:30:00Z')")

    assert postgresql.sql("SELECT count(*) FROM runs") == "1"
    assert int(postgresql.sql("SHOW server_version_num")) >= 150000


@pytest.mark.browser
def test_a_browser_runs_the_page_and_takes_a_picture_of_it(browser: Any, tmp_path: Path) -> None:
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text("<h1>before</h1><script>document.querySelector('h1').textContent = 6 * 7</script>")

    browser.screenshot(page, picture, (640, 480))

    assert "<h1>42</h1>" in browser.text(page)
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (640, 480)
