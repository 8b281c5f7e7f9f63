"""One PC: the connection to it, its authentication, and the session over it.

* `target`       address, account, trust and deadlines of one PC. Plain values
* `base`         the interface of a connection (`Connection`), for those who write another one
* `pywinrm`      the connection over pywinrm: authentication and sealing
* `challenge`    what a PC calls itself in an NTLM challenge
* `ntlm_checks`  what an NTLM handshake has to agree on; a weaker one is broken off
* `adapter`      requests' adapter over one socket, which limits the size and time of answers
* `resolver`     looks up the names of a fleet
* `dial`         resolves the name and opens the TCP connection, within the connect deadline
* `refusals`     what a refusal may mean, by what is known of it, and what to do. Pure
* `tls`          TLS contexts, one for each kind of trust
* `logon_fuse`   whether a password may be tried on one more PC. Pure
* `logons`       the fuses of a process, and who waits for them
* `session`      one conversation with one PC: deadlines, retries, counters
* `write_gate`   which operations change a PC; a read-only session refuses them

Private: programs import from `provmode.api`.
"""
