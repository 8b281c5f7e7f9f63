"""Plans that their author signed with a key of his own: everybody can check them, and nobody else can make one."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.errors import UsageError
from provmode.fleet.approvals import Approving
from provmode.fleet.journal import read as read_journal
from provmode.fleet.key_files import write_pair
from provmode.fleet.plan_file import PlanRefused, as_text, load, read, sign
from provmode.signing.canonical import canonical
from provmode.signing.key_text import key_of, public_line, public_pem
from provmode.signing.keys import APPROVAL, JOURNAL, PLAN, Keys, PrivateKey, PublicKey, SharedKey

KEPT = Path(__file__).parent / "version-1" / "every-step.plan.json"
SECRET = b"0123456789abcdef0123456789abcdef"
NOW = datetime(2026, 11, 26, 12, 30, tzinfo=timezone.utc)
ALICE, BOB = PrivateKey(bytes(range(32))), PrivateKey(bytes(range(1, 33)))
Document = dict[str, Any]


@pytest.fixture(scope="module")
def signed() -> Document:
    return sign(json.loads(KEPT.read_text("utf-8")), ALICE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "plan.json"


def refusal(path: Path, document: Document, key: object) -> str:
    """Return the line with which a plan is refused, with the name of its file as PLAN."""
    path.write_text(as_text(document), "utf-8")
    with pytest.raises(PlanRefused) as refused:
        load(path, key, unsigned=True, now=NOW)  # type: ignore[arg-type]
    return str(refused.value).replace(str(path), "PLAN")


# -- signing and checking ---------------------------------------------------------------------------------------------


def test_a_plan_says_which_key_is_needed_and_is_checked_with_its_public_half(path: Path, signed: Document) -> None:
    path.write_text(as_text(signed), "utf-8")

    assert set(signed["signature"]) == {"algorithm", "key", "value"}
    assert (signed["signature"]["algorithm"], signed["signature"]["key"]) == ("Ed25519", ALICE.fingerprint)
    for key in (ALICE.public, ALICE, Keys(BOB, (BOB, ALICE.public)), Keys(None, (SharedKey(SECRET), ALICE.public))):
        plan = load(path, key, unsigned=False, now=NOW)
        assert plan.signed
        assert plan.author is not None
        assert plan.author.fingerprint == ALICE.fingerprint


def test_a_public_key_signs_no_plan(signed: Document) -> None:
    with pytest.raises(UsageError, match="a public key cannot sign"):
        sign(signed, ALICE.public)


def test_with_keys_to_check_and_one_of_its_own_a_plan_is_signed_with_its_own(signed: Document) -> None:
    assert sign(signed, Keys(BOB, (ALICE.public, BOB)))["signature"]["key"] == BOB.fingerprint


def test_what_the_author_signs_leaves_out_signature_and_approvals_alone(signed: Document) -> None:
    rest = {name: value for name, value in signed.items() if name not in ("signature", "approvals")}

    assert ALICE.verify(PLAN, canonical(rest), signed["signature"]["value"])
    assert sign({**signed, "approvals": ["any"]}, ALICE) == signed


def test_another_key_is_refused_and_the_one_that_is_needed_is_named(path: Path, signed: Document) -> None:
    needed, other = f"the key {ALICE.fingerprint[:16]} (Ed25519)", f"the key {BOB.fingerprint[:16]} (Ed25519)"
    cure = "give the key of who made it, or plan anew"

    assert refusal(path, signed, BOB.public) == f"the plan PLAN was signed with {needed}, and given is {other}; {cure}"
    assert refusal(path, signed, SECRET) == (
        f"the plan PLAN was signed with {needed}, and given is a shared key (HMAC-SHA256); {cure}"
    )
    assert refusal(path, sign(signed, SECRET), ALICE.public) == (
        f"the plan PLAN was signed with a shared key (HMAC-SHA256), and given is {needed}; {cure}"
    )


# -- who wants to make one --------------------------------------------------------------------------------------------


FORGED: dict[str, Callable[[Document], None]] = {
    "the algorithm swapped": lambda plan: plan["signature"].update(algorithm="HMAC-SHA256"),
    "the algorithm in another case": lambda plan: plan["signature"].update(algorithm="ed25519"),
    "no algorithm": lambda plan: plan["signature"].pop("algorithm"),
    "the algorithm none": lambda plan: plan["signature"].update(algorithm="none", value=""),
    "an empty value": lambda plan: plan["signature"].update(value=""),
    "no value": lambda plan: plan["signature"].pop("value"),
    "zeros": lambda plan: plan["signature"].update(value="0" * 128),
    "a value in capitals": lambda plan: plan["signature"].update(value=plan["signature"]["value"].upper()),
    "a list of values": lambda plan: plan["signature"].update(value=[plan["signature"]["value"]]),
    "a field more": lambda plan: plan["signature"].update(note="signed"),
    "no key": lambda plan: plan["signature"].pop("key"),
    "another key": lambda plan: plan["signature"].update(key=BOB.fingerprint),
    "text": lambda plan: plan.update(signature="signed"),
    "a list": lambda plan: plan.update(signature=[plan["signature"]]),
    "nothing in it": lambda plan: plan.update(signature={}),
    "false": lambda plan: plan.update(signature=False),
    "another author": lambda plan: plan.update(by="bob@controller"),
    "another inventory": lambda plan: plan.update(inventory="theirs.py"),
    "a later end": lambda plan: plan.update(expires="2036-10-25T01:15:14+00:00"),
    "a step more": lambda plan: plan["hosts"][0]["steps"].extend(plan["hosts"][1]["steps"]),
    "a field that nobody knows": lambda plan: plan.update(note="hello"),
    "signed by somebody else": lambda plan: plan.update(sign(plan, BOB)),
    "signed by somebody else under the author's key": lambda plan: plan["signature"].update(
        value=sign(plan, BOB)["signature"]["value"]
    ),
    "signed as an approval": lambda plan: plan["signature"].update(value=_as(plan, APPROVAL)),
    "signed as a line of a journal": lambda plan: plan["signature"].update(value=_as(plan, JOURNAL)),
    **{
        f"an HMAC with {name} of the public key": lambda plan, secret=secret: plan.update(  # type: ignore[misc]
            signature={"algorithm": "HMAC-SHA256", "value": _hmac(plan, secret)}
        )
        for name, secret in {
            "the bytes": ALICE.public.raw,
            "the file": public_pem(ALICE.public).encode(),
            "the stripped file": public_pem(ALICE.public).encode().strip(),
            "the line": public_line(ALICE.public).encode(),
            "the fingerprint": ALICE.fingerprint.encode(),
        }.items()
    },
}


def _as(plan: Document, purpose: str) -> str:
    return ALICE.sign(purpose, canonical({name: value for name, value in plan.items() if name != "signature"}))


def _hmac(plan: Document, secret: bytes) -> str:
    unsigned = canonical({name: value for name, value in plan.items() if name != "signature"})
    return hmac.new(secret, unsigned, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("what", FORGED)
def test_who_can_check_a_plan_cannot_make_one(path: Path, signed: Document, what: str) -> None:
    document = copy.deepcopy(signed)
    FORGED[what](document)

    assert refusal(path, document, ALICE.public)
    with pytest.raises(PlanRefused):
        read(path, ALICE.public)


def test_a_plan_whose_signature_was_taken_away_is_not_signed(path: Path, signed: Document) -> None:
    for document in ({**signed, "signature": None}, {k: v for k, v in signed.items() if k != "signature"}):
        path.write_text(as_text(document), "utf-8")
        with pytest.raises(PlanRefused, match="is not signed; sign plans with a key, or give --unsigned"):
            load(path, ALICE.public, unsigned=False, now=NOW)


def test_a_key_that_stands_twice_is_refused_whichever_reader_takes_which(path: Path, signed: Document) -> None:
    text = as_text(signed)
    for twice in (
        text.replace('"by":', '"by": "mallory@controller",\n "by":', 1),
        text.replace('{"name":', '{"name": "@winrm/PC-9", "name":', 1),
        text.replace('"algorithm":', '"algorithm": "HMAC-SHA256", "algorithm":', 1),
    ):
        assert twice != text
        path.write_text(twice, "utf-8")
        for unsigned in (False, True):
            with pytest.raises(PlanRefused, match="a key stands in it twice"):
                load(path, ALICE.public, unsigned=unsigned, now=NOW)


@given(st.data())
def test_a_change_of_any_byte_is_found_or_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, signed: Document, data: st.DataObject
) -> None:
    """Blanks between fields are no part of what is signed: then the plan still is what the author signed."""
    whole = as_text(signed).encode()
    position = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[position]))
    path = tmp_path_factory.getbasetemp() / "changed.json"
    path.write_bytes(whole[:position] + bytes([byte]) + whole[position + 1 :])

    try:
        plan = load(path, ALICE.public, unsigned=False, now=NOW)
    except PlanRefused:
        return
    assert canonical(plan.document) == canonical(signed)
    assert chr(byte).isspace() or chr(whole[position]).isspace()


# -- the commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def office(commands: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One PC to mend, a pair each of Alice and Bob, and a configuration file that the tests fill."""
    monkeypatch.chdir(commands.bench.folder)
    monkeypatch.delenv("PROVMODE_PLAN_KEY", raising=False)
    for name, key in (("alice", ALICE), ("bob", BOB)):
        write_pair(commands.bench.folder / f"{name}.key", key)
    commands.bench.pc("armed", "PC-1")
    return commands


def plan_of_alice(office: Any) -> None:
    made = office.run("plan", office.inventory, "--output", "plan.json", "--key-file", "alice.key")
    assert made.code == 2, made


def test_alice_plans_and_bob_applies_with_her_public_key_and_his_own(office: Any) -> None:
    plan_of_alice(office)
    keys = ("--key-file", "alice.key.pub", "--journal-key", "bob.key")

    assert office.run("apply", "plan.json", *keys).code == 0
    assert office.bench.pcs["PC-1"].changes


def test_the_configuration_names_the_keys_that_are_trusted_and_the_own_one(office: Any) -> None:
    plan_of_alice(office)
    Path("bob.toml").write_text("[signing]\nplan_keys = ['alice.key.pub']\njournal_key = 'bob.key'\n")

    assert office.run("apply", "plan.json", "--config", "bob.toml").code == 0
    assert (
        "signed with the given key " + ALICE.fingerprint in office.run("show", "plan.json", "--config", "bob.toml").out
    )
    assert office.run("verify", "plan.json.journal", "--config", "bob.toml").code == 0


def test_the_key_that_the_command_line_names_counts_alone(office: Any) -> None:
    plan_of_alice(office)
    Path("bob.toml").write_text("[signing]\nplan_keys = ['alice.key.pub']\njournal_key = 'bob.key'\n")

    refused = office.run("apply", "plan.json", "--config", "bob.toml", "--key-file", "bob.key.pub")

    assert refused.code == 3
    assert f"signed with the key {ALICE.fingerprint[:16]}" in refused.err


def test_a_shared_key_in_the_environment_counts_beside_the_keys_of_the_configuration(
    office: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_of_alice(office)
    monkeypatch.setenv("PROVMODE_PLAN_KEY", SECRET.decode())
    Path("bob.toml").write_text("[signing]\nplan_keys = ['alice.key.pub']\n")

    assert office.run("plan", office.inventory, "--output", "shared.json").code == 2
    for plan in ("plan.json", "shared.json"):
        assert "signed with the given key" in office.run("show", plan, "--config", "bob.toml").out
    assert office.run("show", "plan.json").code == 3
    assert office.run("apply", "shared.json", "--config", "bob.toml").code == 0


def test_a_public_key_in_the_environment_is_no_key(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (public_pem(ALICE.public), public_line(ALICE.public)):
        monkeypatch.setenv("PROVMODE_PLAN_KEY", text)

        ran = office.run("plan", office.inventory, "--output", "plan.json")

        assert ran.code == 1
        assert "a key of a pair is no shared key" in ran.err


@pytest.mark.parametrize("command", ["plan", "push"])
def test_who_has_only_a_public_key_cannot_make_a_plan(office: Any, command: str) -> None:
    ran = office.run(command, office.inventory, "--output", "plan.json", "--key-file", "alice.key.pub")

    assert ran.code == 1
    assert ran.err == "alice.key.pub is a public key, which cannot sign; give the private key\n"
    assert not Path("plan.json").exists()
    assert not office.bench.pcs["PC-1"].actions, "no PC was asked"


def test_a_push_is_signed_with_the_own_key_and_so_is_its_journal(office: Any) -> None:
    ran = office.run("push", office.inventory, "--output", "p.json", "--key-file", "alice.key", "--yes")

    assert ran.code == 0, ran
    assert json.loads(Path("p.json").read_text())["signature"]["key"] == ALICE.fingerprint
    assert office.run("verify", "p.json.journal", "--key-file", "alice.key.pub").code == 0
    assert office.run("verify", "p.json.journal", "--key-file", "bob.key.pub").code == 1


def test_a_plan_of_somebody_who_is_not_trusted_changes_nothing(office: Any) -> None:
    plan_of_alice(office)

    ran = office.run("apply", "plan.json", "--key-file", "bob.key.pub", "--journal-key", "bob.key")

    assert ran.code == 3
    assert not office.bench.pcs["PC-1"].changes
    assert not Path("plan.json.journal").exists()


def test_keys_are_not_taken_from_the_working_directory(office: Any) -> None:
    for line in (
        "plan_keys = ['alice.key.pub']",
        "journal_key = 'bob.key'",
        "journal_keys = ['bob.key.pub']",
        "approvers = ['bob.key.pub']",
        "approvals = 0",
    ):
        Path("provmode.toml").write_text(f"[signing]\n{line}\n")

        ran = office.run("config")

        assert ran.code == 1
        assert f"signing.{line.partition(' ')[0]} is not taken from the working directory" in ran.err


def test_a_public_key_of_the_configuration_that_others_can_change_ends_the_command(office: Any) -> None:
    plan_of_alice(office)
    office.bench.folder.chmod(0o755)
    Path("alice.key.pub").chmod(0o666)
    Path("bob.toml").write_text("[signing]\nplan_keys = ['alice.key.pub']\njournal_key = 'bob.key'\n")

    ran = office.run("apply", "plan.json", "--config", "bob.toml")

    assert ran.code == 1
    assert "says whose plans and journals are believed, and others can write to it" in ran.err


# -- what was signed stays signed -------------------------------------------------------------------------------------

OF_THIS_VERSION = Path(__file__).parent / "signed"
"""A plan of Alice that Bob approved, and a journal that Bob began and Carol undid, as this version wrote them."""


def test_what_this_version_signed_is_checked_by_every_later_one() -> None:
    alice, bob, carol = (_public(name) for name in ("alice", "bob", "carol"))

    plan = load(
        OF_THIS_VERSION / "plan.json", alice, unsigned=False, now=NOW, approving=Approving((bob, carol), needed=1)
    )
    state = read_journal(OF_THIS_VERSION / "plan.json.journal", Keys(None, (bob, carol)))

    assert [approval.by for approval in plan.approvals] == ["bob@desk"]
    assert state.signed_by == [bob.fingerprint, carol.fingerprint]
    assert (state.lines, state.closed, state.hosts["PC-1"].undone) == (9, True, True)


def _public(name: str) -> PublicKey:
    key = key_of((OF_THIS_VERSION / f"{name}.pub").read_bytes(), name)
    assert isinstance(key, PublicKey)
    return key
