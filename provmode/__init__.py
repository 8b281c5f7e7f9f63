"""provmode: finds ConfigMgr clients stuck in provisioning mode, over WinRM, with pyinfra.

What each room knows, and what it may not know:

* ``reading``    the three answers a question can have: known, known absent, could not tell. Pure.
* ``errors``     everything that can go wrong, and whose fault it is. Pure.
* ``wsman/``     bytes <-> messages. No socket, clock or random number; knows nothing of pyinfra or ConfigMgr.
* ``ccm/``       ConfigMgr: the state of a client, `MobileClient.TCF`, the verdict. No input or output at all.
* ``notation``   the grammar of Windows' ``winrm`` command line <-> typed operations. Pure.
* ``gate``       which operations change a PC. The one place that decides. Pure.
* ``transport``  the only file with a socket: authentication and sealing (pywinrm), deadlines.
* ``session``    one conversation with one PC: retries, counters, the write gate.
* ``commands``   typed pyinfra commands: what facts and operations hand to the connector.
* ``connector``  ``@winrm`` for pyinfra; the only file that knows pyinfra's connector API.
* ``fleet/``     runs over many hosts.
* ``report/``    terminal and JSON.
* ``lab/``       a simulated fleet: a real WinRM server in front of modelled PCs. Imports nothing of the above.
* ``cli``        ``provmode ...``.
"""

__version__ = "0.1.0"
