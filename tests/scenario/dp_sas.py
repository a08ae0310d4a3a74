# SPDX-License-Identifier: BSD-3-Clause
# The part of dp_client.py that is about gateways: SAs, gateways, MGCP commands over the dataplane's channel (dataplane/api/dp_msg.h).
import os
import struct
import time

from dp_client import DROPS, REPLY, STAGES, Dataplane, Refused, sockaddr

SA_SET, SA_DEL, GW_SET, GW_DEL, MGCP_CMD, MGCP_ASK = 5, 7, 8, 9, 10, 28
MGCP_DONE, MGCP_EVENT, SA_EVENT = 97, 98, 99
IN, OUT = 0, 1
TUNNEL, TRANSPORT = 1, 2
EPCF, CRCX, RQNT, AUEP = 1, 2, 5, 7
ANSWERED = 0
KEYS_CLEAR, CLEAR, PIGGYBACK = 1, 2, 32
HASHES = (("sha1", 20, 96), ("sha256", 32, 128), ("sha384", 48, 192), ("sha512", 64, 256))


class Alg:
    """One of dp_esp.h's table: lengths in bytes, the ICV in bits."""

    def __init__(self, number, name, cipher, key, salt, hash_name, auth, icv):
        self.number, self.name, self.cipher, self.key, self.salt = number, name, cipher, key, salt
        self.hash, self.auth, self.icv = hash_name, auth, icv


def algs():
    out = []

    def add(*what):
        out.append(Alg(len(out) + 1, *what))

    def gcm(bits, icv):
        add(f"aes-gcm-{bits}" + (f"-{icv}" if icv != 16 else ""), "gcm", bits // 8, 4, None, 0, icv * 8)

    def hmacs(name, cipher, key, salt):
        for h, auth, icv in HASHES:
            add(f"{name}-{h}", cipher, key, salt, h, auth, icv)

    gcm(128, 16)
    for cipher, salt in (("cbc", 0), ("ctr", 4)):
        for bits in (128, 192, 256):
            hmacs(f"aes-{cipher}-{bits}", cipher, bits // 8, salt)
    for icv in (16, 12, 8):
        for bits in (128, 192, 256):
            if (icv, bits) != (16, 128):
                gcm(bits, icv)
    hmacs("3des-cbc", "3des", 24, 0)
    hmacs("null", "null", 0, 0)
    return {a.name: a for a in out}


class Gateways(Dataplane):
    def sa_set(self, sa_id, spi, gw_id, direction, alg, mode, local, remote, key, salt=b"", auth=b"", esn=0, udp=0, sel_local=None,
               sel_remote=None, plens=(0, 0), proto=0, window=0, floor=0, limit=1 << 40, tfc=0, shard=0):
        """Addresses as text, selectors as (address, port)."""
        self.call(self.hdr(SA_SET, 304) + struct.pack("<IIIBBBB", sa_id, spi, gw_id, direction, alg.number, mode, esn) +
                  sockaddr((local, udp)) + sockaddr((remote, udp)) + sockaddr(sel_local) + sockaddr(sel_remote) +
                  struct.pack("<BBBBIQQ7Q", *plens, proto, spi & 63 if direction == IN else shard, window, floor,
                              limit if direction == OUT else 0, *([0] * 7)) +
                  key.ljust(32, b"\0") + auth.ljust(64, b"\0") + salt.ljust(4, b"\0") + struct.pack("<HBx", tfc, 0))

    def sa_del(self, sa_id):
        self.call(self.hdr(SA_DEL, 16) + struct.pack("<IB3x", sa_id, 2))

    def gw_set(self, gw_id, domain, local, remote, flags=0):
        self.call(self.hdr(GW_SET, 264) + struct.pack("<IBBH", gw_id, 0, flags, 0) + sockaddr((remote, 2427)) + sockaddr((local, 2727)) +
                  domain.encode().ljust(64, b"\0") + bytes(64) + bytes(64) + bytes(8))

    def ask(self, handle, gw_id, verb, endpoint, params=""):
        self.asks([(handle, gw_id, verb, endpoint, params)])

    def asks(self, commands):
        """In one datagram: the dataplane has them at once. So are its replies in one."""
        text = b""
        waiting = set()
        for handle, gw_id, verb, endpoint, params in commands:
            text += self.hdr(MGCP_ASK, 512) + struct.pack("<QIB3x", handle, gw_id, verb) + endpoint.encode().ljust(64, b"\0") + bytes(66) + \
                (b"1" if verb == RQNT else b"").ljust(33, b"\0") + params.encode().ljust(325, b"\0")
            waiting.add(self.seq)
        self.sock.send(text)
        while waiting:
            data = self.sock.recv(65536)
            while data:
                typ, size, seq, rc = struct.unpack_from("<HHIi", data)
                one, data = data[:size], data[size:]
                if typ != REPLY:
                    self.events.append((typ, one))
                elif seq in waiting:
                    waiting.remove(seq)
                    if rc != 0:
                        raise Refused("MGCP_ASK: %d detail %d" % (rc, struct.unpack_from("<I", one, 12)[0]))

    def done(self, handles, seconds):
        """{handle: (result, code, tries)} of all these commands, or of those that were through in time."""
        out, end = {}, time.monotonic() + seconds
        handles = set(handles)
        while handles - out.keys() and time.monotonic() < end:
            for typ, data in self.events:
                if typ == MGCP_DONE:
                    handle, _, code, result, _, _, tries = struct.unpack_from("<QIHBBII", data, 8)
                    out[handle] = (result, code, tries)
            self.events = [e for e in self.events if e[0] != MGCP_DONE]
            if handles - out.keys():
                try:
                    data = self.sock.recv(65536)
                except TimeoutError:
                    continue
                self.events.append((struct.unpack_from("<H", data)[0], data))
        return {h: out[h] for h in handles & out.keys()}

    def pmtu(self):
        """Path MTUs learnt, ICMP about them refused, fragments made."""
        head = self.head()
        size = (head["leg_off"] - head["worker_off"]) // head["worker_cnt"]
        words = struct.unpack_from("<%dQ" % (size // 8), self.page, head["worker_off"])
        made, learnt, refused = words[13 + 2 * STAGES + len(DROPS) + 12:][:3]
        return learnt, refused, made

    def sa(self, sa_id):
        """What the page says of it: a copy about twice a second."""
        off = struct.unpack_from("<Q", self.page, 12 * 8)[0]
        return dict(zip("spi seq pkts bytes auth_fail replayed expired dead_drop".split(), struct.unpack_from("<8Q", self.page, off + sa_id * 64)))


def material(alg):
    return os.urandom(alg.key), os.urandom(alg.salt), os.urandom(alg.auth)
