"""What a configuration file says that pyinfra's own runs do not heed, so that its deploys refuse to change anything.

pyinfra's deploys do not read the configuration file. What keeps `provmode apply` from a PC must not be passed over by
another road in silence. So this looks only whether the file that would count has such a key at all: the same file as
for provmode's commands, without ``--config``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENVIRONMENT, HERE, SYSTEM = "PROVMODE_CONFIG", Path("provmode.toml"), Path("/etc/provmode/provmode.toml")
KEYS = {
    ("waivers", "file"): "a file of waivers, and pyinfra's runs do not heed the PCs that it holds",
    ("windows", "window"): "windows, and pyinfra's runs do not stay inside them",
    ("windows", "blackout"): "blackouts, and pyinfra's runs do not heed them",
    ("windows", "gate"): "a gate, and pyinfra's runs do not ask it",
}
"""The keys, by table and name, and what to say if one is there."""
ROAD = "use `provmode plan` and `provmode apply`, which do"


def not_heeded(environment: Mapping[str, str] = os.environ, *, here: Path = HERE, system: Path = SYSTEM) -> str:
    """Return what the configuration says that is not heeded, and which road heeds it; empty if there is nothing.

    If it cannot be read, nobody can tell, and that is what is returned.
    """
    named = environment.get(ENVIRONMENT)
    found = Path(named) if named else next((path for path in (here, system) if os.path.lexists(path)), None)
    if found is None:
        return ""
    try:
        document = tomllib.loads(found.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not TOML"
        return f"nobody can tell which PCs are held: cannot read the configuration {found}: {reason}; {ROAD}"
    for (table, key), says in KEYS.items():
        values = document.get(table)
        if isinstance(values, dict) and key in values:
            return f"the configuration {found} names {says}: {ROAD}"
    return ""
