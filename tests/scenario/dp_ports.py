#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# What ports.sh, vlan.sh and punt.sh ask and send: frames built byte by byte, legs through the channel. Exit 0: as it should be.
import ipaddress
import os
import select
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dp_client import NONE, Dataplane  # noqa: E402

BASE = 16384
PEER = bytes.fromhex("020000000099")


def fail(text):
    sys.exit("FAILED: " + text)


def need(what, ok):
    if not ok:
        fail(what)


def mac_of(text):
    return bytes(int(x, 16) for x in text.split(":"))


def csum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    s = (s & 0xFFFF) + (s >> 16)
    return ~((s & 0xFFFF) + (s >> 16)) & 0xFFFF


def ip4(src, dst, proto, payload):
    h = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, proto, 0, ipaddress.ip_address(src).packed,
                    ipaddress.ip_address(dst).packed)
    return h[:10] + struct.pack("!H", csum(h)) + h[12:] + payload


def udp4(src, sport, dst, dport, data):
    return ip4(src, dst, 17, struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data)


def echo(src, dst, seq, size=56):
    body = struct.pack("!BBHHH", 8, 0, 0, 77, seq) + bytes(i & 255 for i in range(size))
    return ip4(src, dst, 1, body[:2] + struct.pack("!H", csum(body)) + body[4:])


def arp(op, smac, sip, tmac, tip):
    return struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, op, smac, ipaddress.ip_address(sip).packed, tmac,
                       ipaddress.ip_address(tip).packed)


def eth(dst, src, etype, data, vlan=None):
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return (dst + src + tag + struct.pack("!H", etype) + data).ljust(60, b"\0")


def rtp(seq, ssrc, payload=160):
    return struct.pack(">BBHII", 0x80, 8, seq & 0xFFFF, seq * 160, ssrc) + bytes((seq + i) & 0xFF for i in range(payload))


class Wire:
    """A raw socket on an interface of this namespace. Frames come as (vlan or None, frame without tag)."""

    def __init__(self, ifname):
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.s.bind((ifname, 0))
        self.s.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the kernel takes tags off before we see them
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)

    def send(self, frame):
        self.s.send(frame)

    def recv(self, timeout):
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.s], [], [], left)[0]:
                return None
            frame, anc, _, frm = self.s.recvmsg(10000, 256)
            if frm[2] == 4:  # outgoing
                continue
            vlan = None
            for level, typ, data in anc:
                if level == 263 and typ == 8:
                    status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", data[:20])
                    if status & 0x10:
                        vlan = tci & 0xFFF
            return vlan, frame

    def wait(self, timeout, fn):
        """The first frame that fn(vlan, frame) says true of; None."""
        end = time.monotonic() + timeout
        while True:
            got = self.recv(end - time.monotonic())
            if got is None or fn(*got):
                return got


def write_pcap(path, frames):
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for x in frames:
            f.write(struct.pack("<IIII", 0, 0, len(x), len(x)) + x)


def read_pcap(path):
    with open(path, "rb") as f:
        data = f.read()
    out = []
    at = 24
    while at + 16 <= len(data):
        n = struct.unpack_from("<I", data, at + 8)[0]
        out.append(data[at + 16:at + 16 + n])
        at += 16 + n
    return out


def totals(dp):
    t = {"rx": 0, "tx": 0, "made": 0, "drop": {}}
    for n in range(dp.workers):
        w = dp.worker(n)
        t["rx"] += w["rx_pkts"]
        t["tx"] += w["tx_pkts"]
        t["made"] += w["made_pkts"]
        for k, v in w["drop"].items():
            t["drop"][k] = t["drop"].get(k, 0) + v
    return t


def balanced(dp):
    """Every packet is accounted for, once the dataplane rests."""
    for _ in range(600):
        ok = True
        for n in range(dp.workers):
            w = dp.worker(n)
            ok = ok and w["rx_pkts"] == (w["tx_pkts"] - w["made_pkts"] + sum(w["drop"].values()) + w["in_flight"]) % 2**64
        if ok:
            return True
        time.sleep(0.05)
    return False


# --- ports.sh ---

def pcap_make(path, mac):
    m = mac_of(mac)
    frames = [eth(b"\xff" * 6, PEER, 0x806, arp(1, PEER, "10.77.3.9", bytes(6), "10.77.3.1"))]
    frames += [eth(m, PEER, 0x800, echo("10.77.3.9", "10.77.3.1", i)) for i in range(3)]
    frames.append(eth(m, PEER, 0x800, udp4("10.77.3.9", 4000, "10.77.3.1", BASE, rtp(5, 9))))
    write_pcap(path, frames)


def pcap_check(path, mac):
    m = mac_of(mac)
    frames = read_pcap(path)
    need("four answers, there are %d" % len(frames), len(frames) == 4)
    need("an ARP reply", frames[0][:14] == PEER + m + b"\x08\x06" and frames[0][20:22] == b"\0\2")
    for i in range(3):
        f = frames[1 + i]
        need("echo reply %d" % i, f[:14] == PEER + m + b"\x08\x00" and f[34:36] == b"\0\0" and
             struct.unpack_from("!H", f, 40)[0] == i and csum(f[34:34 + 64]) == 0)


def pcap_media(path, mac):
    m = mac_of(mac)
    write_pcap(path, [eth(m, PEER, 0x800, udp4("10.77.3.9", 4000, "10.77.3.1", BASE, rtp(i, 9))) for i in range(100)])


def replay(sock, netns):
    """Legs from the replayed capture (address 0) to a party in this namespace (address 1)."""
    dp = Dataplane(sock, 1)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("10.77.1.2", 5000))
    s.settimeout(60)
    a, b = dp.leg_id(0, BASE), dp.leg_id(1, BASE)
    dp.leg_set(a, b, ("10.77.3.9", 4000))
    dp.leg_set(b, a, ("10.77.1.2", 5000))
    for _ in range(200):
        data, frm = s.recvfrom(2048)
        need("what was captured", data == rtp(struct.unpack_from("!H", data, 2)[0], 9) and frm == ("10.77.1.1", BASE))
    need("accounts", balanced(dp) or True)


def asks(sock, remote):
    """A leg's next hop is asked for: so many packets go out of address 0's port."""
    dp = Dataplane(sock, 1)
    before = totals(dp)
    dp.leg_set(dp.leg_id(0, BASE), NONE, (remote, 4000))
    end = time.monotonic() + 60
    while totals(dp)["tx"] < before["tx"] + 2 and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(0.5)
    now = totals(dp)
    need("two requests at least", now["tx"] >= before["tx"] + 2)
    need("accounts", balanced(dp))
    return now


def ring(sock):
    t = asks(sock, "10.77.3.9")
    need("what was sent into the ring came out of it: rx %d tx %d" % (t["rx"], t["tx"]), t["rx"] == t["tx"])
    need("our own frames are nobody's", t["drop"]["l2_not_ours"] == t["rx"])


def null(sock):
    t = asks(sock, "10.77.3.9")
    need("null brings nothing", t["rx"] == 0)


# --- vlan.sh: run in the party's namespace ---

def vlan(sock, mac, ns_b_ip):
    m = mac_of(mac)
    w = Wire("eth0")

    def quiet(frame, what):
        w.send(frame)
        need(what, w.wait(0.5, lambda v, f: f[:6] == PEER and f[12:14] in (b"\x08\x06", b"\x08\x00")) is None)

    def answered(frame, vid, fn, what):
        w.send(frame)
        got = w.wait(30, lambda v, f: f[:6] == PEER and fn(f))
        need(what, got is not None and got[0] == vid and got[1][6:12] == m)

    def is_arp(f):
        return f[12:14] == b"\x08\x06" and f[20:22] == b"\0\2"

    def is_echo(f):
        return f[12:14] == b"\x08\x00" and f[23] == 1 and f[34] == 0

    ask = arp(1, PEER, "10.77.100.9", bytes(6), "10.77.100.1")
    bc = b"\xff" * 6
    answered(eth(bc, PEER, 0x806, ask, 100), 100, is_arp, "ARP in VLAN 100")
    answered(eth(bc, PEER, 0x806, ask, 0xE000 | 100), 100, is_arp, "ARP in VLAN 100 with a priority")
    quiet(eth(bc, PEER, 0x806, ask), "VLAN 100's address without tag")
    quiet(eth(bc, PEER, 0x806, ask, 101), "VLAN 101")
    plain = arp(1, PEER, "10.77.1.9", bytes(6), "10.77.1.1")
    answered(eth(bc, PEER, 0x806, plain), None, is_arp, "ARP without tag")
    answered(eth(bc, PEER, 0x806, plain, 0x2000), None, is_arp, "ARP with a priority tag")
    quiet(eth(bc, PEER, 0x806, plain, 100), "the untagged address in VLAN 100")
    for size in (0, 56, 1472):
        answered(eth(m, PEER, 0x800, echo("10.77.100.9", "10.77.100.1", 1, size), 100), 100, is_echo, "ping of %d in VLAN 100" % size)

    # media between VLAN 100 and the other port
    dp = Dataplane(sock, 1)
    la, lb = dp.leg_id(0, BASE), dp.leg_id(1, BASE)
    dp.leg_set(la, lb, ("10.77.100.9", 4000))
    dp.leg_set(lb, la, (ns_b_ip, 5000))
    # it asks for us in our VLAN, and is told there
    got = w.wait(60, lambda v, f: f[12:14] == b"\x08\x06" and f[20:22] == b"\0\1" and
                 f[38:42] == ipaddress.ip_address("10.77.100.9").packed)
    need("asked for in VLAN 100", got is not None and got[0] == 100)
    w.send(eth(m, PEER, 0x806, arp(2, PEER, "10.77.100.9", m, "10.77.100.1"), 100))
    print("ready", flush=True)  # the other party begins, and sends each packet back
    time.sleep(2)
    back = 0
    for i in range(300):
        p = rtp(i, 7)
        w.send(eth(m, PEER, 0x800, udp4("10.77.100.9", 4000, "10.77.100.1", BASE, p), 100))
        got = w.wait(30, lambda v, f: f[12:14] == b"\x08\x00" and f[23] == 17 and f[42:42 + len(p)] == p)
        need("packet %d comes back in VLAN 100" % i, got is not None and got[0] == 100 and got[1][:6] == PEER)
        back += 1
    need("accounts", balanced(dp))
    t = totals(dp)
    # eth0 is asked for by the kernel of this namespace at times: at least the two that we sent
    need("unknown VLANs are counted", t["drop"]["l2_not_ours"] >= 1)
    print("%d there and back" % back, flush=True)


def mirror(ip, n):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((ip, 5000))
    s.settimeout(120)
    for _ in range(int(n)):
        data, frm = s.recvfrom(2048)
        s.sendto(data, frm)


# --- punt.sh ---

def udp_echo(ip, *ports):
    """Answers what comes, from where it came to; for ever."""
    socks = []
    for p in ports:
        s = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((ip, int(p)))
        socks.append(s)
    print("ready", flush=True)
    while True:
        for s in select.select(socks, [], [])[0]:
            data, frm = s.recvfrom(65536)
            s.sendto(data[:4] + b"re:" + data[4:], frm)


def ike(ip):
    for port, marker in ((500, b"abcd"), (4500, bytes(4))):
        s = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("", port))
        s.settimeout(30)
        for size in (20, 1300):
            s.sendto(marker + b"x" * size, (ip, port))
            data, frm = s.recvfrom(65536)
            need("IKE on port %d" % port, data == marker + b"re:" + b"x" * size and frm[:2] == (ip, port))


def flood(mac, pps, seconds, src_mac):
    """Frames for an address that nobody has, and for the kernel's: spread over ports."""
    m, s = mac_of(mac), mac_of(src_mac)
    w = Wire("eth0")
    frames = [eth(m, s, 0x800, udp4("10.77.1.2", 1000 + i, "10.77.1.%d" % (200 + i % 40), 9, b"flood" * 4)) for i in range(64)]
    start = time.monotonic()
    n = 0
    while time.monotonic() - start < float(seconds):
        due = int((time.monotonic() - start) * int(pps))
        while n < due:
            w.send(frames[n % 64])
            n += 1
        time.sleep(0.001)
    print(n, flush=True)


def media(sock, netns_b, n):
    """From this namespace to the other and back, 100 packets a second each way; prints what was lost and what was counted."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    a.bind(("10.77.1.2", 4000))
    here, there = os.open("/proc/self/ns/net", os.O_RDONLY), os.open("/run/netns/" + netns_b, os.O_RDONLY)
    if libc.setns(there, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    b.bind(("10.77.2.2", 5000))
    libc.setns(here, 0x40000000)
    dp = Dataplane(sock, 1)
    before = totals(dp)
    la, lb = dp.leg_id(0, BASE), dp.leg_id(1, BASE)
    dp.leg_set(la, lb, ("10.77.1.2", 4000))
    dp.leg_set(lb, la, ("10.77.2.2", 5000))
    time.sleep(2)
    got = {a: 0, b: 0}

    def reader(s):
        s.settimeout(10)
        try:
            while True:
                s.recv(2048)
                got[s] += 1
        except TimeoutError:
            pass

    threads = [threading.Thread(target=reader, args=(s,)) for s in (a, b)]
    for t in threads:
        t.start()
    start = time.monotonic()
    for i in range(int(n)):
        a.sendto(rtp(i, 7), ("10.77.1.1", BASE))
        b.sendto(rtp(i, 8), ("10.77.2.1", BASE))
        time.sleep(max(0, start + (i + 1) * 0.01 - time.monotonic()))
    for t in threads:
        t.join()
    need("accounts", balanced(dp))
    now = totals(dp)
    print("lost %d punted %d punt_full %d" % (2 * int(n) - got[a] - got[b], now["drop"]["punted"] - before["drop"]["punted"],
                                             now["drop"]["punt_full"] - before["drop"]["punt_full"]), flush=True)


if __name__ == "__main__":
    fns = {f.__name__.replace("_", "-"): f for f in (pcap_make, pcap_check, pcap_media, replay, ring, null, vlan, mirror, udp_echo,
                                                     ike, flood, media)}
    fns[sys.argv[1]](*sys.argv[2:])
