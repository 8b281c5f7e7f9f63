"""The command `provmode`, one file a command. Commands parse their arguments, call `fleet/`, and print. They own
nothing else.

* `entry`   starts the program: makes sockets cooperative before anything imports them
* `main`    the group of commands, and how errors become one line and an exit code
* `common`  what commands share: options, Ctrl-C, progress, printing
* `audit`, `plan`, `apply`, `push`, `undo`, `verify`, `show`, `traces`  commands about PCs, plans and journals
* `inventory`, `config`, `init`, `demo`, `lab`  the other commands

Private: programs import from `provmode.api`.
"""
