#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# A controlplane for scenarios of the dataplane alone: speaks the channel (dataplane/api/dp_msg.h), maps the counter page.
import array
import ipaddress
import mmap
import os
import socket
import struct

HELLO, LEG_SET, LEG_KEY, LEG_DEL = 1, 2, 3, 4
ADOPT, SWEEP, KEY_DEL, SHARD_MOVE, CAPTURE, TRACE, MUSIC_SET, LEG_MUSIC = 12, 13, 14, 15, 16, 17, 18, 19
REPLY, HELLO_REPLY, LEG_AGED = 64, 65, 96
VERSION = 10
LEGS_PER_ADDR = 8192
NONE = 0xFFFFFFFF

DROPS = """ok l2_not_ours l3_malformed l3_not_ours l3_fragment l4_malformed l4_proto chained ttl no_leg leg_inactive source
rtp_malformed rtcp_malformed auth replay stale key_limit no_key no_stream policed no_room esp_malformed esp_no_sa esp_auth
esp_replay esp_stale esp_expired esp_bytes esp_packets esp_sequence esp_selector ah_not_spoken esp_ecn esp_dummy policy policy_discard
policy_sealed mgcp_malformed mgcp_unknown no_neigh tx_full ring_full
frag_incomplete punted punt_full consumed""".split()
STAGES = 8


def sockaddr(addr):
    if addr is None:
        return bytes(24)
    ip = ipaddress.ip_address(addr[0])
    return ip.packed.ljust(16, b"\0") + struct.pack("<HB5x", addr[1], ip.version)


class Refused(Exception):
    pass


class Dataplane:
    def __init__(self, path, epoch, base=16384):
        self.base = base
        self.seq = 0
        self.events = []
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(60)
        self.sock.connect(path)
        self.epoch = epoch
        self.sock.send(self.hdr(HELLO, 24) + struct.pack("<IIQ", VERSION, 0, epoch))
        data, anc, _, _ = self.sock.recvmsg(65536, socket.CMSG_SPACE(4))
        typ, _, _, rc = struct.unpack_from("<HHIi", data)
        if typ != HELLO_REPLY or rc != 0:
            raise Refused("hello: %d" % rc)
        (self.boot_id, self.last_epoch, size, self.workers, self.media_addrs, self.legs, self.sas, self.gws,
         port) = struct.unpack_from("<QQQIIIIIH", data, 16)
        fds = array.array("i")
        fds.frombytes(anc[0][2][:4])
        self.page = mmap.mmap(fds[0], size, mmap.MAP_SHARED, mmap.PROT_READ)
        os.close(fds[0])
        if port != base:
            raise Refused("base port %d" % port)

    def hdr(self, typ, size):
        self.seq += 1
        return struct.pack("<HHI", typ, size, self.seq)

    def call(self, msg, may_fail=False):
        self.sock.send(msg)
        while True:
            data = self.sock.recv(65536)
            typ, _, seq, rc = struct.unpack_from("<HHIi", data)
            if typ != REPLY:
                self.events.append((typ, data))
                continue
            if seq != self.seq:
                continue
            if rc != 0 and not may_fail:
                raise Refused("type %d: %d detail %d" % (msg[0], rc, struct.unpack_from("<I", data, 12)[0]))
            return rc

    def leg_id(self, addr_idx, port):
        return addr_idx * LEGS_PER_ADDR + (port - self.base) // 2

    def leg_set(self, leg_id, peer, remote, suites=(0, 0), latch=0, flags=6, session=1, idle_s=0, rtcp=None, dscp=46,
                codec=0, ptime=0, pt_map=(), ssrc_max=0, latch_max=0, clock_hz=0, rate_pps=0):
        pairs = b"".join(bytes(p) for p in pt_map).ljust(16, b"\0")
        self.call(self.hdr(LEG_SET, 112) + struct.pack("<IIQIBBBB", leg_id, peer, session, idle_s, suites[0], suites[1], latch,
                                                       flags) + sockaddr(remote) + sockaddr(rtcp) +
                  struct.pack("<BBBBHHII", dscp, codec, ptime, len(pt_map), ssrc_max, latch_max, clock_hz, rate_pps) + pairs)

    def leg_key(self, leg_id, direction, suite, key, salt, mki=b"", kdr=0, ssrc=0, overlap_ms=0, floor=0, rtcp_floor=0,
                lifetime=0, first=0, last=0, roc=0, flags=0, may_fail=False):
        return self.call(self.hdr(LEG_KEY, 248) + struct.pack("<IBBBBIIQQQQQIB3x", leg_id, suite, direction, len(mki), kdr, ssrc,
                                                              overlap_ms, floor, rtcp_floor, lifetime, first, last, roc,
                                                              flags) +
                         key.ljust(32, b"\0") + salt.ljust(14, b"\0") + bytes(2) + mki.ljust(128, b"\0"), may_fail)

    def key_del(self, leg_id, direction, mki, may_fail=False):
        return self.call(self.hdr(KEY_DEL, 144) + struct.pack("<IBB2x", leg_id, direction, len(mki)) + mki.ljust(128, b"\0"),
                         may_fail)

    def shard_move(self, shard, worker, may_fail=False):
        return self.call(self.hdr(SHARD_MOVE, 16) + struct.pack("<II", shard, worker), may_fail)

    def music_set(self, name, pcm=b"", g722=b"", g729=b"", may_fail=False):
        files = b"".join(f.ljust(64, b"\0") for f in (pcm, g722, g729))
        return self.call(self.hdr(MUSIC_SET, 232) + name.ljust(32, b"\0") + files, may_fail)

    def leg_music(self, leg_id, name, codec=0, pt=0, ptime=20, may_fail=False):
        return self.call(self.hdr(LEG_MUSIC, 48) + struct.pack("<IBBBx", leg_id, codec, pt, ptime if name else 0) +
                         name.ljust(32, b"\0"), may_fail)

    def leg_del(self, leg_id, may_fail=False):
        return self.call(self.hdr(LEG_DEL, 16) + struct.pack("<IB3x", leg_id, 1), may_fail)

    def adopt(self, leg_id, may_fail=False):
        return self.call(self.hdr(ADOPT, 16) + struct.pack("<IB3x", leg_id, 1), may_fail)

    def sweep(self):
        self.call(self.hdr(SWEEP, 16) + struct.pack("<Q", self.epoch))

    def head(self):
        names = ("magic version size boot_id epoch tsc_hz alive worker_cnt worker_off leg_cnt leg_off sa_cnt sa_off "
                 "chan_bad events_dropped mbufs_total mbufs_used").split()
        out = dict(zip(names, struct.unpack_from("<17Q", self.page, 0)))
        out["shard_worker"] = struct.unpack_from("<64Q", self.page, 17 * 8)
        out["leg_bytes"] = struct.unpack_from("<Q", self.page, 81 * 8)[0]
        return out

    def worker(self, n):
        head = self.head()
        size = (head["leg_off"] - head["worker_off"]) // head["worker_cnt"]
        words = struct.unpack_from("<%dQ" % (size // 8), self.page, head["worker_off"] + n * size)
        out = dict(zip(("rx_pkts rx_bytes tx_pkts tx_bytes made_pkts in_flight handoff_in handoff_out polls busy_polls "
                        "busy_cyc cmds events_lost").split(), words))
        out["drop"] = dict(zip(DROPS, words[13 + 2 * STAGES:]))
        return out

    def leg(self, leg_id):
        names = ("tx_reserved tx_rtcp_reserved rx_top rx_rtcp_top rx_pkts rx_bytes tx_pkts tx_bytes rx_rtcp tx_rtcp "
                 "auth_fail replayed policed other_drop last_rx_s state session peer rx_suite tx_suite rx_key_s tx_key_s "
                 "codec clock_hz ptime_ms latches").split()
        rtp = "ssrc ssrc_changes expected received reordered jitter gap_max_us ext_seq".split()
        rtcp = "reports lost fraction jitter rtt_us".split()
        words = struct.unpack_from("<39Q", self.page, self.head()["leg_off"] + leg_id * 320)
        out = dict(zip(names, words))
        out["rtp"] = dict(zip(rtp, words[26:]))
        out["rtcp"] = dict(zip(rtcp, words[34:]))
        return out
