"""ConfigMgr: what is read from a client, and what that means. Pure.

* `client`   the questions to a client, and what their answers mean
* `model`    what was read from a client
* `version`  client versions, and which leave the mode by themselves
* `tcf`      `MobileClient.TCF`: reading it, and taking out the entry that brings the mode back
* `tcf_contents` what stands in a `MobileClient.TCF`: text, sections, properties
* `policy`   what the fleet's owner decided: whether to wait, for how long, what counts as legitimate work
* `rules`    the table of rules
* `waiting`  when a reason to wait has lasted too long
* `judge`    the verdict and the findings: the first rule that applies
* `verdict`  the ten verdicts, and the causes of a host that could not be assessed
* `impact`   what leaving the mode would set off
* `machine`  model, build and site of a PC
* `codes`    names of return codes and states

A new rule is a row in `rules`; a new finding is in `judge`; a new cause is in `verdict` and in `provmode.errors`.

Private: programs import from `provmode.api`.
"""
