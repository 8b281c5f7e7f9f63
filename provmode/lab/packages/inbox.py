r"""What every PC has of packages: the inbox packages in ``%WINDIR%\Provisioning\Packages`` and their traces.

Built once and shared by all PCs. The names are those that public rules for PCs set apart as Windows' own; the settings
in them are made up.
"""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache

from provmode.lab.packages import traces
from provmode.lab.packages.engine import IMAGE
from provmode.lab.packages.trust import KEY as TRUSTED
from provmode.lab.packages.writer import Description, Setting, package
from provmode.lab.windows.base import FILES, KEYS
from provmode.lab.windows.store import HKLM, File, Keys, Registry, RegType

_INSTALLED = datetime(2025, 3, 4, 9, 12, 7, tzinfo=timezone.utc)
_SETTINGS = {
    "Microsoft.Windows.Cosa.Desktop.Client": "Cellular/PerDevice/DefaultProfile",
    "Power.EnergyEstimationEngine.CPU": "Power/EnergyEstimationEngine/CPU",
    "Power.EnergyEstimationEngine.Display": "Power/EnergyEstimationEngine/Display",
    "Power.Settings.Battery": "Power/Policy/Settings/Battery",
    "Power.Settings.Sleep": "Power/Policy/Settings/Sleep",
    "SecureStart.Settings": "SecureStart/Settings/Mode",
}
NAMES = tuple(f"{name}.ppkg" for name in _SETTINGS)


@cache
def files() -> dict[str, File]:
    """Return the files of any PC, with those of the inbox packages, by lower-case path."""
    found = dict(FILES)
    for number, (name, path) in enumerate(_SETTINGS.items()):
        data = package(_description(number, name, path))
        file = File(f"{IMAGE}\\{name}.ppkg", data, _INSTALLED, _INSTALLED)
        found[file.path.lower()] = file
    return found


@cache
def keys() -> Keys:
    """Return the registry of any PC, with the traces of the inbox packages."""
    registry = Registry(KEYS, lambda what: None)
    registry.set(HKLM, traces.KEY, "FirstRunComplete", RegType.DWORD, 1)
    registry.create_key(HKLM, TRUSTED)
    registry.create_key(HKLM, f"{traces.POLICIES}\\current\\device")
    registry.create_key(HKLM, f"{traces.POLICIES}\\providers")
    for number, (name, path) in enumerate(_SETTINGS.items()):
        found = _description(number, name, path)
        xml = f"0__{path.replace('/', '_')}.provxml"
        registry.set(HKLM, traces.results_key(found.id), "PackageFileName", RegType.SZ, f"{name}.ppkg")
        traces.write_result(registry, found.id, "RunTime", xml, [path.partition("/")[0]], 0)
        traces.write_applied(registry, found.id, [xml])
    return registry.everything()


def _description(number: int, name: str, path: str) -> Description:
    package_id = f"{{5f9e1c00-77aa-4b1e-8c2d-{number:012x}}}"
    return Description(package_id, name, owner="Microsoft", notes=None, settings=[Setting(path, "1")])
