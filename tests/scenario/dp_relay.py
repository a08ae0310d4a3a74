#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# The checks of dp-relay.sh. Usage: dp_relay.py SOCKET NETNS_A NETNS_B | --legs SOCKET N
import ctypes
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dp_client import NONE, Dataplane, Refused  # noqa: E402

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
checks = 0


def check(what, ok):
    global checks
    if not ok:
        print("FAILED: " + what, file=sys.stderr)
        sys.exit(1)
    checks += 1


def soon(what, cond, seconds=60):
    """Counters are published now and then."""
    end = time.monotonic() + seconds
    while not cond() and time.monotonic() < end:
        time.sleep(0.05)
    check(what, cond())


def accounted(w):
    return w["rx_pkts"] == (w["tx_pkts"] - w["made_pkts"] + sum(w["drop"].values()) + w["in_flight"]) % 2**64


def udp_in(netns, addr):
    """A UDP socket in a network namespace: sockets keep the namespace they were made in."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open("/run/netns/" + netns, os.O_RDONLY)
    if libc.setns(there, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    s = socket.socket(socket.AF_INET6 if ":" in addr[0] else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(addr)
    s.settimeout(20)
    libc.setns(here, CLONE_NEWNET)
    os.close(here)
    os.close(there)
    return s


def rtp(seq, ssrc, payload=160):
    return struct.pack(">BBHII", 0x80, 8, seq & 0xFFFF, seq * 160, ssrc) + bytes((seq + i) & 0xFF for i in range(payload))


def rtcp(ssrc):
    return struct.pack(">BBHI", 0x80, 200, 6, ssrc) + bytes(20)


def nothing(s):
    s.settimeout(0.3)
    try:
        s.recv(2048)
        return False
    except TimeoutError:
        return True
    finally:
        s.settimeout(20)


def relay(a, b, ra, rb, n=500):
    """n packets each way, in order, unchanged, from the right port."""
    for peer, local, other, olocal in ((a, ra, b, rb), (b, rb, a, ra)):
        got = 0
        for i in range(n):
            p = rtp(i, 7)
            peer.sendto(p, local)
            try:
                while True:
                    q, frm = other.recvfrom(2048)
                    if q == p:
                        break
            except TimeoutError:
                continue
            check("source of relayed RTP", frm[:2] == olocal[:2])
            got += 1
        check("all %d packets relayed (%d)" % (n, got), got == n)


def main():
    path, ns_a, ns_b = sys.argv[1:4]
    dp = Dataplane(path, 1)
    check("fresh start", dp.last_epoch == 0 and dp.legs == 0)
    check("leg_bytes", dp.head()["leg_bytes"] <= 1200)
    port = 16384 + 512
    la, lb = dp.leg_id(0, port), dp.leg_id(1, port)
    a, ar = udp_in(ns_a, ("10.77.1.2", 4000)), udp_in(ns_a, ("10.77.1.2", 4001))
    b, br = udp_in(ns_b, ("10.77.2.2", 5000)), udp_in(ns_b, ("10.77.2.2", 5001))
    stranger = udp_in(ns_a, ("10.77.1.2", 4444))
    ra, rb = ("10.77.1.1", port), ("10.77.2.1", port)
    dp.leg_set(la, lb, ("10.77.1.2", 4000))
    dp.leg_set(lb, la, ("10.77.2.2", 5000))
    time.sleep(1.5)  # neighbours are asked for
    relay(a, b, ra, rb)
    ar.sendto(rtcp(5), ("10.77.1.1", port + 1))
    q, frm = br.recvfrom(2048)
    check("RTCP on the next port", q == rtcp(5) and frm == ("10.77.2.1", port + 1))
    stranger.sendto(rtp(1, 9), ra)
    check("a stranger's packet goes nowhere", nothing(b))
    soon("counters of the leg", lambda: [dp.leg(la)[k] for k in ("rx_pkts", "rx_rtcp", "other_drop")] == [501, 1, 1])
    leg = dp.leg(la)
    check("session in the page", leg["session"] == 1)
    w = dp.worker(0)
    check("the drop is counted", w["drop"]["source"] == 1)
    soon("every packet accounted for", lambda: accounted(dp.worker(0)))

    # IPv6 on one side
    a6 = udp_in(ns_a, ("fd77::2", 4100))
    b2 = udp_in(ns_b, ("10.77.2.2", 5100))
    l2 = dp.leg_id(1, port + 2)
    l6 = dp.leg_id(2, port + 2)
    dp.leg_set(l6, l2, ("fd77::2", 4100))
    dp.leg_set(l2, l6, ("10.77.2.2", 5100))
    time.sleep(1.5)  # neighbours are asked for
    relay(a6, b2, ("fd77::1", port + 2), ("10.77.2.1", port + 2), 100)

    # the controlplane dies without a word: media goes on; the next one adopts one call and sweeps the other
    dp.sock.close()
    relay(a, b, ra, rb, 100)
    dp = Dataplane(path, 2)
    check("the dataplane remembers", dp.last_epoch == 1 and dp.legs == 4)
    dp.adopt(la)
    dp.adopt(lb)
    check("nobody to adopt", dp.adopt(dp.leg_id(0, port + 40), True) == -2)
    relay(a, b, ra, rb, 100)
    dp.sweep()
    relay(a, b, ra, rb, 100)

    def silent():
        a6.sendto(rtp(1, 1), ("fd77::1", port + 2))
        return nothing(b2)

    soon("swept legs are silent", silent)
    check("swept legs are gone", dp.leg_del(l6, True) == -2)

    # ageing
    lx = dp.leg_id(0, port + 8)
    dp.leg_set(lx, NONE, None, idle_s=1, session=99)
    dp.sock.settimeout(60)
    data = dp.sock.recv(4096)
    typ, _, seq, leg_id, idle, session = struct.unpack_from("<HHIIIQ", data)
    check("an idle leg ages with an event", typ == 96 and seq == 0 and leg_id == lx and session == 99)

    # malformed messages: answered, counted, nothing else
    before = dp.head()["chan_bad"]
    check("bad field", dp.call(dp.hdr(2, 112) + bytes([255] * 104), True) == -74)
    dp.sock.send(os.urandom(100))
    soon("counted", lambda: dp.head()["chan_bad"] >= before + 2)
    relay(a, b, ra, rb, 50)
    dp.leg_del(la)
    dp.leg_del(lb)
    print("dp-relay: %d checks" % checks)


def many_legs(path, n):
    """Set n legs, with keys on the first hundred of them; one more is refused; all go with a sweep."""
    dp = Dataplane(path, 1)
    dp.sock.settimeout(60)
    todo = list(range(n))
    while todo:
        now, todo = todo[:200], todo[200:]
        dp.sock.send(b"".join(struct.pack("<HHI", 2, 112, i + 1) + struct.pack("<IIQIBBBB", i, NONE, i, 0, 1, 1, 0, 6) +
                              bytes(48) + b"\x2e" + bytes(31) for i in now))
        got = 0
        while got < len(now):
            data = dp.sock.recv(65536)
            for at in range(0, len(data), 16):
                seq, rc = struct.unpack_from("<Ii", data, at + 4)
                check("leg %d: %d" % (seq - 1, rc), rc in (0, -11))
                if rc == -11:  # the worker has not kept up: again
                    todo.append(seq - 1)
                got += 1
    for i in range(100):
        for d in range(2):
            for _ in range(500):
                rc = dp.leg_key(i, d, 1, bytes([i + d] * 16), bytes(14), may_fail=True)
                if rc != -11:  # as above
                    break
                time.sleep(0.01)
            check("key of leg %d: %d" % (i, rc), rc == 0)
    try:
        dp.leg_set(n, NONE, None)
        check("one leg too many", False)
    except Refused as e:
        check("refused as full", ": -28 " in str(e))
    dp.sock.close()
    dp = Dataplane(path, 2)
    check("all there", dp.legs == n)
    dp.sock.settimeout(60)
    dp.sweep()
    for _ in range(1200):  # it goes on between other work
        dp.sock.close()
        time.sleep(0.05)
        dp = Dataplane(path, 2)
        if dp.legs == 0:
            break
    check("all swept", dp.legs == 0)
    print("dp-relay: %d legs" % n)


if sys.argv[1] == "--legs":
    many_legs(sys.argv[2], int(sys.argv[3]))
else:
    main()
