#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A plain RTP party for the scenarios.

rtp_party.py send IP PORT TO FILE [--speed N] [--packets N]   G.711 in 160-byte packets to ADDRESS:PORT
rtp_party.py receive IP PORT FILE                             payloads to FILE in order of arrival, until SIGINT
rtp_party.py compare SENT HEARD                               exit 1 unless HEARD is SENT without its edges
"""
import argparse
import os
import signal
import socket
import struct
import sys
import time

EDGE = 1600  # bytes: a fifth of a second may be missing at either end
FRAME = 160


def bound(ip, port):
    s = socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.bind((ip, port))
    return s


def send(args):
    host, port = args.to.rsplit(':', 1)
    host = host.strip('[]')
    s = bound(args.ip, args.port)
    with open(args.file, 'rb') as f:
        audio = f.read()
    seq, ts = struct.unpack('!HI', os.urandom(6))
    ssrc = os.urandom(4)
    start = time.monotonic()
    for n, i in enumerate(range(0, len(audio) - FRAME + 1, FRAME)):
        if n == args.packets:
            break
        due = start + n * 0.02 / args.speed
        while (left := due - time.monotonic()) > 0:
            time.sleep(left)
        head = struct.pack('!BBHI', 0x80, 0x80 if n == 0 else 0, (seq + n) & 0xffff, (ts + n * FRAME) & 0xffffffff)
        s.sendto(head + ssrc + audio[i:i + FRAME], (host, int(port)))


def receive(args):
    s = bound(args.ip, args.port)

    def leave(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGINT, leave)  # a shell's background job starts with it ignored
    signal.signal(signal.SIGTERM, leave)
    with open(args.file, 'wb') as f:
        try:
            while True:
                p = s.recv(2048)
                if len(p) < 12 or p[0] >> 6 != 2 or p[1] & 0x7f != 0:
                    print('not RTP with PCMU:', p[:16].hex(), file=sys.stderr)
                    continue
                f.write(p[12 + 4 * (p[0] & 15):])
        except KeyboardInterrupt:
            s.setblocking(False)  # what is here already was in time
            try:
                while True:
                    p = s.recv(2048)
                    f.write(p[12 + 4 * (p[0] & 15):])
            except BlockingIOError:
                pass


def compare(args):
    with open(args.sent, 'rb') as f:
        sent = f.read()
    with open(args.heard, 'rb') as f:
        heard = f.read()
    at = sent.find(heard[:FRAME]) if len(heard) >= FRAME else -1
    ok = at >= 0 and at <= EDGE and sent[at:at + len(heard)] == heard and len(heard) >= len(sent) - at - EDGE
    print(f'sent={len(sent)} heard={len(heard)} from={at} equal={ok}')
    return 0 if ok else 1


def main():
    p = argparse.ArgumentParser()
    sub = p.add_subparsers(dest='cmd', required=True)
    s = sub.add_parser('send')
    s.add_argument('ip')
    s.add_argument('port', type=int)
    s.add_argument('to')
    s.add_argument('file')
    s.add_argument('--speed', type=float, default=1)
    s.add_argument('--packets', type=int, default=-1)
    r = sub.add_parser('receive')
    r.add_argument('ip')
    r.add_argument('port', type=int)
    r.add_argument('file')
    c = sub.add_parser('compare')
    c.add_argument('sent')
    c.add_argument('heard')
    args = p.parse_args()
    return {'send': send, 'receive': receive, 'compare': compare}[args.cmd](args) or 0


sys.exit(main())
