# SPDX-License-Identifier: BSD-3-Clause
"""An old phone: TLS 1.0 to 1.2 with one cipher of one's choice, and one Register; phonesim speaks modern TLS only.

usage: registration_peer.py SERVER:PORT SOURCE NAME PEM CIPHER [TLSv1|TLSv1_2] [token]
Prints one JSON object: cipher, answers (message ids), text of a RegisterReject, plain (the answer was readable on the wire).
"""
import json
import socket
import ssl
import struct
import sys

server, source, name, pem, cipher = sys.argv[1:6]
version = sys.argv[6] if len(sys.argv) > 6 else "TLSv1_2"
host, port = server.rsplit(":", 1)
raw = socket.create_connection((host, int(port)), timeout=60, source_address=(source, 0))
ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ctx.check_hostname = False
ctx.verify_mode = ssl.CERT_NONE
ctx.set_ciphers(cipher + ":@SECLEVEL=0")
ctx.minimum_version = ctx.maximum_version = ssl.TLSVersion[version]
ctx.load_cert_chain(pem)
# Records pass through memory, so that what was on the wire can be looked at.
inp, out = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = ctx.wrap_bio(inp, out)
wire = b""


def pump(step):
    global wire
    while True:
        try:
            got = step()
        except ssl.SSLWantReadError:
            got = None
        if out.pending:
            raw.sendall(out.read())
        if got is not None:
            return got
        data = raw.recv(65536)
        if not data:
            raise EOFError
        wire += data
        inp.write(data)


def frame(ident, body):
    return struct.pack("<III", 4 + len(body), 0, ident) + body


said = {"cipher": None, "answers": [], "text": "", "plain": False}
try:
    pump(lambda: tls.do_handshake() or True)
    said["cipher"] = tls.cipher()[0]
    wire = b""
    body = name.encode().ljust(16, b"\0") + struct.pack("<II4sIII", 0, 0, bytes(4), 0x1B2, 0, 0) + bytes([11, 0, 0x60, 0x85])
    body = body.ljust(68, b"\0")
    pump(lambda: tls.write(frame(1, body)))
    data = b""
    while len(said["answers"]) < 2:
        data += pump(lambda: tls.read(65536)) or b""
        if not data:
            break
        while len(data) >= 12 and len(data) >= 8 + struct.unpack("<I", data[:4])[0]:
            n = 8 + struct.unpack("<I", data[:4])[0]
            said["answers"].append(struct.unpack("<I", data[8:12])[0])
            if said["answers"][-1] == 0x9D:
                said["text"] = data[12:n].split(b"\0")[0].decode()
            if data[:n] in wire:
                said["plain"] = True
            data = data[n:]
except (EOFError, ssl.SSLError, OSError) as e:
    said["error"] = str(e) or "closed"
print(json.dumps(said))
