#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Asks a trust verification service, with struct and ssl alone. For tvs.sh.

usage: tvs_ask.py HOST PORT COMMAND...
  verify FILE.der     one line: "valid ROLES TTL" or "not valid"
  query FILE.der      by issuer and serial number; the same line, and the certificate of the answer must be the file's
  script FIFO_IN      questions from lines "verify FILE" and "query FILE" of standard input, all on one connection
  drip FILE.der       a verify request byte by byte
  many N FILE.der     N verify requests at once on one connection: N answers in order
  bad                 what is no question, each on a connection of its own: every one is closed without an answer
  half N              N connections that say nothing; then one that asks is answered: file in $DER
"""
import os
import socket
import ssl
import struct
import sys
import time

from cryptography import x509

HOST, PORT = sys.argv[1], int(sys.argv[2])
NAMES = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "localityName": "L",
         "stateOrProvinceName": "ST", "countryName": "C"}


def connect():
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    return ctx.wrap_socket(socket.create_connection((HOST, PORT), timeout=float(os.environ.get("TVS_TIMEOUT", "60"))))


def tlv(tag, value):
    return struct.pack(">BH", tag, len(value)) + value


def message(kind, ident, body):
    return struct.pack(">BBBBIH", 0x57, 1, kind, 0, ident, len(body)) + body


def name(dn):
    """As phones write it: CN, OU, O, L, ST, C with ';'. The order of our own making; the server compares sets."""
    order = ["CN", "OU", "O", "L", "ST", "C"]
    have = {NAMES.get(a.oid._name): a.value for a in dn}
    return ";".join(f"{k}={have[k]}" for k in order if k in have).encode() + b"\0"


def question(kind, path, ident):
    der = open(path, "rb").read()
    device = tlv(1, b"\x01CP-8861-SEP0000000A0001")
    if kind == "verify":
        return message(1, ident, device + tlv(2, der))
    cert = x509.load_der_x509_certificate(der)
    serial = cert.serial_number.to_bytes((cert.serial_number.bit_length() + 7) // 8 or 1, "big")
    return message(3, ident, device + tlv(3, name(cert.subject)) + tlv(4, name(cert.issuer)) + tlv(5, serial))


def exactly(s, n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def answer(s, kind, ident, path):
    proto, version, got, _, back, length = struct.unpack(">BBBBIH", exactly(s, 10))
    assert (proto, version, got, back) == (0x57, 1, 2 if kind == "verify" else 4, ident), (proto, version, got, back)
    body, elements = exactly(s, length), {}
    while body:
        tag, n = struct.unpack(">BH", body[:3])
        assert tag not in elements and len(body) >= 3 + n
        elements[tag] = body[3:3 + n]
        body = body[3 + n:]
    if elements[7] == b"\x01":
        assert set(elements) == {7}, elements
        return "not valid"
    assert elements[7] == b"\x00"
    assert set(elements) == ({7, 8, 9} if kind == "verify" else {7, 2, 8, 9}), elements.keys()
    if kind == "query":
        assert elements[2] == open(path, "rb").read(), "another certificate"
    return f"valid {','.join(str(r) for r in elements[8])} {struct.unpack('>I', elements[9])[0]}"


def main():
    what, args = sys.argv[3], sys.argv[4:]
    if what in ("verify", "query"):
        with connect() as s:
            s.sendall(question(what, args[0], 77))
            print(answer(s, what, 77, args[0]))
    elif what == "script":
        with connect() as s:
            for i, line in enumerate(sys.stdin):
                kind, path = line.split()
                s.sendall(question(kind, path, i))
                print(answer(s, kind, i, path), flush=True)
    elif what == "drip":
        with connect() as s:
            for b in question("verify", args[0], 5):
                s.sendall(bytes([b]))
            print(answer(s, "verify", 5, args[0]))
    elif what == "many":
        with connect() as s:
            n = int(args[0])
            s.sendall(b"".join(question("verify", args[1], i) for i in range(n)))
            print(len({answer(s, "verify", i, args[1]) for i in range(n)}), "kind of answer")
    elif what == "bad":
        der = b"\x30\x03\x02\x01\x05"
        cases = [b"GET / HTTP/1.0\r\n\r\n", message(2, 1, tlv(7, b"\0")), message(1, 1, b""), message(9, 1, tlv(2, der)),
                 message(1, 1, tlv(2, der) + tlv(2, der)), message(3, 1, tlv(4, b"CN=a") + tlv(5, b"\1")),
                 struct.pack(">BBBBIH", 0x57, 1, 1, 0, 1, 65535), struct.pack(">BBBBIH", 0x57, 2, 1, 0, 1, 0),
                 message(1, 1, b"\x02\xff\xff\x30")]
        silent = 0
        for c in cases:
            with connect() as s:
                s.sendall(c)
                try:
                    silent += s.recv(1) == b""
                except (ConnectionError, ssl.SSLError):
                    silent += 1
        print(silent, "of", len(cases), "closed")
    elif what == "half":
        held = [socket.create_connection((HOST, PORT), timeout=60) for _ in range(int(args[0]))]
        began = time.time()
        with connect() as s:
            s.sendall(question("verify", os.environ["DER"], 1))
            print(answer(s, "verify", 1, os.environ["DER"]), "slow" if time.time() - began > 5 else "soon")
        for h in held:
            h.close()
    else:
        sys.exit(__doc__)


main()
