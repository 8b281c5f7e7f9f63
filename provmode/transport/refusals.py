"""What a refusal may mean, by everything that is known of it, and what to do about it. Pure: words in, words out.

A PC does not say why it refuses an account: a wrong password, a locked account and a policy look alike. So the advice
goes by what is known: the kind of account, the authentication, HTTPS or not, and how far the handshake came.

Sources, all of Microsoft: "HTTP 400 Bad Request (Request Header too long)", "Http.sys registry settings for Windows",
"User Account Control and remote restrictions" (LocalAccountTokenFilterPolicy), "Installation and configuration for
Windows Remote Management", "Protected Users security group", "Network security: Restrict NTLM".
"""

from __future__ import annotations

from provmode.transport.target import Credentials, Endpoint

Words = tuple[str, str]
"""What it means, and what to do next."""

ACCOUNTS_LOCK = "not tried again, accounts lock"
UAC = (
    "for a local administrator but the built-in one: set LocalAccountTokenFilterPolicy to 1 on the PC (UAC's remote "
    "filter)"
)


def is_local(user: str, computer: str = "") -> bool:
    """Return whether *user* is an account of the PC itself, as far as its spelling tells; *computer* is its name."""
    if "@" in user:
        return False
    domain, backslash, _ = user.partition("\\")
    return not backslash or domain == "." or (bool(computer) and domain.casefold() == computer.casefold())


def account(endpoint: Endpoint, credentials: Credentials, computer: str = "") -> str:
    """Return what to do if the PC refuses the account after it was tried."""
    kind, user = credentials.authentication, credentials.user
    if kind == "certificate":
        return (
            "map the certificate to an account on the PC (winrm create winrm/config/service/certmapping), enable "
            "Service/Auth/Certificate there, and let the PC trust the CA that issued it"
        )
    if kind == "kerberos":
        return (
            "check the ticket (klist), the PC's clock, and that HTTP/ and the name it is connected by is its service "
            "principal (winrm_kerberos_host)"
        )
    advice = ["check user and password, and whether the account is locked, disabled or expired"]
    if is_local(user, computer):
        advice.append(UAC)
    elif kind == "basic":
        advice.append("Basic takes local accounts only: use winrm_transport ntlm or kerberos for a domain's")
    else:
        advice.append("use winrm_transport kerberos if the domain restricts NTLM or the account is a Protected User")
    if kind == "ntlm" and endpoint.scheme == "https":
        advice.append("a proxy that ends TLS on the way breaks the channel binding")
    return "; ".join([*advice, ACCOUNTS_LOCK])


def denied(user: str, computer: str) -> str:
    """Return what to do if the PC accepts the account and then denies it something."""
    rights = "give the account the rights that docs/reference.md lists, or use another"
    return f"{rights}; {UAC}" if user and is_local(user, computer) else rights


NTLM_ENDED = (
    "it began no NTLM: NTLM may be switched off there (policy Restrict NTLM); use winrm_transport kerberos, or allow it"
)
"""What to do if the PC offers Negotiate, and answers NTLM's first message without a challenge."""

WITHOUT_NTLM = "use winrm_transport kerberos"
"""What to do if this computer cannot speak NTLM."""


def without(what: str) -> str:
    """Return why this computer cannot speak NTLM: its OpenSSL refuses *what*."""
    return f"this computer's OpenSSL allows no {what}, which NTLM needs (FIPS mode, or a policy like it)"


NO_TICKET = (
    "no ticket for this PC could be got here: run kinit, check with `kvno HTTP/NAME` that the domain knows the name, "
    "and this computer's clock and /etc/krb5.conf"
)
"""What to do if Kerberos sent nothing."""


def not_offered(wanted: str) -> str:
    """Return what to do if the PC does not offer the authentication."""
    how = {
        "basic": 'winrm set winrm/config/service/auth @{Basic="true"}',
        "credssp": "Enable-WSManCredSSP -Role Server",
        "kerberos": 'winrm set winrm/config/service/auth @{Kerberos="true"}',
        "ntlm": 'winrm set winrm/config/service/auth @{Negotiate="true"}',
    }.get(wanted)
    return f"set winrm_transport to what the PC offers, or enable it on the PC ({how})"


# -- HTTP ---------------------------------------------------------------------------------------------------------


def status(code: int, headers_server: str, body: bytes, endpoint: Endpoint, credentials: Credentials) -> Words:
    """Return the words about an HTTP status that is no answer of WinRM; *headers_server* is the header ``Server``."""
    said = body[:4096].lower()
    by_windows = "httpapi" in headers_server.lower()
    if code in (400, 431) and (by_windows or code == 431):
        return _bad_request(code, said, endpoint)
    if code == 400 and b"https" in said:
        return ("the port speaks HTTPS", "set winrm_scheme https")
    if code == 403 and credentials.authentication == "certificate":
        return ("the client certificate is not accepted", account(endpoint, credentials))
    return {
        403: ("access to the listener is forbidden", "look at what is between: a proxy or filter, or the PC's own"),
        404: (f"no WinRM listener under {endpoint.path}", "check winrm_path and the port (winrm enumerate listener)"),
        405: (f"no WinRM listener under {endpoint.path}", "check winrm_path and the port (winrm enumerate listener)"),
        413: (
            "the message is larger than the PC takes",
            "raise MaxEnvelopeSizekb on the PC (winrm get winrm/config)",
        ),
        502: ("a proxy on the way did not reach the PC", "look at the proxy"),
        503: ("the WinRM service is not listening", "start the service WinRM on the PC"),
        504: ("a proxy on the way did not reach the PC in time", "look at the proxy"),
    }.get(code, ("not an answer of WinRM", "check the port"))


def _bad_request(code: int, said: bytes, endpoint: Endpoint) -> Words:
    """Return the words about a request that http.sys, in front of WinRM, does not pass on."""
    if b"hostname" in said:
        return (
            f"http.sys takes no request for the name {endpoint.address}",
            "connect by the PC's own name (winrm_address), or see what else listens on that port",
        )
    if b"verb" in said or b"url" in said:
        return ("http.sys did not understand the request", "check winrm_scheme, winrm_port and winrm_path")
    limits = (
        "its headers are too long for http.sys: the account is in too many groups; raise MaxFieldLength and "
        "MaxRequestBytes on the PC (HTTP\\Parameters), use an account in fewer groups, or winrm_transport ntlm"
    )
    if code == 431 or b"too long" in said or b"too large" in said or b"header" in said:
        return ("http.sys refused the request as too long", limits)
    return ("http.sys refused the request before WinRM saw it", f"check winrm_scheme; or {limits}")


# -- TLS ----------------------------------------------------------------------------------------------------------

HTTPS_PORT = "the port speaks HTTPS: set winrm_scheme https (and winrm_port, if it is not 5986)"
HTTP_PORT = "check that the port is the HTTPS listener (5986); if it is the one for plain HTTP, set winrm_scheme http"

_CERTIFICATE = {
    9: "it is not valid yet: check this computer's clock and the PC's",
    10: "it has expired: renew it on the PC, and check this computer's clock",
    23: "its CA revoked it: issue another",
    26: "it is not made for a server: issue one with the purpose Server Authentication",
    62: "connect by a name that the certificate carries (winrm_address), or issue one for this name",
    64: "connect by a name that the certificate carries (winrm_address), or issue one for this address",
    66: "its key is too short for this computer's policy: issue another",
    67: "its CA's key is too short for this computer's policy: issue another",
    68: "it is signed with a digest that is too weak for this computer's policy: issue another",
    18: "it is self-signed: set winrm_ca to the PEM file of the certificate itself, or issue one by your CA",
    19: "its chain ends at a CA that is not trusted here: set winrm_ca to the PEM file of that CA",
}
"""What to do about each reason of OpenSSL's to refuse a certificate (its ``X509_V_ERR_`` numbers)."""
_UNKNOWN_CA = "set winrm_ca to the PEM file of the CA that issued it"


def certificate(verify_code: int) -> str:
    """Return what to do if the PC's certificate is not trusted; *verify_code* is OpenSSL's number."""
    return _CERTIFICATE.get(verify_code, _UNKNOWN_CA)


def tls(reason: str) -> str:
    """Return what to do if TLS failed for *reason*, as OpenSSL calls it."""
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"):
        return HTTP_PORT
    if "PROTOCOL_VERSION" in reason or reason in ("UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW"):
        return "the PC offers only old versions of TLS: enable TLS 1.2 there"
    if "HANDSHAKE_FAILURE" in reason or "SHARED_CIPHER" in reason or "INSUFFICIENT_SECURITY" in reason:
        return "the PC offers no cipher that this computer accepts: look at its cipher suites (Get-TlsCipherSuite)"
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return (
            "the PC refuses the client certificate: set winrm_certificate, and let the PC trust the CA that issued it"
        )
    if "EOF" in reason:
        return (
            "if the port is the one for plain HTTP, set winrm_scheme http; if not, the listener may have no "
            "certificate, or one without its key (winrm enumerate winrm/config/listener)"
        )
    return HTTP_PORT
