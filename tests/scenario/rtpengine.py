#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The cases of rtpengine.sh: plain RTP | ravelin-dataplane | SRTP | rtpengine | plain RTP, and back.
rtpengine.py SOCKET NETNS_A NETNS_B NG_PORT WORKDIR"""
import base64
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
from dp_client import Dataplane  # noqa: E402

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
RECV, SEND = 0, 1
PACKETS = 300
# enum dp_srtp_suite, key, salt
SUITES = {
    "AES_CM_128_HMAC_SHA1_80": (1, 16, 14), "AES_CM_128_HMAC_SHA1_32": (2, 16, 14),
    "AES_192_CM_HMAC_SHA1_80": (3, 24, 14), "AES_192_CM_HMAC_SHA1_32": (4, 24, 14),
    "AES_256_CM_HMAC_SHA1_80": (5, 32, 14), "AES_256_CM_HMAC_SHA1_32": (6, 32, 14),
    "AEAD_AES_128_GCM": (7, 16, 12), "AEAD_AES_256_GCM": (8, 32, 12),
}
passed = failed = 0


def check(what, ok, why=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    print("%s %s%s" % ("ok   " if ok else "FAIL ", what, "" if ok else " (%s)" % why), flush=True)


def bencode(v):
    if isinstance(v, dict):
        return b"d" + b"".join(bencode(k) + bencode(v[k]) for k in sorted(v)) + b"e"
    if isinstance(v, list):
        return b"l" + b"".join(map(bencode, v)) + b"e"
    if isinstance(v, int):
        return b"i%de" % v
    v = v.encode() if isinstance(v, str) else v
    return b"%d:%s" % (len(v), v)


def bdecode(b, i=0):
    if b[i:i + 1] == b"d":
        out, i = {}, i + 1
        while b[i:i + 1] != b"e":
            k, i = bdecode(b, i)
            out[k.decode()], i = bdecode(b, i)
        return out, i + 1
    if b[i:i + 1] == b"l":
        out, i = [], i + 1
        while b[i:i + 1] != b"e":
            v, i = bdecode(b, i)
            out.append(v)
        return out, i + 1
    if b[i:i + 1] == b"i":
        end = b.index(b"e", i)
        return int(b[i + 1:end]), end + 1
    colon = b.index(b":", i)
    n = int(b[i:colon])
    return b[colon + 1:colon + 1 + n], colon + 1 + n


class Rtpengine:
    def __init__(self, netns, port):
        home, there = os.open("/proc/self/ns/net", os.O_RDONLY), os.open("/run/netns/" + netns, os.O_RDONLY)
        if libc.setns(there, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("127.0.0.1", port))
        self.sock.settimeout(60)
        libc.setns(home, CLONE_NEWNET)
        self.n = 0

    def ask(self, **what):
        self.n += 1
        self.sock.send(b"c%d " % self.n + bencode({k.replace("_", "-"): v for k, v in what.items()}))
        cookie, answer = self.sock.recv(65536).split(b" ", 1)
        assert cookie == b"c%d" % self.n
        return bdecode(answer)[0]


def sdp(ip, port, proto, crypto=""):
    return ("v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d %s 0\r\na=rtpmap:0 PCMU/8000\r\n%sa=sendrecv\r\n" %
            (ip, ip, port, proto, crypto))


def media(text):
    """Address, port and keys of a description."""
    text = text.decode()
    port = int(re.search(r"m=audio (\d+) ", text).group(1))
    ip = re.search(r"c=IN IP4 (\S+)", text).group(1)
    return ip, port, dict(re.findall(r"a=crypto:\d+ (\S+) inline:([^|\s]+)", text))


def call(dp, eng, nets, work, suite, n, towards):
    """One call: audio towards rtpengine, or from it."""
    num, key_len, salt_len = SUITES[suite]
    port, a_port, b_port = 16384 + 2 * n, 40000 + 2 * n, 44000 + 2 * n
    mine = os.urandom(key_len + salt_len)
    name = "%s %s rtpengine" % (suite, "to" if towards else "from")
    crypto = "a=crypto:1 %s inline:%s\r\n" % (suite, base64.b64encode(mine).decode())
    ids = {"call_id": "c%d" % n, "from_tag": "f%d" % n, "ICE": "remove"}
    got = eng.ask(command="offer", sdp=sdp("10.77.2.1", port, "RTP/SAVP", crypto), transport_protocol="RTP/AVP", **ids)
    if got.get("result") != b"ok":
        return check(name, False, got)
    to_b = media(got["sdp"])
    got = eng.ask(command="answer", sdp=sdp("10.77.2.2", b_port, "RTP/AVP"), to_tag="t%d" % n, **ids)
    if got.get("result") != b"ok":
        return check(name, False, got)
    ip, eng_port, keys = media(got["sdp"])
    if suite not in keys:
        return check("%s: it takes the suite" % name, False, got["sdp"])
    theirs = base64.b64decode(keys[suite] + "=" * (-len(keys[suite]) % 4))
    la, lb = dp.leg_id(0, port), dp.leg_id(1, port)
    dp.leg_set(la, lb, ("10.77.1.2", a_port), session=n)
    dp.leg_set(lb, la, (ip, eng_port), (num, num), latch=1, session=n)
    dp.leg_key(lb, SEND, num, mine[:key_len], mine[key_len:])
    dp.leg_key(lb, RECV, num, theirs[:key_len], theirs[key_len:])
    party, heard = os.path.join(here, "rtp_party.py"), "%s/%s-%d" % (work, suite, towards)
    tx = (nets[0], "10.77.1.2", a_port, "10.77.1.1:%d" % port) if towards else (nets[1], "10.77.2.2", b_port, "%s:%d" % to_b[:2])
    rx = (nets[1], "10.77.2.2", b_port) if towards else (nets[0], "10.77.1.2", a_port)

    def there(netns, *args):
        return ["ip", "netns", "exec", netns, "timeout", "60", sys.executable, party, *map(str, args)]

    p = subprocess.Popen(there(rx[0], "receive", *rx[1:], heard), stderr=open(heard + ".log", "w"))
    until = time.monotonic() + 10
    while time.monotonic() < until and not subprocess.run(
            ["ip", "netns", "exec", rx[0], "ss", "-Hlun", "sport = :%d" % rx[2]], capture_output=True, timeout=60).stdout.strip():
        time.sleep(0.05)
    rc = subprocess.run(there(tx[0], "send", *tx[1:], work + "/audio.ul", "--speed", 4), timeout=300).returncode
    time.sleep(0.3)
    p.send_signal(signal.SIGINT)
    p.wait(timeout=60)
    size = os.path.getsize(heard) // 160
    same = subprocess.run([sys.executable, party, "compare", work + "/audio.ul", heard], capture_output=True, text=True, timeout=90)
    time.sleep(0.7)  # the page is half a second old
    leg = dp.leg(lb)
    check("%s: %d packets heard, each as it was sent" % (name, size), rc == 0 and size == PACKETS and same.returncode == 0, same.stdout)
    check("%s: nothing failed authentication" % name, leg["auth_fail"] == 0 and leg["replayed"] == 0 and
          leg["tx_pkts" if towards else "rx_pkts"] >= PACKETS, leg)
    eng.ask(command="delete", **ids)
    dp.leg_del(la)
    dp.leg_del(lb)


def main():
    path, net_a, net_b, ng, work = sys.argv[1:6]
    dp, eng = Dataplane(path, 1), Rtpengine(net_b, int(ng))
    check("rtpengine answers", eng.ask(command="ping").get("result") == b"pong")
    with open(work + "/audio.ul", "wb") as f:
        f.write(os.urandom(160 * PACKETS))
    n = 0
    for suite in SUITES:
        for towards in (True, False):
            call(dp, eng, (net_a, net_b), work, suite, n, towards)
            n += 1
    print("%d passed, %d failed" % (passed, failed))
    return failed != 0


sys.exit(main())
