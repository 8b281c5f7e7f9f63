"""The command `provmode`, one file a command. Commands parse their arguments, call `fleet/`, and print. They own
nothing else.

* `entry`   starts the program: makes sockets cooperative before anything imports them
* `main`    the group of commands, and how errors become one line and an exit code
* `common`  what commands share: options, Ctrl-C, progress, printing
* `audit`, `plan`, `apply`, `push`, `undo`, `verify`, `show`, `traces`, `inventory`, `demo`, `lab`  the commands

Private: programs import from `provmode.api`.
"""
