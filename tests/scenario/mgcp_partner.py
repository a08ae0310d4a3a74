# SPDX-License-Identifier: BSD-3-Clause
"""A second call agent behind scapy's ESP, for one gateway of mgcp-dialects.sh: takes its RSIP and NTFY, and tells its endpoint whom to
notify: on its RSIP argv[7], on SIGUSR1 ourselves. Prints what the gateway says, a line a message. argv: ADDRESS GATEWAY SPI-IN KEY-IN SPI-OUT
KEY-OUT ENTITY, AES-GCM-128 in transport mode."""
import logging
import signal
import socket
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import IP, UDP  # noqa: E402
from scapy.layers.ipsec import ESP, SecurityAssociation  # noqa: E402
from scapy.packet import Raw  # noqa: E402

ME, GW, OTHER = sys.argv[1], sys.argv[2], sys.argv[7]
US = f"ca2@[{ME}]:2727"
sa_in, sa_out = (SecurityAssociation(ESP, spi=int(spi, 0), crypt_algo="AES-GCM", crypt_key=bytes.fromhex(key))
                 for spi, key in ((sys.argv[3], sys.argv[4]), (sys.argv[5], sys.argv[6])))
sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, 50)
sock.bind((ME, 0))
txid = 5000
domain = None


def send(text):
    p = IP(src=ME, dst=GW) / UDP(sport=2727, dport=2427) / Raw(text.encode())
    sock.sendto(bytes(sa_out.encrypt(IP(bytes(p)))[ESP]), (GW, 0))


def notify(entity):
    global txid
    txid += 1
    send(f"RQNT {txid} aaln/1@{domain} MGCP 1.0\r\nX: B0\r\nN: {entity}\r\nR: L/hd(N)\r\n")


signal.signal(signal.SIGUSR1, lambda *_: notify(US))
print("ready", flush=True)
while True:
    d = IP(sock.recv(4096))
    if ESP not in d or d[ESP].spi != int(sys.argv[3], 0):
        continue
    t = bytes(sa_in.decrypt(d)[UDP].payload).decode()
    print(t.replace("\r\n", "|"), flush=True)
    words = t.split()
    if words[0] in ("RSIP", "NTFY"):
        domain = words[2].rsplit("@", 1)[1]
        send(f"200 {words[1]} OK\r\n")
    if words[0] == "RSIP":
        notify(OTHER)
