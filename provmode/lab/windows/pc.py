"""One modelled PC as the server sees it: `get`, `put`, `enumerate`, `query` and `invoke` on top of its state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from provmode.lab.machine import CimError, Instance
from provmode.lab.windows import clientsdk, configmgr, stdregprov, win32, wql
from provmode.lab.windows.configmgr import Client
from provmode.lab.windows.schema import (
    INVALID_CLASS,
    INVALID_METHOD,
    INVALID_NAMESPACE,
    INVALID_QUERY,
    NOT_FOUND,
    PROVIDER_NOT_CAPABLE,
    CimClass,
    Properties,
    coerce,
    matches,
)
from provmode.lab.windows.state import PcState

NO_KEYS = 0x803380FA
"""ERROR_WSMAN_INVALID_URI_WMI_SINGLETON: no keys were given and the class is not a singleton."""


class PC(PcState):
    """One modelled PC: its state, with CIM on top."""

    def get(self, namespace: str, class_name: str, keys: Mapping[str, str]) -> Instance:
        """Return one instance, or a singleton if no keys are given.

        Raises:
            CimError: as WMI answers.
        """
        self.tick()
        cim = self._class(namespace, class_name, "GetObject")
        return _instance(cim, self._one(cim, keys))

    def put(self, namespace: str, class_name: str, keys: Mapping[str, str], changes: Mapping[str, Any]) -> Instance:
        """Write properties of one instance and return the instance afterwards."""
        self.tick()
        cim = self._class(namespace, class_name, "PutInstance")
        instance = self._one(cim, keys)
        if cim.put is None:
            raise CimError(PROVIDER_NOT_CAPABLE, "PutInstance", class_name)
        with self.changes_by("cim"):
            cim.put(self, instance, dict(changes))
        return _instance(cim, self._one(cim, keys))

    def enumerate(self, namespace: str, class_name: str) -> list[Instance]:
        """Return all instances of a class, including those of derived classes."""
        self.tick()
        cim = self._class(namespace, class_name, "CreateInstanceEnum")
        return [_instance(cim, properties) for properties in cim.instances(self)]

    def query(self, namespace: str, text: str) -> list[Instance | Mapping[str, Any]]:
        """Return what a WQL query finds: objects for ``*``, rows for a projection."""
        self.tick()
        try:
            query = wql.parse(text)
        except wql.InvalidQuery:
            raise CimError(INVALID_QUERY, "ExecQuery", text) from None
        cim = self._class(namespace, query.class_name, "ExecQuery", text)
        known = {name.lower(): name for name in cim.types}
        for name in (*query.mentioned, *(query.columns or ())):
            if name.lower() not in known:
                raise CimError(INVALID_QUERY, "ExecQuery", text)
        found = [properties for properties in cim.instances(self) if query.where(properties)]
        if query.columns is None:
            return [_instance(cim, properties) for properties in found]
        columns = [known[name.lower()] for name in query.columns]
        return [{name: properties.get(name) for name in columns} for properties in found]

    def invoke(
        self, namespace: str, class_name: str, keys: Mapping[str, str], method: str, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Call a method and return its out-parameters, including ``ReturnValue`` if it has one."""
        self.tick()
        cim = self._class(namespace, class_name, "ExecMethod")
        definition = next((item for name, item in cim.methods.items() if name.lower() == method.lower()), None)
        if definition is None:
            raise CimError(INVALID_METHOD, "ExecMethod", f"{class_name}::{method}")
        instance = {} if definition.static else self._one(cim, keys)
        arguments = coerce(f"{class_name}::{method}", definition.parameters, parameters)
        with self.changes_by("cim"):
            return definition.call(self, instance, arguments)

    def _class(self, namespace: str, class_name: str, operation: str, text: str = "") -> CimClass:
        space = namespace.replace("\\", "/").strip("/").lower()
        if space not in _NAMESPACES or (space.startswith("root/ccm") and not self._has_ccm()):
            raise CimError(INVALID_NAMESPACE, operation, text or class_name)
        cim = _CLASSES.get((space, class_name.lower()))
        if cim is None:
            raise CimError(INVALID_CLASS, operation, text or class_name)
        if space.startswith("root/ccm") and isinstance(self.client, Client):
            self.client.check_answering(self, cim, operation)
        return cim

    def _has_ccm(self) -> bool:
        return self.client is not None and self.client.wmi_present

    def _one(self, cim: CimClass, keys: Mapping[str, str]) -> Properties:
        if not cim.keys:
            found = next(iter(cim.instances(self)), None)
        elif not keys:
            raise CimError(NO_KEYS, "GetObject", cim.name)
        elif cim.lookup is not None:
            found = cim.lookup(self, keys)
        else:
            found = next((item for item in cim.instances(self) if matches(item, keys)), None)
        if found is None:
            raise CimError(NOT_FOUND, "GetObject", cim.name)
        return found


def _instance(cim: CimClass, properties: Properties) -> Instance:
    name = cim.class_of(properties) if cim.class_of is not None else cim.name
    return Instance(name, properties, _NAMESPACES[cim.namespace], cim.keys)


def _all() -> Iterable[CimClass]:
    return (*stdregprov.CLASSES, *win32.CLASSES, *configmgr.CLASSES, *clientsdk.CLASSES)


_CLASSES = {(cim.namespace, cim.name.lower()): cim for cim in _all()}
_NAMESPACES = {
    **{"root": "root", "root/cimv2": "root/cimv2", "root/default": "root/default", "root/ccm": "root/ccm"},
    **{"root/ccm/softmgmtagent": "root/ccm/SoftMgmtAgent", "root/ccm/clientsdk": "root/ccm/ClientSDK"},
    **{"root/ccm/invagt": "root/ccm/invagt", "root/ccm/policy": "root/ccm/Policy"},
    "root/microsoft/windows/taskscheduler": "root/Microsoft/Windows/TaskScheduler",
}
