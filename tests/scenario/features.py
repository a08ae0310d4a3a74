#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""An SCCP phone with more than one call: dials, holds, resumes, dials another number and joins the two, and says as JSON
what it was told and when media reached it. Speaks version 17 over TLS; shares no code with the appliance."""
import argparse
import json
import os
import select
import socket
import ssl
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ORC, CRC, SMT, STOP_MT, CALL_STATE, ACK, CAPS_REQ, KEEPALIVE_ACK = 0x105, 0x106, 0x8A, 0x8B, 0x111, 0x81, 0x9B, 0x100
HOLD, TRANSFER, END, RESUME, PARK = 3, 4, 9, 10, 14
LAMP, PROMPT, PROMPT_DYN, MESSAGES = 0x86, 0x112, 0x145, 15


def frame(mid, body=b'', version=17):
    return struct.pack('<III', 4 + len(body), version, mid) + body


class Phone:
    def __init__(self, args):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.check_hostname = False
        ctx.load_verify_locations(args.ca)
        ctx.load_cert_chain(args.cert)
        self.sock = ctx.wrap_socket(socket.create_connection((args.host, args.port), timeout=60))
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind((args.media_ip, 0))
        self.media_ip = args.media_ip
        self.buf = b''
        self.state = {}    # call reference -> the last CallState
        self.order = []    # call references as they came up
        self.open = set()  # references with a receive channel
        self.keys = []     # every key and salt that came
        self.prompts = []
        self.lamp = None   # of messages: what SetLamp said
        self.packets = 0
        self.acked = False
        with open(os.path.join(HERE, '../vectors/sccp_frames.json')) as f:
            reg = bytearray(bytes.fromhex(json.load(f)['register-v17']['hex']))
        reg[12:28] = args.name.encode().ljust(16, b'\0')
        self.sock.sendall(bytes(reg))
        self.until(lambda: self.acked, 'RegisterAck')

    def send(self, mid, *words):
        self.sock.sendall(frame(mid, struct.pack('<%dI' % len(words), *words)))

    def key(self, event, ref):
        self.send(0x26, event, 1, ref)

    def dial(self, number):
        self.sock.sendall(frame(0x04, number.encode().ljust(24, b'\0') + struct.pack('<I', 1)))

    def told(self, mid, body):
        w = struct.unpack('<%dI' % (len(body) // 4), body[:len(body) // 4 * 4])
        if mid == ACK:
            self.acked = True
        elif mid == CAPS_REQ:
            self.sock.sendall(frame(0x10, struct.pack('<IIIQ', 1, 4, 20, 0)))
        elif mid == CALL_STATE:
            if w[2] not in self.state:
                self.order.append(w[2])
            self.state[w[2]] = w[0]
        elif mid == ORC:
            party, ref = w[1], w[6]
            self.note_key(body[28:])
            self.open.add(ref)
            self.sock.sendall(frame(0x22, struct.pack('<II', 0, 0) + socket.inet_aton(self.media_ip).ljust(16, b'\0') +
                                    struct.pack('<III', self.rtp.getsockname()[1], party, ref)))
        elif mid == SMT:
            self.note_key(body[60:])
        elif mid == LAMP and w[0] == MESSAGES:
            self.lamp = w[2]
        elif mid == PROMPT:
            self.prompts.append(body[4:36].split(b'\0')[0].decode())
        elif mid == PROMPT_DYN:
            self.prompts.append(body[12:].split(b'\0')[0].decode())
        elif mid == CRC:
            self.open.discard(next((r for r in self.open if r == w[0]), None))

    def note_key(self, info):
        """Encryption information: algorithm, lengths of key and salt, 16 bytes each."""
        alg, klen, slen = struct.unpack('<IHH', info[:8])
        if alg and klen == 16:
            self.keys.append(info[8:24].hex() + info[24:24 + slen].hex())

    def pump(self, seconds):
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0 and not self.sock.pending():
                return
            ready = [self.sock] if self.sock.pending() else select.select([self.sock, self.rtp], [], [], max(left, 0))[0]
            if self.rtp in ready:
                self.rtp.recv(2048)
                self.packets += 1
            if self.sock in ready:
                data = self.sock.recv(65536)
                if not data:
                    sys.exit('the connection was closed')
                self.buf += data
                while len(self.buf) >= 12:
                    n, _, mid = struct.unpack('<III', self.buf[:12])
                    if len(self.buf) < n + 8:
                        break
                    self.told(mid, self.buf[12:n + 8])
                    self.buf = self.buf[n + 8:]

    def until(self, cond, what, seconds=60):
        end = time.monotonic() + seconds
        while not cond():
            if time.monotonic() > end:
                sys.exit(f'{what}: not within {seconds} s; states {self.state}')
            self.pump(0.02)

    def hears(self, what):
        before = self.packets
        self.until(lambda: self.packets >= before + 25, what)


def silence(ph):
    """What comes in 0.6 s: 0 as soon as nothing does. What was on its way is not meant, and on a busy machine is so for long."""
    for _ in range(20):
        ph.pump(0.3)
        before = ph.packets
        ph.pump(0.6)
        if ph.packets == before:
            return 0
    return ph.packets - before


def park(ph, ref):
    ph.key(PARK, ref)
    ph.until(lambda: ph.state[ref] == 2 and ref not in ph.open, 'the call is gone')
    ph.until(lambda: any(t.startswith('Call park at ') for t in ph.prompts), 'its number is shown')
    print(json.dumps({'at': [t for t in ph.prompts if t.startswith('Call park')][0][13:], 'lamp': ph.lamp}))
    ph.sock.close()


def main():
    p = argparse.ArgumentParser()
    for name in ('host', 'cert', 'ca', 'name', 'media-ip', 'first'):
        p.add_argument('--' + name, required=True)
    p.add_argument('--second')
    p.add_argument('--park', action='store_true')
    p.add_argument('--port', type=int, default=2443)
    p.add_argument('--blind', action='store_true')
    args = p.parse_args()
    ph = Phone(args)
    ph.pump(0.3)

    ph.dial(args.first)
    ph.until(lambda: ph.order and ph.state[ph.order[0]] == 5, 'the first call')
    a = ph.order[0]
    ph.hears('media of the first call')
    if args.park:
        park(ph, a)
        return
    ph.key(HOLD, a)
    ph.until(lambda: ph.state[a] == 8 and a not in ph.open, 'hold')
    held = silence(ph)
    ph.key(RESUME, a)
    ph.until(lambda: ph.state[a] == 5 and a in ph.open, 'resume')
    ph.hears('media after the hold')

    ph.key(TRANSFER, a)
    ph.until(lambda: len(ph.order) == 2 and ph.state[ph.order[1]] == 1, 'a second call')
    b = ph.order[1]
    ph.dial(args.second)
    if args.blind:
        ph.until(lambda: ph.state[b] == 3, 'it rings')
    else:
        ph.until(lambda: ph.state[b] == 5, 'the second call')
        ph.hears('media of the second call')
    ph.key(TRANSFER, b)
    ph.until(lambda: ph.state[a] == 2 and ph.state[b] == 2, 'both calls are gone')
    after = silence(ph)
    print(json.dumps({'held': held, 'after': after, 'keys': len(ph.keys), 'distinct': len(set(ph.keys)), 'open': len(ph.open)}))
    ph.sock.close()


if __name__ == '__main__':
    main()
