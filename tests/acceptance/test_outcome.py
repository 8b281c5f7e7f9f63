"""The outcome on every PC, checked by other means than the operations use: ``reg query``, ``sc query``, ``type``.

The checks do not use provmode's verdicts. They do not read the messages of ``reg`` and ``type``, which are in the PC's
language, and exit code 1 means "not found" as well as "access denied". So a key or file counts as absent only if the
level above it can be listed and does not list it.
"""

from __future__ import annotations

import re

from testinfra.host import Host

CLIENT_KEY = r"HKLM\SOFTWARE\Microsoft\CCM\CcmExec"
TCF_FILES = (
    r"%windir%\ccmsetup\MobileClient.TCF",
    r"%windir%\ccmsetup\MobileClientUnicode.tcf",
    r"%windir%\System32\ccmsetup\MobileClient.TCF",
    r"%windir%\SysWOW64\ccmsetup\MobileClient.TCF",
)
NO_SUCH_SERVICE = 1060
VALUE = re.compile(r"^ {4}(?P<name>\S.*?) {4}REG_[A-Z_]+(?: {4}(?P<data>.*))?$")
STATE = re.compile(r":\s+\d\s+(STOPPED|START_PENDING|STOP_PENDING|RUNNING|CONTINUE_PENDING|PAUSE_PENDING|PAUSED)\b")
START_TYPE = re.compile(r":\s+\d\s+(BOOT_START|SYSTEM_START|AUTO_START|DEMAND_START|DISABLED)\b")
ARMING = re.compile(r'SMSPROVISIONINGMODE\s*=\s*"?\s*1\b', re.IGNORECASE)


def test_the_client_is_out_of_provisioning_mode(pc: Host) -> None:
    mode = registry_values(pc, CLIENT_KEY).get("provisioningmode")

    assert mode is None or mode.lower() == "false", f"ProvisioningMode is {mode!r}"


def test_no_system_task_is_excluded(pc: Host) -> None:
    assert registry_values(pc, CLIENT_KEY).get("systemtaskexcludes", "") == ""


def test_the_client_service_runs(pc: Host) -> None:
    assert service_says(pc, "sc query CcmExec", STATE) in ("RUNNING", None)


def test_the_client_service_is_not_disabled(pc: Host) -> None:
    assert service_says(pc, "sc qc CcmExec", START_TYPE) != "DISABLED"


def test_no_mobileclient_tcf_brings_the_mode_back(pc: Host) -> None:
    arming = [(file, line) for file in TCF_FILES for line in contents(pc, file).splitlines() if ARMING.search(line)]

    assert arming == []


# -- reading --------------------------------------------------------------------------------------------------------


def registry_values(pc: Host, key: str) -> dict[str, str]:
    """Return the values of a key by their names in lower case; empty if the key does not exist."""
    listed = pc.run(f"reg query {key}")
    if listed.failed:
        assert key_is_absent(pc, key), f"{key} exists and cannot be read: exit code {listed.rc}, {listed.stderr}"
        return {}
    matches = filter(None, map(VALUE.match, listed.stdout.splitlines()))
    return {match["name"].lower(): (match["data"] or "").strip() for match in matches}


def key_is_absent(pc: Host, key: str) -> bool:
    """Return whether the key above does not list this key, or is itself absent by the same rule."""
    above, _, name = key.rpartition("\\")
    assert above, f"{key} cannot be listed"
    listed = pc.run(f"reg query {above}")
    if listed.failed:
        return key_is_absent(pc, above)
    keys = [line.rpartition("\\")[2].lower() for line in listed.stdout.splitlines() if line.startswith("HKEY_")]
    return name.lower() not in keys


def service_says(pc: Host, command: str, wanted: re.Pattern[str]) -> str | None:
    """Return the match in the output of ``sc``; ``None`` without a client. Fail for a client without its service."""
    result = pc.run(command)
    if result.rc == NO_SUCH_SERVICE:
        assert key_is_absent(pc, CLIENT_KEY), "there is a ConfigMgr client and no service CcmExec"
        return None
    assert result.succeeded, f"{command}: exit code {result.rc}, {result.stdout}"
    match = wanted.search(result.stdout)
    assert match is not None, f"the output of {command} is unknown here: {result.stdout}"
    return match[1]


def contents(pc: Host, file: str) -> str:
    """Return a file as ``type`` prints it; empty if there is no file.

    A UTF-16 file without byte order mark comes with a NUL beside every letter: the NULs are removed.
    """
    typed = pc.run(f'type "{file}"')
    if typed.failed:
        assert file_is_absent(pc, file, "/a"), f"{file} exists and cannot be read: {typed.stderr}"
        return ""
    text: str = typed.stdout
    return text.replace("\0", "")


def file_is_absent(pc: Host, path: str, kind: str) -> bool:
    """Return whether the folder above does not list this file or folder, or is itself absent by the same rule."""
    above, _, name = path.rpartition("\\")
    assert above, f"{path} cannot be listed"
    listed = pc.run(f'dir {kind} "{above}"')
    if listed.failed:
        return file_is_absent(pc, above, "/ad")
    names = [line.split()[-1].lower() for line in listed.stdout.splitlines() if line.strip()]
    return name.lower() not in names
