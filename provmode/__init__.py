"""provmode finds ConfigMgr clients that are stuck in provisioning mode, over WinRM, with pyinfra.

The rooms, from the top down. Each imports only itself and those below it (`tests/test_house.py` holds it to that):

* ``cli/``          the command `provmode`: one file a command. It parses arguments and prints, and owns nothing else.
* ``api``           what programs may import. Everything else is private.
* ``report/``       what people and programs read of a run: text for a terminal, JSON.
* ``history/``      what runs remember: spans of states, changes, drift. SQLite or PostgreSQL.
* ``fleet/``        runs over many hosts: inventories, audit, plan, apply, undo, the journal.
* ``waivers/``      which findings are known, who answers for them, and until when. Pure.
* ``signing/``      keys, and what they sign: plans, approvals, journals. Pure.
* ``connector/``    what pyinfra sees: the connector ``@winrm``, its commands, the data of a host.
* ``remediation/``  what changes a PC: the steps, the lease, the order in which a client is mended. Pure.
* ``transport/``    one PC: the connection, its authentication, the session over it, the write gate.
* ``ccm/``          ConfigMgr: what is read from a client, `MobileClient.TCF`, the policy, the verdict. Pure.
* ``packages/``     provisioning packages (.ppkg): what is in them, which setting wins. Pure.
* ``windows/``      any Windows PC: registry, services, Setup, files. Pure.
* ``wsman/``        WS-Management: operations to bytes, bytes to answers, and the notation of the ``winrm`` tool. Pure.
* ``calendars/``    change windows: iCalendar to spans of time, and what they say of a moment. Pure.

The ground, which everything may import and which imports nothing of the house but itself:

* ``errors``        everything that can go wrong, and whose fault it is.
* ``reading``       the three answers a question can have: known, known absent, could not tell.
* ``fields``        what may stand in a field of the JSON files, as a check and as a schema.
* ``text``          text from a PC, made safe to show.
* ``clock``         the controller's clock, for the programs that hand it to pure logic.
* ``process``       what every process of provmode sets up for itself: its log, and when garbage is looked for.
* ``atomic_file``   files that are written whole or not at all.
* ``regular_file``  files that are read by ranges; no pipes, no devices.

And one house apart, which shares no code with the rest:

* ``lab/``          a simulated fleet: a real WinRM server in front of modelled PCs.

Pure means: no socket, no clock, no random number. They are passed in. Each folder's ``__init__`` names its files, and
says where something new of its kind goes.
"""

__version__ = "0.1.0"
