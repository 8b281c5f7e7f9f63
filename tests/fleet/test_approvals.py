"""A second person's signature under a plan: bound to that very plan, by somebody else than its author, and enough."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.fleet.approvals import Approving, approved
from provmode.fleet.key_files import write_pair
from provmode.fleet.plan_file import Plan, PlanRefused, as_text, load, sign
from provmode.signing.canonical import canonical
from provmode.signing.keys import APPROVAL, JOURNAL, PLAN, PrivateKey

KEPT = Path(__file__).parent / "version-1" / "every-step.plan.json"
NOW = datetime(2026, 11, 26, 12, 30, tzinfo=timezone.utc)
ALICE, BOB, CAROL, MALLORY = (PrivateKey(bytes(range(start, start + 32))) for start in range(4))
SECRET = b"0123456789abcdef0123456789abcdef"
APPROVERS = (BOB.public, CAROL.public)
Document = dict[str, Any]


def authored(**changed: Any) -> Document:
    return sign({**json.loads(KEPT.read_text("utf-8")), "by": "alice@controller", **changed}, ALICE)


def approve(document: Document, key: PrivateKey, by: str, author: PrivateKey = ALICE) -> Document:
    made_by = document["by"]
    return approved(document, key, author=author, made_by=made_by, by=by, now=NOW, path=Path("PLAN"))


def forged(
    document: Document, key: PrivateKey, by: str, purpose: str = APPROVAL, says: PrivateKey | None = None
) -> Document:
    """Return a plan with an approval that nothing refused to make; it *says* that it is of another key."""
    plan = {name: value for name, value in document.items() if name != "approvals"}
    statement = {**(says or key).header, "by": by, "time": NOW.isoformat()}
    value = key.sign(purpose, canonical({**statement, "plan": plan}))
    return {**document, "approvals": [*document.get("approvals", []), {**statement, "value": value}]}


def loaded(path: Path, document: Document, needed: int = 1, key: Any = ALICE.public) -> Plan:
    path.write_text(as_text(document), "utf-8")
    return load(path, key, unsigned=True, now=NOW, approving=Approving(APPROVERS, needed))


def refusal(path: Path, document: Document, needed: int = 1, key: Any = ALICE.public) -> str:
    with pytest.raises(PlanRefused) as refused:
        loaded(path, document, needed, key)
    return str(refused.value).replace(str(path), "PLAN")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "plan.json"


@pytest.fixture(scope="module")
def by_bob() -> Document:
    return approve(authored(), BOB, "bob@desk")


# -- how many, by whom ------------------------------------------------------------------------------------------------


def test_a_plan_needs_as_many_approvals_as_the_configuration_says(path: Path, by_bob: Document) -> None:
    by_both = approve(by_bob, CAROL, "carol@desk")

    assert [
        len(loaded(path, plan, needed).approvals) for plan, needed in ((by_bob, 1), (by_both, 2), (by_both, 1))
    ] == [*(1, 2, 2)]
    assert loaded(path, authored(), needed=0).approvals == ()
    for plan, has, needed in ((authored(), 0, 1), (by_bob, 1, 2), (authored(), 0, 2)):
        assert refusal(path, plan, needed) == (
            f"the plan PLAN has {has} of {needed} approvals; "
            "somebody else has to approve it: provmode approve PLAN --key-file KEY"
        )


def test_the_same_approver_twice_counts_once(path: Path, by_bob: Document) -> None:
    twice = {**by_bob, "approvals": by_bob["approvals"] * 2}
    again = forged(by_bob, BOB, "robert@laptop")

    for plan in (twice, again):
        assert loaded(path, plan, needed=1)
        assert "has 1 of 2 approvals" in refusal(path, plan, needed=2)
    with pytest.raises(PlanRefused, match="was approved with this key already"):
        approve(by_bob, BOB, "bob@desk")


def test_the_author_approves_nothing_of_their_own_under_whichever_name(path: Path) -> None:
    own_key = "the plan PLAN cannot be approved with the key that signed it; somebody else has to approve it"
    with pytest.raises(PlanRefused, match="cannot be approved with the key that signed it"):
        approve(authored(), ALICE, "zoe@desk")
    assert refusal(path, forged(authored(), ALICE, "zoe@desk")) == own_key

    for name in ("alice@controller", "alice@laptop", "ALICE@desk", "CORP\\alice@desk"):
        with pytest.raises(PlanRefused, match="who cannot approve it as"):
            approve(authored(), BOB, name)
        assert "was made by alice@controller, who cannot approve it as" in refusal(path, forged(authored(), BOB, name))


def test_the_author_is_known_even_if_they_are_one_of_the_approvers(path: Path) -> None:
    """Bob may approve; a plan of his own he may not."""
    of_bob = sign({**authored(), "by": "bob@desk"}, BOB)

    assert "cannot be approved with the key that signed it" in refusal(
        path, forged(of_bob, BOB, "robert@desk"), key=BOB.public
    )
    assert loaded(path, approve(of_bob, CAROL, "carol@desk", BOB), key=BOB.public)


def test_an_approval_with_a_key_that_nobody_named_is_refused(path: Path, by_bob: Document) -> None:
    for plan in (approve(authored(), MALLORY, "mallory@desk"), approve(by_bob, MALLORY, "mallory@desk")):
        assert refusal(path, plan) == (
            f"the plan PLAN was approved with the key {MALLORY.fingerprint[:16]}, which is not one of the approvers'; "
            "add its public key to approvers under [signing] if that person may approve"
        )


def test_nobody_can_approve_an_unsigned_plan(path: Path) -> None:
    for plan in (sign(authored(), None), forged(sign(authored(), None), BOB, "bob@desk")):
        assert refusal(path, plan) == "the plan PLAN is not signed: nobody can approve it; sign plans with a key"


def test_a_plan_that_was_signed_with_a_shared_key_is_approved_with_a_pair(path: Path) -> None:
    shared = sign(authored(), SECRET)

    assert loaded(path, forged(shared, BOB, "bob@desk"), key=SECRET).approvals[0].key == BOB.fingerprint


# -- bound to that very plan ------------------------------------------------------------------------------------------

EDITED: dict[str, Callable[[Document], Document]] = {
    "edited by the approver": lambda plan: {**plan, "inventory": "theirs.py"},
    "edited and signed anew by its author": lambda plan: {
        **sign({**plan, "inventory": "theirs.py"}, ALICE),
        "approvals": plan["approvals"],
    },
    "signed anew with a shared key": lambda plan: {**sign(plan, SECRET), "approvals": plan["approvals"]},
    "signed by the approver as its author": lambda plan: {**sign(plan, BOB), "approvals": plan["approvals"]},
    "the author's signature taken away": lambda plan: {**plan, "signature": None},
    "the algorithm swapped": lambda plan: {**plan, "signature": {**plan["signature"], "algorithm": "HMAC-SHA256"}},
    "the approval of another plan": lambda plan: {
        **authored(id="another", inventory="theirs.py"),
        "approvals": plan["approvals"],
    },
    "the approval of the same plan, signed with another key": lambda plan: {
        **plan,
        "approvals": forged(sign(plan, MALLORY), BOB, "bob@desk")["approvals"][-1:],
    },
    **{
        f"its {name} changed": lambda plan, name=name, value=value: {  # type: ignore[misc]
            **plan,
            "approvals": [{**plan["approvals"][0], name: value}],
        }
        for name, value in (
            ("by", "carol@desk"),
            ("time", "2026-11-26T12:31:00+00:00"),
            ("key", CAROL.fingerprint),
            ("algorithm", "HMAC-SHA256"),
            ("value", "0" * 128),
            ("value", ""),
            ("note", "fine"),
            ("by", None),
        )
    },
    "its value in capitals": lambda plan: {
        **plan,
        "approvals": [{**plan["approvals"][0], "value": plan["approvals"][0]["value"].upper()}],
    },
    "a field less": lambda plan: {
        **plan,
        "approvals": [{name: value for name, value in plan["approvals"][0].items() if name != "time"}],
    },
    "approvals that are no list": lambda plan: {**plan, "approvals": plan["approvals"][0]},
    "an approval that is a word": lambda plan: {**plan, "approvals": ["bob@desk"]},
    "approved as a plan is signed": lambda plan: forged(authored(), BOB, "bob@desk", PLAN),
    "approved as a journal is signed": lambda plan: forged(authored(), BOB, "bob@desk", JOURNAL),
    "the signature of a plan of Bob as an approval": lambda plan: {
        **plan,
        "approvals": [{**plan["approvals"][0], "value": sign(plan, BOB)["signature"]["value"]}],
    },
    "approved under the name of another key": lambda plan: forged(authored(), MALLORY, "bob@desk", says=BOB),
}


@pytest.mark.parametrize("what", EDITED)
def test_an_approval_holds_for_that_very_plan(path: Path, by_bob: Document, what: str) -> None:
    assert loaded(path, by_bob)
    document = EDITED[what](by_bob)

    for needed in (0, 1):
        assert refusal(path, document, needed)


def test_an_approval_that_was_taken_away_is_missing(path: Path, by_bob: Document) -> None:
    assert "has 0 of 1 approvals" in refusal(path, {**by_bob, "approvals": []})


@given(st.data())
def test_a_change_of_any_byte_is_found_or_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, by_bob: Document, data: st.DataObject
) -> None:
    whole = as_text(by_bob).encode()
    begins = whole.index(b'"signature"')
    position = data.draw(st.integers(begins, len(whole) - 1) | st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[position]))
    path = tmp_path_factory.getbasetemp() / "changed.json"
    path.write_bytes(whole[:position] + bytes([byte]) + whole[position + 1 :])

    try:
        plan = load(path, ALICE.public, unsigned=False, now=NOW, approving=Approving(APPROVERS, 1))
    except PlanRefused:
        return
    assert canonical(plan.document) == canonical(by_bob)


# -- the commands -----------------------------------------------------------------------------------------------------

SITE = """
[signing]
plan_keys = ["alice.key.pub", "bob.key.pub"]
journal_key = "dora.key"
approvers = ["bob.key.pub", "carol.key.pub"]
approvals = {needed}
"""


class Office:
    """A plan of Alice for one PC, a site that wants approvals, and four people with a pair each."""

    def __init__(self, commands: Any, patch: pytest.MonkeyPatch) -> None:
        self.commands, self.bench, self._patch = commands, commands.bench, patch
        patch.chdir(self.bench.folder)
        patch.delenv("PROVMODE_PLAN_KEY", raising=False)
        dora = PrivateKey(bytes(range(9, 41)))
        for name, key in (("alice", ALICE), ("bob", BOB), ("carol", CAROL), ("mallory", MALLORY), ("dora", dora)):
            write_pair(self.bench.folder / f"{name}.key", key)
        self.pc = self.bench.pc("armed", "PC-1")
        self.needs(1)
        made = self.run("alice", "plan", commands.inventory, "--output", "plan.json", "--key-file", "alice.key")
        assert made.code == 2, made

    def needs(self, approvals: int) -> None:
        Path("site.toml").write_text(SITE.format(needed=approvals))

    def run(self, who: str, *arguments: object) -> Any:
        self._patch.setenv("LOGNAME", who)
        return self.commands.run(*arguments, "--config", "site.toml")

    def approve(self, who: str, *options: object, yes: bool = True) -> Any:
        answer = ("--yes",) if yes else ()
        return self.run(who, "approve", "plan.json", "--key-file", f"{who}.key", *answer, *options)

    def apply(self) -> Any:
        return self.run("dora", "apply", "plan.json")

    @property
    def approvals(self) -> list[Document]:
        return list(json.loads(Path("plan.json").read_text()).get("approvals", []))


@pytest.fixture
def office(commands: Any, monkeypatch: pytest.MonkeyPatch) -> Office:
    return Office(commands, monkeypatch)


def test_alice_plans_bob_approves_and_dora_applies(office: Office) -> None:
    refused = office.apply()
    assert (refused.code, office.pc.changes) == (3, [])
    assert "has 0 of 1 approvals; somebody else has to approve it" in refused.err

    approving = office.approve("bob")

    assert approving.code == 0
    assert "approved: plan.json has 1 of 1 approvals" in approving.err
    assert [(each["by"].partition("@")[0], each["key"]) for each in office.approvals] == [("bob", BOB.fingerprint)]
    assert office.apply().code == 0
    assert office.pc.changes


def test_two_approvals_are_of_two_people(office: Office) -> None:
    office.needs(2)
    assert office.approve("bob").code == 0
    again = office.approve("bob")
    assert (again.code, len(office.approvals)) == (3, 1)
    assert "was approved with this key already" in again.err
    assert office.apply().code == 3

    assert office.approve("carol").code == 0
    assert office.apply().code == 0


def test_what_is_approved_is_shown_and_asked(office: Office) -> None:
    office.commands.answer = "n"
    no = office.approve("bob", yes=False)
    office.commands.answer = "y"
    yes = office.approve("bob", yes=False)

    assert (no.code, yes.code) == (3, 0)
    assert "Approve this plan? [y/N]" in no.err
    shown = office.run("bob", "show", "plan.json").out
    assert no.out == yes.out
    approval = next(line for line in shown.splitlines() if "approved" in line)
    assert shown.replace(approval + "\n", "") == yes.out
    assert "by bob@" in approval
    assert approval.endswith(BOB.fingerprint)


def test_without_a_terminal_and_without_yes_nothing_is_approved(office: Office) -> None:
    ran = office.run("bob", "approve", "plan.json", "--key-file", "bob.key")

    assert (ran.code, office.approvals) == (3, [])
    assert "there is no terminal to ask at; give --yes" in ran.err


def test_a_plan_that_changes_while_it_is_read_is_not_approved(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(question: str, *, yes: bool) -> bool:
        other = office.run(
            "alice", "plan", office.commands.inventory, "--output", "plan.json", "--key-file", "alice.key"
        )
        assert other.code == 2
        return True

    monkeypatch.setattr("provmode.cli.approve.confirmed", answer)
    ran = office.approve("bob")

    assert (ran.code, office.approvals) == (3, [])
    assert "was changed since it was shown; approve it again" in ran.err


def test_an_approval_that_comes_meanwhile_is_not_lost(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(question: str, *, yes: bool) -> bool:
        monkeypatch.setattr("provmode.cli.approve.confirmed", lambda question, yes: True)
        assert office.approve("carol").code == 0
        return True

    monkeypatch.setattr("provmode.cli.approve.confirmed", answer)

    assert office.approve("bob").code == 3
    assert [each["key"] for each in office.approvals] == [CAROL.fingerprint]
    assert office.approve("bob").code == 0
    assert [each["key"] for each in office.approvals] == [CAROL.fingerprint, BOB.fingerprint]


def test_of_two_who_approve_at_the_same_moment_one_is_told_to_do_it_again(office: Office) -> None:
    with Path("plan.json").open("rb") as somebody_else:
        fcntl.flock(somebody_else, fcntl.LOCK_EX)
        ran = office.approve("bob")

    assert (ran.code, office.approvals) == (3, [])
    assert "somebody else approves plan.json right now; approve it again" in ran.err
    assert office.approve("bob").code == 0


def test_the_author_cannot_approve_with_any_key_or_name(office: Office) -> None:
    own = office.run("zoe", "approve", "plan.json", "--key-file", "alice.key", "--yes")
    of_bob = office.run("alice", "approve", "plan.json", "--key-file", "bob.key", "--yes")

    assert (own.code, of_bob.code, office.approvals) == (3, 3, [])
    assert "is not one of the approvers'" in own.err
    assert "who cannot approve it as alice@" in of_bob.err


def test_who_is_no_approver_cannot_approve(office: Office) -> None:
    ran = office.approve("mallory")

    assert (ran.code, office.approvals) == (3, [])
    assert "the key mallory.key is not one of the approvers'" in ran.err


def test_a_plan_of_somebody_who_is_not_trusted_is_not_approved(office: Office) -> None:
    office.run("mallory", "plan", office.commands.inventory, "--output", "plan.json", "--key-file", "mallory.key")

    ran = office.approve("bob")

    assert (ran.code, office.approvals) == (3, [])
    assert "the plan plan.json was signed with the key" in ran.err
    named = office.approve("bob", "--plan-key", "mallory.key.pub")
    assert named.code == 0, named
    assert office.apply().code == 3, "Dora does not trust Mallory, whoever approves"


def test_an_expired_plan_is_not_approved(office: Office) -> None:
    office.bench.seconds += timedelta(hours=25).total_seconds()

    ran = office.approve("bob")

    assert (ran.code, office.approvals) == (3, [])
    assert "expired" in ran.err


def test_an_unsigned_plan_is_neither_approved_nor_applied(office: Office) -> None:
    office.run("alice", "plan", office.commands.inventory, "--output", "plan.json", "--unsigned")

    assert office.approve("bob").code == 3
    assert office.run("dora", "apply", "plan.json", "--unsigned").code == 3
    assert not office.pc.changes


def test_a_push_is_refused_if_plans_need_an_approval(office: Office) -> None:
    ran = office.run("alice", "push", office.commands.inventory, "--key-file", "alice.key", "--yes")

    assert (ran.code, ran.err) == (
        3,
        "provmode: nothing was changed: plans need an approval here; use plan, approve and apply\n",
    )
    office.needs(0)
    assert office.run("alice", "push", office.commands.inventory, "--key-file", "alice.key", "--yes").code == 0


def test_without_a_key_nobody_approves(office: Office) -> None:
    no_key = office.run("bob", "approve", "plan.json", "--yes")
    public = office.run("bob", "approve", "plan.json", "--key-file", "bob.key.pub", "--yes")
    Path("site.toml").write_text("")
    nothing_to_check = office.approve("bob")

    assert [ran.code for ran in (no_key, public, nothing_to_check)] == [1, 1, 1]
    assert "there is no key to approve with; give --key-file" in no_key.err
    assert "bob.key.pub is a public key, and this takes a private one" in public.err
    assert "there is no key to check the plan with; give --plan-key" in nothing_to_check.err


def test_without_a_number_one_approver_is_enough(office: Office) -> None:
    Path("site.toml").write_text(SITE.format(needed=1).replace("approvals = 1\n", ""))

    assert office.apply().code == 3
    office.approve("bob")
    assert office.apply().code == 0


def test_more_approvals_than_people_who_can_give_them_are_a_mistake(office: Office) -> None:
    office.needs(3)
    assert "3 approvals are needed, and approvers names 2; name more approvers" in office.apply().err

    Path("carol.key.pub").write_bytes(Path("bob.key.pub").read_bytes())
    office.needs(2)
    assert "2 approvals are needed, and there are 1 approvers" in office.apply().err
    assert not office.pc.changes


def test_show_says_which_approvals_it_could_not_check(office: Office) -> None:
    office.approve("bob")
    Path("site.toml").write_text("[signing]\nplan_keys = ['alice.key.pub']\n")

    shown = office.run("eve", "show", "plan.json")

    assert shown.code == 0
    assert "; not checked, because it is not one of the approvers'" in shown.out
    office.needs(1)
    document = json.loads(Path("plan.json").read_text())
    document["approvals"][0]["by"] = "carol@desk"
    Path("plan.json").write_text(as_text(document))
    assert office.run("eve", "show", "plan.json").code == 3
