#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""MGCP keep-alives (NTFY of *, X: 0) from a gateway's address: how many were answered is how many packets came through both ways. Few
transactions, each sent again and again: the dataplane answers every repetition from its history, which has not room for each a new one.
ike_keepalive.py FROM AGENT:PORT NAME RATE SECONDS [FILE: it ends once that is there] -> {"sent", "answered", "refused", "longest_ms",
"lost", "peer_dropped"} on stdout. The peer is a charon in user space with the kernel's 208 KiB of buffer: one that gets no CPU for a third of a second
loses some. What its sockets and its tunnel's queue dropped, the kernel says; lost is what is not explained by that."""
import glob
import json
import os
import select
import socket
import sys
import time

source, agent, name, rate, seconds = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), float(sys.argv[5])
enough = sys.argv[6] if len(sys.argv) > 6 else None
host, port = agent.rsplit(":", 1)


def dropped():
    """Packets that this namespace's IKE sockets and charon's tunnel had no room for."""
    n = 0
    for name in ("/proc/net/udp", "/proc/net/udp6"):
        with open(name, encoding="ascii") as f:
            for line in f.readlines()[1:]:
                words = line.split()
                if int(words[1].rsplit(":", 1)[1], 16) in (500, 4500):
                    n += int(words[12])
    for name in glob.glob("/sys/class/net/ipsec*/statistics/[rt]x_dropped"):
        with open(name, encoding="ascii") as f:
            n += int(f.read())
    return n


s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE: ours loses nothing
except OSError:
    pass
s.bind((source, 2427))
s.connect((host, int(port)))
s.setblocking(False)
base = int(time.time() * 1000) % 400000000
sent, answered, refused, asked, longest, few = 0, 0, 0, {}, 0.0, 128
before = dropped()
begin = heard = time.monotonic()
given_up = 0  # of what was sent: not waited for any more, though it counts when it comes
while True:
    now = time.monotonic()
    if now > begin + seconds + (0 if answered + refused >= sent else 5):
        break
    if enough and now < begin + seconds and os.path.exists(enough):
        seconds = now - begin
    # The rate is for a machine that runs: after a pause of its own nobody gets in one burst what should have gone meanwhile, and never is more
    # under way than the buffers hold.
    begin += max(now - begin - (sent + 50) / rate, 0) if now < begin + seconds else 0
    if sent - answered - refused - given_up >= 200 and now > heard + 2:
        given_up, heard = sent - answered - refused, now
    while sent < int((now - begin) * rate) and now < begin + seconds and sent - answered - refused - given_up < 200:
        tid = base + sent % few
        sent += 1
        asked[tid] = now
        try:
            s.send(f"NTFY {tid} *@{name} MGCP 1.0\r\nX: 0\r\nO:\r\n".encode())
        except OSError:
            pass
    if not select.select([s], [], [], 0.002)[0]:
        continue
    try:
        words = s.recv(2048).split()
    except OSError:
        continue
    if len(words) > 1 and words[0].isdigit() and int(words[1]) in asked:
        heard = time.monotonic()
        if words[0] == b"200":
            answered += 1
            longest = max(longest, heard - asked[int(words[1])])
        else:
            refused += 1
print(json.dumps({"sent": sent, "answered": answered, "refused": refused, "longest_ms": round(longest * 1000, 1),
                  "lost": max(sent - answered - refused - (dropped() - before), 0), "peer_dropped": dropped() - before}))
