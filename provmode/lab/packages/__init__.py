"""Provisioning packages of the lab's own: made for its PCs and for tests.

* `writer`     a package from a short description: its settings, conditions, commands and assets
* `image`      its files as a Windows image (WIM); every resource stored
* `signer`     its signature, by a key and certificate of the lab's own
"""
