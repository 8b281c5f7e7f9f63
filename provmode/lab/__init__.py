"""A simulated fleet of ConfigMgr clients behind a real WinRM server, on loopback.

* ``windows/``   the modelled PCs: registry, files, services, CIM classes, the ConfigMgr client, cmd.exe, a clock
* ``personas``, ``fleet``   which PC is what, by seed and mix
* ``server/``    HTTP, NTLM, message encryption, WS-Management, shells, and the network's failures
* ``process``    the lab as a process of its own

Imports nothing of the rest of the project: a mistake in the client's encoder must not hide in the server's.
"""
