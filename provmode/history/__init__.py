"""What runs remember: which host was in what state from when until when, what was changed, and who was away.

* `run`        what is known of a run
* `look`       what is kept of one look, and what of it is compared. Pure
* `gathered`   the looks of a run, each digested as it comes. Pure
* `names`      how a host is named, and which text a database takes. Pure
* `spans`      the looks at one host, and the spans that they make. Pure
* `bits`       sets of hosts
* `tables`     the tables
* `database`   the database: SQLite or PostgreSQL, transactions, versions
* `trouble`    what can be wrong with it, in one line
* `migrations`  the steps from one version of the tables to the next
* `writer`     writing a run
* `reader`     reading runs, hosts and timelines
* `unassessed`  the hosts that could not be assessed when they were looked at last
* `waived`     which findings were waived in a run. Pure
* `drift`      what changed between two runs, in words. Pure
* `drifting`   finding it out of the history
* `reports`    a kept report or plan as a run. Pure
* `journals`   a journal as runs
* `kept_file`  reading a file that somebody kept
* `pruning`    forgetting what is old

Private: programs import from `provmode.api`.
"""
