#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Two SCCP phones with the codecs that they are given: one calls the other, both send RTP as they were told to, and what they
were told, which payload types came through the relay, and which secure tones they heard is said as JSON, a list of calls."""
import argparse
import json
import socket
import struct
import sys

from features import CAPS_REQ, END, ORC, SMT, Phone, frame

ANSWER, START_TONE = 11, 0x82
PT = {4: 0, 2: 8, 6: 9, 11: 18, 12: 18, 15: 18, 16: 18}


class Rtp:
    """The phone's media socket, which notes the payload types that come."""

    def __init__(self, sock):
        self.sock, self.pts = sock, set()
        self.fileno, self.getsockname, self.sendto = sock.fileno, sock.getsockname, sock.sendto

    def recv(self, n):
        data = self.sock.recv(n)
        self.pts.add(data[1] & 0x7F)
        return data


class CodecPhone(Phone):
    def __init__(self, args, caps):
        self.caps = caps
        self.orc = self.smt = None
        self.tones = []
        super().__init__(args)
        self.rtp = Rtp(self.rtp)

    def told(self, mid, body):
        w = struct.unpack('<%dI' % (len(body) // 4), body[:len(body) // 4 * 4])
        if mid == CAPS_REQ:
            self.sock.sendall(frame(0x10, struct.pack('<I', len(self.caps)) + b''.join(struct.pack('<IIQ', c, 60, 0) for c in self.caps)))
            return
        if mid == ORC:
            self.orc = {'codec': w[3], 'ms': w[2], 'mode': w[5] & 255, 'pt': w[5] >> 8 & 255}
        elif mid == SMT:
            self.smt = {'codec': w[9], 'ms': w[8], 'to': (socket.inet_ntoa(body[12:16]), w[7]), 'pt': w[13] >> 8 & 255}
        elif mid == START_TONE and w[0] in (0x39, 0x49):
            self.tones.append([w[0], w[1]])
        super().told(mid, body)

    def talk(self, seq):
        """A packet of 'ms' milliseconds under the payload type that goes with the codec."""
        pt = PT.get(self.smt['codec'], self.smt['pt'])
        self.rtp.sendto(struct.pack('>BBHII', 0x80, pt, seq, seq * self.smt['ms'] * 8, 7) + b'v' * 20, self.smt['to'])


def call(args, caps_a, caps_b):
    phones = []
    for i, caps in enumerate((caps_a, caps_b)):
        one = argparse.Namespace(host=args.host, port=args.port, ca=args.ca, name=args.name[i], cert=args.cert[i], media_ip=args.media_ip[i])
        phones.append(CodecPhone(one, caps))
    a, b = phones

    def both(seconds):
        a.pump(seconds / 2)
        b.pump(seconds / 2)

    both(0.4)
    a.dial(args.number)
    for _ in range(100):
        both(0.05)
        if b.order or (a.order and a.state[a.order[0]] == 7):
            break
    if not b.order:
        return {'state': a.state.get(a.order[0]) if a.order else None}
    b.key(ANSWER, b.order[0])
    for _ in range(100):
        both(0.05)
        if a.smt and b.smt:
            break
    else:
        sys.exit('no media within 5 s')
    both(0.2)
    for seq in range(40):
        a.talk(seq)
        b.talk(seq)
        both(0.01)
    both(0.2)
    out = {'a': a.orc, 'b': b.orc, 'a_sends': a.smt['codec'], 'b_sends': b.smt['codec'], 'a_hears': sorted(a.rtp.pts), 'b_hears': sorted(b.rtp.pts),
           'a_tones': a.tones, 'b_tones': b.tones}
    a.key(END, a.order[0])
    both(0.3)
    for p in phones:
        p.sock.close()
    return out


def main():
    p = argparse.ArgumentParser()
    for name in ('host', 'ca', 'number'):
        p.add_argument('--' + name, required=True)
    for name in ('name', 'cert', 'media-ip'):
        p.add_argument('--' + name, nargs=2, required=True)
    p.add_argument('--port', type=int, default=2443)
    p.add_argument('pairs', nargs='+', help='codecs of the first and of the second: 6,4:4,6')
    args = p.parse_args()
    out = []
    for pair in args.pairs:
        out.append(call(args, *[[int(c) for c in side.split(',')] for side in pair.split(':')]))
    print(json.dumps(out))


if __name__ == '__main__':
    main()
