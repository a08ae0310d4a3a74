#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# The parties and the controlplane of worker-quiet.sh.
#   make FILE MAC        a capture: a host that says who it is, and RTP of its parties to legs that legs() makes
#   legs SOCKET          the legs: plain to plain, plain to SRTP, SRTP whose packets are forged, and music, every other one SRTP
#   moves SOCKET N       shards to and fro
#   counts SOCKET        JSON: sums over the workers
import json
import sys
import time

from dp_client import Dataplane, Refused
from dp_ports import BASE, PEER, arp, eth, mac_of, rtp, totals, udp4, write_pcap

US, HOST = "10.77.3.1", "10.77.3.9"
PLAIN, SECURE, FORGED, MUSIC = range(4), range(4, 8), range(8, 9), range(9, 25)
SUITE = 1  # AES_CM_128_HMAC_SHA1_80
ROUNDS = 512  # packets of a stream, till they come again
ANY_RATE = 0xFFFFFFFF


def ports(i):
    return BASE + 256 * i, BASE + 256 * i + 2


def make(path, mac):
    m = mac_of(mac)
    frames = [eth(m, PEER, 0x806, arp(2, PEER, HOST, m, US))]
    for n in range(ROUNDS):
        frames += [eth(m, PEER, 0x800, udp4(HOST, 4000 + 2 * i, US, ports(i)[0], rtp(n, 0x900 + i))) for i in range(9)]
    write_pcap(path, frames)


def legs(sock):
    dp = Dataplane(sock, 1)
    for i in list(PLAIN) + list(SECURE) + list(FORGED):
        a, b = (dp.leg_id(0, p) for p in ports(i))
        rx, tx = (SUITE if i in FORGED else 0), (SUITE if i in SECURE else 0)
        dp.leg_set(a, b, (HOST, 4000 + 2 * i), suites=(rx, rx), rate_pps=ANY_RATE)
        dp.leg_set(b, a, (HOST, 5000 + 2 * i), suites=(tx, tx), rate_pps=ANY_RATE)
        if rx:
            dp.leg_key(a, 0, SUITE, bytes(range(16)), bytes(range(14)))
        if tx:
            dp.leg_key(b, 1, SUITE, bytes(range(16)), bytes(range(14)))
    dp.music_set(b"hold", b"hold.wav")
    for i in MUSIC:
        a, suite = dp.leg_id(0, ports(i)[0]), SUITE if i % 2 else 0
        dp.leg_set(a, 0xFFFFFFFF, (HOST, 4000 + 2 * i), suites=(suite, suite))
        if suite:
            dp.leg_key(a, 1, SUITE, bytes(range(16)), bytes([i] * 14))
        dp.leg_music(a, b"hold")


def moves(sock, n):
    dp = Dataplane(sock, 1)
    done = 0
    for i in range(int(n)):
        until = time.monotonic() + 5
        shard = i % 64
        to = 1 - dp.head()["shard_worker"][shard]
        while dp.shard_move(shard, to, True) != 0:
            if time.monotonic() > until:
                raise Refused("shard %d" % shard)
            time.sleep(0.002)
        while dp.head()["shard_worker"][shard] != to and time.monotonic() < until:
            time.sleep(0.002)
        done += dp.head()["shard_worker"][shard] == to
    print(done)


def counts(sock):
    dp = Dataplane(sock, 1)
    out = totals(dp)
    out["polls"] = [dp.worker(w)["polls"] for w in range(dp.workers)]
    for name, of in (("plain", PLAIN), ("secure", SECURE)):
        out[name] = min(dp.leg(dp.leg_id(0, ports(i)[1]))["tx_pkts"] for i in of)
    out["music"] = min(dp.leg(dp.leg_id(0, ports(i)[0]))["tx_pkts"] for i in MUSIC)
    print(json.dumps(out))


{f.__name__: f for f in (make, legs, moves, counts)}[sys.argv[1]](*sys.argv[2:])
