# SPDX-License-Identifier: BSD-3-Clause
"""A small MGCP call agent behind scapy's ESP, to try ravelin-gwsim on: one gateway, two of its endpoints connected to
each other under SRTP, so that its media can be compared with itself. The gateway runs in the namespace argv[3]."""
import atexit
import json
import logging
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import IP, UDP  # noqa: E402
from scapy.layers.ipsec import ESP, SecurityAssociation  # noqa: E402
from scapy.packet import Raw  # noqa: E402

sim, work, ns, alg, mode, encap = sys.argv[1:7]
ME, GW = "192.0.2.1", "192.0.2.7"
FRAMES = 200
fails = []


def check(what, ok):
    print(("ok   " if ok else "FAIL ") + what)
    if not ok:
        fails.append(what)


def wav(path):
    x, data = 3, bytearray()
    for _ in range(FRAMES * 160):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        data += bytes([x >> 16 & 0xFF])
    with open(path, "wb") as f:  # G.711 u-law
        f.write(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " +
                struct.pack("<IHHIIHH", 16, 7, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", len(data)) + data)


def keys():
    return (os.urandom(20), b"") if alg == "gcm" else (os.urandom(16), os.urandom(20))


def scapy_sa(spi, key, auth):
    hdr = {}
    if mode == "tunnel":
        hdr["tunnel_header"] = IP(src=ME, dst=GW)
    if alg == "gcm":
        return SecurityAssociation(ESP, spi=spi, crypt_algo="AES-GCM", crypt_key=key, **hdr)
    return SecurityAssociation(ESP, spi=spi, crypt_algo="AES-CBC", crypt_key=key, auth_algo="HMAC-SHA1-96",
                               auth_key=auth, **hdr)


def spec(spi, key, auth):
    s = f"spi=0x{spi:x},alg={'aes-gcm-128' if alg == 'gcm' else 'aes-cbc-128-sha1-96'},key={key.hex()},mode={mode}"
    return s + (f",auth={auth.hex()}" if auth else "") + (",encap=4500" if encap == "4500" else "")


to_gw, to_me = keys(), keys()
sa_out, sa_in = scapy_sa(0x1111, *to_gw), scapy_sa(0x2222, *to_me)
clear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
clear.bind((ME, 2427))
clear.setblocking(False)
if encap == "4500":
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((ME, 4500))
else:
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, 50)
    sock.bind((ME, 0))
last_esp = None


def send_esp(esp):
    sock.sendto(esp, (GW, 4500 if encap == "4500" else 0))


def send(text):
    global last_esp
    p = IP(src=ME, dst=GW) / UDP(sport=2427, dport=2427) / Raw(text.encode())
    last_esp = bytes(sa_out.encrypt(IP(bytes(p)))[ESP])
    send_esp(last_esp)


def recv(timeout):
    """The next MGCP message as text, None when none came."""
    end = time.time() + timeout
    while time.time() < end:
        sock.settimeout(max(0.01, end - time.time()))
        try:
            d = sock.recv(4096)
        except socket.timeout:
            return None
        if encap == "4500":
            esp = ESP(d)
        else:
            esp = IP(d)[ESP]
        p = sa_in.decrypt(IP(src=GW, dst=ME) / esp)
        if UDP in p and p[UDP].dport == 2427:
            return bytes(p[UDP].payload).decode()
    return None


txid = 1000
seen = []  # commands of the gateway


def want(test, timeout=3.0, answer=True):
    """Wait for a message that passes the test; commands of the gateway are answered 200."""
    end = time.time() + timeout
    while time.time() < end:
        t = recv(end - time.time())
        if t is None:
            continue
        if not t[0].isdigit():
            seen.append(t)
            if answer:
                send(f"200 {t.split()[1]} OK\r\n")
        if test(t):
            return t
    return None


def command(verb, ep, params, sdp=None, tx=None):
    global txid
    if tx is None:
        txid += 1
        tx = txid
    send(f"{verb} {tx} {ep}@gw1.example MGCP 1.0\r\n{params}" + (f"\r\n{sdp}" if sdp else ""))
    return want(lambda t: re.match(rf"\d\d\d {tx}\b", t)) or ""


def sdp_of(t):
    return t.replace("\r\n", "\n").split("\n\n", 1)[1].replace("\n", "\r\n")


wav(f"{work}/g.wav")
gw = subprocess.Popen(["ip", "netns", "exec", ns, f"{sim}/ravelin-gwsim", "--listen", GW, "--agent", f"{ME}:2427",
                       "--name", "gw1.example", "--endpoint", "S0/SU0/DS1-0/1", "--endpoint", "aaln/S1/SU0/1",
                       "--sa-in", spec(0x1111, *to_gw), "--sa-out", spec(0x2222, *to_me), "--play",
                       f"{work}/g.wav", "--record", f"{work}/g.rec", "--played", f"{work}/g.played", "--offer",
                       "AES_CM_128_HMAC_SHA1_80", "--answer-after", "0.3", "--hangup", "--report",
                       f"{work}/g.json", f"--events={work}/g.events", "--dump-keys", f"{work}/g.keys",
                       "--rtcp", "1"], stdin=subprocess.DEVNULL)
atexit.register(lambda: gw.poll() is None and gw.kill())
t = want(lambda t: t.startswith("RSIP"), 5, answer=False)
check("RSIP restart", t is not None and "RM: restart" in t and " *@gw1.example MGCP 1.0" in t)
again = want(lambda t: t.startswith("RSIP"), 3)
check("RSIP is repeated until it is answered", again == t)
# A trunk has no hook and sends at once, an analog line when it is off hook.
e0, e1 = "S0/SU0/DS1-0/1", "aaln/S1/SU0/1"
r0 = command("CRCX", e0, "C: A1\r\nL: p:20, a:PCMU\r\nM: inactive\r\n")
check("CRCX: 200, offer with own key", r0.startswith("200") and "RTP/SAVP" in r0 and "a=crypto:1 " in r0)
again = command("CRCX", e0, "C: A1\r\nL: p:20, a:PCMU\r\nM: inactive\r\n", tx=txid)
check("CRCX repeated: the same answer", again == r0)
send_esp(last_esp)
clear.sendto(f"AUEP 77 {e0}@gw1.example MGCP 1.0\r\n".encode(), (GW, 2427))
x = sdp_of(r0).replace("a=crypto:1 ", "a=X-crypto:")
x = re.sub(r"(inline:\S+)", r"\1||", x)
r1 = command("CRCX", e1, "C: A1\r\nM: sendrecv\r\n", x)
check("CRCX with a=X-crypto: answered in that form", "a=X-crypto:AES_CM_128_HMAC_SHA1_80 inline:" in r1)
i0, i1 = (re.search(r"I: (\S+)", r).group(1) for r in (r0, r1))
r = command("RQNT", e1, "X: 5\r\nR: L/hd, L/hu\r\nS: L/rg\r\n")
check("RQNT ring", r.startswith("200"))
t = want(lambda t: t.startswith("NTFY"))
check("NTFY L/hd", t is not None and "X: 5\r\nO: L/hd\r\n" in t)
r = command("MDCX", e0, f"C: A1\r\nI: {i0}\r\nM: sendrecv\r\n", sdp_of(r1).replace("a=X-crypto:", "a=crypto:1 ")
            .replace("||", ""))
check("MDCX: 200", r.startswith("200"))
check("own key stays over MDCX", re.search(r"inline:\S+", r).group(0) == re.search(r"inline:\S+", r0).group(0))
for verb, ep, params, code in (
        ("AUEP", e0, "F: A, I, X, ES\r\n", "200"), ("AUEP", "aaln/S9/SU0/0", "", "500"), ("AUEP", "*", "", "200"),
        ("AUCX", e0, f"I: {i0}\r\nF: C, M, P, LC\r\n", "200"), ("AUCX", e0, "I: 99\r\n", "515"),
        ("EPCF", e0, "B: e:mu\r\n", "200"), ("MDCX", e0, f"C: B2\r\nI: {i0}\r\n", "516"),
        ("CRCX", e0, "M: sendrecv\r\n", "510"), ("CRCX", e0, "C: A2\r\nM: loopback\r\n", "517"),
        ("CRCX", "*", "C: A2\r\nM: inactive\r\n", "503"), ("NOPE", e0, "", "504"),
        ("RQNT", e1, "X: 6\r\nR: L/hu\r\nS: L/rg\r\n", "401"), ("RQNT", e1, "X: 6\r\nR: L/hu\r\n", "200")):
    r = command(verb, ep, params)
    check(f"{verb} {ep} {params.strip()!r}: {r[:3]}", r[:3] == code)
t = want(lambda t: t.startswith("NTFY"), 8)
check("NTFY L/hu when the WAV is over", t is not None and "X: 6\r\nO: L/hu\r\n" in t)
r = command("DLCX", e1, f"C: A1\r\nI: {i1}\r\n")
check("DLCX: 250 with statistics", r.startswith("250") and "P: PS=" in r)
time.sleep(0.1)
r = command("DLCX", e0, "C: A1\r\n")
check("DLCX by call: 250", r.startswith("250"))
gw.send_signal(signal.SIGTERM)
check("RSIP forced at the end", want(lambda t: "RM: forced" in t) is not None)
check("the gateway ends well", gw.wait(10) == 0)
g = json.load(open(f"{work}/g.json"))["gateway"][0]
w = g["wire"]
check(f"one clear message came and was refused, one replay, no forgery: {w['clear_refused']}, "
      f"{w['sa_in'][0]['replayed']}", w["clear_refused"] == 1 and w["sa_in"][0]["replayed"] == 1 and
      w["sa_in"][0]["auth_failed"] == 0 and w["bad_checksum"] == 0)
check("at most once", g["duplicates"] == 1 and g["verbs"]["DLCX"] == 2)
try:
    check(f"nothing in clear: {clear.recv(4000)!r}", False)
except BlockingIOError:
    check("nothing in clear", True)
for c in g["connections"]:
    m = c["media"]
    check(f"{c['endpoint']}: lost {m['received']['lost']}, {m['received']['suite']}, RTCP {m['rtcp']['verified']}",
          m["received"]["lost"] == 0 and m["received"]["auth_failed"] == 0 and m["received"]["packets"] > 100 and
          m["received"]["suite"] == "AES_CM_128_HMAC_SHA1_80" and m["rtcp"]["verified"] >= 2 and
          m["rtcp"]["bad"] == 0)
for played, rec in (("g.played", "g.rec.2"), ("g.played.2", "g.rec")):
    p = subprocess.run([f"{sim}/ravelin-phonesim", "--compare", f"{work}/{played}", f"{work}/{rec}", "--min-frames",
                        "150"], capture_output=True, text=True)
    check(f"{rec} is what was played: {p.stdout.strip()}{p.stderr.strip()}", p.returncode == 0)
k = open(f"{work}/g.keys").read()
check("ESP and SRTP keys dumped", to_gw[0][:16].hex() in k and '"srtp-send"' in k and '"srtp-recv"' in k)
sys.exit(1 if fails else 0)
