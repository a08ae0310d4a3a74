# SPDX-License-Identifier: BSD-3-Clause
"""Our dataplane and a kernel's XFRM in a machine: kernel-esp.sh has both ends up. Every case is MGCP both ways: commands of ours that the
gateway behind the kernel's SAs answers, keep-alives of the gateway that the dataplane answers; and what both ends counted of it.
PARTS: only these functions.
kernel_esp.py WORK [full]"""
import os
import re
import struct
import sys
import threading
import time

from dp_client import DROPS
from dp_sas import (ANSWERED, AUEP, CLEAR, IN, OUT, PIGGYBACK, RQNT, TRANSPORT, TUNNEL, Gateways, algs, material)
from vm_wire import Shell, Wire

work, full = sys.argv[1], "full" in sys.argv[2:]
US = {4: "10.78.0.1", 6: "fd00:78::1"}
ALGS = algs()
failed = 0


def check(text, ok, detail=""):
    global failed
    failed += not ok
    print(f"{'ok   ' if ok else 'FAIL '} {text}{'' if ok else f' ({detail})'}", flush=True)
    return ok


class Case:
    """A gateway: SAs of ours and the kernel's, with addresses of its own in the machine."""
    made = []

    def __init__(self, alg, mode, outer=4, udp=0, esn=0, inner=None, **more):
        self.n = len(Case.made)
        Case.made.append(self)
        self.alg, self.mode, self.outer, self.udp, self.esn = ALGS[alg], mode, outer, udp, esn
        self.inner = inner or outer
        self.floor = more.get("floor", 0)
        self.window = more.get("window", 128)
        self.tfc = more.get("tfc", 0)
        # What hides nothing is no SA for a gateway whose commands may not go in clear.
        self.flags = more.get("flags", 0) | (CLEAR if self.alg.cipher == "null" else 0)
        self.udp_only = more.get("udp_only", False)  # selectors name protocol and ports
        self.wrong = more.get("wrong", False)
        self.port = more.get("port", 4500 if udp else 0)
        self.spi_in, self.spi_out = 0x10000 + self.n, 0x20000 + self.n
        hi, lo = divmod(self.n, 200)
        self.at = {4: f"10.80.{hi}.{lo + 1}", 6: f"fd00:80::{self.n + 1:x}"}[self.outer]  # outer address of the gateway
        self.gw = self.at if mode == TRANSPORT else {4: f"10.81.{hi}.{lo + 1}", 6: f"fd00:81::{self.n + 1:x}"}[self.inner]
        self.keys = {IN: material(self.alg), OUT: material(self.alg)}
        self.name = f"{alg} {'transport' if mode == TRANSPORT else 'tunnel'} IPv{outer}" + (f" of IPv{self.inner}" if self.inner != outer else "") + \
            (" UDP" if udp else " protocol 50") + (" ESN" if esn else "")

    def kernel(self):
        """Lines for ip -batch: addresses, states, policies."""
        bits = {4: 32, 6: 128}
        lines = [f"addr replace {a}/{bits[6 if ':' in a else 4]} dev lo" + (" nodad" if ":" in a else "") for a in {self.at, self.gw}]
        mode = "transport" if self.mode == TRANSPORT else "tunnel"
        for direction in (IN, OUT):  # ours
            key, salt, auth = self.keys[direction]
            if self.wrong:
                key, auth = os.urandom(len(key)), os.urandom(len(auth))
            ends = (self.at, US[self.outer]) if direction == IN else (US[self.outer], self.at)
            inner = (self.gw, US[self.inner]) if direction == IN else (US[self.inner], self.gw)
            spi = self.spi_in if direction == IN else self.spi_out
            esp = f"src {ends[0]} dst {ends[1]} proto esp"
            flags = ("esn " if self.esn else "") + ("af-unspec" if self.inner != self.outer else "")
            hi, lo = divmod(self.floor, 1 << 32)
            replay = f"replay-window {self.window}"
            if self.floor:
                replay += f" replay-seq {lo:#x} replay-seq-hi {hi:#x} replay-oseq {lo:#x} replay-oseq-hi {hi:#x}"
            lines.append(f"xfrm state add {esp} spi {spi:#x} reqid {self.n + 1} mode {mode} " + (f"flag {flags} " if flags else "") + replay +
                         (f" encap espinudp {self.port} {self.port} {'::' if self.outer == 6 else '0.0.0.0'}" if self.udp else "") + " " +
                         self.cipher(key, salt, auth))
            port = " proto 17 sport 2427 dport 2727" if direction == IN else " proto 17 sport 2727 dport 2427"
            lines.append(f"xfrm policy add src {inner[0]} dst {inner[1]}{port if self.udp_only else ''} dir {'out' if direction == IN else 'in'} "
                         f"tmpl {esp} reqid {self.n + 1} mode {mode}")
        return lines

    def cipher(self, key, salt, auth):
        a = self.alg
        if a.cipher == "gcm":
            return f"aead rfc4106(gcm(aes)) 0x{(key + salt).hex()} {a.icv}"
        enc = {"cbc": "cbc(aes)", "ctr": "rfc3686(ctr(aes))", "3des": "cbc(des3_ede)", "null": "ecb(cipher_null)"}[a.cipher]
        return f"auth-trunc hmac({a.hash}) 0x{auth.hex()} {a.icv} enc {enc} " + (f"0x{(key + salt).hex()}" if key else '""')

    def ours(self, dp):
        dp.gw_set(self.n, f"gw{self.n}.example", US[self.inner], self.gw, self.flags)
        for direction in (IN, OUT):
            key, salt, auth = self.keys[direction]
            more = {}
            if self.mode == TUNNEL or self.udp_only:
                plen = 32 if self.inner == 4 else 128
                more = {"sel_local": (US[self.inner], 2727 if self.udp_only else 0), "sel_remote": (self.gw, 2427 if self.udp_only else 0),
                        "plens": (plen, plen), "proto": 17 if self.udp_only else 0}
            dp.sa_set(self.n * 2 + direction, self.spi_in if direction == IN else self.spi_out, self.n, direction, self.alg, self.mode,
                      US[self.outer], self.at, key, salt, auth, self.esn, self.port if self.udp else 0, floor=self.floor,
                      window=self.window, tfc=self.tfc if direction == OUT else 0, **more)


class Bench:
    def __init__(self):
        self.wire = Wire("vm0", work + "/near.net", work + "/vm.net")
        self.wire.start()
        self.vm = Shell(work + "/shell", 60)
        self.dp = Gateways(work + "/run/dataplane.sock", 1)
        self.handle = 0
        self.peers = []
        # Both ends know each other's link address before anything is counted.
        for ping in (f"ping {US[4]}", f"ping -6 {US[6]}"):
            self.vm.run(f"until {ping} -c 1 -W 1; do sleep 0.1; done")

    def up(self, cases, ns=""):
        """A gateway process for these, behind SAs on both ends, maybe in a network namespace of the machine; returns its number."""
        n = len(self.peers)
        lines = [line for c in cases for line in c.kernel()]
        inside = f"/usr/sbin/ip netns exec {ns} " if ns else ""
        for i in range(0, len(lines), 120):
            self.vm.batch(lines[i:i + 120], f"-n {ns} " if ns else "")
        for c in cases:
            c.ours(self.dp)
        names = "\n".join(f"{c.gw} {US[c.inner]} gw{c.n}.example" for c in cases)
        self.vm.run(f"cat >/run/p{n} <<'END'\n{names}\nEND")
        self.vm.run(f"mkfifo /run/in{n}; {inside}gwpeer /run/p{n} <>/run/in{n} >/run/out{n} & until grep -q READY /run/out{n}; do sleep 0.1; done")
        self.peers.append(cases)
        return n

    def down(self, n):
        """Nothing of it is left."""
        cases = self.peers[n]
        self.vm.run(f"echo end >/run/in{n}; kill $(grep -l gwpeer./run/p{n} /proc/[0-9]*/cmdline | sed 's,/proc/,,; s,/cmdline,,'); true")
        for c in cases:
            self.dp.call(self.dp.hdr(9, 16) + struct.pack("<IB3x", c.n, 3))
            self.dp.sa_del(c.n * 2)
            self.dp.sa_del(c.n * 2 + 1)

    def ask(self, cases, commands, at_once=1, seconds=40):
        """Each of these commands (verb, endpoint, parameters) to each of the gateways, so many at once; those that were not answered 200."""
        bad = {}
        for i in range(0, len(commands), at_once):
            now = {}
            for c in cases:
                some = []
                for command in commands[i:i + at_once]:
                    self.handle += 1
                    now[self.handle] = (c, command)
                    some.append((self.handle, c.n, *command))
                self.dp.asks(some)
            got = self.dp.done(now, seconds)
            for h, (c, command) in now.items():
                if got.get(h, ("none",))[:2] != (ANSWERED, 200):
                    bad[c.name] = (command[1], len(command[2]), got.get(h))
        return bad

    def tell(self, peer, count, size, tos=0, cases=None):
        """Keep-alives of gateways; those of which not all were answered."""
        all_cases = self.peers[peer]
        first, last = (all_cases.index(cases[0]), all_cases.index(cases[-1])) if cases else (0, len(all_cases) - 1)
        text = self.vm.run(f"n=$(grep -c DONE /run/out{peer}); echo send {first} {last} {count} {size} {tos} >/run/in{peer}\n"
                           f"until [ $(grep -c DONE /run/out{peer}) != $n ]; do sleep 0.1; done; sed -n '/^GW/p' /run/out{peer}; : >/run/out{peer}\n"
                           "true", 120)
        bad = {}
        self.said = {}
        for m in re.finditer(r"^GW (\d+) answered (\d+) of (\d+) said (\d+) refused (\d+)", text, re.M):
            i, answered, want, said, refused = map(int, m.groups())
            self.said[all_cases[i]] = said
            if answered != want or refused:
                bad[all_cases[i].name] = m.group(0)
        if len(self.said) != last - first + 1:
            bad["all"] = text[-300:]
        return bad

    def drops(self):
        return self.dp.worker(0)["drop"]

    def stat(self):
        """/proc/net/xfrm_stat"""
        return {a: int(b) for a, b in (x.split() for x in self.vm.run("cat /proc/net/xfrm_stat").splitlines())}

    def states(self):
        """{spi: (packets, integrity failures, replayed)} of the kernel's SAs"""
        out = {}
        for part in re.split(r"^(?=src )", self.vm.run("/usr/sbin/ip -s xfrm state | grep -vE '(enc|aead|auth-trunc) '", 120), flags=re.M)[1:]:
            spi = int(re.search(r"spi 0x([0-9a-f]+)", part).group(1), 16)
            pkts = re.search(r"lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)", part)
            stats = re.search(r"replay-window (\d+) replay (\d+) failed (\d+)", part)
            out[spi] = (int(pkts.group(1)), int(stats.group(3)), int(stats.group(2)))
        return out


def changed(before, after, only=None):
    return {k: after[k] - before[k] for k in after if after[k] != before[k] and (only is None or only(k))}


def soon(what, seconds=15):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.1)
    return what()


def is_esp(name):
    return name.startswith("esp_") or name in ("policy", "l4_malformed", "l3_malformed", "frag_incomplete", "no_room", "mgcp_malformed", "l3_fragment")


LIST = "L/hd(N), L/hu(N), L/hf(N), D/[0-9#*T](D)"
COMMANDS = [(AUEP, "aaln/1", ""), (RQNT, "aaln/1", f"R: {LIST}\n"), (RQNT, "aaln/1", f"R: {LIST}, {LIST}, {LIST}, {LIST}, {LIST}, {LIST}\n"),
            (AUEP, "pad/700", ""), (AUEP, "pad/1300", "")]


def matrix():
    """Every algorithm once, and two of them in each mode, family and encapsulation, with and without ESN."""
    out = []
    every = [(mode, outer, udp, esn) for mode in (TRANSPORT, TUNNEL) for outer in (4, 6) for udp in (0, 1) for esn in (0, 1)]
    for which, alg in enumerate(ALGS):
        for i, (mode, outer, udp, esn) in enumerate(every):
            if full or alg in ("aes-gcm-128", "aes-cbc-256-sha256") or i == which * 7 % len(every):
                out.append(Case(alg, mode, outer, udp, esn, udp_only=esn and mode == TUNNEL))
    for alg in ("aes-gcm-256", "aes-cbc-128-sha1"):
        for outer in (4, 6):
            out.append(Case(alg, TUNNEL, outer, inner=10 - outer, esn=1))
    out.append(Case("aes-gcm-128", TUNNEL, tfc=600))
    return out


def all_of_them(b):
    cases = matrix()
    peer = b.up(cases)
    before, stat = b.drops(), b.stat()
    groups = [cases[i:i + 60] for i in range(0, len(cases), 60)]
    bad, back = {}, {}
    for group in groups:
        bad.update(b.ask([c for c in group], COMMANDS))
    for size in (60, 333, 1024, 1300):
        for group in groups:
            back.update(b.tell(peer, 2, size, cases=group))
    differ = even(b, cases)
    for c in cases:
        check(c.name, not any(c.name in x for x in (bad, back, differ)) and b.dp.sa(c.n * 2 + 1)["pkts"] >= len(COMMANDS) + 8,
              [bad.get(c.name), back.get(c.name), differ.get(c.name)])
    check("nothing was dropped here", not changed(before, b.drops(), is_esp), changed(before, b.drops()))
    check("nothing was dropped there", not changed(stat, b.stat()), changed(stat, b.stat()))
    b.down(peer)


class Esp:
    """What the wire sees of ESP packets: those of some SPIs are kept, in the order in which they came."""

    def __init__(self, wire, cases, change=None):
        self.wire, self.change = wire, change
        self.spis = {c.spi_in for c in cases} | {c.spi_out for c in cases}
        self.kept = {"in": [], "out": []}
        self.pieces = {"in": 0, "out": 0}

    @staticmethod
    def at(frame):
        """Where ESP begins, in protocol 50 or UDP 4500; None: something else, or a later fragment."""
        if frame[12:14] == b"\x08\x00":
            at, proto, later = 14 + (frame[14] & 15) * 4, frame[23], struct.unpack_from("!H", frame, 20)[0] & 0x1fff
        elif frame[12:14] == b"\x86\xdd":
            at, proto, later = 54, frame[20], 0
            if proto == 44:
                proto, later, at = frame[54], struct.unpack_from("!H", frame, 56)[0] & 0xfff8, 62
        else:
            return None
        if later or proto not in (17, 50):
            return None
        return at + (8 if proto == 17 else 0)

    @staticmethod
    def spi(frame):
        at = Esp.at(frame)
        return None if at is None else struct.unpack_from("!I", frame, at)[0]

    @staticmethod
    def piece(frame):
        return (frame[12:14] == b"\x08\x00" and struct.unpack_from("!H", frame, 20)[0] & 0x3fff != 0) or \
            (frame[12:14] == b"\x86\xdd" and frame[20] == 44)

    def __call__(self, way, frame):
        self.pieces[way] += self.piece(frame)
        if self.spi(frame) not in self.spis:
            return [frame]
        self.kept[way].append(frame)
        return [frame] if self.change is None else self.change(way, frame)

    def __enter__(self):
        self.wire.see = self
        return self

    def __exit__(self, *_):
        self.wire.see = None


def uneven(b, cases):
    """Those of whose SAs the two ends do not count the same, or one refused something."""
    states = b.states()
    out = {}
    for c in cases:
        ours, theirs = (b.dp.sa(c.n * 2), b.dp.sa(c.n * 2 + 1)), (states[c.spi_in], states[c.spi_out])
        if any(o["pkts"] != t[0] or o["auth_fail"] + o["replayed"] + o["dead_drop"] + t[1] + t[2] != 0 for o, t in zip(ours, theirs)):
            out[c.name] = (ours, [t[:3] for t in theirs])
    return out


def even(b, cases):
    """The same, once nothing is on its way any more."""
    end = time.monotonic() + 15
    while (differ := uneven(b, cases)) and time.monotonic() < end:
        time.sleep(0.1)
    return differ


def no_loss(b, text, cases, bad, before, stat):
    """All was answered, nothing refused, and both ends counted the same."""
    differ = even(b, cases)
    drops, there = changed(before, b.drops(), is_esp), changed(stat, b.stat())
    return check(text, not (bad or differ or drops or there), [bad, differ, drops, there])


def wrap(b):
    """Extended sequence numbers over 2^32, and what came before it does not come again."""
    cases = [Case("aes-gcm-128", TRANSPORT, esn=1, floor=(1 << 32) - 12), Case("aes-cbc-256-sha256", TRANSPORT, 6, 1, 1, floor=(1 << 32) - 12),
             Case("aes-ctr-128-sha1", TUNNEL, esn=1, floor=(1 << 32) - 12), Case("aes-gcm-256-8", TUNNEL, 6, esn=1, floor=(3 << 32) - 12)]
    peer = b.up(cases)
    before, stat = b.drops(), b.stat()
    with Esp(b.wire, cases) as esp:
        bad = b.ask(cases, [(AUEP, "aaln/1", "")] * 20)
        bad.update(b.tell(peer, 20, 200))
        no_loss(b, "ESN over 2^32: 40 packets each way", cases, bad, before, stat)
        for c in cases:
            low = [struct.unpack_from("!I", f, Esp.at(f) + 4)[0] for f in esp.kept["in"] if Esp.spi(f) == c.spi_in]
            ours = (b.dp.sa(c.n * 2)["seq"], b.dp.sa(c.n * 2 + 1)["seq"])
            check(f"{c.name}: {min(low):#x} to {max(low):#x} were on the wire, ours is {ours[1]:#x}", min(low) < 100 and max(low) > 0xfffffff0 and
                  min(ours) > c.floor + 12, ours)
        first = {way: [next(f for f in esp.kept[way] if Esp.spi(f) == (c.spi_in if way == "in" else c.spi_out)) for c in cases] for way in ("in", "out")}
    for way, frames in first.items():
        for f in frames:
            b.wire.send(way, f)
    check("packets from before it, again: refused here", soon(lambda: changed(before, b.drops(), is_esp) == {"esp_replay": 4}), changed(before, b.drops(), is_esp))
    check("and there", soon(lambda: changed(stat, b.stat()) == {"XfrmInStateSeqError": 4}), changed(stat, b.stat()))
    b.down(peer)


def window(b):
    """Reordering within the window, repetition, and what is left of it."""
    cases = [Case("aes-gcm-128", TRANSPORT, window=64), Case("aes-cbc-128-sha1", TRANSPORT, 4, 1, 1, window=64)]
    peer = b.up(cases)
    held, mine = [], threading.Lock()
    shuffling = True

    def shuffle(way, frame):  # each tenth packet 30 later
        with mine:
            if not shuffling:
                return [frame]
            late = len(esp.kept[way]) % 10 == 5
            for h in held:
                h[0] -= 1
            for h in [h for h in held if h[0] <= 0]:
                held.remove(h)
                b.wire.send(h[2], h[1])
            if late:
                held.append([30, frame, way])
            return [] if late else [frame]

    with Esp(b.wire, cases, shuffle) as esp:
        before, stat = b.drops(), b.stat()
        # 16 at once: those that are held do not stop the others
        bad = b.ask(cases, [(AUEP, f"aaln/{i}", "") for i in range(64)], 16)
        bad.update(b.tell(peer, 12, 100))
        with mine:
            shuffling = False
            for h in held:
                b.wire.send(h[2], h[1])
        no_loss(b, "each tenth packet 30 later than it was sent", cases, bad, before, stat)
        bad = b.tell(peer, 80, 100)
        bad.update(b.ask(cases, [(AUEP, "aaln/1", "")] * 10))
        no_loss(b, "80 more", cases, bad, before, stat)
        of = {way: [[f for f in esp.kept[way] if Esp.spi(f) == (c.spi_in if way == "in" else c.spi_out)] for c in cases] for way in ("in", "out")}
    for way in ("in", "out"):
        for frames in of[way]:
            b.wire.send(way, frames[0])
            b.wire.send(way, frames[-1])
    # With extended numbers what is left of the window is taken for a number of the next 2^32 (RFC 4303 A2.2), and does not authenticate.
    check("the first and the last of them again: stale and a replay here",
          soon(lambda: changed(before, b.drops(), is_esp) == {"esp_replay": 2, "esp_stale": 1, "esp_auth": 1}), changed(before, b.drops(), is_esp))
    check("refused there, the same way", soon(lambda: changed(stat, b.stat()) == {"XfrmInStateSeqError": 3, "XfrmInStateProtoError": 1}), changed(stat, b.stat()))
    b.down(peer)


def wrong_key(b):
    cases = [Case(alg, mode, wrong=True) for alg, mode in (("aes-gcm-128", TRANSPORT), ("aes-cbc-128-sha1", TUNNEL), ("aes-ctr-256-sha512", TRANSPORT))]
    peer = b.up(cases)
    before, stat = b.drops(), b.stat()
    for c in cases:
        b.handle += 1
        b.dp.ask(b.handle, c.n, AUEP, "aaln/1")
    b.vm.run(f"echo send 0 {len(cases) - 1} 1 50 0 >/run/in{peer}")
    check("another key: refused here", soon(lambda: changed(before, b.drops(), is_esp).get("esp_auth", 0) >= 3 and all(b.dp.sa(c.n * 2)["auth_fail"] for c in cases)),
          changed(before, b.drops()))
    check("refused there", soon(lambda: changed(stat, b.stat()).get("XfrmInStateProtoError", 0) >= 3 and all(b.states()[c.spi_out][1] for c in cases)),
          changed(stat, b.stat()))
    check("and nothing of it was taken for a packet", all(b.dp.sa(c.n * 2)["pkts"] == 0 and b.states()[c.spi_out][0] == 0 for c in cases) and
          set(changed(before, b.drops(), is_esp)) == {"esp_auth"} and set(changed(stat, b.stat())) == {"XfrmInStateProtoError"},
          [changed(before, b.drops()), changed(stat, b.stat())])
    b.down(peer)


def fragments(b):
    """Larger than the link's MTU, from the kernel; what the kernel does with it is told: fragments of ESP or ESP of fragments."""
    cases = [Case("aes-gcm-128", mode, outer, udp) for mode in (TRANSPORT, TUNNEL) for outer in (4, 6) for udp in (0, 1)
             if full or udp == ((mode == TUNNEL) == (outer == 4))]
    cases.append(Case("aes-cbc-256-sha256", TUNNEL, 4, inner=6))
    peer = b.up(cases)
    for c in cases:
        for again in (1, 1, 0):
            before, stat = b.drops(), b.stat()
            with Esp(b.wire, [c]) as esp:
                bad = b.tell(peer, 3, 1650, cases=[c])
                bad.update(b.ask([c], [(AUEP, "pad/1500", "")]))
                at_end = [len(esp.kept["in"]), esp.pieces["in"]]
            # Pieces of a packet more than 500 ms apart: this machine was busy. Then it is done again.
            if not again or set(changed(before, b.drops(), is_esp)) != {"frag_incomplete"}:
                break
            print(f"     {c.name}: pieces came too late, again", flush=True)
        no_loss(b, f"{c.name}: 1,650 bytes from there ({at_end[0]} ESP packets, {at_end[1]} fragments on the wire)", [c], bad, before, stat)
        check("which is more than the wire takes at once", at_end[1] >= 6 or at_end[0] > 5, at_end)
    b.down(peer)


def path(b):
    """A router of the kernel's, with a shorter MTU behind it: it tells us, and what we send then fits."""
    cases = [Case("aes-gcm-128", mode, outer, udp, flags=PIGGYBACK) for mode, outer, udp in
             ((TRANSPORT, 4, 0), (TRANSPORT, 4, 1), (TUNNEL, 4, 0), (TUNNEL, 4, 1), (TUNNEL, 6, 0), (TUNNEL, 6, 1)) if full or udp == (mode == TUNNEL and outer == 4)]
    b.vm.batch(["netns add g", "link add r0 mtu 1280 type veth peer name g0 mtu 1280 netns g", "link set r0 up"])
    b.vm.run("/usr/sbin/ip -n g link set lo up; /usr/sbin/ip -n g link set g0 up; sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
    b.vm.batch(["addr add 10.78.9.1/24 dev r0", "addr add fd00:789::1/64 dev r0 nodad"])
    b.vm.batch(["addr add 10.78.9.2/24 dev g0", "addr add fd00:789::2/64 dev g0 nodad", "route add default via 10.78.9.1", "route add default via fd00:789::1"], "-n g ")
    b.vm.batch([f"route add {a}/{128 if ':' in a else 32} via {'fd00:789::2' if ':' in a else '10.78.9.2 mtu lock 600'}" for c in cases for a in {c.at}])
    peer = b.up(cases, "g")
    line = f"R: {LIST}, {LIST}, L/hd(N)\n"
    for c in cases:
        limit = 600 if c.outer == 4 else 1280
        bad, before = {}, b.dp.pmtu()

        def until(what):  # eight fill a datagram nearly, how long they are depends on what they confirm
            for extra in list(range(24)) * 2:
                bad.update(b.ask([c], [(RQNT, f"aaln/{'0' * extra}{i}", line) for i in range(8)], 8))
                if what():
                    return True
            return False

        def mtu():
            return b.dp.sa(c.n * 2 + 1)["expired"] >> 16

        with Esp(b.wire, [c]) as esp:
            heard = until(lambda: b.dp.pmtu()[0] > before[0])
            longest = max(len(f) - 14 for f in esp.kept["out"])
            check(f"{c.name}: {longest} bytes to a path of {limit}: its router is heard, and it is said again", heard and not bad and longest > limit and
                  soon(lambda: mtu() == limit), [bad, mtu(), longest, before, b.dp.pmtu()])
        with Esp(b.wire, [c]) as esp:
            cut = until(lambda: b.dp.pmtu()[2] > before[2])
            longest = max(len(f) - 14 for f in esp.kept["out"])
            check(f"and passes in pieces ({esp.pieces['out']} fragments outside of ESP)", cut and not bad and longest <= limit and
                  (c.mode == TUNNEL or esp.pieces["out"] >= 2), [bad, longest, before, b.dp.pmtu()])
    b.vm.run("sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0")
    b.down(peer)


def headers(b):
    """Tunnels: what goes from the inner header to the outer and back."""
    cases = [Case("aes-gcm-128", TUNNEL), Case("aes-gcm-128", TUNNEL, 6), Case("aes-gcm-128", TUNNEL, tfc=900)]
    peer = b.up(cases)

    def tos(frame):
        return frame[15] if frame[12:14] == b"\x08\x00" else (frame[14] << 4 | frame[15] >> 4) & 255

    def congested(way, frame):
        f = bytearray(frame)
        if f[12:14] == b"\x08\x00":
            f[15] |= 3
            f[24:26] = b"\0\0"
            total = sum(struct.unpack_from("!10H", f, 14))
            total = (total & 0xffff) + (total >> 16)
            f[24:26] = struct.pack("!H", ~((total & 0xffff) + (total >> 16)) & 0xffff)
        else:
            f[15] |= 0x30
        return [bytes(f)]

    with Esp(b.wire, cases) as esp:
        bad = b.tell(peer, 1, 60, 0xba)
        bad.update(b.ask(cases, [(AUEP, "aaln/1", "")]))
        keep = {way: [[f for f in esp.kept[way] if Esp.spi(f) in (c.spi_in, c.spi_out)] for c in cases] for way in ("in", "out")}
        check("DSCP and ECN of the kernel's inner header are on the outer", not bad and all({tos(f) for f in k} >= {0xba} for k in keep["in"]), [bad, keep["in"]])
        check("ours as well: 0, as MGCP is sent", all({tos(f) for f in k} == {0} for k in keep["out"]), keep["out"])
        check("don't-fragment is copied by both", all(f[20] & 0x40 for way in keep.values() for f in way[0]))
        check("padded to 900 bytes (TFC), and the kernel takes it off", {len(f) for f in keep["out"][2]} == {14 + 20 + 8 + 8 + 902 + 2 + 16}, {len(f) for f in keep["out"][2]})
        esp.change = congested
        before, stat = b.drops(), b.stat()
        bad = b.tell(peer, 3, 60, 0xba)
        check("a congestion mark on the way, where the inner packet can say it", not bad and not changed(before, b.drops(), is_esp), [bad, changed(before, b.drops())])
        b.vm.run(f"echo send 0 2 1 50 0 >/run/in{peer}")
        check("where it cannot, the packet is dropped here (RFC 6040)", soon(lambda: changed(before, b.drops(), is_esp).get("esp_ecn", 0) >= 3),
              changed(before, b.drops()))
    b.down(peer)


def main():
    b = Bench()
    which = [p for p in (all_of_them, wrap, window, wrong_key, fragments, path, headers) if not os.environ.get("PARTS") or p.__name__ in os.environ["PARTS"]]
    for part in which:
        print(f"== {part.__name__}", flush=True)
        start = time.monotonic()
        part(b)
        print(f"     {time.monotonic() - start:.0f} s", flush=True)
    check("the wire lost nothing", b.wire.lost == 0, b.wire.lost)
    print(f"{'FAILED' if failed else 'passed'}: {failed} failed", flush=True)
    return 1 if failed else 0


sys.exit(main())
