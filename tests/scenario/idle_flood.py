#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Opens many TCP connections, says nothing or half a ClientHello on them, and waits for the server to end them.

idle_flood.py HOST PORT COUNT --sources FIRST N --deadline S [--seconds S] [--tls]

Every second connection sends a ClientHello and never goes on, every fourth the half of one. With --tls every tenth shakes hands and then
says nothing; how many did is "shook_hands". With --seconds one that was ended is replaced for so long, so that COUNT are under way. Prints JSON: how many were
opened, how many the server ended and when, how many were still open at the deadline. Exit 1 if any was.
"""
import argparse
import errno
import ipaddress
import json
import resource
import select
import socket
import ssl
import struct
import sys
import time


def client_hello():
    out = ssl.MemoryBIO()
    o = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    o.check_hostname = False
    s = o.wrap_bio(ssl.MemoryBIO(), out)
    try:
        s.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def advance(s, peers, fd):
    """One step of a handshake; 1 when it is done, and the connection then says nothing more."""
    o, _, out = peers[fd]
    done = 0
    try:
        o.do_handshake()
        done = 1
    except ssl.SSLWantReadError:
        pass
    data = out.read()
    if data:
        s.send(data)
    if done:
        peers.pop(fd)
    return done


def main():
    p = argparse.ArgumentParser()
    p.add_argument('host')
    p.add_argument('port', type=int)
    p.add_argument('count', type=int)
    p.add_argument('--sources', nargs=2, required=True)
    p.add_argument('--deadline', type=float, required=True)
    p.add_argument('--seconds', type=float, default=0)
    p.add_argument('--tls', action='store_true')
    args = p.parse_args()
    want = args.count + 64
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (want, max(hard, want)))
    first, n_src = int(ipaddress.ip_address(args.sources[0])), int(args.sources[1])
    hello = client_hello()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    shook, peers = 0, {}  # descriptor -> [object, bytes in, bytes out] of a handshake under way
    poll = select.epoll()
    conns = {}  # descriptor -> [socket, number, when connected or None]
    started = time.monotonic()
    made, failed, ended, half = 0, 0, 0, 0
    lives, last_end = [], 0.0
    peak, todo, pending, begun = 0, args.count, 0, 0

    def drop(fd):
        peers.pop(fd, None)
        poll.unregister(fd)
        conns.pop(fd)[0].close()

    while todo > 0 or conns:
        now = time.monotonic() - started
        if now > args.deadline:
            break
        while todo > 0 and pending < 512:
            k = begun
            begun += 1
            s = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            s.bind((str(ipaddress.ip_address(first + k % n_src)), 0))
            rc = s.connect_ex((args.host, args.port))
            todo -= 1
            if rc not in (0, errno.EINPROGRESS):
                failed += 1
                s.close()
                continue
            conns[s.fileno()] = [s, k, None]
            poll.register(s.fileno(), select.EPOLLOUT)
            pending += 1
        for fd, ev in poll.poll(0.1, 1024):
            s, k, since = conns[fd]
            now = time.monotonic() - started
            if since is None:
                pending -= 1
                if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
                    failed += 1
                    drop(fd)
                    continue
                conns[fd][2] = now
                made += 1
                peak = max(peak, len(conns) - pending)
                poll.modify(fd, select.EPOLLIN | select.EPOLLRDHUP)
                try:
                    if args.tls and k % 10 == 0:
                        i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
                        peers[fd] = [tls.wrap_bio(i, o), i, o]
                        advance(s, peers, fd)
                    elif k % 2:
                        s.send(hello if k % 4 == 1 else hello[:len(hello) // 2])
                        half += 1
                except OSError:
                    pass
                continue
            try:
                got = s.recv(65536)
                if got:  # the server's half of the handshake
                    if fd in peers:
                        peers[fd][1].write(got)
                        shook += advance(s, peers, fd)
                    continue
            except BlockingIOError:
                continue
            except OSError:
                pass
            ended += 1
            todo += now < args.seconds
            lives.append(now - since)
            last_end = now
            drop(fd)
    still = len(conns)
    for s, _, _ in conns.values():
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        s.close()
    lives.sort()
    print(json.dumps({'opened': made, 'failed': failed, 'half_handshakes': half, 'shook_hands': shook, 'peak_open': peak, 'ended_by_server': ended,
                      'still_open': still, 'life_p50_s': round(lives[len(lives) // 2], 2) if lives else None,
                      'life_max_s': round(lives[-1], 2) if lives else None, 'all_ended_after_s': round(last_end, 2)}))
    return 1 if still or failed or made != begun else 0


sys.exit(main())
