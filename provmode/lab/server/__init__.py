"""The real WinRM server in front of the modelled PCs.

From the wire inwards; each module uses only those below it:

* ``listener``        sockets: one port a PC, and the ones that fail on purpose
* ``connection``      one TCP connection: HTTP, authentication, sealing, then the service
* ``http``            HTTP/1.1 framing, as strict as http.sys. Sans-IO
* ``authentication``  which scheme a connection logs on by, and Basic; ``accounts`` the users who may log on
* ``mechanisms``      what they all are to a connection; ``ntlm`` with ``ntlmv2``, ``kerberos`` and ``credssp``;
  ``kerberos_tokens`` and ``kerberos_rc4`` Kerberos' tokens, made and read
* ``sealing``         ``multipart/encrypted``
* ``certificates``    the lab's CA and the servers' certificates
* ``service``         WS-Management of one PC: dispatch, quotas, counters
* ``cim``, ``enumeration``, ``shells``   what the operations do
* ``envelope``, ``objects``, ``faults``, ``languages``   XML <-> values

Nothing here is shared with the project's client side, so that a mistake in one cannot hide in the other. Beside the
wire: ``build`` makes the PCs of a fleet, ``hosting`` runs them, ``run`` and ``control`` are the process, ``processes``
shares the PCs out over several, each of them a ``worker``, ``injection`` makes faults, ``logon`` has the switches of
authentication, ``local_registry`` is the registry as a user at the PC edits it, ``local_services`` the services.
"""
