"""A simulated fleet of ConfigMgr clients behind a real WinRM server, on loopback.

* `windows/`  the modelled PCs: registry, files, services, CIM classes, the ConfigMgr client, cmd.exe, a clock
* `personas`  the kinds of PC, and the verdict an audit must give each
* `fleet`     which PC has which persona, by seed and mix
* `machine`   what the server needs of a modelled PC
* `server/`   HTTP, NTLM, message encryption, WS-Management, shells, and the network's failures
* `domain/`   a domain of its own: a Samba domain controller, the PCs' accounts in it, a shell beside them
* `packages/` provisioning packages: made, and what a lab PC does with them
* `process`   the lab as a process of its own, for tests and the demo
* `command`   the lab's command line

It imports nothing of the rest of the project: a mistake in the client's encoder must not hide in the server's. A new
persona is a row in `personas`.

Private: programs import from `provmode.api`.
"""
