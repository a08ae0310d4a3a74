#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Looks at captures with eyes of its own (no library but Python's): what must not be on the wire, and streams.

wire.py secrets CAPTURE... --keys FILE... --played FILE...
    exit 1 if a capture holds a key of the key files in raw, hex or base64 (any alignment), 32 octets of a
    played frame in clear, or MGCP text. Prints what was looked for and found as JSON.
wire.py keys CAPTURE... --keys FILE...
    the keys only: exit 1 if one of the key files is in a capture in raw, hex or base64.
wire.py extract CAPTURE --from IP --to IP --min-len N
    writes the UDP payloads of the largest RTP stream between two addresses: one hex line each.
wire.py resend CAPTURE INTERFACE --before TIME --to-ip IP
    sends the captured UDP frames that were sent to IP before TIME once more, as they were; prints how many.
wire.py gap CAPTURE --from IP --to IP --at TIME
    the RTP stream between two addresses around a moment: packets before and after it, how long it took to come
    back, and how many sequence numbers were seen twice (as JSON; extended, so a wrap is no repetition).
wire.py replay FILE PORT --speed N
    sends these lines to 127.0.0.1:PORT at N times 20 ms.
"""
import argparse
import base64
import json
import re
import socket
import struct
import sys
import time


def timed_packets(path):
    """(time, frame) of a classic pcap file, either byte order."""
    with open(path, 'rb') as f:
        data = f.read()
    magic = data[:4]
    if magic in (b'\xd4\xc3\xb2\xa1', b'\x4d\x3c\xb2\xa1'):
        order = '<'
    elif magic in (b'\xa1\xb2\xc3\xd4', b'\xa1\xb2\x3c\x4d'):
        order = '>'
    else:
        raise SystemExit(f'{path}: not a pcap file')
    off = 24
    while off + 16 <= len(data):
        sec, frac, incl = struct.unpack(order + 'III', data[off:off + 12])
        unit = 1e-9 if magic in (b'\x4d\x3c\xb2\xa1', b'\xa1\xb2\x3c\x4d') else 1e-6
        yield sec + frac * unit, data[off + 16:off + 16 + incl]
        off += 16 + incl


def packets(path):
    return (frame for _, frame in timed_packets(path))


def udp(frame):
    """(source, destination, source port, destination port, payload) of an IPv4 UDP frame, or None."""
    if len(frame) < 42 or frame[12:14] != b'\x08\x00' or frame[14] >> 4 != 4 or frame[23] != 17:
        return None
    ihl = (frame[14] & 15) * 4
    p = 14 + ihl
    sport, dport, length = struct.unpack('!HHH', frame[p:p + 6])
    return (socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34]), sport, dport,
            frame[p + 8:p + length])


def needles(key):
    """The forms in which a key could lie in a capture: label -> bytes."""
    out = {'raw': key, 'hex': key.hex().encode(), 'HEX': key.hex().upper().encode()}
    for shift in range(3):
        text = base64.b64encode(b'\0' * shift + key + b'\0' * 3)
        skip = 0 if shift == 0 else shift + 1          # characters that depend on what stands before
        whole = (shift + len(key)) * 8 // 6            # characters that depend on the key alone
        out[f'base64+{shift}'] = text[skip:whole]
    return out


def read_keys(paths):
    keys = set()
    for path in paths:
        with open(path) as f:
            for word in re.findall(r'\b[0-9a-fA-F]{28,}\b', f.read()):
                if len(word) % 2 == 0:
                    raw = bytes.fromhex(word)
                    keys.add(raw)
                    keys.add(raw[:16])  # key without its salt
    return keys


def find_keys(keys, path, whole, found):
    for key in keys:
        for form, needle in needles(key).items():
            if len(needle) >= 12 and needle in whole:
                found.append(f'{path}: a {len(key)}-octet key in use as {form}')


def keys_only(args):
    keys = read_keys(args.keys)
    found = []
    octets = 0
    for path in args.captures:
        whole = b'\n'.join(packets(path))
        octets += len(whole)
        find_keys(keys, path, whole, found)
    print(json.dumps({'octets': octets, 'keys': len(keys), 'found': found[:20]}))
    if not keys or octets == 0:
        sys.exit('nothing to look for, or nothing to look at: this check would pass on anything')
    sys.exit(1 if found else 0)


def secrets(args):
    keys = read_keys(args.keys)
    speech = set()
    for path in args.played:
        with open(path, 'rb') as f:
            data = f.read()
        for i in range(0, len(data) - 160, 160):
            piece = data[i + 64:i + 96]
            if len(set(piece)) > 12:  # silence says nothing
                speech.add(piece)
    found = []
    mgcp = re.compile(rb'\b(EPCF|CRCX|MDCX|DLCX|RQNT|NTFY|AUEP|AUCX|RSIP) \d{1,9} |a=(X-)?crypto|\bMGCP [01]\.\d')
    frames = octets = rtp_len = 0
    for path in args.captures:
        blob = []
        for n, frame in enumerate(packets(path)):
            frames += 1
            octets += len(frame)
            blob.append(frame)
            m = mgcp.search(frame)
            if m:
                found.append(f'{path} frame {n + 1}: MGCP text {m.group(0)!r}')
            d = udp(frame)
            if d is not None:
                if len(d[4]) == 172 and d[4][0] >> 6 == 2 and d[4][1] & 0x7f in (0, 8):
                    found.append(f'{path} frame {n + 1}: the size of plain RTP')
                rtp_len += len(d[4]) > 172
                for i in range(len(d[4]) - 32):
                    if d[4][i:i + 32] in speech:
                        found.append(f'{path} frame {n + 1}: speech in clear')
                        break
        whole = b'\n'.join(blob)
        find_keys(keys, path, whole, found)
    print(json.dumps({'frames': frames, 'octets': octets, 'keys': len(keys), 'speech_pieces': len(speech),
                      'media_packets': rtp_len, 'found': found[:20]}))
    if not keys or not speech or rtp_len == 0:
        sys.exit('nothing to look for, or no media: this check would pass on anything')
    sys.exit(1 if found else 0)


def extract(args):
    streams = {}
    for frame in packets(args.capture):
        d = udp(frame)
        if d is None or d[0] != args.source or d[1] != args.to or len(d[4]) < args.min_len or d[4][0] >> 6 != 2:
            continue
        if 64 <= d[4][1] & 0x7f <= 95:
            continue  # RTCP (RFC 5761)
        streams.setdefault((d[2], d[3], d[4][8:12]), []).append(d[4])
    if not streams:
        sys.exit('no such stream')
    for payload in max(streams.values(), key=len):
        print(payload.hex())


def resend(args):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((args.interface, 0))
    n = 0
    for t, frame in timed_packets(args.capture):
        d = udp(frame)
        if t < args.before and d is not None and d[1] == args.to_ip:
            s.send(frame)
            n += 1
            if n % 50 == 0:
                time.sleep(0.01)
    print(n)


def gap(args):
    before = after = twice = 0
    last_before = first_after = None
    back = -1
    seen = set()
    ext = None
    for t, frame in timed_packets(args.capture):
        d = udp(frame)
        if d is None or d[0] != args.source or d[1] != args.to or len(d[4]) < 172 or d[4][0] >> 6 != 2:
            continue
        seq = struct.unpack('!H', d[4][2:4])[0]
        key = d[4][8:12]
        ext = 65536 + seq if ext is None else ext + ((seq - ext + 32768) % 65536 - 32768)
        twice += (key, ext) in seen
        seen.add((key, ext))
        if t < args.at:
            before += 1
            last_before = max(ext, last_before or 0)
        else:
            after += 1
            if first_after is None:
                first_after = ext
                back = t - args.at
    print(json.dumps({'before': before, 'after': after, 'last_before': last_before, 'first_after': first_after,
                      'back_s': round(back, 3), 'twice': twice}))


def replay(args):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with open(args.file) as f:
        lines = [bytes.fromhex(line) for line in f]
    start = time.monotonic()
    for i, payload in enumerate(lines):
        wait = start + i * 0.02 / args.speed - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        s.sendto(payload, ('127.0.0.1', args.port))


if __name__ == '__main__':
    p = argparse.ArgumentParser()
    sub = p.add_subparsers(required=True)
    a = sub.add_parser('secrets')
    a.add_argument('captures', nargs='+')
    a.add_argument('--keys', nargs='+', required=True)
    a.add_argument('--played', nargs='+', required=True)
    a.set_defaults(fn=secrets)
    a = sub.add_parser('keys')
    a.add_argument('captures', nargs='+')
    a.add_argument('--keys', nargs='+', required=True)
    a.set_defaults(fn=keys_only)
    a = sub.add_parser('extract')
    a.add_argument('capture')
    a.add_argument('--from', dest='source', required=True)
    a.add_argument('--to', required=True)
    a.add_argument('--min-len', type=int, default=100)
    a.set_defaults(fn=extract)
    a = sub.add_parser('resend')
    a.add_argument('capture')
    a.add_argument('interface')
    a.add_argument('--before', type=float, required=True)
    a.add_argument('--to-ip', required=True)
    a.set_defaults(fn=resend)
    a = sub.add_parser('gap')
    a.add_argument('capture')
    a.add_argument('--from', dest='source', required=True)
    a.add_argument('--to', required=True)
    a.add_argument('--at', type=float, required=True)
    a.set_defaults(fn=gap)
    a = sub.add_parser('replay')
    a.add_argument('file')
    a.add_argument('port', type=int)
    a.add_argument('--speed', type=float, default=1)
    a.set_defaults(fn=replay)
    args = p.parse_args()
    args.fn(args)
