"""Runs over many hosts. One host's failure never ends the run for the others.

* `inventory`       where hosts come from (`InventorySource`), and the fleet they make
* `host_lists`      inventories that are no program: names, files of names, the hosts that a plan keeps
* `ignored`         what pyinfra would silently ignore in an inventory file
* `ownership`       who can change an inventory before it is run
* `for_user`        what another user could not use
* `configuration`   what may stand in `provmode.toml`, and its check
* `configuration_file`  where that file is, and reading it
* `configured`      what holds of each key, and where it comes from
* `visit`           who visits the hosts (`Runner`), and one visit
* `lowered`         settings that protect less than the defaults
* `identity`        which PC answered for a host
* `asked`           what a run with an inventory would ask, and what it would leave out
* `looking`         looking at one host: what an audit and a plan share
* `processes`       looking at hosts from several processes: the run's own side
* `worker`          a worker process of such a run
* `messages`        what both say to each other
* `pipe`            Python objects through a pipe between them
* `retrying`        which hosts a run tries again, when its rounds begin, and when there are no more
* `rounds`          waiting for the next round
* `audit`           look at every host
* `plan`            look, and write down what would be changed
* `plan_file`       the plan as a file: schema, signature, expiry
* `night`           when plans are applied at night, and how long a run may go on
* `plans_folder`    a folder of plans: which one is applied next, and why not the newer ones
* `approvals`       signatures of other people under a plan
* `key_files`       files with keys: who may read and write them
* `apply`           apply a plan in waves
* `apply_host`      apply a plan on one host
* `undo`            undo a run by its journal
* `undo_preview`    what an undo would do
* `verify`          check a journal
* `traces`          what provmode left on the PCs, and planning its removal
* `packages`        the provisioning packages of a fleet
* `history`         the whole change that a journal records, in order
* `journal`         the file that every change is written to before it is made
* `journal_chain`   its lines: hashes, signatures, and who signed which
* `group_commit`    forces the journal to disk for all who wait at once
* `journal_events`  the table of the events in a journal
* `lease`           the lease on one host during a run
* `refused_logons`  the file of passwords that were refused in earlier runs
* `run_lock`        one run of a whole inventory at a time, and who has it
* `state_folder`    the folder for what outlasts a run
* `waves`           sizes of waves, and the failure budget
* `windows`         change windows: calendars read again before each wave, and their guard
* `gate`            a command that says whether a run goes on
* `change_number`   which text may be the number of a change
* `step_files`      the bytes that steps put on a PC, from files of this computer
* `begun`           the limits that count in a run, and what is said before it
* `guards`          what may stop a run that changes PCs
* `waivers_file`    the file of waivers: who may have written it, reading it, and adding to it
* `holds`           the waivers that hold hosts, looked at again while a plan is applied
* `guarding`        what holds such a run back: each wave, the first of them, the start
* `selection`       which hosts a user means by `--limit` and `--exclude`
* `allowance`       how many hosts may be unassessed
* `export`          a file that a run writes beside its report: format and path
* `results`         the table of outcomes and exit codes
* `progress`        how a run reports its progress

Private: programs import from `provmode.api`.
"""
