"""Provisioning packages of the lab's own: made for its PCs and for tests.

* `writer`     a package from a short description: its settings, conditions, commands and assets
* `image`      its files as a Windows image (WIM); every resource stored
* `signer`     its signature, by a key and certificate of the lab's own
* `reader`     what a lab PC reads of a package
* `trust`      whose packages it trusts, and whether one is as it was signed
* `admission`  whether it takes a package
* `engine`     what it does when packages are added, applied and removed
* `traces`     what that leaves behind: registry and events
* `inbox`      the packages that every PC has, and their traces
* `catalogue`  the packages of a lab fleet
* `cases`      the kinds of PC by their packages, and what a look at them must find
"""
