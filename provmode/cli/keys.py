"""Which keys count in a command: those that its options name, else those of the environment and the configuration.

A key that `--key-file` names on the command line counts alone. Otherwise the shared key of the environment, else the
configuration's `key_file`, counts together with the configuration's lists of public keys.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provmode.cli.common import complain, configuration, file_path
from provmode.errors import UsageError

if TYPE_CHECKING:
    from provmode.fleet.approvals import Approving
    from provmode.fleet.plan_file import Plan
    from provmode.signing.keys import Key, Keys

journal_key_option = click.option(
    "--journal-key", type=file_path(), help="File with your own private key, which signs the journal."
)
unsigned_journal_option = click.option(
    "--unsigned-journal", is_flag=True, help="Write a journal without a signature although the plan is signed."
)


def journal_key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options about the key of a journal that it writes."""
    return journal_key_option(unsigned_journal_option(command))


def _source(name: str) -> click.core.ParameterSource | None:
    return click.get_current_context().get_parameter_source(name)


def is_named(name: str) -> bool:
    """Return whether the user named an option on the command line."""
    return _source(name) is click.core.ParameterSource.COMMANDLINE


def is_configured(name: str) -> bool:
    """Return whether an option has its value from the configuration file."""
    return _source(name) is click.core.ParameterSource.DEFAULT_MAP


def unless_secret(key_file: Path | None) -> Path | None:
    """Return a key file, for a command that needs no key: none if it is configured and not this user's to read."""
    if key_file is not None and is_configured("key_file") and not os.access(key_file, os.R_OK):
        return None
    return key_file


def signing_keys(key_file: Path | None) -> Keys | None:
    """Return the keys of who makes a plan; ``None`` if there is none.

    Raises:
        UsageError: a key cannot be used, or is one that cannot sign.
    """
    from provmode.fleet.plan_file import key_from
    from provmode.signing.keys import Keys

    keys = Keys.of(key_from(key_file))
    if keys is not None and keys.own is None:
        raise UsageError(f"{key_file} is a public key, which cannot sign", next_step="give the private key")
    return keys


def plan_keys(key_file: Path | None, name: str = "key_file") -> Keys | None:
    """Return the keys to check a plan with; ``None`` if there is none. *name* is the option that named the file.

    Raises:
        UsageError: a key cannot be used.
    """
    from provmode.fleet.plan_file import key_from

    given = key_from(key_file)
    return _together(given, () if is_named(name) else _configured("plan_keys"))


def journal_keys(key_file: Path | None, journal_key: Path | None = None, *, of_plan: bool = False) -> Keys | None:
    """Return the keys that check a journal, and the one that signs it: *journal_key*, else that in the *key_file*.

    A public key in *key_file* is the author's, who signs no journal, if it is that *of_plan* or of the configuration.

    Raises:
        UsageError: a key cannot be used.
    """
    from provmode.fleet.key_files import read_private
    from provmode.fleet.plan_file import key_from
    from provmode.signing.keys import Keys

    alone = is_named("key_file") and not of_plan
    if journal_key is None and "journal_key" not in click.get_current_context().params and not alone:
        journal_key = _own_to_check()
    own = read_private(journal_key) if journal_key is not None else None
    given = key_from(key_file)
    if given is not None and not given.signs and not alone:
        given = None
    keys = _together(given, () if alone else _configured("journal_keys"))
    if own is None:
        return keys
    return Keys(own, (own, *(keys.trusted if keys is not None else ())))


def _own_to_check() -> Path | None:
    """Return the file of the configuration's own key, for a command that only reads journals, if it can be read."""
    named = configuration().table("signing").get("journal_key")
    return Path(named) if named is not None and os.access(named, os.R_OK) else None


def keys_of_journal(plan: Plan, key_file: Path | None, journal_key: Path | None, *, unsigned: bool) -> Keys | None:
    """Return the keys of the journal of a plan's run; ``None`` if it is not to be signed, which is said.

    Raises:
        UsageError: a key cannot be used, or the plan is signed and there is no key that can sign the journal.
    """
    if unsigned:
        complain("the journal is not signed: whoever can write to it can change what it says")
        return None
    if not plan.signed and journal_key is None:
        return None
    keys = journal_keys(key_file, journal_key, of_plan=True)
    if keys is None or keys.own is None:
        raise UsageError(
            "the plan is signed, and there is no key to sign the journal with",
            next_step="give a private key of your own (--journal-key, provmode key new), or --unsigned-journal",
        )
    return keys


def approving() -> Approving:
    """Return who has to approve plans, as the configuration says.

    Raises:
        UsageError: a key cannot be used, or there are fewer approvers than have to approve.
    """
    from provmode.fleet.approvals import Approving

    approvers = _configured("approvers")
    needed = configuration().table("signing").get("approvals", 1 if approvers else 0)
    if needed > len(approvers):
        raise UsageError(
            f"{needed} approvals are needed, and there are {len(approvers)} approvers", next_step="name more of them"
        )
    return Approving(tuple(approvers), needed)


def _configured(name: str) -> tuple[Any, ...]:
    """Return the public keys of a list of the configuration."""
    from provmode.fleet.key_files import read_public

    return read_public(configuration().table("signing").get(name, ()))


def _together(given: Key | None, more: tuple[Any, ...]) -> Keys | None:
    from provmode.signing.keys import Keys

    return Keys.of((Keys.of(given) or Keys()).and_trusted(more))
