"""Which provisioning packages a fleet has, and what is wrong with them.

* `run`         looks at every host, then reads each package once
* `reading`     reads each distinct package once for the whole fleet, from one of the hosts that have it
* `one_host`    one host's packages, looked at together. Pure
* `judging`     what is worth knowing of one host's packages. Pure
* `drift`       the packages of a host against those it should have. Pure
* `kinds`       the table of findings
* `found`       what a run found
* `winners`     whose values of policies hold on each PC, beside what its packages come to
* `sharing`     one object for what is the same on many hosts. Pure
* `planning`    which packages are added and removed
* `local_file`  packages on this computer

Private: programs import from `provmode.api`.
"""
