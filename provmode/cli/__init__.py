"""The command `provmode`, one file a command. Commands parse their arguments, call `fleet/`, and print. They own
nothing else.

* `entry`   starts the program: makes sockets cooperative before anything imports them
* `main`    the group of commands, and how errors become one line and an exit code
* `remembering`  writing runs to the history, and opening it to read
* `notify`  telling a command what changed
* `keys`    which keys count: of the options, the environment, the configuration
* `unassessed`  the hosts of `audit --only unassessed`
* `guard_options`  the options of what holds back a run that changes PCs
* `guarding`  these guards, for `apply`, `push` and `undo`
* `common`  what commands share: options, Ctrl-C, progress, printing
* `one_at_a_time`  refuses a run that is going already, and says who runs this one
* `windows`  when a run may change PCs: options, and the guards made of them
* `exports`  `--write`: what a run writes beside its report
* `waiving`  `--waivers`: the findings that are known
* `audit`, `plan`, `approve`, `apply`, `push`, `undo`, `verify`, `show`, `traces`  about PCs, plans and journals
* `plans_folder`  `apply FOLDER`: the next plan of a folder
* `night`   what `[change]` asks `systemd` for
* `demo_change`  the nights of change of `demo`
* `waive`   adding a waiver to the file
* `history`, `drift`  commands about what runs remembered
* `report`  a run as a page
* `key`  keys to sign with
* `package`  packages: the group of its commands
* `package_fleet`  the packages of a fleet
* `inventory`, `config`, `init`, `systemd`, `demo`, `lab`  the other commands

Private: programs import from `provmode.api`.
"""
