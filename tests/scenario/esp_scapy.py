# SPDX-License-Identifier: BSD-3-Clause
"""ESP against scapy: what the ESP stage (espcli) seals scapy opens, and the other way round.

Every algorithm that both know (scapy has no shorter ICVs of GCM), tunnel and transport mode, IPv4 and IPv6, protocol 50
and UDP, with and without ESN: all of that for the two commonest, some of it for each of the others. Also: a replayed packet, a changed one and one under another key are refused.

Three things scapy 2.5.0 does are worked around here, each in one function: it signs and verifies HMAC without the
high half of an extended sequence number (those cases are left to the OpenSSL peer of the unit tests), writes a UDP
length of 8 over IPv4, and does not take the UDP header off again in IPv6 transport mode.
Then what a tunnel does to headers, with scapy reading and writing them: ECN both ways by RFC 6040's tables, DSCP and DF by policy,
fragments of inner packets that scapy made and puts together again, dummies.
Usage: esp_scapy.py ESPCLI
"""
import logging
import random
import subprocess
import sys
import warnings

warnings.filterwarnings("ignore")
logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.layers.inet import IP, TCP, UDP, defragment, fragment  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.ipsec import ESP, SecurityAssociation, _ESPPlain  # noqa: E402
from scapy.packet import Raw  # noqa: E402

OUTER = {4: ("192.0.2.1", "198.51.100.7"), 6: ("2001:db8:1::1", "2001:db8:2::7")}
INNER = {4: ("10.1.0.5", "10.2.0.9"), 6: ("fd01::5", "fd02::9")}
# Lengths of key, salt and HMAC key; scapy's names.
ALGS = {f"aes-gcm-{n}": (n // 8, 4, 0, "AES-GCM", None) for n in (128, 192, 256)}
for name, auth_len, theirs in (("sha1", 20, "HMAC-SHA1-96"), ("sha256", 32, "SHA2-256-128"), ("sha384", 48, "SHA2-384-192"),
                               ("sha512", 64, "SHA2-512-256")):
    for n in (128, 192, 256):
        ALGS[f"aes-cbc-{n}-{name}"] = (n // 8, 0, auth_len, "AES-CBC", theirs)
        ALGS[f"aes-ctr-{n}-{name}"] = (n // 8, 4, auth_len, "AES-CTR", theirs)
    ALGS[f"3des-cbc-{name}"] = (24, 0, auth_len, "3DES", theirs)
    ALGS[f"null-{name}"] = (0, 0, auth_len, "NULL", theirs)
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
                          f"{key.hex() or '-'} {auth.hex() or '-'}")
        if answer != "ok":
            sys.exit(f"error: espcli refused an SA: {answer}")
        return name

    def packet(self, op, name, data):
        answer = self.ask(f"{op} {name} {data.hex()}").split()
        return bytes.fromhex(answer[1]) if answer[0] == "ok" else answer

    def sealed_by(self, name, df, dscp, data):
        answer = self.ask(f"enp {name} {df} {dscp} {data.hex()}").split()
        return bytes.fromhex(answer[1]) if answer[0] == "ok" else answer


def scapy_sa(alg, mode, esn, port, fam, spi, key, auth, to_us):
    args = dict(spi=spi, seq_num=1, esn_en=bool(esn), esn=0)
    args.update(crypt_algo=ALGS[alg][3], crypt_key=key or None)
    if auth:
        args.update(auth_algo=ALGS[alg][4], auth_key=auth)
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
    return ALGS[alg][2] == 0 or not esn


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
    key_len, salt_len, auth_len = ALGS[alg][:3]
    key = rng.randbytes(key_len + salt_len)
    auth = rng.randbytes(auth_len)
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
        hides = not alg.startswith("null")
        check(name + ": payload not in clear", (clear[-20:] not in sealed) == hides or len(clear) < 60)

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
    wrong = cli.sa("in", alg, mode, esn, port, fam, spi, rng.randbytes(len(key)), rng.randbytes(len(auth)))
    check(name + ": other key", isinstance(cli.packet("dec", wrong, sealed), list))


# RFC 6040 figure 4: by inner and outer ECN (0 not capable, 1 ECT(1), 2 ECT(0), 3 CE) what the inner one becomes; None: dropped.
ECN_IN = {0: (0, 0, 0, None), 1: (1, 1, 1, 3), 2: (2, 1, 2, 3), 3: (3, 3, 3, 3)}


def tos_of(pkt):
    return pkt.tos if isinstance(pkt, IP) else pkt.tc


def with_tos(pkt, tos):
    if isinstance(pkt, IP):
        pkt.tos = tos
        pkt.chksum = None
    else:
        pkt.tc = tos
    return type(pkt)(bytes(pkt))


def tunnels(cli, alg):
    """ECN, DSCP, DF, fragments and dummies of one algorithm, IPv4 and IPv6."""
    key_len, salt_len, auth_len = ALGS[alg][:3]
    for fam in (4, 6):
        cls = IP if fam == 4 else IPv6
        key, auth, spi = rng.randbytes(key_len + salt_len), rng.randbytes(auth_len), rng.randrange(256, 1 << 32)
        common = (alg, "tunnel", 0, 0, fam, spi, key, auth)
        name = f"{alg} IPv{fam} tunnel"
        ours, theirs = cli.sa("in", *common), scapy_sa(*common, to_us=True)
        for inside in range(4):
            for outside in range(4):
                clear = with_tos(cls(inner(fam, "tunnel", True, 40)), 0xB8 | inside)
                sealed = with_tos(theirs.encrypt(clear.copy()), 0x28 | outside)
                got = cli.packet("dec", ours, bytes(sealed))
                want = ECN_IN[inside][outside]
                if want is None:
                    check(f"{name}: ECN {outside} over {inside} is dropped", isinstance(got, list) and got[0] == "drop", got)
                else:
                    check(f"{name}: ECN {outside} over {inside}", not isinstance(got, list) and
                          got == bytes(with_tos(clear.copy(), 0xB8 | want)), got)
        # fragments of an inner packet: each is told to be one, and together they are the packet
        if fam == 4:
            clear = IP(inner(4, "tunnel", True, 900))
            clear.flags = 0
            clear.chksum = None
            clear = IP(bytes(clear))
            pieces = []
            for piece in fragment(clear, fragsize=400):
                got = cli.packet("dec", ours, bytes(theirs.encrypt(IP(bytes(piece)))))
                check(f"{name}: a fragment", got[0] == "fragment", got)
                pieces.append(IP(bytes.fromhex(got[1])))
            whole = defragment(pieces)
            check(f"{name}: fragments", len(whole) == 1 and bytes(whole[0].payload) == bytes(clear.payload))
        dummy = fix_dummy(theirs, cls, fam, spi)
        got = cli.packet("dec", ours, dummy)
        check(f"{name}: a dummy", isinstance(got, list) and got[0] == "drop", got)

        ours, theirs = cli.sa("out", *common), scapy_sa(*common, to_us=False)
        for inside in range(4):
            for df, bit in (("copy", True), ("set", True), ("clear", False)):
                for dscp in (-1, 0, 26, 63):
                    clear = with_tos(cls(inner(fam, "tunnel", False, 40)), 0xB8 | inside)
                    sealed = cls(cli.sealed_by(ours, df, dscp, bytes(clear)))
                    check(f"{name}: DSCP {dscp}, ECN {inside}",
                          tos_of(sealed) == ((0x2E if dscp < 0 else dscp) << 2 | inside), tos_of(sealed))
                    if fam == 4:
                        check(f"{name}: DF {df}", bool(sealed.flags.DF) == bit)
                    check(f"{name}: scapy opens", bytes(theirs.decrypt(sealed)) == bytes(clear))


def fix_dummy(theirs, cls, fam, spi):
    """What scapy seals, with next header 59: it writes the inner version's there, so the field is filled before."""
    esp = _ESPPlain(data=rng.randbytes(64), nh=59, iv=theirs.crypt_algo.generate_iv(), spi=spi, seq=theirs.seq_num)
    theirs.seq_num += 1
    esp = theirs.crypt_algo.pad(esp)
    esp = theirs.crypt_algo.encrypt(theirs, esp, theirs.crypt_key)
    if theirs.auth_algo is not None and theirs.auth_algo.name != "NULL":
        theirs.auth_algo.sign(esp, theirs.auth_key)
    head = theirs.tunnel_header.copy()
    if fam == 4:
        head.proto = 50
    else:
        head.nh = 50
    return bytes(head / esp)


def main():
    cli = Cli(sys.argv[1])
    cases = 0
    for which, alg in enumerate(ALGS):
        some = alg not in ("aes-gcm-128", "aes-cbc-128-sha1")
        for mode in ("tunnel", "transport"):
            for fam in (4, 6):
                for port in (0, 4500):
                    for esn in (0, 1):
                        if some and (mode == "tunnel") != ((fam == 4) == (port == 0) == (which % 2 == 0)):
                            continue
                        if scapy_knows(alg, esn):
                            case(cli, alg, mode, esn, port, fam)
                            cases += 1
    for alg in ("aes-gcm-128", "aes-cbc-128-sha1"):
        tunnels(cli, alg)
    cli.proc.stdin.close()
    check("espcli ends", cli.proc.wait(10) == 0)
    print(f"esp-scapy: {cases} cases, {checked} checks, {failed} failed")
    return 1 if failed or checked == 0 else 0


sys.exit(main())
