#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""SCCP phones with media, several in one process, led by lines of standard input; each line is answered by a line of JSON. Every phone sends a
tone of its own on each stream that it is told to start, in SRTP or RTP, and says which tones it hears. Version 17; SRTP (RFC 3711) by Python's
cryptography; shares no code with the appliance or the simulators."""
import argparse
import audioop
import hmac
import json
import math
import os
import random
import select
import socket
import ssl
import struct
import sys
import time

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

HERE = os.path.dirname(os.path.abspath(__file__))
ORC, CRC, SMT, STOP_MT, CALL_STATE, ACK, CAPS_REQ, REJECT = 0x105, 0x106, 0x8A, 0x8B, 0x111, 0x81, 0x9B, 0x9D
CALL_INFO, PROMPT, PROMPT_DYN, TONE = 0x14A, 0x112, 0x145, 0x82
STATES = {'offhook': 1, 'ringout': 3, 'ringin': 4, 'connected': 5, 'busy': 6, 'congestion': 7, 'held': 8, 'proceed': 12, 'remote': 13}
KEYS = {'hold': 3, 'transfer': 4, 'end': 9, 'resume': 10, 'answer': 11, 'confrn': 13, 'join': 15, 'meetme': 16, 'rmlstc': 19, 'barge': 21,
        'conflist': 27, 'cbarge': 33}
FRAME, LOUD = 160, 6000


def hertz(n):
    return 400 + 200 * n


def tone_of(n):
    """A second of u-law, in frames, that can be repeated."""
    pcm = struct.pack('<8000h', *(int(LOUD * math.sin(2 * math.pi * hertz(n) * i / 8000)) for i in range(8000)))
    u = audioop.lin2ulaw(pcm, 2)
    return [u[i:i + FRAME] for i in range(0, len(u), FRAME)]


def loudness(pcm, hz):
    """Goertzel: the amplitude of one frequency."""
    k = 2 * math.cos(2 * math.pi * hz / 8000)
    a = b = 0.0
    for x in pcm:
        a, b = x + k * a - b, a
    return 2 * math.sqrt(max(a * a + b * b - k * a * b, 0)) / max(len(pcm), 1)


class Srtp:
    """AES_CM_128_HMAC_SHA1, one direction, one source."""

    def __init__(self, key, salt, tag):
        def derive(label, n):
            iv = (int.from_bytes(salt, 'big') ^ label << 48) << 16
            return Cipher(algorithms.AES(key), modes.CTR(iv.to_bytes(16, 'big'))).encryptor().update(bytes(n))
        self.key, self.auth, self.salt, self.tag = derive(0, 16), derive(1, 20), int.from_bytes(derive(2, 14), 'big'), tag
        self.roc, self.top = 0, None

    def crypt(self, ssrc, index, data):
        iv = self.salt << 16 ^ ssrc << 64 ^ index << 16
        return Cipher(algorithms.AES(self.key), modes.CTR(iv.to_bytes(16, 'big'))).encryptor().update(data)

    def mac(self, data, roc):
        return hmac.digest(self.auth, data + struct.pack('>I', roc), 'sha1')[:self.tag]

    def protect(self, head, payload):
        seq, ssrc = struct.unpack('>H', head[2:4])[0], struct.unpack('>I', head[8:12])[0]
        if seq == 0 and self.top == 65535:
            self.roc += 1
        self.top = seq
        out = head + self.crypt(ssrc, self.roc << 16 | seq, payload)
        return out + self.mac(out, self.roc)

    def unprotect(self, packet):
        """The payload, or None if it is not authentic. ROC as RFC 3711 s3.3.1 guesses it."""
        data, tag = packet[:-self.tag], packet[-self.tag:]
        seq, ssrc = struct.unpack('>H', data[2:4])[0], struct.unpack('>I', data[8:12])[0]
        roc = self.roc
        if self.top is not None:
            roc += 1 if self.top > 49152 and seq < 16384 else -1 if self.top < 16384 and seq > 49152 else 0
        if roc < 0 or not hmac.compare_digest(self.mac(data, roc), tag):
            return None
        if roc > self.roc or self.top is None or seq > self.top:
            self.roc, self.top = roc, seq
        return self.crypt(ssrc, roc << 16 | seq, data[12:])


def keyed(info):
    """Encryption information: algorithm, lengths of key and salt, 16 bytes each. None: in clear."""
    alg, klen, slen = struct.unpack('<IHH', info[:8])
    if alg == 0:
        return None
    if alg not in (1, 2) or klen != 16 or slen != 14:
        sys.exit(f'algorithm {alg}, key {klen}, salt {slen}: not known here')
    return Srtp(info[8:24], info[24:38], 4 if alg == 1 else 10)


class Stream:
    def __init__(self, ip):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((ip, 0))
        self.sock.setblocking(False)
        self.open = False
        self.rx = self.tx = self.to = None
        self.secure = []
        self.ssrc, self.seq, self.ts = random.getrandbits(32), random.getrandbits(15), random.getrandbits(32)
        self.heard, self.packets, self.bad = [], 0, 0

    def send(self, frame):
        head = struct.pack('>BBHII', 0x80, 0, self.seq, self.ts, self.ssrc)
        self.seq, self.ts = self.seq + 1 & 0xffff, self.ts + FRAME & 0xffffffff
        try:
            self.sock.sendto(self.tx.protect(head, frame) if self.tx else head + frame, self.to)
        except OSError:
            pass

    def receive(self):
        while True:
            try:
                p = self.sock.recv(2048)
            except OSError:
                return
            if not self.open or len(p) < 12 or 192 <= p[1] <= 223:
                continue
            payload = self.rx.unprotect(p) if self.rx else p[12:]
            if payload is None:
                self.bad += 1
                continue
            self.packets += 1
            self.heard.append(payload)
            del self.heard[:-200]


class Phone:
    def __init__(self, args, n, tls):
        self.args, self.n, self.tls = args, n, tls
        self.name, self.ip = 'SEP0000000A%04d' % n, '10.77.1.%d' % (20 + n)
        self.frames, self.at = tone_of(n), 0
        self.streams = {}  # by the number of the media party
        self.keys = []     # every key and salt that came
        self.sock = None
        self.forget()

    def forget(self):
        self.buf, self.state, self.order, self.security = b'', {}, [], {}
        self.acked, self.prompt, self.tone = False, '', 0

    def connect(self):
        self.forget()
        s = socket.create_connection((self.args.host, 2443 if self.tls else 2000), timeout=30, source_address=(self.ip, 0))
        if self.tls:
            ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            ctx.check_hostname = False
            ctx.load_verify_locations(self.args.ca)
            ctx.load_cert_chain(os.path.join(self.args.certs, self.name + '.pem'))
            s = ctx.wrap_socket(s)
        with open(os.path.join(HERE, '../vectors/sccp_frames.json')) as f:
            reg = bytearray(bytes.fromhex(json.load(f)['register-v17']['hex']))
        reg[12:28] = self.name.encode().ljust(16, b'\0')
        s.sendall(bytes(reg))
        s.setblocking(False)
        self.sock = s

    def frame(self, mid, body=b''):
        if self.sock is None:
            return
        try:
            self.sock.setblocking(True)
            self.sock.sendall(struct.pack('<III', 4 + len(body), 17, mid) + body)
            self.sock.setblocking(False)
        except OSError:
            self.lost()

    def send(self, mid, *words):
        self.frame(mid, struct.pack('<%dI' % len(words), *words))

    def lost(self):
        if self.sock is not None:
            self.sock.close()
        self.sock = None

    def told(self, mid, body):
        w = struct.unpack('<%dI' % (len(body) // 4), body[:len(body) // 4 * 4])
        if mid == ACK:
            self.acked = True
        elif mid == REJECT:
            sys.exit(f'{self.name} was rejected: {body[:32]!r}')
        elif mid == CAPS_REQ:
            self.frame(0x10, struct.pack('<IIIQ', 1, 4, 20, 0))
        elif mid == CALL_STATE:
            if w[2] in self.order:
                self.order.remove(w[2])
            self.state.pop(w[2], None)
            if w[0] == 2:
                self.security.pop(w[2], None)
            else:
                self.state[w[2]] = w[0]
                self.order.append(w[2])
        elif mid == CALL_INFO:
            self.security[w[1]] = w[6]
        elif mid == ORC:
            if w[3] != 4:
                sys.exit(f'codec {w[3]} was never announced')
            s = self.streams.setdefault(w[1], None) or Stream(self.ip)
            self.streams[w[1]] = s
            s.open, s.rx = True, keyed(body[28:])
            self.note(body[28:])
            self.frame(0x22, struct.pack('<II', 0, 0) + socket.inet_aton(self.ip).ljust(16, b'\0') +
                       struct.pack('<III', s.sock.getsockname()[1], w[1], w[6]))
        elif mid == SMT:
            s = self.streams.setdefault(w[1], None) or Stream(self.ip)
            self.streams[w[1]] = s
            s.tx, s.to = keyed(body[60:]), (socket.inet_ntoa(body[12:16]), w[7])
            s.ssrc, s.seq = random.getrandbits(32), random.getrandbits(15)
            self.note(body[60:])
        elif mid in (CRC, STOP_MT) and w[1] in self.streams:
            s = self.streams[w[1]]
            if mid == CRC:
                s.open, s.rx = False, None
            else:
                s.tx = s.to = None
            if not s.open and s.to is None:
                s.sock.close()
                del self.streams[w[1]]
        elif mid == TONE:
            self.tone = w[0]
        elif mid == PROMPT:
            self.prompt = body[4:36].split(b'\0')[0].decode()
        elif mid == PROMPT_DYN:
            self.prompt = body[12:].split(b'\0')[0].decode()

    def note(self, info):
        if struct.unpack('<I', info[:4])[0]:
            self.keys.append(info[8:38].hex())

    def pump(self):
        try:
            while True:
                data = self.sock.recv(65536)
                if not data:
                    self.lost()
                    return
                self.buf += data
                if not self.tls:
                    break
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        except OSError:
            self.lost()
            return
        while len(self.buf) >= 12:
            n, _, mid = struct.unpack('<III', self.buf[:12])
            if len(self.buf) < n + 8:
                return
            body, self.buf = self.buf[12:n + 8], self.buf[n + 8:]
            self.told(mid, body)

    def find(self, *states):
        """Its newest call that is in one of these states, or None."""
        return next((r for r in reversed(self.order) if self.state[r] in [STATES[s] for s in states]), None)

    def talks(self):
        """Its one call that is up has media both ways."""
        r = self.find('connected')
        return r is not None and any(p >> 1 == r and s.open and s.to for p, s in self.streams.items())

    def tick(self):
        for s in list(self.streams.values()):
            if s.to:
                s.send(self.frames[self.at])
        self.at = (self.at + 1) % len(self.frames)

    def tells(self, tones):
        r = self.find('connected')
        heard = {str(k): 0 for k in tones}
        for s in self.streams.values():
            pcm = struct.unpack('<%dh' % (len(b''.join(s.heard))), audioop.ulaw2lin(b''.join(s.heard), 2)) if s.heard else ()
            for k in tones:
                heard[str(k)] = max(heard[str(k)], round(loudness(pcm, hertz(k))) if len(pcm) >= 1600 else 0)
        live = [s for s in self.streams.values() if s.open and s.to]
        return {'hears': heard, 'security': self.security.get(r, 0), 'streams': len(live), 'srtp': all(s.rx and s.tx for s in live),
                'bad': sum(s.bad for s in self.streams.values()), 'keys': len(self.keys), 'distinct': len(set(self.keys)),
                'states': sorted(self.state.values()), 'prompt': self.prompt, 'tone': self.tone}


class Room:
    def __init__(self, args):
        self.phones = {n: Phone(args, n, n not in args.clear) for n in args.phones}
        self.next_tick = time.monotonic()
        self.next_try = self.next_alive = 0.0

    def turn(self, more=()):
        """A little of everything. True: 'more' has something to read."""
        now = time.monotonic()
        if now >= self.next_try:
            self.next_try = now + 0.3
            for p in self.phones.values():
                if p.sock is None:
                    try:
                        p.connect()
                    except OSError:
                        p.lost()
        if now >= self.next_alive:
            self.next_alive = now + 10
            for p in self.phones.values():
                p.send(0x00)
        while now >= self.next_tick:  # what a busy machine kept us from is sent together
            if now - self.next_tick > 0.5:
                self.next_tick = now
            self.next_tick += 0.02
            for p in self.phones.values():
                p.tick()
        socks = {p.sock: p for p in self.phones.values() if p.sock is not None}
        media = {s.sock: s for p in self.phones.values() for s in p.streams.values()}
        pending = [s for s, p in socks.items() if p.tls and s.pending()]
        ready = pending or select.select([*socks, *media, *more], [], [], max(self.next_tick - time.monotonic(), 0))[0]
        for s in ready:
            if s in media:
                media[s].receive()
            elif s in socks:
                socks[s].pump()
        return any(m in ready for m in more)

    def until(self, cond, what, seconds=60):
        end = time.monotonic() + seconds
        while not cond():
            if time.monotonic() > end:
                raise RuntimeError(f'{what}: not within {seconds} s; ' +
                                   ', '.join(f'{n}: {p.state}{p.prompt!r}' for n, p in self.phones.items() if p.state))
            self.turn()

    def rest(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()

    # --- what a line may say: name, then phones' numbers and other words ---

    def do_up(self):
        self.until(lambda: all(p.sock is not None and p.acked for p in self.phones.values()), 'all register', 120)
        return {'registered': len(self.phones)}

    def do_dial(self, a, number):
        self.phones[int(a)].frame(0x04, number.encode().ljust(24, b'\0') + struct.pack('<I', 1))
        return {}

    def do_call(self, a, b, number):
        a, b = self.phones[int(a)], self.phones[int(b)]
        a.frame(0x04, number.encode().ljust(24, b'\0') + struct.pack('<I', 1))
        self.until(lambda: b.find('ringin') is not None, 'it rings')
        b.send(0x26, KEYS['answer'], 1, b.find('ringin'))
        self.until(lambda: a.talks() and b.talks(), 'they talk')
        return {}

    def do_key(self, n, key, *states):
        """At its newest call in one of these states; 'none': no call."""
        p = self.phones[int(n)]
        ref = 0 if states == ('none',) else p.find(*states)
        if ref is None:
            raise RuntimeError(f'{n} has no call that is {states}: {p.state}')
        p.send(0x26, KEYS[key], 1, ref)
        return {}

    def do_state(self, n, *states):
        """Until it has a call in one of these states; 'idle': until it has none."""
        p = self.phones[int(n)]
        self.until((lambda: not p.state) if states == ('idle',) else (lambda: p.find(*states) is not None), f'{n} is {states}')
        return {}

    def do_talk(self, *numbers):
        self.until(lambda: all(self.phones[int(n)].talks() for n in numbers), f'{numbers} talk')
        return {}

    def do_lock(self, value, *numbers):
        """Until these are shown that status: 1 none, 2 shield, 3 lock."""
        phones = [self.phones[int(n)] for n in numbers]
        self.until(lambda: all(p.security.get(p.find('connected')) == int(value) for p in phones),
                   f'{numbers} are shown {value}, not ' + str([p.security for p in phones]))
        return {}

    def do_hear(self, seconds, *numbers):
        self.rest(0.3)  # what is on its way from before
        for p in self.phones.values():
            for s in p.streams.values():
                s.heard = []
        self.rest(float(seconds))
        return {n: self.phones[int(n)].tells(self.phones) for n in numbers}

    def do_keys(self):
        return {'keys': [k for p in self.phones.values() for k in p.keys]}


def main():
    p = argparse.ArgumentParser()
    for name in ('host', 'certs', 'ca'):
        p.add_argument('--' + name, required=True)
    p.add_argument('--phones', type=int, nargs='+', required=True)
    p.add_argument('--clear', type=int, nargs='*', default=[])
    args = p.parse_args()
    room, left = Room(args), b''
    while True:
        if not room.turn([sys.stdin.fileno()]):
            continue
        data = os.read(sys.stdin.fileno(), 4096)
        if not data:
            return
        left += data
        while b'\n' in left:
            line, left = left.split(b'\n', 1)
            words = line.decode().split()
            try:
                answer = getattr(room, 'do_' + words[0])(*words[1:])
            except RuntimeError as e:
                answer = {'error': str(e)}
            print(json.dumps(answer), flush=True)


main()
