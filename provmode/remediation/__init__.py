"""What changes a PC. Pure: nothing here has a socket or a clock.

* `steps/`      the kinds of step, each one class: how it is done, read back, undone and shown
* `execute`     carrying out a step: check, change, read back
* `foresee`     what undoing would make of a client
* `decide`      which steps bring a client into compliance, and which clients are left alone
* `packages`    which packages are added to a PC and removed from it
* `lease`       the folder on the PC that keeps two controllers from working on it at once
* `lease_folder`  that folder: its name, and looking into it
* `traces`      what provmode left on a PC, and which of it can go
* `uploads`     a file that one command on a PC needs, and that is deleted again
* `package_rules`  when a package may be added, or removed
* `exit_guard`  the entry that takes a PC out of the mode at the next logon
* `diff`        what differs between two files

A new kind of step is a class in `steps/`; `provmode.remediation.steps.base` says what it needs.

Private: programs import from `provmode.api`.
"""
