"""What holds a run back from doing too much at once: it begins with less, or ends.

* `of_limits`     what the limits of a run make of its hosts
* `cutting`       which hosts are in which wave: caps by group and site, and a first wave of many kinds
* `ramp`          one host at a time at the start, then more
* `reached`       whether enough of a wave was reached for the next one
* `relapse`       looking again at the hosts of earlier waves
* `brake`         unusually many hosts: somebody has to say how many they are
* `consequences`  what leaving the mode sets off on the PCs, and how much of it there may be
* `stop_file`     a file that stops a run
* `worst_case`    how many hosts can fail before the failure budget ends the run
"""
