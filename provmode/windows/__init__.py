"""Any Windows PC, whether it has a ConfigMgr client or not. Pure.

* `conversation`  how a PC is asked: generators of operations
* `model`         what is read: services, Setup, clock, operating system, files
* `system`        services, processes, Setup, clock, operating system
* `registry`      class ``StdRegProv``
* `files`         files, read only
* `file_changes`  files, changed by compare-and-swap
* `names`         what a PC is called, and whether a name means it
* `codepages`     console output as text
* `scripts/`      the static PowerShell scripts

Private: programs import from `provmode.api`.
"""
