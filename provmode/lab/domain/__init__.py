"""A domain of its own for the lab: a Samba domain controller, the PCs' accounts in it, and what runs beside them.

Everything is in namespaces of its own, so it needs no root, takes no port of this machine, and ends as a whole.

* ``requirements``  what this machine lacks for it, and how to get it
* ``enter``         from outside: make the namespaces, pass signals on, return the exit code
* ``inside``        the first process inside: the network, the controller, the fleet, then the shell or the command
* ``controller``    the domain controller: set up, started, waited for, stopped
* ``samba_setup``   a program for the system's Python, which has Samba's library: makes the domain
* ``fleet_objects`` the accounts, OUs, names and keys of a fleet; ``samba_setup`` runs it
* ``fleet``         which PC of a fleet gets what in the domain
* ``greeting``      what a person reads first
"""
