#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A trust list as a stranger reads it: parsed from the byte tables, its signature checked with python3-cryptography.

tlv_verify.py FILE [--anchor LIST | --cert PEM]: prints JSON, exit 0 if the signature is good. Without an anchor the signer must be
a SAST of the file itself, with one a SAST of that list. Shares no code with the appliance.
"""
import json
import struct
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

HASH = {1: hashes.SHA1, 2: hashes.SHA256, 3: hashes.SHA512}
ROLE = {0: "SAST", 1: "CCM", 2: "CCM+TFTP", 3: "TFTP", 4: "CAPF", 7: "APP-SERVER", 21: "TVS"}
CONTAINERS = (3, 7, 9)


def tlvs(data, at, end, nested=False):
    while at < end:
        tag = data[at]
        if nested and tag == 13:
            at += 1
            continue
        (length,) = struct.unpack(">H", data[at + 1:at + 3])
        if at + 3 + length > end:
            raise ValueError("tag %d at %d runs over" % (tag, at))
        yield tag, at, data[at + 3:at + 3 + length]
        at += 3 if nested and tag in CONTAINERS else 3 + length


def parse(path):
    data = open(path, "rb").read()
    if data[0] != 1 or data[5] != 2:
        raise ValueError("no header")
    (head,) = struct.unpack(">H", data[8:10])
    h = {t: v for t, _, v in tlvs(data, 0, head, True)}
    where = [(a, len(v)) for t, a, v in tlvs(data, 0, head, True) if t == 12][0]
    records, at = [], head
    while at < len(data):
        (length,) = struct.unpack(">H", data[at + 3:at + 5])
        records.append({t: v for t, _, v in tlvs(data, at, at + length)})
        at += length
    if at != len(data):
        raise ValueError("records run over")
    return data, h, records, data[:where[0]] + data[where[0] + 3 + where[1]:]


def role(r):
    return struct.unpack(">H", r[4])[0]


def main():
    path = sys.argv[1]
    data, h, records, signed = parse(path)
    cert = None
    if "--cert" in sys.argv:
        cert = x509.load_pem_x509_certificate(open(sys.argv[sys.argv.index("--cert") + 1], "rb").read())
    else:
        pool = parse(sys.argv[sys.argv.index("--anchor") + 1])[2] if "--anchor" in sys.argv else records
        for r in pool:
            if role(r) == 0 and r.get(6) == h[5] and 9 in r:
                cert = x509.load_der_x509_certificate(r[9])
    good = False
    if cert is not None:
        try:
            cert.public_key().verify(h[12], signed, padding.PKCS1v15(), HASH[h[8][0]]())
            good = True
        except Exception:
            pass
    out = {"good": good, "digest": h[8][0], "file": h[14][:-1].decode(), "time": struct.unpack(">I", h[15])[0],
           "signer": h[4][:-1].decode(), "size": len(data), "records": []}
    for r in records:
        e = {"role": ROLE.get(role(r), str(role(r))), "subject": r.get(3, b"\0")[:-1].decode(), "cert": 9 in r,
             "dns": r.get(2, b"\0")[:-1].decode()}
        if 9 in r:
            c = x509.load_der_x509_certificate(r[9])
            e["cn"] = c.subject.get_attributes_for_oid(x509.oid.NameOID.COMMON_NAME)[0].value
            e["serial_fits"] = int.from_bytes(r[6], "big") == c.serial_number
        out["records"].append(e)
    print(json.dumps(out))
    sys.exit(0 if good else 1)


main()
