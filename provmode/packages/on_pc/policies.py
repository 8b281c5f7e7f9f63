"""What policies forbid, whose policies hold, and whose signatures are trusted: by StdRegProv, without a process.

Sources: Microsoft, "Policy CSP - Security"; ``PolicyManager\\current\\device`` as public scripts read it. The store of
trusted provisioners is a registry store of certificates: its keys are taken to be thumbprints, as in every such store.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from provmode.packages.on_pc.model import PackagePolicies, PolicyWinner, package_id
from provmode.reading import Absent, Known, Reading, Unknown
from provmode.text import shortened
from provmode.windows.conversation import Conversation, ask
from provmode.windows.registry import Key, ValueType, data_of, failure, get_value
from provmode.windows.system import number, types_of
from provmode.wsman import Instance, strings

POLICIES = Key("HKLM", r"SOFTWARE\Microsoft\PolicyManager\current\device")
TRUSTED = Key("HKLM", r"SOFTWARE\Microsoft\Provisioning\TrustedProvisioners\Certificates")
MAX_AREAS, MAX_POLICIES, MAX_TRUSTED = 32, 128, 200
_WINNER = "_WinningProvider"


def area_name(area: str) -> str:
    """Return *area* if it can be the name of an area of policies.

    Raises:
        ValueError: it cannot.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.~-]{1,200}", area):
        raise ValueError(f"{area!r} is not the name of an area of policies, such as Start")
    return area


def area_key(area: str) -> Key:
    """Return the key of an area's policies."""
    return Key(POLICIES.hive, f"{POLICIES.path}\\{area_name(area)}")


def package_policies() -> Conversation[PackagePolicies]:
    """Ask what policies say about adding, removing and signatures of packages."""
    key = area_key("Security")
    types = yield from types_of(key)
    return PackagePolicies(
        _flag((yield from number(key, "AllowAddProvisioningPackage", types))),
        _flag((yield from number(key, "AllowRemoveProvisioningPackage", types))),
        _flag((yield from number(key, "RequireProvisioningPackageSignature", types))),
    )


def _flag(value: Reading[int]) -> Reading[bool]:
    return Known(value.value != 0) if isinstance(value, Known) else value


def trusted_provisioners() -> Conversation[Reading[tuple[str, ...]]]:
    """Ask the thumbprints of trusted provisioners; absent if the PC has no store of them."""

    def read(answer: Instance) -> Reading[tuple[str, ...]]:
        failed = failure(answer, str(TRUSTED))
        if failed is not None:
            return failed
        names = [name.lower() for name in strings(answer, "sNames")]
        if len(names) > MAX_TRUSTED:
            return Unknown("too-large", f"{TRUSTED} has {len(names):,} certificates, over {MAX_TRUSTED}")
        strange = next((name for name in names if not re.fullmatch("[0-9a-f]{40}", name)), None)
        if strange is not None:
            return Unknown("malformed", f"{TRUSTED}: {strange[:60]!r} is not a thumbprint")
        return Known(tuple(sorted(names)))

    return (yield from ask(TRUSTED.invoke("EnumKey"), read, str(TRUSTED)))


def policy_winners(areas: Sequence[str]) -> Conversation[Reading[tuple[PolicyWinner, ...]]]:
    """Ask which policies of *areas* are set and whose values hold; absent if none is.

    Raises:
        ValueError: a name cannot be that of an area, or there are too many.
    """
    if len(areas) > MAX_AREAS:
        raise ValueError(f"{len(areas)} areas; ask for {MAX_AREAS} at most")
    found: list[PolicyWinner] = []
    for area in areas:
        key = area_key(area)
        types = yield from types_of(key)
        if isinstance(types, Unknown):
            return types
        if not isinstance(types, Known):
            continue
        numbers = {name.lower(): kind for name, kind in types.value.items()}
        for name in types.value:
            if not name.lower().endswith(_WINNER.lower()):
                continue
            if len(found) == MAX_POLICIES:
                return Unknown("too-large", f"over {MAX_POLICIES} policies are set; ask for fewer areas")
            policy = name[: -len(_WINNER)]
            winner = yield from _winner(key, area, policy, numbers)
            if isinstance(winner, Unknown):
                return winner
            if isinstance(winner, Known):
                found.append(winner.value)
    return Known(tuple(found)) if found else Absent()


def winning_providers(policies: Sequence[tuple[str, str]]) -> Conversation[dict[tuple[str, str], Reading[str]]]:
    """Ask whose value holds for each of *policies* (area and name): one question each, `MAX_POLICIES` at most.

    The value is an id with braces for a package, or as Windows writes it; absent if nobody sets the policy.
    """
    found: dict[tuple[str, str], Reading[str]] = {}
    for area, policy in policies[:MAX_POLICIES]:
        provider = yield from _text(area_key(area), policy + _WINNER)
        if isinstance(provider, Known):
            provider = Known(package_id(provider.value) or shortened(provider.value, 60))
        found[area, policy] = provider
    for area, policy in policies[MAX_POLICIES:]:
        found[area, policy] = Unknown("not-read", f"over {MAX_POLICIES} policies; this one was not asked")
    return found


def _winner(key: Key, area: str, policy: str, numbers: dict[str, int]) -> Conversation[Reading[PolicyWinner]]:
    set_ = f"{policy}_ProviderSet"
    if set_.lower() in numbers:
        is_set = yield from number(key, set_, Known(numbers))
        if isinstance(is_set, Unknown) or is_set == Known(0):
            return is_set if isinstance(is_set, Unknown) else Absent()
    provider = yield from _text(key, policy + _WINNER)
    if not isinstance(provider, Known):
        return provider
    value: Reading[int] | Reading[str] = Absent()
    kind = numbers.get(policy.lower())
    if kind in (ValueType.REG_DWORD, ValueType.REG_QWORD):
        value = yield from number(key, policy, Known(numbers))
    elif kind in (ValueType.REG_SZ, ValueType.REG_EXPAND_SZ):
        value = yield from _text(key, policy)
    if isinstance(value, Unknown):
        return value
    whose = package_id(provider.value) or shortened(provider.value, 60)
    return Known(PolicyWinner(area, policy, value.value if isinstance(value, Known) else None, whose))


def _text(key: Key, name: str) -> Conversation[Reading[str]]:
    def read(answer: Instance) -> Reading[str]:
        data = data_of(answer, ValueType.REG_SZ, f"{key} {name}")
        return Known(shortened(str(data.value.data))) if isinstance(data, Known) else data

    return (yield from ask(get_value(key, name), read, f"{key} {name}"))
