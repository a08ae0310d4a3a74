# SPDX-License-Identifier: BSD-3-Clause
"""A small SCCP server to try ravelin-phonesim on: two phones over mutual TLS, one calls the other, media goes
directly between them under two SRTP keys. In mid-call both connections are cut; the phones must come back by
themselves, keep their media, and be able to hang up."""
import atexit
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

sim, work, proto = sys.argv[1], sys.argv[2], int(sys.argv[3])
suite = int(sys.argv[4])  # 0 none, 1 AES_CM_128_HMAC_SHA1_32, 2 _80
A, B = "SEP0000000000A1", "SEP0000000000B2"
PORT = 12443
FRAMES = 250  # of 20 ms


def name(cn):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])


def issue(cn, path, ca=None):
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    b = (x509.CertificateBuilder().subject_name(name(cn)).issuer_name(name(ca[0] if ca else cn))
         .public_key(key.public_key()).serial_number(x509.random_serial_number())
         .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30)))
    if not ca:
        b = b.add_extension(x509.BasicConstraints(True, None), True)
    cert = b.sign(ca[1] if ca else key, hashes.SHA256())
    with open(path, "wb") as f:
        f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                  serialization.NoEncryption()))
        f.write(cert.public_bytes(serialization.Encoding.PEM))
    return cn, key


def wav(path, seed):
    x, data = seed, bytearray()
    for _ in range(FRAMES * 160):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        data += struct.pack("<h", (x >> 15 & 0x3FFF) - 0x2000)
    with open(path, "wb") as f:
        f.write(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " +
                struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data" + struct.pack("<I", len(data)) + data)


ca = issue("Test CA", f"{work}/ca.pem")
issue("server", f"{work}/server.pem", ca)
issue(A, f"{work}/a.pem", ca)
issue(B, f"{work}/b.pem", ca)
wav(f"{work}/a.wav", 1)
wav(f"{work}/b.wav", 2)

CALL = 7001
version = proto if proto >= 10 else 0
keys = {A: os.urandom(30), B: os.urandom(30)}  # each phone sends with its own
lock = threading.RLock()
phones, digits, log, cut = {}, "", [], False
addr = {}
done = threading.Event()


def u32(*v):
    return struct.pack(f"<{len(v)}I", *v)


def send(who, mid, body=b"", ver=None):
    f = struct.pack("<III", 4 + len(body), version if ver is None else ver, mid) + body
    # In pieces, so that the phone must put frames together.
    phones[who].sendall(f[:5])
    phones[who].sendall(f[5:])


def crypto(key):
    if suite == 0:
        return bytes(48)
    return struct.pack("<IHH", suite, 16, 14) + key[:16] + key[16:] + b"\0\0" + u32(0, 0)


def callinfo(who, sec):
    if proto >= 11:
        body = u32(1, CALL, 1, 0, 0, 0, sec, 0) + b"1001\0" + b"\0" * 14
        send(who, 0x14A, body + b"\0" * (-len(body) % 4))
    else:
        b = bytearray(384)
        b[128:140] = u32(1, CALL, 1)
        b[376:380] = u32(sec)
        send(who, 0x8F, bytes(b))


def orc(who, peer):
    body = u32(1, 2 if who == A else 3, 20, 4, 0, 0, CALL) + crypto(keys[peer]) + u32(0, 0, 101, 10)
    if version >= 11:
        body += u32(0, 0) + (bytes(20) if version >= 17 else bytes(4)) + u32(4000)
    if version >= 16:
        body += u32(0)
    send(who, 0x105, body)


def smt(who, peer):
    ip, port = addr[peer]
    a = u32(0) + ip + bytes(12) if version >= 17 else ip
    send(who, 0x8A, u32(1, 2 if who == A else 3) + a + u32(port, 20, 4, 0xB8, 0, 0, 0, CALL) + crypto(keys[who]) +
         u32(0, 0, 101, 10, 0) + (u32(0) if version >= 15 else b""))


def message(who, mid, body, hdr_version):
    global digits
    if mid == 0x0000:
        send(who, 0x100, ver=0)
    elif mid == 0x000E:
        send(who, 0x97, u32(0, 1, 1) + bytes([1, 9]) + bytes(82))
    elif mid == 0x0028:
        send(who, 0x108, u32(0, 0, 0))
    elif mid == 0x0025:
        send(who, 0x109, u32(0, 0, 0))
    elif mid == 0x000C:
        send(who, 0x93, bytes(16) + u32(0, 0) + bytes(80) + u32(1, 0))
    elif mid == 0x000B:
        send(who, 0x92, u32(1) + b"1001".ljust(24, b"\0") + bytes(80) + u32(0))
    elif mid == 0x0009:
        send(who, 0x90, u32(0, 1) + bytes(84))
    elif mid == 0x000D:
        send(who, 0x94, u32(2026, 1, 1, 1, 1, 1, 1, 0, 0))
    elif mid == 0x0006 and who == A:
        send(A, 0x111, u32(1, 1, CALL, 0, 0, 0))
        send(A, 0x82, u32(0x21, 0, 1, CALL))
    elif mid == 0x0003 and who == A:
        digits += str(struct.unpack_from("<I", body)[0])
        if digits == "2002":
            send(A, 0x111, u32(12, 1, CALL, 0, 0, 0))
            send(A, 0x111, u32(3, 1, CALL, 0, 0, 0))
            callinfo(A, 1)
            send(B, 0x111, u32(4, 1, CALL, 0, 0, 0))
            send(B, 0x85, u32(2, 1, 1, CALL))
            callinfo(B, 1)
    elif mid == 0x0026 and who == B and struct.unpack_from("<I", body)[0] == 11:
        send(B, 0x111, u32(1, 1, CALL, 0, 0, 0))
        orc(B, A)
        orc(A, B)
    elif mid == 0x0022:
        status = struct.unpack_from("<I", body)[0]
        if status:
            log.append(f"{who}: OpenReceiveChannelAck status {status}")
        if version >= 17:
            addr[who] = (body[8:12], struct.unpack_from("<I", body, 24)[0])
        else:
            addr[who] = (body[4:8], struct.unpack_from("<I", body, 8)[0])
        if len(addr) == 2:
            for p, q in ((A, B), (B, A)):
                send(p, 0x111, u32(5, 1, CALL, 0, 0, 0))
                callinfo(p, 3 if suite else 2)
                smt(p, q)
            threading.Timer(1.5, cut_all).start()
    elif mid == 0x0007:
        log.append(f"on-hook from {who} {struct.unpack('<II', body[:8])}")
        for p in (A, B):
            if p in phones:
                pp = 2 if p == A else 3
                send(p, 0x106, u32(1, pp, CALL, 0))
                send(p, 0x8B, u32(1, pp, CALL, 0))
                send(p, 0x107, b"2002".ljust(28 if version >= 18 else 24, b"\0") + u32(CALL, 0))
                send(p, 0x111, u32(2, 1, CALL, 0, 0, 0))
    elif mid == 0x0023:
        log.append(f"statistics from {who}: {struct.unpack_from('<7I', body, 33 if version >= 18 else 32)}")
    elif mid == 0x0027:
        send(who, 0x118, u32(0), ver=0)


def cut_all():
    global cut
    with lock:
        cut = True
        for s in list(phones.values()):
            s.shutdown(socket.SHUT_RDWR)
        phones.clear()


def serve(raw):
    who, buf = None, b""
    try:
        s = ctx.wrap_socket(raw, server_side=True)
        cn = dict(x[0] for x in s.getpeercert()["subject"])["commonName"]
        while True:
            d = s.recv(4096)
            if not d:
                return
            buf += d
            while len(buf) >= 12:
                ln, ver, mid = struct.unpack_from("<III", buf)
                if len(buf) < ln + 8:
                    break
                body, buf = buf[12:ln + 8], buf[ln + 8:]
                with lock:
                    if mid == 1:
                        who = body[:16].rstrip(b"\0").decode()
                        if who != cn:
                            log.append(f"{who} came with the certificate of {cn}")
                            return
                        phones[who] = s
                        log.append(f"registered {who} protocol {body[40]} active streams "
                                   f"{struct.unpack_from('<I', body, 36)[0]}")
                        send(who, 0x81, u32(30) + b"D/M/Y\0\0\0" + u32(60) + bytes([proto, 0, 0, 0]), ver=0)
                        send(who, 0x9B)
                    elif who:
                        message(who, mid, body, ver)
    except (OSError, ssl.SSLError, KeyError) as e:
        if not cut:
            log.append(f"{who}: {e!r}")


ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
ctx.load_cert_chain(f"{work}/server.pem")
ctx.load_verify_locations(f"{work}/ca.pem")
ctx.verify_mode = ssl.CERT_REQUIRED
ls = socket.create_server(("127.0.0.1", PORT), backlog=16)


def accept():
    while True:
        try:
            s, _ = ls.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(s,), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()


def phone(who, letter, *more):
    p = subprocess.Popen([f"{sim}/ravelin-phonesim", "--server", f"127.0.0.1:{PORT}", "--tls", "--cert",
                             f"{work}/{letter}.pem", "--ca", f"{work}/ca.pem", "--name", who, "--protocol",
                             str(proto), "--play", f"{work}/{letter}.wav", "--record", f"{work}/{letter}.rec.wav",
                             "--played", f"{work}/{letter}.played", "--report", f"{work}/{letter}.json",
                             f"--events={work}/{letter}.events", "--dump-keys", f"{work}/{letter}.keys",
                             "--keylog", f"{work}/{letter}.tls", "--rtcp", "1", "--retry", "300", *more], stdin=subprocess.DEVNULL)
    atexit.register(lambda: p.poll() is None and p.kill())
    return p


fails = []


def check(what, ok):
    print(("ok   " if ok else "FAIL ") + what)
    if not ok:
        fails.append(what)


pb = phone(B, "b", "--answer=0.2")
time.sleep(0.5)
pa = phone(A, "a", "--dial", "2002", "--hangup", "--srtp", "openssl")
check("phone A ends well", pa.wait(40) == 0)
check("phone B ends well", pb.wait(40) == 0)
ra, rb = (json.load(open(f"{work}/{x}.json")) for x in "ab")
for r, other in ((ra, "b"), (rb, "a")):
    me = "a" if other == "b" else "b"
    call = r["call"][0]
    m = call["media"]
    check(f"{me}: registered twice, lost once", r["registrations"] == 2 and r["losses"] == 1)
    check(f"{me}: start-up answered", r["ready"] and r["number"] == "1001")
    check(f"{me}: TLS {r['transport']}", r["transport"].startswith("TLSv1.3"))
    check(f"{me}: security {call['security_sequence']}", call["security_sequence"] == [1, 3 if suite else 2])
    check(f"{me}: states {call['states']}", call["states"] == ([1, 12, 3, 5, 2] if me == "a" else [4, 1, 5, 2]))
    check(f"{me}: lost {m['received']['lost']}, not authentic {m['received']['auth_failed']}",
          m["received"]["lost"] == 0 and m["received"]["auth_failed"] == 0)
    check(f"{me}: suite", m["received"]["suite"] == ["none", "AES_CM_128_HMAC_SHA1_32",
                                                     "AES_CM_128_HMAC_SHA1_80"][suite])
    check(f"{me}: RTCP {m['rtcp']}", m["rtcp"]["verified"] >= 3 and m["rtcp"]["bad"] == 0)
    cmp = subprocess.run([f"{sim}/ravelin-phonesim", "--compare", f"{work}/{other}.played", f"{work}/{me}.rec.wav",
                          "--min-frames", "200"], capture_output=True, text=True)
    check(f"{me}: heard what {other} played: {cmp.stdout.strip()}", cmp.returncode == 0)
    if suite:
        text = open(f"{work}/{me}.keys").read()
        check(f"{me}: keys dumped", keys[A][:16].hex() in text and keys[B][:16].hex() in text)
    check(f"{me}: key file is private", os.stat(f"{work}/{me}.keys").st_mode & 0o77 == 0)
    check(f"{me}: TLS secrets logged", "TRAFFIC_SECRET" in open(f"{work}/{me}.tls").read())
check("pace: 250 frames of A in 5 s", abs(ra["call"][0]["media"]["sent"]["packets"] - 265) <= 16)
check("on-hook after coming back", any("on-hook from SEP0000000000A1 (1, 7001)" in x for x in log))
check("came back with a stream active", sum("active streams 1" in x for x in log) == 2)
check("statistics came", sum("statistics" in x for x in log) == 2)
# The comparison must be able to fail.
bad = bytearray(open(f"{work}/a.rec.wav", "rb").read())
bad[len(bad) // 2] ^= 1
open(f"{work}/bad.wav", "wb").write(bad)
cmp = subprocess.run([f"{sim}/ravelin-phonesim", "--compare", f"{work}/b.played", f"{work}/bad.wav"],
                     capture_output=True, text=True)
check("one wrong bit is seen", cmp.returncode == 1 and json.loads(cmp.stdout)["mismatched"] == 1)
# A phone with another's certificate, and a server that is not the right one.
p = phone("SEP0000000000C3", "a", "--duration", "1")
check("wrong name is refused", p.wait(20) == 1)
p = subprocess.run([f"{sim}/ravelin-phonesim", "--server", f"127.0.0.1:{PORT}", "--tls", "--cert", f"{work}/a.pem",
                    "--ca", f"{work}/a.pem", "--name", A], capture_output=True, text=True)
check("untrusted server is refused: " + p.stderr.strip(), p.returncode == 1 and "certificate" in p.stderr)
# Many phones.
p = subprocess.run([f"{sim}/ravelin-phonesim", "--server", f"127.0.0.1:{PORT}", "--tls", "--load", "40", "--load-ca",
                    f"{work}/ca.pem", "--ca", f"{work}/ca.pem", "--hold", "1", "--rate", "100", "--report",
                    f"{work}/load.json", "--source-ips", "127.0.1.1-127.0.1.4"])
load = json.load(open(f"{work}/load.json"))
check(f"load: {load['registered']} of 40, p99 {load['register'] and load['register']['p99_ms']} ms",
      p.returncode == 0 and load["registered"] == 40 and load["registered_at_end"] == 40)
if fails:
    print("\n".join(log))
sys.exit(1 if fails else 0)
