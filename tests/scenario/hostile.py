#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What strangers and broken equipment send; hostile.sh judges what comes of it. One command per front:

hostile.py sccp HOST PORT [--cert PEM --name SEP...] --victim SEP...   bad frames, each on a connection of its own
hostile.py tls HOST CLEAR_PORT TLS_PORT                 TLS to the clear port, clear text to TLS, half handshakes
hostile.py media INTERFACE CAPTURE APPLIANCE_IP         garbage and replays to the ports seen in the capture
hostile.py esp INTERFACE CAPTURE APPLIANCE_IP           garbage and replays of protocol 50, UDP 4500; MGCP in clear
hostile.py frames INTERFACE CAPTURE APPLIANCE_IP APPLIANCE_IP6   malformed ARP, IP, ICMP, ND, fragments
hostile.py unix DATAPLANE_SOCK ADMIN_SOCK               garbage on the local sockets

Prints one JSON object: how many of what were sent. Random numbers have a fixed seed. Exit 1 if something that
must be refused was taken.
"""
import argparse
import json
import os
import random
import socket
import ssl
import struct
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, '../../scripts'))
import wire  # noqa: E402

rnd = random.Random(20)
sent = {}
wrong = []


def count(what, n=1):
    sent[what] = sent.get(what, 0) + n


def vector(name):
    with open(os.path.join(here, '../vectors/sccp_frames.json')) as f:
        return bytes.fromhex(json.load(f)[name]['hex'])


def frame(mid, body=b'', length=None, version=17):
    return struct.pack('<III', 4 + len(body) if length is None else length, version, mid) + body


def register(name):
    f = bytearray(vector('register-v17'))
    f[12:28] = name.encode().ljust(16, b'\0')
    return bytes(f)


# --- SCCP ---

def connect(args):
    s = socket.create_connection((args.host, args.port), timeout=60)
    if args.cert:
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
        ctx.load_cert_chain(args.cert)
        s = ctx.wrap_socket(s)
    return s


def told(s, wait, until=None):
    """What the server says within 'wait' seconds, or until it says 'until': message ids, None at the end if it closed."""
    ids, buf = [], b''
    s.settimeout(wait)
    try:
        while until is None or until not in ids:
            p = s.recv(65536)
            if not p:
                ids.append(None)
                break
            buf += p
            while len(buf) >= 12:
                n, _, mid = struct.unpack('<III', buf[:12])
                if len(buf) < n + 8:
                    break
                ids.append(mid)
                buf = buf[n + 8:]
    except TimeoutError:
        pass
    except OSError:
        ids.append(None)
    return ids


def once(args, what, data, wait=0.0, must_close=False):
    count(what)
    try:
        s = connect(args)
        s.sendall(data)
        ids = told(s, wait) if wait else []
        s.close()
    except OSError:
        ids = [None]
    if 0x81 in ids:
        wrong.append(f'{what}: registered')
    if must_close and None not in ids:
        wrong.append(f'{what}: the connection was kept')


def sccp(args):
    reg = register(args.name if args.cert else 'SEP0A1B2C3D4E70')
    for n in range(1, 12):
        once(args, 'truncated header', reg[:n])
    for length in (0, 1, 3, 4097, 65536, 0x7fffffff, 0x80000000, 0xffffffff):
        once(args, 'length out of range', frame(1, reg[12:], length), wait=60, must_close=True)
    for n in range(12, len(reg), 5):
        once(args, 'frame cut short', reg[:n])
    for n in range(0, 40, 4):  # the length is true, the message is not all there
        once(args, 'short register', frame(1, reg[12:12 + n], version=0))
    once(args, 'lying length', frame(1, reg[12:], 4000) + reg * 3)
    for _ in range(10):
        once(args, 'noise', rnd.randbytes(rnd.randrange(1, 20000)))
    once(args, 'zeros', bytes(30000))
    for mid in range(0, 0x160, 3):
        once(args, 'before registration', frame(mid, rnd.randbytes(rnd.randrange(0, 64))))
    # the victim's name: in clear, or with another's certificate
    once(args, "another's name", register(args.victim), wait=1.5)
    once(args, 'unknown name', register('SEP00000BADBAD0'), wait=1.5)
    if not args.cert:
        return
    # A phone with a good certificate that turns bad once it is in
    s = connect(args)
    s.sendall(register(args.name))
    if 0x81 not in told(s, 60, 0x81):
        wrong.append('the hostile phone could not register: nothing was tried from inside')
        return
    known = [0x0003, 0x0004, 0x0005, 0x0006, 0x0007, 0x0009, 0x000a, 0x000b, 0x0010, 0x0020, 0x0022, 0x0023, 0x0026,
             0x0028, 0x002a, 0x0030, 0x0043, 0x0044, 0x0154, 0x015a]
    for mid in known:
        for n in (0, 1, 3, 7, 11, 30):
            s.sendall(frame(mid, rnd.randbytes(n)))
            count('malformed from inside')
    for ref in args.callref:  # the victim's call: on hook, end call, channel acknowledgements that point elsewhere
        s.sendall(frame(7, struct.pack('<II', 1, ref)))
        s.sendall(frame(0x26, struct.pack('<III', 9, 1, ref)))
        ack = struct.pack('<II', 0, 0) + socket.inet_aton('10.77.1.66').ljust(16, b'\0') + struct.pack('<III', 9, ref, ref)
        s.sendall(frame(0x22, ack))
        s.sendall(frame(0x2a, struct.pack('<III', ref, ref, ref)))
        count("another's call", 4)
    s.sendall(frame(0))
    ids = told(s, 60, 0x100)
    if None in ids:
        wrong.append('the hostile phone was thrown out for what should only be counted')
    elif 0x100 not in ids:
        wrong.append('no keepalive answer after malformed messages')
    s.close()


def tls(args):
    hello = client_hello()
    for n in (2, 5, 50, len(hello)):
        s = socket.create_connection((args.host, args.clear), timeout=60)
        s.sendall(hello[:n])
        count('TLS to the clear port')
        if None not in told(s, 60):
            wrong.append(f'{n} bytes of TLS were kept on the clear port')
        s.close()
    for data in (register('SEP0A1B2C3D4E70'), b'GET / HTTP/1.0\r\n\r\n', b'\0' * 64, rnd.randbytes(500)):
        s = socket.create_connection((args.host, args.tls), timeout=60)
        s.sendall(data)
        count('clear text to the TLS port')
        if None not in told(s, 60):
            wrong.append('clear text was kept on the TLS port')
        s.close()
    for i in range(30):  # broken hellos
        bad = bytearray(hello)
        for _ in range(4):
            bad[rnd.randrange(5, len(bad))] = rnd.randrange(256)
        s = socket.create_connection((args.host, args.tls), timeout=60)
        s.sendall(bad)
        count('broken hello')
        s.close()
    half = []
    for i in range(60):
        s = socket.create_connection((args.host, args.tls), timeout=60)
        s.sendall(hello[:rnd.randrange(1, len(hello))] if i % 2 else hello)
        half.append(s)
    count('half handshakes', len(half))
    start = time.monotonic()
    for s in half:
        if None not in told(s, max(0.1, args.handshake + 90 - (time.monotonic() - start))):
            wrong.append('half a handshake was kept')
            break
    for cert in ('none', 'stranger'):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
        if cert == 'stranger':
            ctx.load_cert_chain(args.stranger)
        count(f'certificate: {cert}')
        try:
            s = ctx.wrap_socket(socket.create_connection((args.host, args.tls), timeout=60))
            s.sendall(register(args.victim))
            if 0x81 in told(s, 3):
                wrong.append(f'registered with certificate: {cert}')
        except OSError:
            pass


def client_hello():
    inc, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    o = ctx.wrap_bio(inc, out, server_hostname='ravelin')
    try:
        o.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


# --- frames on the wire ---

class Wire:
    """Whole frames into an interface, paced so that only their content does harm."""

    def __init__(self, ifname, rate=900):
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.s.bind((ifname, 0))
        self.rate = rate
        self.due = time.monotonic()

    def send(self, what, data):
        self.due = max(self.due, time.monotonic() - 0.02) + 1 / self.rate
        while (left := self.due - time.monotonic()) > 0:
            time.sleep(left)
        try:
            self.s.send(data[:1514])
            count(what)
        except OSError as e:
            wrong.append(f'{what}: {e}')


def csum(data):
    if len(data) % 2:
        data += b'\0'
    n = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff


def ip4(eth, src, dst, proto, payload, frag=0, ttl=64, ihl=5, total=None, ver=4):
    h = struct.pack('!BBHHHBBH4s4s', ver << 4 | ihl, 0, 20 + len(payload) if total is None else total, rnd.randrange(65536),
                    frag, ttl, proto, 0, socket.inet_aton(src), socket.inet_aton(dst))
    h = h[:10] + struct.pack('!H', csum(h)) + h[12:]
    return eth + h + payload


def udp(sport, dport, payload, length=None):
    return struct.pack('!HHHH', sport, dport, 8 + len(payload) if length is None else length, 0) + payload


def toward(capture, ip):
    """Frames of the capture that go to 'ip' (IPv4), and their Ethernet header."""
    dst = socket.inet_aton(ip)
    frames = [f for f in wire.packets(capture) if f[12:14] == b'\x08\x00' and f[30:34] == dst]
    if not frames:
        raise SystemExit(f'{capture}: nothing goes to {ip}')
    return frames, frames[-1][:14]


def rtp_garbage(n):
    for _ in range(n):
        kind = rnd.randrange(8)
        size = rnd.choice((0, 1, 11, 12, 13, 27, 28, 60, 172, 182, 700, 1400))
        p = bytearray(rnd.randbytes(size))
        if size and kind:
            p[0] = (0x80, 0x8f, 0x90, 0xa0, 0xbf, 0x81, 0x40)[kind - 1]  # CSRCs, extension, padding that lie
        if size > 1 and kind % 2:
            p[1] = rnd.choice((0, 8, 200, 201, 202, 203, 204, 205))
        yield bytes(p)


def live(args, w, dport):
    """What the phone sends, again while it is fresh, and forged packets of the number that comes next."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((args.interface, 0))
    s.settimeout(30)
    dst, seen = socket.inet_aton(args.ip), set()
    end = time.monotonic() + 5
    while time.monotonic() < end:
        f = s.recv(2048)
        if len(f) < 200 or f[23] != 17 or f[30:34] != dst or f[36:38] != struct.pack('!H', dport) or f in seen:
            continue
        src, _, sport, _, payload = wire.udp(f)
        after = bytearray(f)
        after[44:46] = struct.pack('!H', (struct.unpack('!H', f[44:46])[0] + 1) & 0xffff)
        after = bytes(after)
        other = ip4(f[:14], src, args.ip, 17, udp(sport + 2, dport, payload))
        seen.update((f, after, other))
        w.send('fresh SRTP again', f)
        w.send('fresh SRTP again, other source', other)
        w.send('forged SRTP of the next number', after)


def media(args):
    w = Wire(args.interface)
    frames, eth = toward(args.capture, args.ip)
    streams = [f for f in frames if f[23] == 17 and len(f) > 200]
    rtcp = [f for f in frames if f[23] == 17 and 60 < len(f) <= 200]
    if len(streams) < 100:
        raise SystemExit('no call in the capture')
    src, dst, sport, dport, _ = wire.udp(streams[0])
    if args.part == 'replay':
        live(args, w, dport)
        for f in streams[-400:]:
            w.send('replayed SRTP', f)
        for f in rtcp:
            w.send('replayed SRTCP', f)
        for f in streams[-200:]:  # from another source
            w.send('replayed SRTP, other source', ip4(eth, src, dst, 17, udp(sport + 2, dport, f[42:])))
            w.send('replayed SRTP, other address', ip4(eth, '10.77.1.77', dst, 17, udp(sport, dport, f[42:])))
        for f in streams[-300:]:
            bad = bytearray(f)
            bad[rnd.randrange(42, len(f))] ^= 1 << rnd.randrange(8)
            w.send('one bit changed', bytes(bad))
        for f in streams[-100:]:
            ahead = bytearray(f)  # a sequence number far ahead must not move the window
            seq = struct.unpack('!H', f[44:46])[0]
            ahead[44:46] = struct.pack('!H', (seq + rnd.randrange(1000, 30000)) & 0xffff)
            w.send('sequence far ahead', bytes(ahead))
        return
    for p in rtp_garbage(1200):
        w.send('RTP garbage', ip4(eth, src, dst, 17, udp(sport, dport, p)))
        w.send('RTCP garbage', ip4(eth, src, dst, 17, udp(sport + 1, dport + 1, p)))
        w.send('garbage, other source', ip4(eth, src, dst, 17, udp(rnd.randrange(1024, 65536), dport, p)))
    for p in rtp_garbage(300):
        w.send('garbage to ports without a leg', ip4(eth, src, dst, 17, udp(sport, rnd.randrange(16384, 32768) | 1, p)))
        w.send('UDP length lies', ip4(eth, src, dst, 17, udp(sport, dport, p, rnd.choice((0, 7, 9, 5000, 65535)))))


def esp(args):
    w = Wire(args.interface)
    frames, eth = toward(args.capture, args.ip)
    real = [f for f in frames if f[23] == 50]
    if not real:
        raise SystemExit('no ESP in the capture')
    src = socket.inet_ntoa(real[0][26:30])
    spi = real[0][34:38]
    top = max(struct.unpack('!I', f[38:42])[0] for f in real)
    for f in real * 10:
        w.send('replayed ESP', f)
    for f in real * 10:
        w.send('replayed ESP in UDP', ip4(eth, src, args.ip, 17, udp(4500, 4500, f[34:])))
    for n in range(40):
        for size in (0, 1, 4, 7, 8, 15, 16, 23, 24, 36, 37, 200, 1400):
            body = rnd.randbytes(size)
            w.send('ESP noise', ip4(eth, src, args.ip, 50, body))
            w.send('ESP, known SPI, noise', ip4(eth, src, args.ip, 50, spi + struct.pack('!I', top + 1 + n) + body))
            w.send('ESP in UDP, noise', ip4(eth, src, args.ip, 17, udp(4500, 4500, rnd.choice((b'', spi)) + body)))
    for f in real * 5:
        bad = bytearray(f)
        bad[rnd.randrange(38, len(f))] ^= 1
        w.send('ESP, one bit changed', bytes(bad))
        w.send('ESP cut short', ip4(eth, src, args.ip, 50, f[34:rnd.randrange(35, len(f))]))
    for _ in range(20):
        w.send('keepalive of NAT', ip4(eth, src, args.ip, 17, udp(4500, 4500, b'\xff')))
        w.send('IKE', ip4(eth, src, args.ip, 17, udp(500, 500, rnd.randbytes(300))))
        w.send('IKE on 4500', ip4(eth, src, args.ip, 17, udp(4500, 4500, bytes(4) + rnd.randbytes(300))))
    for text in ('RSIP 1 *@gw1.example MGCP 1.0\r\nRM: forced\r\n',
                 'RSIP 2 aaln/S1/SU0/0@gw1.example MGCP 1.0\r\nRM: disconnected\r\n',
                 'DLCX 3 aaln/S1/SU0/0@gw1.example MGCP 1.0\r\nE: 900\r\n',
                 'NTFY 4 aaln/S1/SU0/0@gw1.example MGCP 1.0\r\nX: 1\r\nO: L/hu\r\n',
                 '200 1 OK\r\n', '500 2 gone\r\n', '250 3 OK\r\n'):
        for n in range(20):
            p = udp(2427, 2727, text.encode())
            w.send('MGCP in clear', ip4(eth, src, args.ip, 17, p))
            w.send('MGCP of a stranger', ip4(eth, '10.77.2.66', args.ip, 17, udp(2427, 2727, text.encode())))
            cut = text.encode()[:rnd.randrange(0, len(text))] + rnd.randbytes(rnd.randrange(0, 40))
            w.send('MGCP garbage', ip4(eth, src, args.ip, 17, udp(2427, 2727, cut)))


def frames(args):
    w = Wire(args.interface)
    _, eth = toward(args.capture, args.ip)
    src = args.source
    for proto in (0, 1, 2, 6, 17, 41, 47, 50, 51, 58, 89, 132, 255):
        for ihl, total, ver in ((5, 0, 4), (5, 19, 4), (5, 65535, 4), (4, None, 4), (0, None, 4), (15, None, 4), (5, None, 6),
                                (5, None, 15), (5, 21, 4), (6, 24, 4)):
            for size in (0, 1, 7, 8, 30):
                w.send('IPv4 that lies', ip4(eth, src, args.ip, proto, rnd.randbytes(size), ihl=ihl, total=total, ver=ver))
    for frag in (0x2000, 0x2001, 0x1fff, 0x0001, 0x3fff):
        for _ in range(20):
            w.send('IPv4 fragment', ip4(eth, src, args.ip, rnd.choice((17, 50, 1)), rnd.randbytes(rnd.randrange(0, 200)), frag=frag))
    for size in (0, 1, 3, 4, 7, 8, 64, 1400):
        for t in (0, 3, 5, 8, 13, 17, 255):
            w.send('ICMP', ip4(eth, src, args.ip, 1, bytes([t, 0]) + rnd.randbytes(size)))
    for size in (0, 1, 8, 20, 27, 28, 46):
        for _ in range(10):
            w.send('ARP noise', eth[:12] + b'\x08\x06' + rnd.randbytes(size))
    arp = struct.pack('!HHBBH', 1, 0x800, 6, 4, 1) + eth[6:12] + socket.inet_aton(src) + bytes(6) + socket.inet_aton(args.ip)
    for n in range(len(arp)):
        w.send('ARP cut short', eth[:12] + b'\x08\x06' + arp[:n])
    for mac in (b'\xff' * 6, b'\x01\x00\x5e\x00\x00\x01', b'\x33\x33\x00\x00\x00\x01'):  # the call's party behind a group address
        for op in (1, 2):
            for to in (args.ip, src):
                who = struct.pack('!HHBBH', 1, 0x800, 6, 4, op) + mac + socket.inet_aton(src) + bytes(6) + socket.inet_aton(to)
                w.send('ARP with a group address', eth[:12] + b'\x08\x06' + who)
    for i in range(200):  # requests of hosts that are not there fill no table
        who = struct.pack('!HHBBH', 1, 0x800, 6, 4, 1) + bytes([2, 0, 0, 0, 9, i]) + socket.inet_aton(f'10.77.1.{20 + i}')
        w.send('ARP of many', eth[:6] + bytes([2, 0, 0, 0, 9, i]) + b'\x08\x06' + who + bytes(6) + socket.inet_aton(args.ip))
    for size in range(0, 14):
        w.send('runt', eth[:12] + rnd.randbytes(size + 2))
    for et in (0x8100, 0x88a8, 0x8847, 0x8864, 0x0000, 0xffff, 0x05dc):
        for _ in range(5):
            w.send('other ethertype', eth[:12] + struct.pack('!H', et) + rnd.randbytes(60))
    # IPv6, by scapy: headers in chains, options that have no length, fragments
    from scapy.all import (Ether, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting,
                           ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6NDOptSrcLLAddr, Raw, UDP, raw)
    src6, dst6 = '2001:db8:1::10', args.ip6
    base = Ether(src=eth[6:12], dst=eth[:6]) / IPv6(src=src6, dst=dst6)
    base[Ether].type = 0x86dd
    some = [
        base / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting() / UDP(dport=16384) / Raw(bytes(40)),
        base / IPv6ExtHdrFragment(offset=0, m=1) / UDP(dport=16384) / Raw(bytes(100)),
        base / IPv6ExtHdrFragment(offset=100, m=0) / Raw(bytes(100)),
        base / ICMPv6EchoRequest(data=bytes(1300)),
        base / ICMPv6EchoRequest(cksum=0x1234),
        base / ICMPv6ND_NS(tgt=dst6) / Raw(b'\x01\x00' + bytes(6)),  # option of length 0
        base / ICMPv6ND_NS(tgt=dst6) / Raw(b'\x01\xff' + bytes(6)),
        base / ICMPv6ND_NS(tgt='ff02::1') / ICMPv6NDOptSrcLLAddr(lladdr='ff:ff:ff:ff:ff:ff'),
        base / ICMPv6ND_NA(tgt=src6, R=1, S=1, O=1) / Raw(b'\x02\x00'),
        base / ICMPv6ND_RA() / Raw(b'\x03\x04' + bytes(30)),
        base / UDP(dport=16384, len=3) / Raw(bytes(20)),
        base / UDP(dport=16384, chksum=0) / Raw(bytes(20)),
    ]
    for p in some:
        b = raw(p)
        for _ in range(5):
            w.send('IPv6', b)
        for n in range(14, min(len(b), 140), 3):
            w.send('IPv6 cut short', b[:n])
        for _ in range(40):
            bad = bytearray(b)
            for _ in range(3):
                bad[rnd.randrange(14, len(bad))] = rnd.randrange(256)
            if bytes(bad[38:54]) == b[38:54]:  # still to us
                w.send('IPv6 broken', bytes(bad))


# --- local sockets ---

def unix(args):
    for n in range(30):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(30)
        try:
            s.connect(args.dataplane)
            for _ in range(5):
                s.send(rnd.randbytes(rnd.randrange(1, 3000)))
                s.send(struct.pack('<HHI', rnd.randrange(1, 14), rnd.randrange(0, 600), 1) + rnd.randbytes(rnd.randrange(0, 600)))
            s.recv(100)
        except OSError:
            pass
        s.close()
        count('second controlplane')
    held = []
    for data in (b'\0' * 100, b'{"cmd":', b'[' * 100000 + b'\n', b'{"a":' * 50000 + b'\n', b'{"cmd":"no.such","args":{}}\n',
                 b'{"cmd":"show.calls","args":[1]}\n', b'{"cmd":"call.hangup","args":{"id":"x"}}\n', b'\xff\xfe\xfd\n',
                 b'{"cmd":"call.hangup","args":{"id":1e99}}\n', b'{"cmd":"device.add","args":{"name":"' + b'A' * 5000 + b'"}}\n',
                 b'{"cmd":"session.add","args":{"leg_a":{"remote":"x"},"leg_b":null}}\n', b'null\n', b'""\n', b'\n' * 1000,
                 b'{"cmd":"\\u0000show.calls"}\n', b'x' * 3000000):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(30)
        answer = b''
        try:
            s.connect(args.admin)
            s.sendall(data)
            if data.endswith(b'\n'):
                answer = s.recv(65536)
        except OSError:
            pass
        if b'"ok":true' in answer.replace(b' ', b''):
            wrong.append(f'admin socket: {data[:60]!r} was taken')
        held.append(s)
        count('admin garbage')
    for _ in range(40):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(30)
        try:
            s.connect(args.admin)
            s.sendall(rnd.randbytes(rnd.randrange(1, 5000)))
        except OSError:
            pass
        s.close()
        count('admin noise')


def main():
    p = argparse.ArgumentParser()
    sub = p.add_subparsers(dest='cmd', required=True)
    c = sub.add_parser('sccp')
    c.add_argument('host')
    c.add_argument('port', type=int)
    c.add_argument('--cert')
    c.add_argument('--name')
    c.add_argument('--victim', required=True)
    c.add_argument('--callref', type=int, nargs='*', default=[])
    c = sub.add_parser('tls')
    c.add_argument('host')
    c.add_argument('clear', type=int)
    c.add_argument('tls', type=int)
    c.add_argument('--stranger', required=True)
    c.add_argument('--victim', required=True)
    c.add_argument('--handshake', type=float, required=True)
    for name in ('media', 'esp', 'frames'):
        c = sub.add_parser(name)
        c.add_argument('interface')
        c.add_argument('capture')
        c.add_argument('ip')
        if name == 'media':
            c.add_argument('--part', choices=('replay', 'garbage'), required=True)
        if name == 'frames':
            c.add_argument('ip6')
            c.add_argument('--source', required=True)
    c = sub.add_parser('unix')
    c.add_argument('dataplane')
    c.add_argument('admin')
    args = p.parse_args()
    {'sccp': sccp, 'tls': tls, 'media': media, 'esp': esp, 'frames': frames, 'unix': unix}[args.cmd](args)
    print(json.dumps({'sent': sent, 'wrong': wrong}))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
