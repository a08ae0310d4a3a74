#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""core_secrets.py STATE_SIGNER_DIR FILE|NAME=PID...: which private numbers of the signer's identities, and which bytes of its
key-encryption key, are in which file, or in the memory of which process. One JSON object: {"needles": N, "found": {FILE: [NAME...]}}.
Numbers are looked for as big-endian bytes and as little-endian words of a bignum in memory. Written with python3-cryptography,
not with our code."""
import array
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


def in_process(pid):
    """What root finds in memory that a process has touched, dumped or not. A sanitizer's shadow of terabytes is left out: no data."""
    seen = set()
    page = mmap.PAGESIZE
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as mem, \
            open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for line in maps:
            span, perms = line.split()[:2]
            start, end = (int(x, 16) for x in span.split("-"))
            if "r" not in perms or end - start > 1 << 30 or start >> 47:
                continue
            pagemap.seek(start // page * 8)
            there = array.array("Q", pagemap.read((end - start) // page * 8))
            data, n = bytearray(), 0
            while n < len(there):
                run = n
                while run < len(there) and there[run] >> 62:  # in memory, or in swap
                    run += 1
                if run > n:
                    try:
                        mem.seek(start + n * page)
                        want = (run - n) * page
                        while want > 0 and (got := mem.read(want)):
                            data += got
                            want -= len(got)
                    except OSError:
                        pass  # of a device
                data += b"\0"  # what is on both sides of a hole does not join
                n = run + 1
            seen |= {k for k, v in needles.items() if k not in seen and v in data}
    return sorted(seen)


found = {}
for name in sys.argv[2:]:
    if "=" in name:
        found[name.partition("=")[0]] = in_process(int(name.partition("=")[2]))
        continue
    with open(name, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
        found[Path(name).name] = sorted(k for k, v in needles.items() if m.find(v) >= 0)
print(json.dumps({"needles": len(needles), "found": found}))
