"""The decisions of the fleet's owner: how long to wait, what counts as legitimate work.

Set in inventory data as ``provmode_policy = {...}``; every key has a default. Nothing that protects is lost by setting
something else: own names of processes are added to the built-in ones, and data at several places is combined key by
key (`merged`). A built-in name stops counting only if it is named for that (`not_legitimate_processes`), and reports
say so (`Policy.lowered`).
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

LEGITIMATE_PROCESSES: dict[str, str] = {
    "TSManager.exe": "the task sequence engine",
    "TsmBootstrap.exe": "starts the task sequence engine",
    "TsProgressUI.exe": "the task sequence's progress window",
    "TSBootShell.exe": "the task sequence in Windows PE",
    "OSDSetupHook.exe": "the task sequence's hook in Windows Setup",
    "OSDUpgradeOS.exe": "the step Upgrade Operating System",
    "SetupHost.exe": "Windows Setup, in-place upgrade",
    "SetupPrep.exe": "Windows Setup, in-place upgrade",
    "SetupPlatform.exe": "Windows Setup, in-place upgrade",
    "windeploy.exe": "Windows Setup, after the first start",
    "ccmsetup.exe": "the ConfigMgr client is being installed or repaired",
}
"""Processes that need the mode while they run. Published diagnosis rules look for `TSManager.exe`, `SetupHost.exe` and
`SetupPrep.exe`, and published logs contain `OSDUpgradeOS.exe`. The others are general knowledge of Windows Setup and
ConfigMgr."""


class PolicyError(ValueError):
    """Your mistake: a policy with an unknown key or an impossible value; the message names it."""


@dataclass(frozen=True)
class Lowered:
    """A setting that protects less than its default does: the user's explicit choice, which reports repeat."""

    setting: str
    """The key in the inventory."""
    value: str | int | bool
    says: str
    """What the setting means, in words."""


@dataclass(frozen=True)
class Policy:
    """The decisions, with their defaults."""

    wait_for_self_healing: bool = True
    """Leave a client alone that will leave the mode by itself. False: such a client counts as stuck."""
    grace_minutes: int = 60
    """Minutes after the client's time limit and its hourly check before the client counts as overdue."""
    minimum_age_minutes: int = 240
    """A client in the mode for less than this never counts as stuck: we might not recognise what runs on the PC."""
    maximum_work_minutes: int = 2880
    """How long a process may be at work. One at work for longer is a finding, which counts as failed; it is not
    touched."""
    legitimate_processes: tuple[str, ...] = ()
    """Names of processes that need the mode while they run; compared without regard to case. The names given are added
    to `LEGITIMATE_PROCESSES`: the value is always the whole list."""
    not_legitimate_processes: tuple[str, ...] = ()
    """Built-in names that do not count: the only way to take one out."""
    check_tcf: bool = True
    """Whether `MobileClient.TCF` counts. False: an armed or unreadable file does not affect the verdict."""
    maximum_skew_minutes: int = 5
    """How far a PC's clock may be off before it is a finding."""
    only_in_maintenance_window: bool = False
    """Whether `apply` changes a PC only while a maintenance window of its own is open, if it has any."""

    def __post_init__(self) -> None:
        out = {name.lower() for name in self.not_legitimate_processes}
        names: dict[str, str] = {}
        for name in (*LEGITIMATE_PROCESSES, *self.legitimate_processes):
            if name.lower() not in out:
                names.setdefault(name.lower(), name)
        object.__setattr__(self, "legitimate_processes", tuple(names.values()))

    def protecting_like(self, other: Policy) -> Policy:
        """Return this policy, with the processes that *other* calls legitimate counting too, and its windows."""
        counting = {name.lower() for name in other.legitimate_processes}
        return dataclasses.replace(
            self,
            legitimate_processes=(*self.legitimate_processes, *other.legitimate_processes),
            not_legitimate_processes=tuple(n for n in self.not_legitimate_processes if n.lower() not in counting),
            only_in_maintenance_window=self.only_in_maintenance_window or other.only_in_maintenance_window,
        )

    @property
    def lowered(self) -> tuple[Lowered, ...]:
        """The settings that protect less than the defaults."""
        usual = Policy()
        found = [
            Lowered("not_legitimate_processes", name, f"{name} does not count as legitimate work")
            for name in self.not_legitimate_processes
        ]
        if self.minimum_age_minutes < usual.minimum_age_minutes:
            minutes = self.minimum_age_minutes
            says = f"a client can count as stuck after {minutes} min in the mode (usual: {usual.minimum_age_minutes})"
            found.append(Lowered("minimum_age_minutes", minutes, says))
        if self.grace_minutes < usual.grace_minutes:
            says = f"a client is overdue {self.grace_minutes} min after its time (usual: {usual.grace_minutes})"
            found.append(Lowered("grace_minutes", self.grace_minutes, says))
        if not self.wait_for_self_healing:
            says = "a client that will leave the mode by itself counts as stuck"
            found.append(Lowered("wait_for_self_healing", False, says))
        if not self.check_tcf:
            found.append(Lowered("check_tcf", False, "MobileClient.TCF does not count"))
        return tuple(found)

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], *, where: str) -> Policy:
        """Return the policy in *data*; errors name *where* the policy was set ("group data 'all'").

        Raises:
            PolicyError: an unknown key, a value of the wrong type, or an impossible value.
        """
        if not isinstance(data, Mapping):
            raise PolicyError(f"{where}: provmode_policy is {type(data).__name__}, not a dict of keys and values")
        fields = {field.name: field.default for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for key, value in data.items():
            if key not in fields:
                raise PolicyError(f"{where}: {_unknown(key, fields)}")
            values[key] = _checked(key, value, fields[key], where)
        _check_taken_out(values, where)
        return cls(**values)


_ADDED_UP = ("legitimate_processes", "not_legitimate_processes")


def merged(layers: Iterable[Any]) -> Any:
    """Return the policies of several places (``all``, each group, the host ...), the weakest first, as one.

    Of each key the last value holds, but names of processes add up: no place loses what another one protects. A layer
    that is not a mapping is returned as it is, for `Policy.from_mapping` to refuse.
    """
    policy: dict[Any, Any] = {}
    for layer in layers:
        if not isinstance(layer, Mapping):
            return layer
        for key, value in layer.items():
            before = policy.get(key, ())
            if key not in _ADDED_UP:
                policy[key] = value
            elif isinstance(before, (list, tuple)):  # anything but a list stays, and is refused
                new = isinstance(value, (list, tuple))
                policy[key] = [*before, *(name for name in value if name not in before)] if new else value
    return policy


def _unknown(key: object, fields: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(str(key), fields, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; the keys are {', '.join(fields)}"
    return f"provmode_policy has no key {key!r}{hint}"


_LONGEST_MINUTES = 60 * 24 * 366


def _checked(key: str, value: Any, default: Any, where: str) -> Any:
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise PolicyError(f"{where}: {key} is {value!r}, not True or False")
        return value
    if isinstance(default, int):
        if isinstance(value, bool) or not isinstance(value, int):
            raise PolicyError(f"{where}: {key} is {value!r}, not a whole number of minutes")
        if not 0 <= value <= _LONGEST_MINUTES:
            raise PolicyError(f"{where}: {key} is {value}, not between 0 and {_LONGEST_MINUTES} minutes")
        return value
    return _names(key, value, where)


def _names(key: str, value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise PolicyError(f"{where}: {key} is {value!r}, not a list of process names")
    for name in value:
        if not isinstance(name, str) or re.fullmatch(r"[^\s\\/.][^\\/\x00-\x1f]*\.[^\s\\/.]+", name) is None:
            raise PolicyError(f"{where}: {key} holds {name!r}, not a process name such as SetupHost.exe")
    if not value and key == "legitimate_processes":
        raise PolicyError(f"{where}: {key} is empty, which says nothing: name processes, or leave the key out")
    return tuple(dict.fromkeys(value))


def _check_taken_out(values: Mapping[str, Any], where: str) -> None:
    """Refuse to take out what is not built in, what another place adds, or everything."""
    builtin = {name.lower() for name in LEGITIMATE_PROCESSES}
    added = {name.lower() for name in values.get("legitimate_processes", ())}
    out = values.get("not_legitimate_processes", ())
    for name in out:
        if name.lower() not in builtin:
            near = difflib.get_close_matches(name, LEGITIMATE_PROCESSES, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise PolicyError(f"{where}: not_legitimate_processes holds {name!r}, which is not a built-in name{hint}")
        if name.lower() in added:
            raise PolicyError(
                f"{where}: {name} is in legitimate_processes and in not_legitimate_processes: take it out of one"
            )
    if builtin == {name.lower() for name in out} and not added:
        raise PolicyError(f"{where}: not_legitimate_processes holds every name, so a running upgrade counts as stuck")
