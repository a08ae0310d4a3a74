#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""core_secrets.py STATE_SIGNER_DIR FILE|NAME=PID...: which private numbers of the signer's identities, and which bytes of its
key-encryption key, are in which file, or in the memory of which process. One JSON object: {"needles": N, "found": {FILE: [NAME...]}}.
Numbers are looked for as big-endian bytes and as little-endian words of a bignum in memory. Written with python3-cryptography,
not with our code."""
import hashlib
import hmac
import json
import mmap
import re
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key


def hkdf(ikm, info, length=32):
    prk = hmac.new(bytes(32), ikm, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()[:length]


def numbers(key):
    p = key.private_numbers()
    if hasattr(p, "d"):
        return {"d": p.d, "p": p.p, "q": p.q}
    return {"scalar": p.private_value}


directory = Path(sys.argv[1])
kek = (directory / "kek").read_bytes()
passphrase = hkdf(kek, b"ravelin pem passphrase 1").hex().encode()
needles = {"kek": kek, "passphrase": passphrase, "seal-key": hkdf(kek, b"ravelin seal 1")}
for path in sorted(directory.glob("*.key.pem")):
    block = re.search(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----.*?-----END ENCRYPTED PRIVATE KEY-----\n", path.read_bytes(), re.S)
    name = path.name[: -len(".key.pem")]
    for what, n in numbers(load_pem_private_key(block.group(0), passphrase)).items():
        raw = n.to_bytes((n.bit_length() + 7) // 8, "big")
        needles[f"{name}.{what}.be"] = raw
        needles[f"{name}.{what}.le"] = raw[::-1]
assert all(len(v) >= 30 for v in needles.values())
longest = max(len(v) for v in needles.values())


def in_process(pid):
    """What root finds in memory that is mapped, dumped or not. A sanitizer's shadow of terabytes is left out: it has no data."""
    seen = set()
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            span, perms = line.split()[:2]
            start, end = (int(x, 16) for x in span.split("-"))
            if "r" not in perms or end - start > 1 << 30:
                continue
            tail, at = b"", start
            while at < end:
                try:
                    mem.seek(at)
                    got = mem.read(min(end - at, 1 << 24))
                except (OSError, OverflowError):
                    break  # a page of a device, [vvar], [vsyscall]
                if not got:
                    break
                part = tail + got
                seen |= {k for k, v in needles.items() if k not in seen and v in part}
                tail, at = part[-longest:], at + len(got)
    return sorted(seen)


found = {}
for name in sys.argv[2:]:
    if "=" in name:
        found[name.partition("=")[0]] = in_process(int(name.partition("=")[2]))
        continue
    with open(name, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
        found[Path(name).name] = sorted(k for k, v in needles.items() if m.find(v) >= 0)
print(json.dumps({"needles": len(needles), "found": found}))
