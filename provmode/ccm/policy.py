"""The decisions of the fleet's owner: how long to wait, what counts as legitimate work.

Set in inventory group data as ``provmode_policy = {...}``; every key has a default.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping
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
class Policy:
    """The decisions, with their defaults."""

    wait_for_self_healing: bool = True
    """Leave a client alone that will leave the mode by itself. False: such a client counts as stuck."""
    grace_minutes: int = 60
    """Minutes after the client's time limit and its hourly check before the client counts as overdue."""
    minimum_age_minutes: int = 240
    """A client in the mode for less than this never counts as stuck: we might not recognise what runs on the PC."""
    legitimate_processes: tuple[str, ...] = tuple(LEGITIMATE_PROCESSES)
    """Names of processes that need the mode while they run; compared without regard to case."""
    check_tcf: bool = True
    """Whether `MobileClient.TCF` counts. False: an armed or unreadable file does not affect the verdict."""
    maximum_skew_minutes: int = 5
    """How far a PC's clock may be off before it is a finding."""

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
        return cls(**values)


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
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise PolicyError(f"{where}: {key} is {value!r}, not a list of process names")
    for name in value:
        if not isinstance(name, str) or re.fullmatch(r"[^\s\\/.][^\\/\x00-\x1f]*\.[^\s\\/.]+", name) is None:
            raise PolicyError(f"{where}: {key} holds {name!r}, not a process name such as SetupHost.exe")
    if not value:
        raise PolicyError(f"{where}: {key} is empty, so a running upgrade would count as stuck")
    return tuple(value)
