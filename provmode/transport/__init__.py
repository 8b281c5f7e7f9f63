"""One PC: the connection to it, its authentication, and the session over it.

* `target`       address, account, trust and deadlines of one PC. Plain values
* `base`         the interface of a connection (`Connection`), for those who write another one
* `stack`        chooses between the two connections
* `lean`         the connection for NTLM, Kerberos and CredSSP, over one socket
* `framing`      HTTP/1.1 answers, read from bytes. Pure
* `sealed_body`  the frame around a sealed message. Pure
* `handshakes`   the handshakes of NTLM, Kerberos and CredSSP, each with its checks
* `credssp`      what CredSSP hands the password over after: the logon inside, and the proof of the TLS around it
* `security`     tokens and sealing, by pyspnego
* `tickets`      the Kerberos tickets of a process: one logon a run, and no wait for a silent KDC
* `kerberos_words`  how an account is written, and what a refusal of Kerberos means. Pure
* `pywinrm`      the connection over pywinrm: Basic, certificates, and the fallback for NTLM and Kerberos
* `failures`     the errors about one PC that both connections raise
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
