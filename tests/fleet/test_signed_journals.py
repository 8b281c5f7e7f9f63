"""Journals that are signed with the key of who applies: each run, resume and undo with its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.errors import Unreachable, UsageError
from provmode.fleet.history import history_of
from provmode.fleet.journal import Journal, JournalDamaged, read
from provmode.fleet.journal_chain import KeyMissing, encoded, sealed
from provmode.fleet.key_files import write_pair
from provmode.history.database import Database, url_of
from provmode.history.reader import History
from provmode.remediation.steps import SetMode
from provmode.signing.key_text import public_pem
from provmode.signing.keys import APPROVAL, PLAN, Keys, PrivateKey, SharedKey

ALICE, BOB, CAROL = (PrivateKey(bytes(range(start, start + 32))) for start in (0, 1, 2))
SECRET = b"0123456789abcdef0123456789abcdef"
BOTH = Keys(None, (BOB.public, CAROL.public))


def write_run(path: Path, now: Callable[[], Any], key: Any) -> None:
    journal = Journal.create(path, "plan-1", now, key, nonce="one")
    journal.step_begun("PC-1", 0, SetMode(False, "true"), None)
    journal.write("step-ended", host="PC-1", number=0, ending="changed")
    journal.write("host-ended", host="PC-1", outcome="changed", detail="é")
    journal.close()


def undo(path: Path, now: Callable[[], Any], keys: Any) -> None:
    journal, _ = Journal.resume(path, "plan-1", now, event="undo-begun", key=keys, nonce="two")
    journal.write("step-undo-begun", host="PC-1", number=0)
    journal.write("step-undone", host="PC-1", number=0, ending="changed")
    journal.close("undo-ended")


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def rewritten(lines: list[dict[str, Any]], key: Any = None, *, but: int = 0) -> bytes:
    """Return a journal with these lines, chained anew from the line *but* on, by somebody with *key* or without any."""
    last, found = "0" * 64, []
    for number, line in enumerate(lines):
        if number >= but:
            bare = {name: value for name, value in line.items() if name not in ("hash", "signature")}
            line = sealed({**bare, "prev": last}, key)
        last = line["hash"]
        found.append(encoded(line) + b"\n")
    return b"".join(found)


@pytest.fixture
def journal(bench: Any) -> Path:
    """A run by Bob, which Carol undid."""
    path = Path(bench.folder) / "journal"
    write_run(path, bench.now, BOB)
    undo(path, bench.now, Keys(CAROL, (CAROL, BOB.public)))
    return path


# -- who signed what --------------------------------------------------------------------------------------------------


def test_each_line_is_signed_with_the_key_that_its_run_names(journal: Path) -> None:
    lines = lines_of(journal)

    assert [line.get("key") for line in lines if line["event"] in ("run-begun", "undo-begun")] == [
        BOB.fingerprint,
        CAROL.fingerprint,
    ]
    assert all(len(line["signature"]) == 128 for line in lines)
    state = read(journal, BOTH)
    assert (state.signed, state.signed_by, state.closed) == (True, [BOB.fingerprint, CAROL.fingerprint], True)


def test_the_hashes_can_be_followed_without_any_key(journal: Path) -> None:
    last = "0" * 64
    for line in lines_of(journal):
        bare = {name: value for name, value in line.items() if name not in ("hash", "signature")}
        assert (line["prev"], line["hash"]) == (last, hashlib.sha256(encoded(bare)).hexdigest())
        last = line["hash"]
    assert read(journal, unchecked=True).signed


@pytest.mark.parametrize("keys", [BOB.public, CAROL.public, ALICE.public, SECRET, Keys(BOB, (BOB, ALICE.public))])
def test_who_has_not_every_key_does_not_believe_it(journal: Path, keys: Any) -> None:
    with pytest.raises(KeyMissing, match="which was not given; give the public key of who made this run"):
        read(journal, keys)


def test_without_a_key_it_is_read_only_if_nobody_relies_on_it(journal: Path) -> None:
    with pytest.raises(UsageError, match="is signed; give --key-file"):
        read(journal)
    assert not history_of(journal, None).checked
    assert history_of(journal, BOTH).checked


def test_a_public_key_signs_no_journal(bench: Any, journal: Path) -> None:
    before = journal.read_bytes()
    with pytest.raises(UsageError, match="a public key only checks; give a private one"):
        Journal.create(bench.folder / "another", "plan-1", bench.now, BOB.public)
    with pytest.raises(UsageError, match="a public key only checks; give a private one"):
        undo(journal, bench.now, BOTH)

    assert not (bench.folder / "another").exists()
    assert journal.read_bytes() == before


def test_a_shared_key_and_a_pair_go_on_with_each_others_journal(bench: Any) -> None:
    path, both = bench.folder / "journal", Keys(BOB, (BOB, SharedKey(SECRET)))
    write_run(path, bench.now, SECRET)
    undo(path, bench.now, both)

    assert read(path, both).signed_by == ["", BOB.fingerprint]
    with pytest.raises(KeyMissing):
        read(path, BOB)
    with pytest.raises(KeyMissing):
        read(path, SECRET)


def test_a_torn_last_line_is_cut_off_and_another_person_goes_on(bench: Any, journal: Path) -> None:
    whole = journal.read_bytes()
    for torn in (whole[:-1], whole[:-60], whole[: whole.rindex(b'"signature"')]):
        journal.write_bytes(torn)
        assert read(journal, BOTH).torn

        undo(journal, bench.now, Keys(BOB, (BOB, CAROL.public)))

        state = read(journal, BOTH)
        assert (state.torn, state.closed, state.signed_by) == (False, True, [BOB.fingerprint, CAROL.fingerprint])


def test_a_first_line_that_was_torn_begins_anew_with_the_key_of_who_resumes(bench: Any) -> None:
    path = bench.folder / "journal"
    Journal.create(path, "plan-1", bench.now, BOB).abandon()
    path.write_bytes(path.read_bytes()[:200])

    writer, _ = Journal.resume(path, "plan-1", bench.now, key=CAROL)
    writer.close()

    assert read(path, CAROL.public).signed_by == [CAROL.fingerprint]


# -- who wants to change it -------------------------------------------------------------------------------------------


@given(st.data())
def test_a_change_of_any_byte_is_found(
    tmp_path_factory: pytest.TempPathFactory, signed_bytes: bytes, data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, len(signed_bytes) - 2))  # the last line ending: as a crash leaves it
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != signed_bytes[position]))
    path = tmp_path_factory.getbasetemp() / "changed.journal"
    path.write_bytes(signed_bytes[:position] + bytes([byte]) + signed_bytes[position + 1 :])

    with pytest.raises(JournalDamaged, match=f"line {signed_bytes[:position].count(10) + 1}:"):
        read(path, BOTH)


@pytest.fixture(scope="module")
def signed_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    from datetime import datetime, timezone

    def now() -> datetime:
        return datetime(2026, 11, 26, tzinfo=timezone.utc)

    path = tmp_path_factory.mktemp("signed") / "journal"
    write_run(path, now, BOB)
    undo(path, now, Keys(CAROL, (CAROL, BOB.public)))
    return path.read_bytes()


def test_a_line_that_is_removed_moved_or_repeated_is_found(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    for number in range(len(lines) - 1):
        for changed in (
            [*lines[:number], *lines[number + 1 :]],
            [*lines[: number + 1], *lines[number:]],
            [*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]],
        ):
            journal.write_bytes(b"".join(changed))
            with pytest.raises(JournalDamaged):
                read(journal, BOTH)


def forgeries(lines: list[dict[str, Any]]) -> dict[str, bytes]:
    """Return what somebody can make of a journal who has every public key and the key of the plan's author."""
    changed = [{**line, **({"detail": "forged"} if "detail" in line else {})} for line in lines]
    named = [{**line, **({"key": ALICE.fingerprint} if "key" in line else {})} for line in changed]
    shared = [{name: value for name, value in line.items() if name != "key"} for line in changed]
    unsigned = [{**line, **({"signed": False} if "signed" in line else {})} for line in shared]
    foreign = rewritten(
        [*lines, {**lines[0], "event": "run-resumed", "key": ALICE.fingerprint}, lines[-1]], ALICE, but=8
    )
    of_bob = rewritten([*lines, {**lines[0], "event": "run-resumed"}, lines[-1]], ALICE, but=8)
    bare = rewritten([*lines, {**unsigned[0], "event": "run-resumed"}, lines[-1]], but=8)
    more = rewritten([*lines, {**lines[3]}], but=8)
    purposes = [_signed_as(changed, purpose) for purpose in (PLAN, APPROVAL)]
    return {
        "signed with another key under the names of theirs": rewritten(changed, ALICE),
        "signed with another key under its own name": rewritten(named, ALICE),
        "hashes alone": rewritten(changed),
        "an HMAC with the bytes of a public key": rewritten(shared, SharedKey(BOB.public.raw)),
        "an HMAC with the file of a public key": rewritten(shared, SharedKey(public_pem(BOB.public).encode())),
        "a run of another person behind it": foreign,
        "a run under Bob's name behind it": of_bob,
        "a run without a signature behind it": bare,
        "a line without a signature behind it": more,
        "old signatures under new lines": b"".join(
            encoded({**new, "signature": old["signature"]}) + b"\n"
            for new, old in zip(map(json.loads, rewritten(changed).splitlines()), lines, strict=True)
        ),
        "a first line that begins no run": rewritten([{"event": "note", "signed": True, "time": "t"}, *unsigned]),
        "signed as a plan": purposes[0],
        "signed as an approval": purposes[1],
    }


def _signed_as(lines: list[dict[str, Any]], purpose: str) -> bytes:
    """Return a journal whose lines Bob signed, each as something else: what a plan of his would prove."""
    made = [json.loads(line) for line in rewritten(lines).splitlines()]
    keys = [BOB] * 5 + [CAROL] * 4
    return b"".join(
        encoded({**line, "signature": key.sign(purpose, line["hash"].encode())}) + b"\n"
        for line, key in zip(made, keys, strict=False)
    )


@pytest.mark.parametrize("number", range(13))
def test_who_can_check_a_journal_cannot_write_one(journal: Path, number: int) -> None:
    what, forged = list(forgeries(lines_of(journal)).items())[number]
    journal.write_bytes(forged)

    with pytest.raises(JournalDamaged):
        pytest.fail(f"{what}: {read(journal, BOTH)}")


@pytest.mark.parametrize("key", [SECRET, None])
def test_a_signature_is_nothing_that_can_be_added_to_a_line_which_has_none(bench: Any, key: bytes | None) -> None:
    path = bench.folder / "journal"
    write_run(path, bench.now, key)
    lines = lines_of(path)
    lines[2]["signature"] = "0" * 128
    path.write_bytes(b"".join(encoded(line) + b"\n" for line in lines))

    with pytest.raises(JournalDamaged, match="line 3: it was changed"):
        read(path, key)


def test_a_run_without_a_signature_behind_a_signed_one_is_named(journal: Path) -> None:
    lines = lines_of(journal)
    bare = {name: value for name, value in lines[0].items() if name != "key"}
    journal.write_bytes(rewritten([*lines, {**bare, "event": "run-resumed", "signed": False}], but=len(lines)))

    with pytest.raises(JournalDamaged, match=f"line {len(lines) + 1}: a run that is not signed, in a journal that is"):
        read(journal, BOTH)


def test_lines_before_the_first_run_of_a_signed_journal_are_nobodys(journal: Path) -> None:
    journal.write_bytes(rewritten([{"event": "note", "signed": True, "time": "t"}, lines_of(journal)[0]]))

    with pytest.raises(JournalDamaged, match="line 1: it was not written by provmode"):
        read(journal, BOTH)


def test_a_journal_whose_signatures_were_taken_away_is_not_signed(bench: Any, journal: Path) -> None:
    unsigned = [{**line, **({"signed": False} if "signed" in line else {})} for line in lines_of(journal)]
    journal.write_bytes(rewritten([{k: v for k, v in line.items() if k != "key"} for line in unsigned]))

    assert not read(journal, BOTH).signed
    with pytest.raises(JournalDamaged, match="is not signed, and the plan is"):
        undo(journal, bench.now, Keys(CAROL, (CAROL, BOB.public)))


# -- the commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def office(commands: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A plan of Alice for two PCs, and pairs of Alice, Bob and Carol."""
    monkeypatch.chdir(commands.bench.folder)
    monkeypatch.delenv("PROVMODE_PLAN_KEY", raising=False)
    for name, key in (("alice", ALICE), ("bob", BOB), ("carol", CAROL)):
        write_pair(commands.bench.folder / f"{name}.key", key)
    for number in (1, 2):
        commands.bench.pc("armed", f"PC-{number}", seed=number)
    made = commands.run("plan", commands.inventory, "--output", "plan.json", "--key-file", "alice.key")
    assert made.code == 2, made
    return commands


BY_BOB = ("--key-file", "alice.key.pub", "--journal-key", "bob.key")
BY_CAROL = ("--key-file", "alice.key.pub", "--journal-key", "carol.key")
JOURNAL = "plan.json.journal"


def trusting(*names: str) -> tuple[str, str]:
    """Write a configuration that believes the journals of these people."""
    Path("trust.toml").write_text(f"[signing]\njournal_keys = {[f'{name}.key.pub' for name in names]!r}\n")
    return ("--config", "trust.toml")


def changed(office: Any) -> list[str]:
    return [name for name, pc in office.bench.pcs.items() if pc.changes]


def test_a_signed_plan_is_not_applied_without_a_key_for_its_journal(office: Any) -> None:
    ran = office.run("apply", "plan.json", "--key-file", "alice.key.pub")

    assert (ran.code, ran.err) == (
        1,
        "the plan is signed, and there is no key to sign the journal with; "
        "give a private key of your own (--journal-key, provmode key new), or --unsigned-journal\n",
    )
    assert changed(office) == []
    assert not Path(JOURNAL).exists()


def test_an_unsigned_journal_of_a_signed_plan_is_asked_for_and_said(office: Any) -> None:
    office.bench.pcs["PC-2"].error = Unreachable("PC-2 is off")
    keys = ("--key-file", "alice.key.pub")

    ran = office.run("apply", "plan.json", *keys, "--unsigned-journal")

    assert ran.code == 8, ran
    assert "the journal is not signed: whoever can write to it can change what it says" in ran.err
    assert not read(Path(JOURNAL)).signed
    office.bench.pcs["PC-2"].error = None
    with_key = office.run("apply", "plan.json", *BY_BOB, "--resume")
    assert (with_key.code, changed(office)) == (1, ["PC-1"])
    assert "is not signed, and the plan is: another program wrote it" in with_key.err
    assert office.run("apply", "plan.json", *keys, "--resume", "--unsigned-journal").code == 0
    assert office.run("verify", JOURNAL, "--key-file", "bob.key.pub").code == 1
    assert office.run("verify", JOURNAL, "--key-file", "bob.key.pub", "--unsigned").code == 0


def test_a_signed_journal_is_not_resumed_without_signing_on(office: Any) -> None:
    office.bench.pcs["PC-2"].error = Unreachable("PC-2 is off")
    office.run("apply", "plan.json", *BY_BOB)
    before = Path(JOURNAL).read_bytes()

    ran = office.run("apply", "plan.json", "--key-file", "alice.key.pub", "--resume", "--unsigned-journal")

    assert ran.code == 1
    assert "is signed" in ran.err
    assert Path(JOURNAL).read_bytes() == before


def test_the_journal_is_checked_with_the_public_key_of_who_applied(office: Any) -> None:
    assert office.run("apply", "plan.json", *BY_BOB).code == 0

    checked = office.run("verify", JOURNAL, "--key-file", "bob.key.pub")
    shown = office.run("show", JOURNAL, "--key-file", "bob.key.pub")

    assert (checked.code, shown.code) == (0, 0)
    assert f"signed with the key {BOB.fingerprint}" in checked.out
    assert f"signed with the key {BOB.fingerprint}" in shown.out
    assert f"key: {BOB.fingerprint}" in shown.out
    for command in ("verify", "show"):
        refused = office.run(command, JOURNAL, "--key-file", "alice.key.pub")
        assert refused.code == 1
        assert f"this run was signed with the key {BOB.fingerprint[:16]}, which was not given" in refused.err
    assert "signed; not checked" in office.run("show", JOURNAL).out


def test_another_person_resumes_with_a_key_of_their_own_if_they_trust_the_first(office: Any) -> None:
    office.bench.pcs["PC-2"].error = Unreachable("PC-2 is off")
    assert office.run("apply", "plan.json", *BY_BOB).code == 8
    office.bench.pcs["PC-2"].error = None

    refused = office.run("apply", "plan.json", *BY_CAROL, "--resume")
    resumed = office.run("apply", "plan.json", *BY_CAROL, "--resume", *trusting("bob"))

    assert refused.code == 1
    assert "was signed with the key" in refused.err
    assert (resumed.code, changed(office)) == (0, ["PC-1", "PC-2"])
    assert office.run("verify", JOURNAL, *trusting("bob", "carol")).code == 0
    assert office.run("verify", JOURNAL, *trusting("carol")).code == 1


def test_the_authors_key_is_not_believed_for_a_journal(office: Any) -> None:
    """Alice makes plans. That she cannot write what Bob is to resume or undo is why he has a key of his own."""
    office.bench.pcs["PC-2"].error = Unreachable("PC-2 is off")
    assert office.run("apply", "plan.json", "--key-file", "alice.key").code == 8

    ran = office.run("apply", "plan.json", *BY_BOB, "--resume")

    assert ran.code == 1
    assert f"was signed with the key {ALICE.fingerprint[:16]}, which was not given" in ran.err


def test_the_authors_key_in_the_configuration_is_not_believed_for_a_journal_either(office: Any) -> None:
    office.run("apply", "plan.json", "--key-file", "alice.key")
    Path("site.toml").write_text("key_file = 'alice.key.pub'\n[signing]\njournal_keys = ['bob.key.pub']\n")

    assert office.run("show", "plan.json", "--config", "site.toml").code == 0
    refused = office.run("verify", JOURNAL, "--config", "site.toml")

    assert refused.code == 1
    assert f"was signed with the key {ALICE.fingerprint[:16]}, which was not given" in refused.err
    assert office.run("verify", JOURNAL, "--config", "site.toml", "--key-file", "alice.key.pub").code == 0


def test_an_undo_is_signed_with_the_key_of_who_undoes(office: Any) -> None:
    office.run("apply", "plan.json", *BY_BOB)
    trust = trusting("bob")
    undo_it = ("undo", JOURNAL, "--inventory", office.inventory, "--yes")
    before = Path(JOURNAL).read_bytes()

    only_checks = office.run(*undo_it, "--key-file", "bob.key.pub")
    looked = office.run(*undo_it, "--key-file", "bob.key.pub", "--dry")
    undone = office.run(*undo_it, "--journal-key", "carol.key", *trust)

    assert (only_checks.code, only_checks.err) == (
        1,
        "there is no key to sign the journal with: a public key only checks; give a private one (--journal-key)\n",
    )
    assert looked.code in (0, 2)
    assert undone.code == 0, undone
    assert Path(JOURNAL).read_bytes().startswith(before)
    assert read(Path(JOURNAL), BOTH).signed_by == [BOB.fingerprint, CAROL.fingerprint]


def test_an_unsigned_plan_has_a_signed_journal_if_there_is_a_key_for_it(office: Any) -> None:
    office.run("plan", office.inventory, "--output", "u.json", "--unsigned")

    assert office.run("apply", "u.json", "--unsigned", "--journal-key", "bob.key").code == 0
    assert office.run("verify", "u.json.journal", "--key-file", "bob.key.pub").code == 0


def test_a_journal_key_that_others_can_read_or_that_is_none_ends_the_run_before_it_begins(office: Any) -> None:
    Path("shared.key").write_bytes(SECRET)
    Path("open.key").write_bytes(Path("bob.key").read_bytes())
    Path("open.key").chmod(0o644)

    for name, why in (
        ("open.key", "others can read the private key open.key"),
        ("bob.key.pub", "bob.key.pub is a public key, and this takes a private one"),
        ("shared.key", "shared.key is a shared key, and this takes a private one"),
        ("no.key", "cannot read the key file no.key"),
    ):
        ran = office.run("apply", "plan.json", "--key-file", "alice.key.pub", "--journal-key", name)
        assert ran.code == 1
        assert why in ran.err
    assert changed(office) == []


def test_the_journal_key_can_be_handed_over_by_systemd(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    handed = office.bench.folder / "handed"
    handed.mkdir()
    Path("bob.key").rename(handed / "journal_key")
    Path("s.toml").write_text("[signing]\nplan_keys = ['alice.key.pub']\njournal_key = 'only-root-can-read-it'\n")
    without = office.run("apply", "plan.json", "--config", "s.toml")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))

    ran = office.run("apply", "plan.json", "--config", "s.toml")

    assert without.code == 1
    assert "cannot read the key file only-root-can-read-it" in without.err
    assert ran.code == 0, ran
    assert read(Path(JOURNAL), BOB.public).signed_by == [BOB.fingerprint]


def test_who_plans_to_remove_traces_believes_the_journals_of_those_who_apply(office: Any) -> None:
    office.run("apply", "plan.json", *BY_BOB)
    remove = ("plan", office.inventory, "--remove-traces", "--journal", JOURNAL, "--key-file", "alice.key")

    refused, planned = office.run(*remove), office.run(*remove, *trusting("bob"))

    assert refused.code == 1
    assert "was signed with the key" in refused.err
    assert planned.code in (0, 2), planned


def test_a_plan_that_its_author_signed_is_an_inventory_beside_a_shared_key_too(
    office: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`push` says how to undo a run whose list came from standard input: with the plan as inventory."""
    Path("list.txt").write_text("@winrm/PC-1\n")
    made = office.run("plan", "@list/list.txt", "--output", "listed.json", "--key-file", "alice.key")
    monkeypatch.setenv("PROVMODE_PLAN_KEY", SECRET.decode())

    shown = office.run("inventory", "show", "@plan/listed.json")

    assert (made.code, shown.code) == (2, 0), shown
    document = json.loads(Path("listed.json").read_text())
    document["signature"] = {"algorithm": "HMAC-SHA256", "value": "0" * 64}
    Path("listed.json").write_text(json.dumps(document))
    assert "does not fit" in office.run("inventory", "show", "@plan/listed.json").err


def test_the_history_imports_a_journal_as_checked_if_it_has_the_key_of_who_applied(office: Any) -> None:
    office.run("apply", "plan.json", *BY_BOB)
    Path("h.toml").write_text("[history]\nurl = 'sqlite:///h.sqlite'\n[signing]\njournal_keys = ['carol.key.pub']\n")
    import_it = ("history", "import", JOURNAL, "--config", "h.toml")

    refused = office.run(*import_it, "--key-file", "carol.key.pub")
    unchecked, about_unchecked = office.run(*import_it), about_the_run()
    checked, about_checked = office.run(*import_it, "--key-file", "bob.key.pub"), about_the_run()

    assert (refused.code, unchecked.code, checked.code) == (1, 0, 0)
    assert "which was not given" in refused.err
    assert (about_unchecked["checked"], about_checked["checked"]) == (False, True)
    assert about_unchecked["keys"] == about_checked["keys"] == [BOB.fingerprint]


def about_the_run() -> Any:
    """Return what the history keeps of its one run, and forget it."""
    with Database(url_of("sqlite:///h.sqlite")) as database, database.reading() as connection:
        about = History(connection).run("last").about
    Path("h.sqlite").unlink()
    return about
