"""Reading provisioning packages of a PC: conversations, without a socket. Pure.

* `model`      what a PC says about packages, as plain values
* `files`      which package files there are, and where
* `inventory`  the one command line that hashes them and prints registry and events
* `reg_query`  what ``reg query /s`` prints, as a tree
* `applied`    results, applied ids and results of commands, from the registry
* `policies`   what policies forbid, whose policies hold, whose signatures are trusted
* `events`     the events of the provisioning engine
* `contents`   the bytes of a package, by ranges
* `package`    reading a package where it is on a PC
* `copies`     what a PC has of one package
* `state`      everything that a fleet wants to know of a PC

Private: programs import from `provmode.api`.
"""
