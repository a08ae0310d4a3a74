#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# N calls in an rtpengine over its ng protocol (bencode over UDP): a caller with RTP, a callee with
# AES_CM_128_HMAC_SHA1_80. Prints a line per call as ravelin-mediaload reads them.
# usage: rtpengine_calls.py ADDRESS:PORT N CALLER-IP SINK-IP FIRST-PORT
import base64
import os
import re
import socket
import sys

SUITE = "AES_CM_128_HMAC_SHA1_80"


def encode(v):
    if isinstance(v, dict):
        return b"d" + b"".join(encode(k) + encode(v[k]) for k in sorted(v)) + b"e"
    if isinstance(v, list):
        return b"l" + b"".join(encode(x) for x in v) + b"e"
    if isinstance(v, int):
        return b"i%de" % v
    v = v.encode() if isinstance(v, str) else v
    return b"%d:" % len(v) + v


def decode(data, at=0):
    c = data[at:at + 1]
    if c == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1:end]), end + 1
    if c in (b"l", b"d"):
        out, at = [], at + 1
        while data[at:at + 1] != b"e":
            v, at = decode(data, at)
            out.append(v)
        return (dict(zip(out[::2], out[1::2])) if c == b"d" else out), at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1:end].decode("utf-8", "replace"), end


class Ng:
    def __init__(self, where):
        host, port = where.rsplit(":", 1)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect((host, int(port)))
        self.sock.settimeout(3)
        self.n = 0

    def ask(self, **msg):
        self.n += 1
        cookie = b"c%d " % self.n
        self.sock.send(cookie + encode(msg))
        while True:
            data = self.sock.recv(65536)
            if data.startswith(cookie):
                break
        answer = decode(data[len(cookie):])[0]
        if answer.get("result") not in ("ok", "pong"):
            raise SystemExit("rtpengine: %s: %s" % (msg["command"], answer.get("error-reason", answer)))
        return answer


def sdp(ip, port, profile, extra=""):
    return ("v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d %s 0\r\na=rtpmap:0 PCMU/8000\r\n"
            "%sa=sendrecv\r\na=ptime:20\r\n" % (ip, ip, port, profile, extra))


def where(text):
    ip = re.search(r"^c=IN IP4 (\S+)", text, re.M).group(1)
    return ip, int(re.search(r"^m=audio (\d+)", text, re.M).group(1))


def main():
    ng, n, caller, sink, first = Ng(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])
    ng.ask(command="ping")
    common = {"ICE": "remove", "DTLS": "off", "replace": ["origin", "session-connection"], "flags": ["trust-address"],
              "rtcp-mux": ["demux"]}
    for i in range(n):
        port, call = first + 2 * i, "bench-%d" % i
        offer = ng.ask(command="offer", **{"call-id": call, "from-tag": "a", "transport-protocol": "RTP/SAVP",
                                           "direction": ["in", "out"], "sdp": sdp(caller, port, "RTP/AVP"), **common})
        # The key that rtpengine sends with, and its tag, which the answer takes up.
        tag, key = re.search(r"^a=crypto:(\d+) %s inline:([^|\s]+)" % SUITE, offer["sdp"], re.M).groups()
        own = base64.b64encode(os.urandom(30)).decode()
        answer = ng.ask(command="answer", **{"call-id": call, "from-tag": "a", "to-tag": "b", "transport-protocol": "RTP/AVP",
                                             "sdp": sdp(sink, port, "RTP/SAVP",
                                                        "a=crypto:%s %s inline:%s\r\n" % (tag, SUITE, own)), **common})
        ip, to = where(answer["sdp"])
        print(caller, port, ip, to, sink, port, key)


main()
