"""The results of a run, for people and for programs.

* `terminal`  an audit as text, folded by what is the same
* `coming`    what is about to happen, before the first host
* `undoing`   an undo before it begins: preview, waves, limits
* `changes`   a plan, an apply and an undo as text
* `planned`   what a plan says of each host, from a planning run or a file
* `history`   the whole change that a journal records, as text
* `past`      runs, hosts and timelines of the history, as text and JSON
* `drift`     what changed between two runs, as text and JSON
* `journal`   a verified journal as text
* `traces`    what provmode left on the PCs as text
* `inventory`  what a run would ask as text
* `configuration`  what holds of each key of the configuration file, as text
* `schedule`  when what is looked at, and the command lines
* `systemd_units`, `cron`  a schedule as units of systemd, and as lines for cron
* `document`  an audit as JSON
* `table`     an audit as CSV
* `junit`     an audit as JUnit's XML
* `prometheus`  an audit as figures for Prometheus
* `exports`   the files of the formats above that a run writes beside its report
* `page/`     a run as one HTML file
* `packages/`  provisioning packages, as text and JSON
* `progress`  the progress of a run as lines of a log
* `lines`     lines of text: wrapped, folded, counted

A new format is a file here, and a choice of ``--format`` in `provmode.cli.common`, or a word in `FORMATS` of
`provmode.fleet.export` and a row of `TEXTS` in `exports`.

Private: programs import from `provmode.api`.
"""
