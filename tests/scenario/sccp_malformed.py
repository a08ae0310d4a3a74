#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Malformed SCCP messages of every kind to the real listener, each on its own, and behind each a probe that must be answered.

Every message that a phone can send, every one that it is sent, and numbers that nobody knows: bodies cut short, filled up, of noise, of
ones; counts, lengths and offsets that point outside; versions that do not exist; before registration and after it; in single octets, with
others behind it in one segment, over segment borders; lengths in the header that lie. What only the header can tell must end the
connection; everything else may not. Numbers are drawn with a fixed seed.

Prints a JSON object: how many of what. Exit 1 if a probe was not answered, or a connection ended that should not have, or was kept.
"""
import argparse
import json
import os
import random
import select
import socket
import ssl
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
KEEPALIVE, KEEPALIVE_ACK, REGISTER, REGISTER_ACK, TOKEN, UNREGISTER = 0x00, 0x100, 0x01, 0x81, 0x29, 0x27
OFF_HOOK, ON_HOOK, STIMULUS, SOFTKEY = 0x06, 0x07, 0x05, 0x26

# From phones, with the length of a whole body of version 17.
PHONE = {0x00: 0, 0x01: 124, 0x02: 4, 0x03: 12, 0x04: 28, 0x05: 16, 0x06: 8, 0x07: 8, 0x09: 4, 0x0a: 4, 0x0b: 4, 0x0c: 0, 0x0d: 0, 0x0e: 0,
         0x0f: 0, 0x10: 292, 0x12: 0, 0x20: 92, 0x22: 36, 0x23: 64, 0x25: 0, 0x26: 12, 0x27: 0, 0x28: 0, 0x29: 36, 0x2a: 32, 0x2b: 4,
         0x2d: 4, 0x30: 1000, 0x43: 1200, 0x44: 1400, 0x154: 44, 0x15a: 300}
SERVER = (0x81, 0x82, 0x85, 0x86, 0x8a, 0x8b, 0x8f, 0x92, 0x94, 0x97, 0x9b, 0x9d, 0x9f, 0x100, 0x105, 0x106, 0x107, 0x108, 0x110, 0x111,
          0x112, 0x118, 0x11a, 0x11d, 0x145, 0x14a)
UNKNOWN = (0x08, 0x11, 0x13, 0x21, 0x2c, 0x2e, 0x2f, 0x45, 0x7f, 0x80, 0x155, 0x15b, 0x200, 0x1000, 0x7fffffff, 0x80000000, 0xffffffff)
VERSIONS = (0, 1, 2, 3, 9, 10, 11, 15, 16, 17, 18, 20, 22, 23, 255, 0x10000, 0x7fffffff, 0xffffffff)
EXTREME = (0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff)
ACTS = {OFF_HOOK, ON_HOOK, STIMULUS, SOFTKEY, REGISTER, TOKEN, UNREGISTER, KEEPALIVE}


def frame(mid, body=b'', version=17, length=None):
    return struct.pack('<III', 4 + len(body) if length is None else length, version, mid) + body


class Connection:
    def __init__(self, args, registered):
        s = socket.create_connection((args.host, args.port), timeout=60)
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
        ctx.load_cert_chain(args.cert)
        self.sock = ctx.wrap_socket(s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b''
        self.used = 0
        self.registered = registered
        if registered:
            with open(os.path.join(HERE, '../vectors/sccp_frames.json')) as f:
                reg = bytearray(bytes.fromhex(json.load(f)['register-v17']['hex']))
            reg[12:28] = args.name.encode().ljust(16, b'\0')
            self.sock.sendall(bytes(reg))
            if self.until(REGISTER_ACK) != 'told':
                sys.exit('the phone could not register: nothing was tried')

    def until(self, mid, seconds=60):
        """'told' when that message came, 'closed', or 'silent'."""
        while True:
            while len(self.buf) >= 12:
                n, _, got = struct.unpack('<III', self.buf[:12])
                if len(self.buf) < n + 8:
                    break
                self.buf = self.buf[n + 8:]
                if got == mid:
                    return 'told'
            if not self.sock.pending() and not select.select([self.sock], [], [], seconds)[0]:
                return 'silent'
            try:
                data = self.sock.recv(65536)
            except OSError:
                return 'closed'
            if not data:
                return 'closed'
            self.buf += data

    def probe(self):
        self.sock.sendall(frame(KEEPALIVE, version=0))
        return self.until(KEEPALIVE_ACK)


def bodies(rnd, mid):
    """What can be wrong with a body of this message; 'full' is what a whole one would be."""
    full = PHONE.get(mid, 16)
    noise = rnd.randbytes
    yield 'empty', b''
    for n in sorted({1, 3, max(full - 1, 0), max(full - 4, 0), full // 2}):
        yield 'cut short', noise(n)
    yield 'ones', b'\xff' * max(full, 4)
    yield 'zeros', bytes(max(full, 4))
    yield 'text without an end', b'A' * max(full, 4)
    yield 'filled up', noise(full) + noise(rnd.randrange(1, 64))
    yield 'largest', noise(4092)
    for at in range(0, min(full, 24), 4):  # counts, types, offsets: each field in turn
        body = bytearray(noise(full))
        body[at:at + 4] = struct.pack('<I', rnd.choice(EXTREME))[:max(0, min(4, full - at))]
        yield 'a field out of range', bytes(body)
    if mid in (0x10, 0x30, 0x43, 0x44):
        for n in (19, 20, 255, 0x7fffffff, 0xffffffff):
            yield 'count out of range', struct.pack('<I', n) + noise(64)
    if mid == 0x23:
        for n in (600, 601, 0xffff, 0xffffffff):
            yield 'length out of range', noise(60) + struct.pack('<I', n) + b'x' * 20


def harmless(mid, body):
    """A message that is not malformed for all that and asks for something: not what is tried here."""
    if mid in (OFF_HOOK, ON_HOOK):
        return True  # every body of these is one
    if mid == UNREGISTER:
        return True
    if mid == 0x04:
        return all(c in b'0123456789*#+ABCD\0' for c in body)
    if mid == 0x03:
        return len(body) >= 4 and struct.unpack('<I', body[:4])[0] in (*range(10), 14, 15)
    if mid == STIMULUS:
        return len(body) >= 8 and struct.unpack('<I', body[:4])[0] == 9
    return False


def cases(rnd):
    """(kind, segments, in which state, what becomes of the connection), without an end."""
    ids = [*PHONE, *SERVER, *UNKNOWN]
    while True:
        for mid in ids:
            for kind, body in bodies(rnd, mid):
                inside = rnd.random() < 0.7
                if (inside and (harmless(mid, body) or mid in (REGISTER, TOKEN))) or mid in (UNREGISTER, KEEPALIVE):
                    continue
                if not inside and mid in (REGISTER, TOKEN) and len(body) >= 16:
                    continue  # another name's registration is refused, and the connection ended: registration.sh
                f = frame(mid, body, rnd.choice(VERSIONS))
                how = rnd.randrange(4)
                if how == 0 and len(f) < 100:
                    yield kind + ', octet by octet', [f[i:i + 1] for i in range(len(f))], inside, 'kept'
                elif how == 1:
                    cut = rnd.randrange(1, len(f))
                    yield kind + ', in two', [f[:cut], f[cut:]], inside, 'kept'
                elif how == 2:
                    yield kind + ', with others', [f + frame(0x0f, version=0) + frame(UNKNOWN[3]) + f], inside, 'kept'
                else:
                    yield kind, [f], inside, 'kept'
            if rnd.random() < 0.25:
                length = rnd.choice((0, 1, 2, 3, 4097, 5000, 65536, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff))
                yield 'header that lies', [frame(mid, rnd.randbytes(rnd.randrange(64)), 17, length)], rnd.random() < 0.5, 'closed'


def main():
    p = argparse.ArgumentParser()
    for name in ('host', 'cert', 'name'):
        p.add_argument('--' + name, required=True)
    p.add_argument('--port', type=int, default=2443)
    p.add_argument('--count', type=int, default=2000)
    p.add_argument('--seed', type=int, default=6)
    args = p.parse_args()
    rnd = random.Random(args.seed)
    conns = {True: None, False: None}
    sent, wrong, done, kinds = {}, [], 0, set()
    for kind, segments, inside, fate in cases(rnd):
        if done == args.count or len(wrong) > 20:
            break
        c = conns[inside]
        if c is None or (not inside and c.used >= 8):  # a stranger has 64 messages
            if c is not None:
                c.sock.close()
            c = conns[inside] = Connection(args, inside)
        c.used += 1
        try:
            for s in segments:
                c.sock.sendall(s)
            got = c.probe() if fate == 'kept' else c.until(-1)
        except OSError:
            got = 'closed'
        done += 1
        where = 'registered' if inside else 'stranger'
        sent[f'{kind.split(",")[0]}'] = sent.get(f'{kind.split(",")[0]}', 0) + 1
        kinds.add((segments[0][8:12] if len(segments[0]) >= 12 else b'split', where))
        want = 'told' if fate == 'kept' else 'closed'
        if got != want:
            wrong.append(f'{done} ({where}, {kind}, {b"".join(segments)[:32].hex()}): {got}, not {want}')
        if got != 'told':
            c.sock.close()
            conns[inside] = c = Connection(args, inside)
            if c.probe() != 'told':
                wrong.append(f'{done}: no answer to a probe on a new connection')
    for c in conns.values():
        if c is not None:
            c.sock.close()
    print(json.dumps({'sent': sent, 'messages': done, 'kinds': len(kinds), 'wrong': wrong}))
    return 1 if wrong or done < args.count else 0


if __name__ == '__main__':
    sys.exit(main())
