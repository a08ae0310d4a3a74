#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""core_secrets.py STATE_SIGNER_DIR FILE...: which private numbers of the signer's identities, and which bytes of its
key-encryption key, are in which file. One JSON object: {"needles": N, "found": {FILE: [NAME...]}}. Numbers are looked for as
big-endian bytes and as little-endian words of a bignum in memory. Written with python3-cryptography, not with our code."""
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
found = {}
for name in sys.argv[2:]:
    with open(name, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
        found[Path(name).name] = sorted(k for k, v in needles.items() if m.find(v) >= 0)
print(json.dumps({"needles": len(needles), "found": found}))
