#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Eight SCCP phones of all protocol versions, over TLS and in clear, that call each other again and again: keyed in digit by digit or as a
block, refused, held, resumed, there or at another phone of a shared line, transferred blind and attended, parked, picked up, forwarded, barged
into over either bridge, in ad hoc and meet-me conferences. For a record of what is said, not for media: none flow.
Shares no code with the appliance. Prints a JSON object: how many calls of each kind."""
import argparse
import json
import os
import random
import select
import socket
import ssl
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ORC, CALL_STATE, ACK, CAPS_REQ, REJECT, KEEPALIVE_ACK, CALL_INFO = 0x105, 0x111, 0x81, 0x9B, 0x9D, 0x100, (0x8F, 0x14A)
FORWARD_STAT, SOFT_KEYS, PROMPT, PROMPT_DYN = 0x90, 0x110, 0x112, 0x145
OFF_HOOK, ON_HOOK, RINGS_OUT, RINGS, CONNECTED, BUSY, ON_HOLD, REMOTE = 1, 2, 3, 4, 5, 6, 8, 13
HOLD, TRANSFER, CFWD_ALL, END, RESUME, ANSWER = 3, 4, 5, 9, 10, 11
CONFRN, PARK, MEETME, PICKUP, GPICKUP, RMLSTC, BARGE, CONFLIST, CBARGE = 13, 14, 16, 17, 18, 19, 21, 27, 33
SET_CONNECTED, SET_CONFERENCE = 1, 7
VERSIONS = (17, 3, 20, 11, 22, 15, 18, 10)


class Phone:
    def __init__(self, args, n):
        self.n, self.version = n, VERSIONS[n % len(VERSIONS)]
        self.number = str(1001 + n)
        self.name = 'SEP0000000A%04d' % (n + 1)
        self.ip = '10.77.1.%d' % (21 + n)
        tls = n % 4 != 3
        s = socket.create_connection((args.host, args.tls_port if tls else args.port), timeout=60, source_address=(self.ip, 0))
        if tls:
            ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            ctx.check_hostname = False
            ctx.load_verify_locations(args.ca)
            ctx.load_cert_chain(os.path.join(args.certs, self.name + '.pem'))
            s = ctx.wrap_socket(s)
        self.sock, self.tls, self.buf = s, tls, b''
        self.last = []      # states it was told, for who wonders why it is stuck
        self.opened, self.live = set(), set()  # calls that have a channel; that have media
        self.ready = False  # its capabilities are known
        self.state, self.order, self.acked, self.port = {}, [], False, 20000 + 2 * n
        self.keys = {}      # call reference -> the set of soft keys that it was given last
        self.forwards, self.prompt = 0, ''
        # the first of three calls the line that the others share
        self.group = 0 if n < 3 else 1 if n < 6 else 2
        self.shares = n not in (0, 3, 6, 7)
        with open(os.path.join(HERE, '../vectors/sccp_frames.json')) as f:
            reg = bytearray(bytes.fromhex(json.load(f)['register-v17']['hex']))
        reg[12:28] = self.name.encode().ljust(16, b'\0')
        reg[52] = self.version
        s.sendall(bytes(reg))
        s.setblocking(False)

    def frame(self, mid, body=b''):
        data = struct.pack('<III', 4 + len(body), self.version if self.version >= 10 else 0, mid) + body
        self.sock.setblocking(True)
        self.sock.sendall(data)
        self.sock.setblocking(False)

    def send(self, mid, *words):
        self.frame(mid, struct.pack('<%dI' % len(words), *words))

    def key(self, event, ref):
        self.send(0x26, event, 1, ref)

    def dial(self, number):
        if self.version >= 18:
            self.frame(0x04, number.encode().ljust(25, b'\0') + b'\0\0\0' + struct.pack('<I', 1))
        else:
            self.frame(0x04, number.encode().ljust(24, b'\0') + struct.pack('<I', 1))

    def keys_in(self, number, ref):
        for d in number:
            self.send(0x03, int(d), 1, ref)

    def ack(self, party, ref):
        if self.version >= 17:
            self.frame(0x22, struct.pack('<II', 0, 0) + socket.inet_aton(self.ip).ljust(16, b'\0') +
                       struct.pack('<III', self.port, party, ref))
        else:
            self.frame(0x22, struct.pack('<I', 0) + socket.inet_aton(self.ip) + struct.pack('<III', self.port, party, ref))

    def told(self, mid, body):
        w = struct.unpack('<%dI' % (len(body) // 4), body[:len(body) // 4 * 4])
        if mid == ACK:
            self.acked = True
            self.send(0x0E)
            self.send(0x28)
            self.send(0x25)
            self.send(0x0B, 1)
            self.send(0x09, 1)
            self.send(0x0D)
        elif mid == REJECT:
            sys.exit(f'{self.name} was rejected: {body[:32]!r}')
        elif mid == CAPS_REQ:
            self.frame(0x10, struct.pack('<IIIQ', 1, 4, 20, 0))
            self.frame(0x00)  # its answer says that they were read
        elif mid == KEEPALIVE_ACK:
            self.ready = True
        elif mid == CALL_STATE:
            self.last = self.last[-7:] + [w[0]]
            self.live.discard(w[2])
            if w[0] in (ON_HOOK, ON_HOLD):
                self.opened.discard(w[2])
            if w[2] not in self.state:
                self.order.append(w[2])
            self.state[w[2]] = w[0]
            if w[0] == ON_HOOK:  # it is gone: its number may mean another call one day
                del self.state[w[2]]
                self.order.remove(w[2])
                self.keys.pop(w[2], None)
        elif mid == ORC:
            self.opened.add(w[6])
            self.live.discard(w[6])
            self.ack(w[1], w[6])
        elif mid == SOFT_KEYS:
            self.keys[w[1]] = w[2]
        elif mid == FORWARD_STAT:
            self.forwards = w[0]
        elif mid == PROMPT:
            self.prompt = body[4:36].split(b'\0')[0].decode()
        elif mid == PROMPT_DYN:
            self.prompt = body[12:].split(b'\0')[0].decode()
        elif mid in CALL_INFO:
            ref = w[33] if mid == 0x8F else w[1]
            if ref in self.opened:  # the one after the last of all channels was acknowledged
                self.live.add(ref)

    def pump(self):
        try:
            while True:
                data = self.sock.recv(65536)
                if not data:
                    sys.exit(f'{self.name}: the connection was closed')
                self.buf += data
                if not self.tls:
                    break
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        while len(self.buf) >= 12:
            n, _, mid = struct.unpack('<III', self.buf[:12])
            if len(self.buf) < n + 8:
                break
            body, self.buf = self.buf[12:n + 8], self.buf[n + 8:]
            self.told(mid, body)

    def is_in(self, state):
        """The reference of its newest call that is in that state, or None."""
        return next((r for r in reversed(self.order) if self.state[r] == state), None)

    def idle(self):
        return not self.state

    def has(self, keys):
        """It talks, in a call with that set of keys."""
        return any(s == CONNECTED and self.keys.get(r) == keys and r in self.live for r, s in self.state.items())

    @property
    def up(self):
        return bool(self.live)


def idle(*phones):
    return lambda: all(p.idle() for p in phones)


def call(a, b, keyed):
    """a calls b, who rings at the end: gives the two references."""
    if keyed:
        a.send(0x06, 1, 0)
        yield lambda: a.is_in(OFF_HOOK)
        a.keys_in(b.number, a.is_in(OFF_HOOK))
    else:
        a.dial(b.number)
    yield lambda: a.is_in(RINGS_OUT) and b.is_in(RINGS)
    return a.is_in(RINGS_OUT), b.is_in(RINGS)


def talk(a, b, keyed=False):
    ra, rb = yield from call(a, b, keyed)
    b.key(ANSWER, rb)
    yield lambda: a.state.get(ra) == CONNECTED and b.state.get(rb) == CONNECTED and a.up and b.up
    return ra, rb


def plain(a, b, c):
    ra, _ = yield from talk(a, b, keyed=True)
    a.send(0x07, 1, ra)
    yield idle(a, b)


def block(a, b, c):
    _, rb = yield from talk(a, b)
    b.key(END, rb)
    yield idle(a, b)


def refused(a, b, c):
    _, rb = yield from call(a, b, False)
    b.key(END, rb)
    yield lambda: b.idle()
    if a.order:
        a.key(END, a.order[-1])
    yield idle(a, b)


def given_up(a, b, c):
    ra, _ = yield from call(a, b, True)
    a.send(0x07, 1, ra)
    yield idle(a, b)


def nobody(a, b, c):
    a.dial('1999')
    yield lambda: a.order
    a.key(END, a.order[-1])
    yield idle(a)


def held(a, b, c):
    ra, rb = yield from talk(a, b)
    a.key(HOLD, ra)
    yield lambda: a.state.get(ra) == ON_HOLD
    a.key(RESUME, ra)
    yield lambda: a.state.get(ra) == CONNECTED and a.up
    b.key(HOLD, rb)
    yield lambda: b.state.get(rb) == ON_HOLD
    a.key(END, ra)
    yield idle(a, b)


def attended(a, b, c):
    ra, rb = yield from talk(a, b)
    a.key(TRANSFER, ra)
    yield lambda: a.is_in(OFF_HOOK)
    rc = yield from second(a, c)
    c.key(ANSWER, rc)
    yield lambda: a.is_in(CONNECTED) and c.state.get(rc) == CONNECTED and a.up and c.up
    a.key(TRANSFER, a.is_in(CONNECTED))
    yield lambda: a.idle() and b.is_in(CONNECTED) and c.is_in(CONNECTED)
    b.key(END, b.is_in(CONNECTED))
    yield idle(a, b, c)


def blind(a, b, c):
    ra, rb = yield from talk(a, b)
    a.key(TRANSFER, ra)
    yield lambda: a.is_in(OFF_HOOK)
    rc = yield from second(a, c)
    a.key(TRANSFER, a.is_in(RINGS_OUT))
    yield lambda: a.idle()
    c.key(ANSWER, rc)
    yield lambda: b.is_in(CONNECTED) and c.state.get(rc) == CONNECTED
    c.key(END, rc)
    yield idle(a, b, c)


def second(a, c):
    a.dial(c.number)
    yield lambda: a.is_in(RINGS_OUT) and c.is_in(RINGS)
    return c.is_in(RINGS)


def parked(a, b, c):
    ra, _ = yield from talk(a, b)
    a.prompt = ''
    a.key(PARK, ra)
    yield lambda: a.idle() and a.prompt.startswith('Call park at ')
    by = c or a
    by.dial(a.prompt[13:])
    yield lambda: by.has(SET_CONNECTED) and b.has(SET_CONNECTED)
    by.key(END, by.is_in(CONNECTED))
    yield idle(a, b, by)


def picked_up(a, b, c, group=''):
    yield from call(a, b, False)
    c.key(GPICKUP if group else PICKUP, 0)
    if group:
        yield lambda: c.is_in(OFF_HOOK)
        c.keys_in(group, c.is_in(OFF_HOOK))
        c.send(0x03, 15, 1, c.is_in(OFF_HOOK))  # "#"
    yield lambda: a.is_in(CONNECTED) and c.is_in(CONNECTED) and a.up and c.up and b.idle()
    a.key(END, a.is_in(CONNECTED))
    yield idle(a, b, c)


def picked_up_of_group(a, b, c):
    yield from picked_up(a, b, c, '700%d' % b.group)


def forwarded(a, b, c):
    b.key(CFWD_ALL, 0)
    yield lambda: b.is_in(OFF_HOOK)
    b.dial(c.number)
    yield lambda: b.idle() and b.forwards
    a.dial(b.number)
    yield lambda: a.is_in(RINGS_OUT) and c.is_in(RINGS)
    rc = c.is_in(RINGS)
    c.key(ANSWER, rc)
    yield lambda: a.is_in(CONNECTED) and c.state.get(rc) == CONNECTED and a.up and c.up
    a.key(END, a.is_in(CONNECTED))
    yield idle(a, b, c)
    b.key(CFWD_ALL, 0)
    yield lambda: b.idle() and not b.forwards


def ad_hoc(a, b, c):
    ra, rb = yield from talk(a, b)
    a.key(CONFRN, ra)
    yield lambda: a.is_in(OFF_HOOK)
    rc = yield from second(a, c)
    c.key(ANSWER, rc)
    yield lambda: a.is_in(CONNECTED) and c.state.get(rc) == CONNECTED and a.up and c.up
    a.key(CONFRN, a.is_in(CONNECTED))
    yield lambda: all(p.has(SET_CONFERENCE) and len(p.state) == 1 for p in (a, b, c))
    b.key(CONFLIST, rb)
    yield lambda: b.prompt.startswith('1/3')
    while not any(p.idle() for p in (a, b, c)):
        a.prompt = ''
        a.key(RMLSTC, a.is_in(CONNECTED))
        yield lambda: a.prompt == 'Nobody to remove' or any(p.idle() for p in (a, b, c))  # pressed before the bridge had said of all that it mixes
    # the last two have their own call
    yield lambda: sum(p.has(SET_CONNECTED) for p in (a, b, c)) == 2
    a.key(END, a.is_in(CONNECTED))
    yield idle(a, b, c)


def meet_me(a, b, c):
    number = '850%d' % a.group
    a.key(MEETME, 0)
    yield lambda: a.is_in(OFF_HOOK)
    a.dial(number)
    yield lambda: a.has(SET_CONFERENCE)
    others = [p for p in (b, c) if p is not None]
    for p in others:
        p.dial(number)
        yield lambda: p.has(SET_CONFERENCE)
    for p in (a, *others):
        p.key(END, p.is_in(CONNECTED))
        yield idle(p)


def shared(*phones):
    """Who has a line of its own calls the one that the other two share, and one of them answers: caller, answerer, the other one, reference."""
    a = next(p for p in phones if not p.shares)
    b, c = (p for p in phones if p.shares)
    a.dial('200%d' % a.group)
    yield lambda: a.is_in(RINGS_OUT) and b.is_in(RINGS) and c.is_in(RINGS)
    ref = b.is_in(RINGS)
    b.key(ANSWER, ref)
    yield lambda: a.has(SET_CONNECTED) and b.has(SET_CONNECTED) and c.state.get(ref) == REMOTE
    return a, b, c, ref


def elsewhere(*phones):
    a, b, c, ref = yield from shared(*phones)
    b.key(HOLD, ref)
    yield lambda: b.state.get(ref) == ON_HOLD and c.state.get(ref) == ON_HOLD
    c.key(RESUME, ref)
    yield lambda: c.has(SET_CONNECTED) and b.state.get(ref) == REMOTE
    c.key(END, ref)
    yield idle(a, b, c)


def barge(*phones):
    a, b, c, ref = yield from shared(*phones)
    c.key(BARGE, ref)
    yield lambda: c.has(SET_CONNECTED)
    c.key(END, ref)
    yield lambda: c.state.get(ref) == REMOTE
    a.key(END, a.is_in(CONNECTED))
    yield idle(a, b, c)


def cbarge(*phones):
    a, b, c, ref = yield from shared(*phones)
    c.key(CBARGE, ref)
    yield lambda: all(p.has(SET_CONFERENCE) for p in (a, b, c))
    c.key(END, c.is_in(CONNECTED))
    yield lambda: a.has(SET_CONNECTED) and b.has(SET_CONNECTED)
    b.key(END, ref)
    yield idle(a, b, c)


TWO = (plain, block, refused, given_up, nobody, held, parked, meet_me)
KINDS = TWO + (attended, blind, picked_up, picked_up_of_group, forwarded, ad_hoc, elsewhere, barge, cbarge)


class Group:
    """Three phones, or two, one call after the other."""

    def __init__(self, phones, rnd, done):
        self.phones, self.rnd, self.done = phones, rnd, done
        self.script = self.cond = None

    def step(self, more):
        while True:
            if self.script is None:
                if not more():
                    return
                three = len(self.phones) == 3
                self.kind = self.rnd.choice(KINDS if three else TWO)
                order = self.rnd.sample(self.phones, len(self.phones))
                self.script = self.kind(*order, *([None] if not three else []))
                self.cond, self.since = None, time.monotonic()
            if self.cond is not None and not self.cond():
                if time.monotonic() - self.since > 12:
                    sys.exit(f'{self.kind.__name__}: stuck; ' + ', '.join(f'{p.name} v{p.version} {p.state} after {p.last}' for p in self.phones))
                return
            try:
                self.cond = next(self.script)
            except StopIteration:
                self.done[self.kind.__name__] = self.done.get(self.kind.__name__, 0) + 1
                self.script = None


def main():
    p = argparse.ArgumentParser()
    for name in ('host', 'certs', 'ca'):
        p.add_argument('--' + name, required=True)
    p.add_argument('--port', type=int, default=2000)
    p.add_argument('--tls-port', type=int, default=2443)
    p.add_argument('--calls', type=int, default=300)
    p.add_argument('--seed', type=int, default=6)
    args = p.parse_args()
    rnd = random.Random(args.seed)
    phones = [Phone(args, n) for n in range(8)]
    done = {}
    by_sock = {ph.sock: ph for ph in phones}

    def turn(seconds):
        ready = [ph.sock for ph in phones if ph.tls and ph.sock.pending()] or select.select(list(by_sock), [], [], seconds)[0]
        for s in ready:
            by_sock[s].pump()

    end = time.monotonic() + 20
    while not all(ph.acked and ph.ready for ph in phones):
        if time.monotonic() > end:
            sys.exit('not all phones registered')
        turn(1)
    groups = [Group(g, rnd, done) for g in (phones[:3], phones[3:6], phones[6:])]
    while True:
        for g in groups:
            g.step(lambda: sum(done.values()) + sum(x.script is not None for x in groups) < args.calls)
        if sum(done.values()) >= args.calls:
            break
        turn(1)
    turn(0.2)
    for ph in phones:
        ph.send(0x27)
        ph.sock.close()
    print(json.dumps({'calls': sum(done.values()), 'kinds': done}))


if __name__ == '__main__':
    main()
