#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The cases of gst-srtp.sh: GStreamer sends and hears through ravelin-dataplane. gst_srtp.py SOCKET NETNS_A NETNS_B WORKDIR"""
import os
import signal
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
from dp_client import Dataplane  # noqa: E402

RECV, SEND = 0, 1
ADD, KEEP_ROC = 1, 2
PACKETS = 400
# name: enum dp_srtp_suite, GStreamer's cipher and tag, key, salt
SUITES = {
    "AES_CM_128_80": (1, "aes-128-icm", "hmac-sha1-80", 16, 14),
    "AES_CM_128_32": (2, "aes-128-icm", "hmac-sha1-32", 16, 14),
    "AES_256_CM_80": (5, "aes-256-icm", "hmac-sha1-80", 32, 14),
    "AES_256_CM_32": (6, "aes-256-icm", "hmac-sha1-32", 32, 14),
    "GCM_128": (7, "aes-128-gcm", "null", 16, 12),
    "GCM_256": (8, "aes-256-gcm", "null", 32, 12),
}
passed = failed = 0


def check(what, ok, why=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    print("%s %s%s" % ("ok   " if ok else "FAIL ", what, "" if ok else " (%s)" % why), flush=True)


class Key:
    def __init__(self, suite):
        self.suite, self.cipher, self.auth, key, salt = SUITES[suite]
        self.key, self.salt = os.urandom(key), os.urandom(salt)

    def hex(self):
        return (self.key + self.salt).hex()


def bound(netns, port):
    out = subprocess.run(["ip", "netns", "exec", netns, "ss", "-Hlun", "sport = :%d" % port], capture_output=True, timeout=60)
    return out.stdout.strip() != b""


class Case:
    """One call: GStreamer at 10.77.1.2 sends what GStreamer at 10.77.2.2 hears."""
    port = 16384

    def __init__(self, dp, nets, work, name, suite_in, suite_out):
        Case.port += 2
        self.dp, self.nets, self.work, self.name = dp, nets, work, name
        self.k_in, self.k_out = Key(suite_in), Key(suite_out)
        self.la, self.lb = dp.leg_id(0, Case.port), dp.leg_id(1, Case.port)
        self.at = Case.port + 20000
        dp.leg_set(self.la, self.lb, ("10.77.1.2", self.at), (self.k_in.suite,) * 2, latch=1, session=Case.port)
        dp.leg_set(self.lb, self.la, ("10.77.2.2", self.at), (self.k_out.suite,) * 2, latch=1, session=Case.port)

    def key(self, leg, direction, key, **more):
        self.dp.leg_key(leg, direction, key.suite, key.key, key.salt, **more)

    def run(self, send=(), receive=(), during=None, dropped=0, speed=8):
        heard, log = "%s/%s.heard" % (self.work, self.name), open("%s/%s.log" % (self.work, self.name), "w+")
        party = os.path.join(here, "gst_party.py")
        rx = subprocess.Popen(["ip", "netns", "exec", self.nets[1], "timeout", "60", party, "receive", "10.77.2.2", str(self.at),
                               heard, "--cipher", self.k_out.cipher, "--auth", self.k_out.auth, "--key", self.k_out.hex(),
                               *receive], stdout=log, stderr=log)
        until = time.monotonic() + 20
        while not bound(self.nets[1], self.at) and time.monotonic() < until:
            time.sleep(0.05)
        tx = subprocess.Popen(["ip", "netns", "exec", self.nets[0], "timeout", "60", party, "send", "10.77.1.2", str(self.at),
                               "10.77.1.1:%d" % Case.port, self.work + "/audio.ul", "--cipher", self.k_in.cipher, "--auth",
                               self.k_in.auth, "--key", self.k_in.hex(), "--speed", str(speed), *send], stdout=log, stderr=log)
        if during:
            during()
        rc = tx.wait(timeout=300)
        time.sleep(0.3)
        # timeout passes it on
        rx.send_signal(signal.SIGTERM)
        rx.wait(timeout=90)
        log.seek(0)
        text = log.read()
        same = subprocess.run([sys.executable, os.path.join(here, "rtp_party.py"), "compare", self.work + "/audio.ul", heard],
                              capture_output=True, text=True, timeout=90)
        n = os.path.getsize(heard) // 160 if os.path.exists(heard) else 0
        a, b = self.dp.leg(self.la), self.dp.leg(self.lb)
        end = time.monotonic() + 3
        while a["rx_pkts"] < PACKETS and time.monotonic() < end:  # the page is a moment old
            time.sleep(0.1)
            a, b = self.dp.leg(self.la), self.dp.leg(self.lb)
        check("%s: %d packets heard, each as it was sent" % (self.name, n),
              rc == 0 and n == PACKETS and same.returncode == 0, text[-300:] + same.stdout + same.stderr)
        check("%s: nothing failed authentication here (%d) or was refused there" % (self.name, a["auth_fail"]),
              a["auth_fail"] == 0 and a["replayed"] == 0 and "dropped=%d" % dropped in text, text[-200:])
        self.dp.leg_del(self.la)
        self.dp.leg_del(self.lb)

    def until(self, packets):
        """Until so many packets came in; the page is about half a second old."""
        end = time.monotonic() + 30
        while self.dp.leg(self.la)["rx_pkts"] < packets and time.monotonic() < end:
            time.sleep(0.02)


def main():
    path, net_a, net_b, work = sys.argv[1:5]
    dp = Dataplane(path, 1)
    nets = (net_a, net_b)
    with open(work + "/audio.ul", "wb") as f:
        f.write(os.urandom(160 * PACKETS))

    for sin, sout in (("GCM_128", "AES_256_CM_80"), ("AES_256_CM_32", "GCM_256"), ("GCM_256", "GCM_128"),
                      ("AES_CM_128_80", "AES_256_CM_32"), ("AES_CM_128_32", "AES_CM_128_32"), ("GCM_128", "GCM_128")):
        c = Case(dp, nets, work, "%s to %s" % (sin, sout), sin, sout)
        c.key(c.la, RECV, c.k_in)
        c.key(c.lb, SEND, c.k_out)
        c.run()

    # Several keys with MKI: the sender changes over twice, we do so once towards the receiver.
    for suite in ("AES_CM_128_80", "GCM_256"):
        c = Case(dp, nets, work, "%s, keys by MKI" % suite, suite, suite)
        second, third, out2 = Key(suite), Key(suite), Key(suite)
        c.key(c.la, RECV, c.k_in, mki=b"\1\2\3\4")
        c.key(c.la, RECV, second, mki=b"\1\2\3\5", flags=ADD | KEEP_ROC)
        c.key(c.la, RECV, third, mki=b"\xff\xff\xff\xff", flags=ADD | KEEP_ROC)
        c.key(c.lb, SEND, c.k_out, mki=b"\7\0")

        def switch():
            c.until(150)
            c.key(c.lb, SEND, out2, mki=b"\7\1", flags=ADD | KEEP_ROC)

        c.run(send=("--mki", "01020304", "--rekey", "120,%s,01020305" % second.hex(), "--rekey", "260,%s,ffffffff" % third.hex()),
              receive=("--mki", "0700", "--key2", out2.hex(), "--mki2", "0701"), during=switch, speed=3)

    # A receiver that joins late learns the ROC from signalling.
    for suite in ("AES_CM_128_80", "GCM_128"):
        c = Case(dp, nets, work, "%s, joined at ROC 3" % suite, "AES_CM_128_80", suite)
        c.key(c.la, RECV, c.k_in)
        c.key(c.lb, SEND, c.k_out, roc=3, flags=8)
        c.run(receive=("--roc", "3"))

    print("%d passed, %d failed" % (passed, failed))
    return failed != 0


sys.exit(main())
