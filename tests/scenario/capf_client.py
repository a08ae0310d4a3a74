# SPDX-License-Identifier: BSD-3-Clause
"""A CAPF client that shares no code with anything here: struct, ssl and openssl(1) for keys.

capf_client.py SERVER CA NAME FOLDER STRING: does what the server asks for, prints one JSON line. Its own reading of the messages.
"""
import json
import os
import socket
import ssl
import struct
import subprocess
import sys

server, ca, name, folder, string = sys.argv[1:6]
key = os.path.join(folder, "py.key")
lsc = os.path.join(folder, "py.crt")


def elements(body):
    out = {}
    while body:
        tag, n = struct.unpack(">BH", body[:3])
        assert len(body) >= 3 + n and tag not in out, "element"
        out[tag] = body[3:3 + n]
        body = body[3 + n:]
    return out


def tlv(tag, value):
    return struct.pack(">BH", tag, len(value)) + value


def openssl(*args, **kw):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, **kw).stdout


ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ctx.check_hostname = False
ctx.load_verify_locations(ca)
ctx.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
sock = ctx.wrap_socket(socket.create_connection((server, 3804), 10))
said = []
did = {"tls": sock.version()}
session = None


def read(n):
    data = b""
    while len(data) < n:
        got = sock.recv(n - len(data))
        assert got, "ended early"
        data += got
    return data


def answer(cmd, *parts):
    body = b"".join(parts)
    sock.sendall(struct.pack(">BBIH", 0x55, cmd, session, len(body)) + body)


while True:
    protocol, cmd, sid, n = struct.unpack(">BBIH", read(8))
    assert protocol == 0x55
    e = elements(read(n))
    said.append(cmd)
    if cmd == 1:
        session = sid
        assert e[7] == b"\3" and e[8] == b"\0" and sid != 0
        answer(2, tlv(1, b"\1"), tlv(7, b"\3"), tlv(11, string.encode() + b"\0"), tlv(13, name.encode() + b"\0"))
    elif cmd == 3:
        answer(17)
        if e[17] == b"\1":
            openssl("ecparam", "-genkey", "-noout", "-name", ["prime256v1", "secp384r1", "secp521r1"][e[18][0]], "-out", key)
        else:
            openssl("genrsa", "-out", key, str(struct.unpack(">H", e[10])[0]))
        answer(4, tlv(9, openssl("pkey", "-in", key, "-pubout", "-outform", "DER")))
    elif cmd == 9:
        assert e[3] == b"\1" and e[4][0] == 1 and struct.unpack(">H", e[4][1:3])[0] == len(e[4]) - 3
        openssl("x509", "-inform", "DER", "-out", lsc, input=e[4][5:])
        did["text"] = openssl("x509", "-in", lsc, "-noout", "-text").decode()
        answer(10, tlv(1, b"\1"))
    elif cmd == 11:
        der = openssl("x509", "-in", lsc, "-outform", "DER")
        answer(12, tlv(1, b"\1"), tlv(4, b"\1" + struct.pack(">H", len(der) + 2) + b"\0\1" + der))
    elif cmd == 13:
        os.unlink(lsc)
        answer(14, tlv(1, b"\1"))
    elif cmd == 15:
        did["reason"] = e[1][0]
        break
    else:
        raise SystemExit("command %d" % cmd)
    assert sid == session
try:
    did["closed"] = sock.recv(1) == b""
except ssl.SSLError:
    did["closed"] = True
did["said"] = said
if os.path.exists(lsc):
    did["serial"] = openssl("x509", "-in", lsc, "-noout", "-serial").decode().strip().split("=")[1]
print(json.dumps(did))
