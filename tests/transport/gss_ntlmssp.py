"""A client and a server of WinRM whose NTLM is gss-ntlmssp's, by GSS-API: it shares no code with ours or the lab's.

A program of its own, because a process reads which mechanisms GSS-API has when it first asks for them:

    gss_ntlmssp.py client MECHANISM USER ADDRESS PORT    asks a PC for its identity; the password is on standard input
    gss_ntlmssp.py server                                answers Identify; NTLM_USER_FILE has the accounts

What they say is a line of JSON each.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import struct
import sys

import gssapi
import gssapi.raw

NTLM = gssapi.OID.from_int_seq("1.3.6.1.4.1.311.2.2.10")
SPNEGO = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")
FLAGS = [
    gssapi.RequirementFlag.integrity,
    gssapi.RequirementFlag.confidentiality,
    gssapi.RequirementFlag.out_of_sequence_detection,
]
SIGNATURE = 16
KIND = 'multipart/encrypted;protocol="application/HTTP-SPNEGO-session-encrypted";boundary="Encrypted Boundary"'
STREAM = b"Content-Type: application/octet-stream\r\n"
END = b"--Encrypted Boundary--"
IDENTIFY = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    b'xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">'
    b"<s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>"
)
IDENTITY = IDENTIFY.replace(
    b"<i:Identify/>",
    b"<i:IdentifyResponse><i:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd</i:ProtocolVersion>"
    b"<i:ProductVendor>gss-ntlmssp</i:ProductVendor><i:ProductVersion>1</i:ProductVersion></i:IdentifyResponse>",
)


def sealed(context: gssapi.SecurityContext, message: bytes) -> bytes:
    """Return a body with *message* sealed."""
    return (
        b"--Encrypted Boundary\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n"
        b"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%d\r\n"
        b"--Encrypted Boundary\r\n\t%b"
        % (len(message), STREAM)
        + struct.pack("<I", SIGNATURE)
        + context.wrap(message, encrypt=True).message
        + END
        + b"\r\n"
    )


def opened(context: gssapi.SecurityContext, body: bytes) -> bytes:
    """Return the message in a body."""
    start = body.index(STREAM) + len(STREAM) + 4
    result = context.unwrap(body[start : body.rindex(END)])
    assert result.encrypted
    return bytes(result.message)


def client(mechanism: str, user: str, address: str, port: str) -> None:
    """Ask for the identity of a PC."""
    mech = {"ntlm": NTLM, "spnego": SPNEGO}[mechanism]
    password = sys.stdin.buffer.readline().rstrip(b"\n")
    name = gssapi.Name(user, gssapi.NameType.user)
    mechs = [NTLM] if mech == NTLM else [NTLM, SPNEGO]
    credentials = gssapi.raw.acquire_cred_with_password(name, password, mechs=mechs, usage="initiate").creds
    if mech == SPNEGO:
        gssapi.raw.set_neg_mechs(credentials, [NTLM])
    context = gssapi.SecurityContext(
        name=gssapi.Name("HTTP@pc", gssapi.NameType.hostbased_service),
        creds=gssapi.Credentials(credentials),
        mech=mech,
        flags=FLAGS,
        usage="initiate",
    )
    connection = http.client.HTTPConnection(address, int(port))
    token: bytes | None = context.step()
    status = 401
    while token:
        connection.request("POST", "/wsman", b"", {"Authorization": "Negotiate " + base64.b64encode(token).decode()})
        answer = connection.getresponse()
        answer.read()
        status = answer.status
        offers = [each.partition(" ")[2] for each in answer.headers.get_all("WWW-Authenticate") or []]
        said = next((offer for offer in offers if offer), "")
        token = context.step(base64.b64decode(said)) if said and not context.complete else None
    identity = b""
    if status == 200:
        connection.request("POST", "/wsman", sealed(context, IDENTIFY), {"Content-Type": KIND})
        answer = connection.getresponse()
        identity = opened(context, answer.read())
    print(json.dumps({"status": status, "identity": identity.decode()}), flush=True)


def server() -> None:
    """Answer the handshakes and the messages of one connection after another; say the port, then each user."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                talk(connection)


def talk(connection: socket.socket) -> None:
    """Answer the messages of a connection."""
    credentials = gssapi.Credentials(usage="accept", mechs=[NTLM])
    context = gssapi.SecurityContext(creds=credentials, usage="accept")
    complete = False
    while request := received(connection):
        head, _, body = request.partition(b"\r\n\r\n")
        token = re.search(rb"Authorization: Negotiate (\S+)", head)
        fields, answer = b"", b""
        if token is not None:
            try:
                reply = context.step(base64.b64decode(token[1]))
                complete = context.complete
            except gssapi.exceptions.GSSError as error:
                print(json.dumps({"refused": str(error)}), flush=True)
                reply, complete = b"", False
            status = b"200 " if complete else b"401 "
            fields = b"WWW-Authenticate: Negotiate " + base64.b64encode(reply or b"") + b"\r\n"
            if complete:
                print(json.dumps({"user": str(context.initiator_name)}), flush=True)
        elif not complete:
            status, fields = b"401 ", b"WWW-Authenticate: Negotiate\r\n"
        else:
            assert b"Identify" in opened(context, body)
            status, answer = b"200 ", sealed(context, IDENTITY)
            fields = b"Content-Type: " + KIND.encode() + b"\r\n"
        connection.sendall(b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, fields, len(answer), answer))


def received(connection: socket.socket) -> bytes:
    """Return the next request; nothing if the connection was closed."""
    data = b""
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < length_of(data):
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    return data


def length_of(request: bytes) -> int:
    """Return the length of a request's body."""
    found = re.search(rb"(?i)content-length: *(\d+)", request)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    {"client": client, "server": server}[sys.argv[1]](*sys.argv[2:])
