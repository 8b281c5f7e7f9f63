"""ConfigMgr without input or output: the state of a client, its `MobileClient.TCF`, the verdict.

* `model`    what was read from a client
* `version`  client versions and what they can do
* `tcf`      `MobileClient.TCF`: reading it, and taking out the entry that brings provisioning mode back
* `policy`   what the fleet's owner decided: whether to wait, for how long
* `judge`    the verdict: a table of rules over model and policy
* `codes`    names of return codes and states

Imports the standard library and `provmode.reading` only.
"""
