#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A telephone line behind osmo-mgw, which has none: takes the hook off (NTFY L/hd from the gateway's MGCP address, put into the tunnel
of its ESP as it is), and is the second connection of the endpoint, whose audio osmo-mgw bridges to the first.
mgw_line.py MGW AGENT:PORT TUNNEL ENDPOINT CALL-ID REQUEST-ID OWN:PORT PLAY PLAYED HEARD
PLAY, again and again, PLAYED and HEARD: G.711 as octets. Ends at SIGTERM: deletes its connection, prints {"sent", "received", "deleted"}. With no more than
MGW, AGENT, TUNNEL, ENDPOINT and CALL-ID it makes a connection without audio and prints its identifier, to be left there; with a
sixth word, a connection's identifier, it prints the code of an answer to MDCX of that one."""
import json
import os
import re
import select
import signal
import socket
import sys
import time

FRAME = 160


def described(ip, port):
    return ("v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n" % (ip, ip, port))


class Mgcp:
    def __init__(self, own, mgw):
        self.tid = int(time.time() * 1000) % 900000000
        self.s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.s.bind((own, 0))
        self.s.connect((mgw, 2427))

    def ask(self, verb, endpoint, lines, sdp=""):
        self.tid += 1
        text = "%s %d %s MGCP 1.0\r\n%s" % (verb, self.tid, endpoint, "".join(line + "\r\n" for line in lines))
        sdp = "\r\n" + sdp if sdp else ""  # osmo-mgw takes an empty line without SDP behind it for a parameter
        for _ in range(20):
            self.s.send((text + sdp).encode())
            end = time.monotonic() + 1
            while (left := end - time.monotonic()) > 0 and select.select([self.s], [], [], left)[0]:
                answer = self.s.recv(4096).decode()
                words = answer.split(None, 2)
                if len(words) > 1 and words[1] == str(self.tid) and int(words[0]) >= 200:
                    return int(words[0]), answer
        raise SystemExit("no answer to %s %s" % (verb, endpoint))


def found(what, answer):
    m = re.search(what, answer, re.M | re.I)
    if m is None:
        raise SystemExit("no %s in %r" % (what, answer))
    return m.group(1)


def main():
    mgw, agent, tunnel, endpoint, call = sys.argv[1:6]
    mgcp = Mgcp(mgw, mgw)
    if len(sys.argv) == 7:
        print(mgcp.ask("MDCX", endpoint, ["C: " + call, "I: " + sys.argv[6], "M: recvonly"])[0])
        return
    request, (own, port), files = None, (mgw, 19998), None
    if len(sys.argv) > 7:
        request, files = sys.argv[6], sys.argv[8:11]
        own, port = sys.argv[7].rsplit(":", 1)
    port = int(port)
    code, answer = mgcp.ask("CRCX", endpoint, ["C: " + call, "L: p:20, a:PCMU", "M: " + ("sendrecv" if request else "recvonly")],
                            described(own, port))
    if code != 200:
        raise SystemExit("CRCX: " + answer)
    conn = found(r"^I: *(\S+)", answer)
    if request is None:
        print(conn)
        return
    to = (found(r"^c=IN IP4 (\S+)", answer), int(found(r"^m=audio (\d+)", answer)))
    rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    rtp.bind((own, port))
    over = []
    signal.signal(signal.SIGTERM, lambda *_: over.append(1))
    host, agent_port = agent.rsplit(":", 1)
    from scapy.all import IP, UDP, Raw, sendp  # takes its time: only where it is needed
    hook = IP(src=mgw, dst=host) / UDP(sport=2427, dport=int(agent_port)) / Raw(
        ("NTFY %d %s MGCP 1.0\r\nX: %s\r\nO: L/hd\r\n" % (mgcp.tid + 1000, endpoint, request)).encode())
    sendp(hook, iface=tunnel, verbose=False)
    with open(files[0], "rb") as f:
        audio = f.read()
    sent = received = 0
    ssrc = os.urandom(4)
    begin = time.monotonic()
    with open(files[1], "wb") as played, open(files[2], "wb") as heard:
        while not over:
            while sent * 0.02 < time.monotonic() - begin:
                at = sent * FRAME % (len(audio) // FRAME * FRAME)
                head = b"\x80\x00" + (sent & 0xffff).to_bytes(2, "big") + (sent * FRAME & 0xffffffff).to_bytes(4, "big") + ssrc
                rtp.sendto(head + audio[at:at + FRAME], to)
                played.write(audio[at:at + FRAME])
                sent += 1
            if select.select([rtp], [], [], 0.005)[0]:
                p = rtp.recv(2048)
                if len(p) >= 12 and p[0] >> 6 == 2 and p[1] & 0x7f == 0:
                    heard.write(p[12:])
                    received += 1
    code, _ = mgcp.ask("DLCX", endpoint, ["C: " + call, "I: " + conn])
    print(json.dumps({"sent": sent, "received": received, "deleted": code}))


main()
