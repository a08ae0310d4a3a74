#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The controlplane of tests/scenario/key-leak.sh, over a real dataplane: it knows every key because it draws them.

key_leak.py prepare DIR              draws the SAs: DIR/sas.json, DIR/sas.txt for ravelin-gwsim, DIR/uat for tshark
key_leak.py run DIR SOCKET N SEED    N keyed transactions while SAs go at random; DIR/keys.hex: every key that was in one,
                                     in either direction; DIR/control.hex: the key that a gateway without IPsec gets in
                                     clear, on purpose. Prints what came of them as JSON.
"""
import collections
import heapq
import json
import os
import random
import select
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dp_client  # noqa: E402

LOCAL = "10.77.2.2"
# name, number of the dataplane's, key, salt, auth, tunnel, port of UDP encapsulation; tshark's names
ALGS = [
    ("aes-gcm-128", 1, 16, 4, 0, False, 0, "AES-GCM with 16 octet ICV [RFC4106]", "NULL"),
    ("aes-cbc-128-sha1", 2, 16, 0, 20, True, 0, "AES-CBC [RFC3602]", "HMAC-SHA-1-96 [RFC2404]"),
    ("aes-gcm-256", 27, 32, 4, 0, True, 0, "AES-GCM with 16 octet ICV [RFC4106]", "NULL"),
    ("aes-cbc-256-sha256", 11, 32, 0, 32, False, 0, "AES-CBC [RFC3602]", "HMAC-SHA-256-128 [RFC4868]"),
    ("aes-ctr-128-sha1", 14, 16, 4, 20, False, 0, "AES-CTR [RFC3686]", "HMAC-SHA-1-96 [RFC2404]"),
    ("aes-gcm-128", 1, 16, 4, 0, False, 4500, "AES-GCM with 16 octet ICV [RFC4106]", "NULL"),
]
LANES = 8  # endpoints of each gateway
CONTROL = 20  # the gateway without IPsec
SA_SET, SA_DEL, GW_SET, MGCP_CMD, MGCP_ACK, DONE, EVENT = 5, 7, 8, 10, 11, 97, 98
CRCX, MDCX, DLCX = 2, 3, 4
ANSWERED, NO_SA, TIMEOUT = 0, 1, 2
CM80, GCM256 = 1, 8
CLEAR, KEYS_CLEAR = 2, 1
SEQ_STEP = 50000  # an outbound SA that comes back goes on above all that it may have used


def gw_ip(g):
    return "10.77.2.%d" % (10 + g)


def prepare(work):
    sas, lines, uat = [], [], []
    for g, (name, _, key, salt, auth, tunnel, port, enc, mac) in enumerate(ALGS, 1):
        both = {}
        for way in ("out", "in"):  # as the appliance sees it
            k = os.urandom(key + salt + auth)
            spi = 0x2000 + g if way == "out" else 0x1000 + g * 64 + g
            both[way] = {"spi": spi, "key": k.hex()}
            lines.append("gw=gw%d.example %s spi=0x%x,alg=%s,key=%s,mode=%s%s" % (
                g, "in" if way == "out" else "out", spi, name, k.hex(), "tunnel" if tunnel else "transport",
                ",encap=4500" if port else ""))
            src, dst = (LOCAL, gw_ip(g)) if way == "out" else (gw_ip(g), LOCAL)
            uat.append('uat:esp_sa:"IPv4","%s","%s","0x%08x","%s","0x%s","%s","%s"' % (
                src, dst, spi, enc, k[:key + salt].hex(), mac, "0x" + k[key + salt:].hex() if auth else ""))
        sas.append(both)
    with open(work + "/sas.json", "w") as f:
        json.dump(sas, f)
    with open(work + "/sas.txt", "w") as f:
        f.write("\n".join(lines) + "\n")
    with open(work + "/uat", "w") as f:
        f.write("\n".join(uat) + "\n")


class Lane:
    """One endpoint: a connection that is made, given new keys many times, and deleted."""

    def __init__(self, gw, endpoint):
        self.gw, self.endpoint = gw, endpoint
        self.conn = b""
        self.rekeys = 0
        self.busy = False
        self.not_before = 0.0
        self.wipe = False  # what the gateway has is not known: delete it


class Run:
    def __init__(self, work, path, total, seed):
        self.rng = random.Random(seed)
        self.total = total
        self.dp = dp_client.Dataplane(path, 0x6c65616b)
        with open(work + "/sas.json") as f:
            self.sas = json.load(f)
        self.keys = open(work + "/keys.hex", "w")
        self.control = open(work + "/control.hex", "w")
        self.up = {}     # (gateway, way): is it there
        self.floor = collections.Counter()
        self.later = []  # (time, gateway, way): SAs to set again
        self.handle = 0
        self.open = {}   # handle: (lane, verb, keyed)
        self.stat = collections.Counter()
        self.lanes = [Lane(g, b"aaln/%d" % n) for g in range(1, len(ALGS) + 1) for n in range(1, LANES + 1)]

    # --- messages ---

    def gateway(self, g, flags):
        self.dp.call(self.dp.hdr(GW_SET, 264) + struct.pack("<IBB2x", g, g % 64, flags) + dp_client.sockaddr((gw_ip(g), 2427)) +
                     dp_client.sockaddr((LOCAL, 2727)) + (b"gw%d.example" % g).ljust(64 + 64 + 64 + 8, b"\0"))

    def sa_set(self, g, way):
        _, alg, klen, slen, _, tunnel, port, _, _ = ALGS[g - 1]
        sa = self.sas[g - 1][way]
        k = bytes.fromhex(sa["key"])
        out = way == "out"
        floor = self.floor[g] if out else 0
        sel = dp_client.sockaddr((LOCAL, 0)) + dp_client.sockaddr((gw_ip(g), 0)) if tunnel else bytes(48)
        msg = (self.dp.hdr(SA_SET, 304) + struct.pack("<IIIBBBB", 2 * g + out, sa["spi"], g, 1 if out else 0, alg, 1 if tunnel else 2, 0) +
               dp_client.sockaddr((LOCAL, port)) + dp_client.sockaddr((gw_ip(g), port)) + sel +
               struct.pack("<BBBBI", 32 if tunnel else 0, 32 if tunnel else 0, 0, g % 64, 0) +
               struct.pack("<QQ", floor, floor + SEQ_STEP if out else 0) + bytes(56) +
               k[:klen].ljust(32, b"\0") + k[klen + slen:].ljust(64, b"\0") + k[klen:klen + slen].ljust(4, b"\0") + bytes(4))
        self.send(msg)
        self.floor[g] += SEQ_STEP if out else 0
        self.up[g, way] = True

    def sa_del(self, g, way):
        self.send(self.dp.hdr(SA_DEL, 16) + struct.pack("<IB3x", 2 * g + (way == "out"), 2))
        self.up[g, way] = False

    def send(self, msg):
        self.dp.sock.send(msg)

    def media(self, suite, key):
        """A description with this key; the key and its salt."""
        klen = 32 if suite == GCM256 else 16
        return (dp_client.sockaddr(("10.77.2.9", self.rng.randrange(16384, 32000, 2))) + struct.pack("<10B", suite, 0, 20, 0, 1, 0, 0, 0, 0, 0) +
                key[:klen].ljust(32, b"\0") + key[klen:].ljust(14, b"\0") + bytes(8) + bytes([1, 0, 0, 0, 0, 0, 0, 0]))

    def command(self, lane, verb, keys=None, gw=None):
        self.handle += 1
        keyed = verb in (CRCX, MDCX)
        media = bytes(96)
        if keyed:
            suite = self.rng.choice((CM80, CM80, GCM256))
            key = os.urandom(44 if suite == GCM256 else 30)
            (keys or self.keys).write(key.hex() + "\n" + key[:32 if suite == GCM256 else 16].hex() + "\n")
            media = self.media(suite, key)
        conn = lane.conn if verb == MDCX else b""
        self.send(self.dp.hdr(MGCP_CMD, 480) + struct.pack("<QIBB2x", self.handle, gw or lane.gw, verb, 3 if keyed else 0) + media +
                  lane.endpoint.ljust(64, b"\0") + (b"A1" if keyed else b"").ljust(33, b"\0") + conn.ljust(33, b"\0") + bytes(33 + 192 + 5))
        self.open[self.handle] = (lane, verb, keyed)
        lane.busy = True

    # --- what comes back ---

    def poll(self, timeout):
        if not select.select([self.dp.sock], [], [], timeout)[0]:
            return
        data = self.dp.sock.recv(65536)
        at = 0
        while at < len(data):
            typ, size, _ = struct.unpack_from("<HHI", data, at)
            if typ == DONE:
                self.done(data[at:at + size])
            elif typ == EVENT:
                token, = struct.unpack_from("<Q", data, at + 8)
                self.send(self.dp.hdr(MGCP_ACK, 24) + struct.pack("<QH6x", token, 200))
                self.stat["events"] += 1
            elif typ == dp_client.REPLY:
                rc, = struct.unpack_from("<i", data, at + 8)
                if rc < 0:
                    self.stat["refused %d" % rc] += 1
            at += size

    def done(self, m):
        handle, _, code, result, _ = struct.unpack_from("<QIHBB", m, 8)
        lane, verb, keyed = self.open.pop(handle)
        lane.busy = False
        if result == NO_SA:  # not at once again: others are to have their turn
            lane.not_before = time.time() + self.rng.uniform(0.0, 0.02)
        if keyed:
            self.stat["transactions"] += 1
            self.stat[{ANSWERED: "answered", NO_SA: "no_sa", TIMEOUT: "timeout"}.get(result, "other")] += 1
            suite = m[32 + 24]
            if result == ANSWERED and suite in (CM80, GCM256):
                klen, slen = (32, 12) if suite == GCM256 else (16, 14)
                key = m[32 + 34:32 + 34 + klen]
                self.stat["answers_keyed"] += 1
                (self.control if lane.gw == CONTROL else self.keys).write((key + m[32 + 66:32 + 66 + slen]).hex() + "\n" + key.hex() + "\n")
        good = result == ANSWERED and 200 <= code < 300
        if verb == CRCX and good:
            lane.conn = m[128:128 + 33].split(b"\0")[0]
        elif verb == DLCX and (good or code == 515):
            lane.conn, lane.wipe, lane.rekeys = b"", False, 0
        elif not good and verb == CRCX:
            lane.wipe = True
            if result == ANSWERED:
                self.stat["code %d" % code] += 1
        elif not good and code >= 400:
            self.stat["code %d" % code] += 1
            lane.wipe = True

    # --- the storm ---

    def step(self, lane):
        if lane.wipe or lane.rekeys >= 25:
            lane.wipe = True
            self.command(lane, DLCX)
        elif lane.conn:
            lane.rekeys += 1
            self.command(lane, MDCX)
        else:
            self.command(lane, CRCX)

    def tear(self, now):
        g = self.rng.randint(1, len(ALGS))
        ways = self.rng.choice((["out"], ["out"], ["in"], ["out", "in"]))
        for way in ways:
            if self.up[g, way]:
                self.sa_del(g, way)
                self.stat["torn_" + way] += 1
                # how many keyed transactions of the gateway it fell into
                self.stat["under_way"] += sum(1 for lane, _, keyed in self.open.values() if keyed and lane.gw == g)
                heapq.heappush(self.later, (now + self.rng.uniform(0.001, 0.03), g, way))

    def torn_little(self):
        s = self.stat
        return s["torn_out"] <= 30 or s["torn_in"] <= 15 or s["no_sa"] <= 15 or s["under_way"] <= self.total / 10

    def run(self):
        for g in range(1, len(ALGS) + 1):
            self.gateway(g, CLEAR if g % 2 == 0 else 0)  # without an SA commands without keys may go to the even ones
            for way in ("out", "in"):
                self.sa_set(g, way)
        self.gateway(CONTROL, CLEAR | KEYS_CLEAR)
        last = time.time()
        gap = 0.0
        # A fast machine is through before much was torn down: it goes on until there was enough of it.
        while self.stat["transactions"] < self.total or (self.torn_little() and self.stat["transactions"] < 20 * self.total):
            now = time.time()
            while self.later and self.later[0][0] <= now:
                _, g, way = heapq.heappop(self.later)
                self.sa_set(g, way)
            for lane in self.lanes:
                if not lane.busy and lane.not_before <= now:
                    self.step(lane)
            if now - last > gap:  # right behind commands that are on their way
                self.tear(now)
                last, gap = now, self.rng.uniform(0.0, 0.02)
            self.poll(0.002)
            if now - getattr(self, "progress", (now, 0))[0] > 60:
                break
            if self.stat["transactions"] != getattr(self, "progress", (0, -1))[1]:
                self.progress = (now, self.stat["transactions"])
        # the control: a key that leaves in clear because the record says so
        lane = Lane(CONTROL, b"aaln/1")
        self.command(lane, CRCX, self.control, CONTROL)
        end = time.time() + 60
        while lane.busy and time.time() < end:
            self.poll(0.1)
        self.stat["control"] = int(bool(lane.conn))
        # what is under way ends with all SAs there
        for g in range(1, len(ALGS) + 1):
            for way in ("out", "in"):
                if not self.up[g, way]:
                    self.sa_set(g, way)
        end = time.time() + 120
        while self.open and time.time() < end:
            self.poll(0.1)
        self.stat["left"] = len(self.open)
        self.stat["lanes_up"] = sum(1 for lane in self.lanes if not lane.busy)
        self.keys.close()
        self.control.close()
        print(json.dumps(self.stat))


if sys.argv[1] == "prepare":
    prepare(sys.argv[2])
else:
    Run(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])).run()
