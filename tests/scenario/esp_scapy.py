# SPDX-License-Identifier: BSD-3-Clause
"""ESP against scapy: what the ESP stage (espcli) seals scapy opens, and the other way round.

Algorithms AES-GCM-128 and AES-CBC-128 with HMAC-SHA1-96, tunnel and transport mode, IPv4 and IPv6, protocol 50
and UDP, with and without ESN. Also: a replayed packet, a changed one and one under another key are refused.

Three things scapy 2.5.0 does are worked around here, each in one function: it signs and verifies HMAC without the
high half of an extended sequence number (those cases are left to the OpenSSL peer of the unit tests), writes a UDP
length of 8 over IPv4, and does not take the UDP header off again in IPv6 transport mode.
Usage: esp_scapy.py ESPCLI
"""
import logging
import random
import subprocess
import sys
import warnings

warnings.filterwarnings("ignore")
logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.layers.inet import IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.ipsec import ESP, SecurityAssociation  # noqa: E402
from scapy.packet import Raw  # noqa: E402

OUTER = {4: ("192.0.2.1", "198.51.100.7"), 6: ("2001:db8:1::1", "2001:db8:2::7")}
INNER = {4: ("10.1.0.5", "10.2.0.9"), 6: ("fd01::5", "fd02::9")}
rng = random.Random(4303)
failed = 0
checked = 0


def check(what, ok, detail=""):
    global failed, checked
    checked += 1
    if not ok:
        failed += 1
        print(f"FAILED: {what} {detail}", file=sys.stderr)


class Cli:
    def __init__(self, path):
        self.proc = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.next = 0

    def ask(self, line):
        self.proc.stdin.write(line + "\n")
        self.proc.stdin.flush()
        return self.proc.stdout.readline().strip()

    def sa(self, direction, alg, mode, esn, port, fam, spi, key, auth):
        name = self.next % 64
        self.next += 1
        local, remote = OUTER[fam]
        answer = self.ask(f"sa {name} {direction} {alg} {mode} {esn} {port} {local} {remote} {spi} "
                          f"{key.hex()} {auth.hex()}")
        if answer != "ok":
            sys.exit(f"error: espcli refused an SA: {answer}")
        return name

    def packet(self, op, name, data):
        answer = self.ask(f"{op} {name} {data.hex()}").split()
        return bytes.fromhex(answer[1]) if answer[0] == "ok" else answer


def scapy_sa(alg, mode, esn, port, fam, spi, key, auth, to_us):
    args = dict(spi=spi, seq_num=1, esn_en=bool(esn), esn=0)
    if alg == "gcm":
        args.update(crypt_algo="AES-GCM", crypt_key=key + auth)
    else:
        args.update(crypt_algo="AES-CBC", crypt_key=key, auth_algo="HMAC-SHA1-96", auth_key=auth)
    local, remote = OUTER[fam]
    src, dst = (remote, local) if to_us else (local, remote)
    if mode == "tunnel":
        args["tunnel_header"] = IP(src=src, dst=dst) if fam == 4 else IPv6(src=src, dst=dst)
    if port:
        args["nat_t_header"] = UDP(sport=port, dport=port)
    return SecurityAssociation(ESP, **args)


def inner(fam, mode, to_us, size):
    a, b = (INNER if mode == "tunnel" else OUTER)[fam]
    src, dst = (b, a) if to_us else (a, b)
    head = IP(src=src, dst=dst, tos=0xB8, ttl=61, id=rng.randrange(65536), flags="DF") if fam == 4 else \
        IPv6(src=src, dst=dst, tc=0xB8, hlim=61, fl=0xABCDE)
    l4 = TCP(sport=2727, dport=2427, seq=7) if rng.random() < 0.3 else UDP(sport=2727, dport=2427)
    return bytes(head / l4 / Raw(bytes(rng.randrange(256) for _ in range(size))))


def scapy_knows(alg, esn):
    return not (alg == "cbc" and esn)


def fix_udp_len(sealed, fam, port):
    if fam == 4 and port:
        return sealed[:24] + (len(sealed) - 20).to_bytes(2, "big") + sealed[26:]
    return sealed


def without_udp(sealed, fam, mode, port):
    """IPv6 transport mode: the packet as it were with protocol 50; its UDP header was checked by then."""
    if fam == 4 or mode == "tunnel" or not port:
        return sealed
    return sealed[:4] + (len(sealed) - 48).to_bytes(2, "big") + bytes([50]) + sealed[7:40] + sealed[48:]


def udp_right(sealed, fam, port):
    """Ports, length and checksum of the encapsulating header, by scapy's own arithmetic."""
    if not port:
        return True
    pkt = (IP if fam == 4 else IPv6)(sealed)
    seen = pkt[UDP].chksum
    if fam == 4:
        return (pkt[UDP].sport, pkt[UDP].dport, pkt[UDP].len, seen) == (port, port, len(sealed) - 20, 0)
    del pkt[UDP].chksum
    want = type(pkt)(bytes(pkt))[UDP].chksum
    return (pkt[UDP].sport, pkt[UDP].dport, pkt[UDP].len, seen) == (port, port, len(sealed) - 40, want)


def same(fam, mode, port, got, want):
    """Equal, but for what NAT support may do to the checksum inside UDP (RFC 3948 3.1.2)."""
    if mode == "transport" and port and fam == 4 and want[9] == 17:
        want = want[:26] + b"\0\0" + want[28:]
    return got == want


def case(cli, alg, mode, esn, port, fam):
    name = f"{alg} {mode} IPv{fam} {'UDP' if port else 'protocol 50'}{' ESN' if esn else ''}"
    key = rng.randbytes(16)
    auth = rng.randbytes(4 if alg == "gcm" else 20)
    spi = rng.randrange(256, 1 << 32)
    common = (alg, mode, esn, port, fam, spi, key, auth)

    ours, theirs = cli.sa("out", *common), scapy_sa(*common, to_us=False)
    cls = IP if fam == 4 else IPv6
    for i in range(12):
        clear = inner(fam, mode, False, rng.randrange(0, 600))
        sealed = cli.packet("enc", ours, clear)
        if isinstance(sealed, list):
            check(name + ": seal", False, str(sealed))
            continue
        check(name + ": UDP header", udp_right(sealed, fam, port))
        try:
            opened = bytes(theirs.decrypt(cls(without_udp(sealed, fam, mode, port))))
        except Exception as err:  # scapy raises what its libraries raise
            check(name + ": scapy opens", False, repr(err))
            continue
        check(name + ": scapy opens", opened == clear, f"\n{opened.hex()}\n{clear.hex()}")
        check(name + ": key not in clear", clear[-20:] not in sealed or len(clear) < 60)

    ours, theirs = cli.sa("in", *common), scapy_sa(*common, to_us=True)
    for i in range(12):
        clear = inner(fam, mode, True, rng.randrange(0, 600))
        sealed = fix_udp_len(bytes(theirs.encrypt(cls(clear))), fam, port)
        bad = bytearray(sealed)
        bad[-1 - rng.randrange(len(sealed) - 60)] ^= 1 << rng.randrange(8)
        check(name + ": changed packet", isinstance(cli.packet("dec", ours, bytes(bad)), list))
        opened = cli.packet("dec", ours, sealed)
        check(name + ": opens scapy's", not isinstance(opened, list) and same(fam, mode, port, opened, clear),
              f"\n{opened if isinstance(opened, list) else opened.hex()}\n{clear.hex()}")
        check(name + ": replay", isinstance(cli.packet("dec", ours, sealed), list))
    # Both keys: under another cipher key alone an authentic CBC packet may, once in some hundred times, end in what looks like padding.
    wrong = cli.sa("in", alg, mode, esn, port, fam, spi, rng.randbytes(16), rng.randbytes(len(auth)) if auth else auth)
    check(name + ": other key", isinstance(cli.packet("dec", wrong, sealed), list))


def main():
    cli = Cli(sys.argv[1])
    cases = 0
    for alg in ("gcm", "cbc"):
        for mode in ("tunnel", "transport"):
            for fam in (4, 6):
                for port in (0, 4500):
                    for esn in (0, 1):
                        if scapy_knows(alg, esn):
                            case(cli, alg, mode, esn, port, fam)
                            cases += 1
    cli.proc.stdin.close()
    check("espcli ends", cli.proc.wait(10) == 0)
    print(f"esp-scapy: {cases} cases, {checked} checks, {failed} failed")
    return 1 if failed or checked == 0 else 0


sys.exit(main())
