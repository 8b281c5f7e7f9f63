"""Connectors that find hosts: a table of PCs (``@csv``), a list of names (``@list``), Active Directory (``@ad``).

* `found`       what a source finds: hosts with data and groups, and what it leaves out and why
* `decoding`    the bytes of a text file to text, whatever program wrote it. Pure
* `names`       a list of names, one a line. Pure
* `headings`    what the heading of a column means, and the type of its values. Pure
* `table`       a table with a heading, as spreadsheets export it. Pure
* `checking`    names and values of all rows, before anything is sent
* `reading`     the file or standard input that an argument names
* `wanted`      what the argument of ``@ad`` asks for. Pure
* `distinguished_names`  names of objects in a directory. Pure
* `ldap`        LDAP with one server, without a socket. Pure
* `ldaps`       TLS to a domain controller
* `domain_controllers`   a domain controller: found, logged on to, asked
* `computers`   computer accounts as hosts, and which are left out. Pure
* `laps`        the local administrator that LAPS keeps in a directory. Pure
* `laps_password`        one of those passwords, read anew if a PC refuses it
* `active_directory`     the computers of an OU or a group
* `connectors`  the connectors for pyinfra

A new source, such as a directory, is a subclass of `connectors.SourceConnector` whose `find` returns a `found.Found`,
with a row of `connectors.SOURCES` and an entry point in ``pyproject.toml``. Its hosts are spoken to as those of
``@winrm``.
"""
