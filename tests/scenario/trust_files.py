# SPDX-License-Identifier: BSD-3-Clause
"""trust_files.py RAVELINCTL VECTORS WORK: what `ravelinctl file` says of each file against the manifests and openssl(1)."""
import hashlib
import json
import os
import re
import subprocess
import sys

CTL, VECTORS, WORK = sys.argv[1:4]
DIGESTS = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}
done = failed = 0


def check(text, good, why=""):
    global done, failed
    done += 1
    if not good:
        failed += 1
        print(f"FAIL  {text} {why}")


def run(*args):
    """Exit code, standard output, standard error."""
    p = subprocess.run([CTL, "file", *args], capture_output=True, timeout=120)
    return p.returncode, p.stdout, p.stderr


def ask(*args):
    rc, out, err = run(*args, "-j")
    try:
        return rc, json.loads(out)
    except ValueError:
        check(f"{args}: JSON", False, (out + err).decode(errors="replace"))
        return rc, {}


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, capture_output=True, timeout=120)


def pubkey(pem):
    out = os.path.join(WORK, "pub.pem")
    cert = openssl("x509", "-in", pem, "-noout", "-pubkey")
    with open(out, "wb") as f:
        f.write(cert.stdout)
    return out


def signature_of(data):
    """Offset and length of the signature's value: our own reading of the header, no code shared."""
    at, end = 0, int.from_bytes(data[8:10], "big")
    while at < end:
        tag = data[at]
        if tag == 13:
            at += 1
            continue
        length = int.from_bytes(data[at + 1:at + 3], "big")
        if tag == 12:
            return at + 3, length
        at += 3 if tag in (3, 7, 9, 16, 17, 21) else 3 + length
    raise ValueError("no signature")


def openssl_agrees(path, pem, digest):
    """openssl verifies the signature over the file without its signature TLV."""
    data = open(path, "rb").read()
    off, length = signature_of(data)
    sig = os.path.join(WORK, "sig")
    with open(sig, "wb") as f:
        f.write(data[off:off + length])
    p = openssl("dgst", "-" + digest, "-verify", pubkey(pem), "-signature", sig, data=data[:off - 3] + data[off + length:])
    return p.returncode == 0


def hexed(s):
    return s.replace(":", "").lower() if s else s


def check_fields(path, want):
    rc, got = ask("show", path)
    check(f"{path}: show", rc == 0, f"{rc} {got}")
    data = open(path, "rb").read()
    if "aes_key" in want:  # what was constructed says it all in one object; padding is that of the body there
        want = dict(want, encryption={"iv": want["iv"], "padding": want.pop("padding")})
    same = [("bytes", "size"), ("header_bytes", "header_length"), ("version", "version"), ("signer", "signer_name"),
            ("issuer", "issuer_name"), ("signature_algorithm", "signature_algorithm"), ("padding", "padding"),
            ("signature_modulus", "modulus_code"), ("signature_offset", "signature_offset"),
            ("signature_bytes", "signature_length"), ("name", "filename"), ("timestamp", "timestamp"),
            ("tag_order", "tag_order"), ("sha256", "sha256_of_file"), ("body_bytes", "body_length")]
    for ours, theirs in same:
        if theirs in want:
            check(f"{path}: {ours}", got.get(ours) == want[theirs], f"{got.get(ours)} is not {want[theirs]}")
    check(f"{path}: digest", DIGESTS.get(got.get("digest")) == want["digest"])
    check(f"{path}: md5", got.get("md5") == hashlib.md5(data).hexdigest())
    if "serial" in want:
        check(f"{path}: serial", hexed(got.get("serial")) == want["serial"])
        check(f"{path}: signer version", got.get("signer_version") == want.get("signer_version"))
    check(f"{path}: records", len(got.get("records", [])) == len(want.get("records", [])))
    for r, w in zip(got.get("records", []), want.get("records", [])):
        for ours, theirs in [("offset", "offset"), ("bytes", "length"), ("role_code", "role"), ("role", "role_name"),
                             ("subject", "subject"), ("issuer", "issuer"), ("public_key_bytes", "public_key_length"),
                             ("certificate_bytes", "certificate_length"), ("certificate_sha256", "certificate_sha256"),
                             ("tag_order", "tag_order"), ("dns", "dns_name"), ("ip", "ip")]:
            if theirs in w:
                check(f"{path}: record {r['record']} {ours}", r.get(ours) == w[theirs], f"{r.get(ours)} is not {w[theirs]}")
        if "serial" in w:
            check(f"{path}: record {r['record']} serial", hexed(r["serial"]) == w["serial"])
    if "encryption" in want:
        e, w = got.get("encryption", {}), want["encryption"]
        for ours, theirs in [("iv", "iv"), ("hash", "plaintext_hash")]:
            check(f"{path}: {ours}", theirs not in w or e.get(ours, "").lower() == w[theirs])
        for ours, theirs in [("padding", "padding"), ("key_bits", "wrapped_key_bits"), ("key_algorithm", "key_algorithm")]:
            check(f"{path}: {ours}", theirs not in w or e.get(ours) == w[theirs])
    # the same for people names every record and every tag
    rc, out, _ = run("show", path)
    text = out.decode()
    check(f"{path}: show for people", rc == 0 and got["md5"] + "(MD5)" in text and got["signer"] in text)
    check(f"{path}: show prints each record", text.count(" Record #:") == len(want.get("records", [])))
    check(f"{path}: show prints each tag", len(re.findall(r"^\d+ ", text, re.M)) ==
          len(got["tag_order"]) + sum(len(r["tag_order"]) for r in got.get("records", [])))


def check_valid(folder, name, want, keys, lists):
    path = os.path.join(folder, name)
    signer = os.path.join(keys, want["signed_by"])
    if name.endswith(".tlv"):
        check(f"{path}: valid by its own record", run("verify", path)[0] == 0)
    else:
        check(f"{path}: nothing to judge by", run("verify", path)[0] == 2)
        check(f"{path}: by a list", run("verify", path, "--list", lists)[0] == 0)
    check(f"{path}: by its signer", run("verify", path, "--cert", signer)[0] == 0)
    check(f"{path}: not by another", run("verify", path, "--cert", os.path.join(keys, "rogue.pem"))[0] == 1)
    if name.endswith(".sgn"):
        check(f"{path}: by its name", run("verify", path, "--cert", signer, "--name", want["filename"])[0] == 0)
        check(f"{path}: not by another name", run("verify", path, "--cert", signer, "--name", "x.sgn")[0] == 1)
    check(f"{path}: openssl agrees", openssl_agrees(path, signer, want["digest"]))
    out = os.path.join(WORK, "plain")
    if name.endswith(".enc.sgn"):
        plain = os.path.join(folder, want.get("plain_file", "plain/" + os.path.basename(name)[:-len(".enc.sgn")]))
        rc, _ = ask("decrypt", path, "--key", os.path.join(keys, "mic.pem"), "--cert", signer, "--out", out)
        check(f"{path}: decrypts", rc == 0 and open(out, "rb").read() == open(plain, "rb").read())
        check(f"{path}: plain file is private", os.stat(out).st_mode & 0o777 == 0o600)
        check(f"{path}: not with another key", run("decrypt", path, "--key", os.path.join(keys, "rogue.pem"))[0] == 1)
        check(f"{path}: not for a rogue signer",
              run("decrypt", path, "--key", os.path.join(keys, "mic.pem"), "--cert", os.path.join(keys, "rogue.pem"))[0] == 1)
    elif "plain_file" in want:
        rc, body, _ = run("decrypt", path, "--cert", signer)
        check(f"{path}: what is inside", rc == 0 and body == open(os.path.join(folder, want["plain_file"]), "rb").read())


def check_made(folder, keys):
    """What it makes: openssl verifies the signature, and unwraps and decrypts."""
    tftp, mic = os.path.join(keys, "tftp.pem"), os.path.join(keys, "mic.pem")
    for name in ["Ringlist.xml", "empty.dat", "blob4099.bin"]:
        plain = os.path.join(folder, "plain", name)
        for digest in ["sha1", "sha256", "sha512"]:
            out = os.path.join(WORK, f"{name}.sgn")
            rc, got = ask("sign", plain, "--key", tftp, "--digest", digest, "--out", out, "--time", "1800000000")
            check(f"sign {name} {digest}", rc == 0 and got.get("name") == f"{name}.sgn" and
                  got.get("time") == "2027-01-15T08:00:00Z", f"{rc} {got}")
            check(f"sign {name} {digest}: openssl agrees", openssl_agrees(out, tftp, digest))
            check(f"sign {name} {digest}: verifies", run("verify", out, "--cert", tftp, "--name", f"{name}.sgn")[0] == 0)
            data, body = open(out, "rb").read(), open(plain, "rb").read()
            check(f"sign {name} {digest}: body", data[int.from_bytes(data[8:10], "big"):] == body)
            # encrypted: the key unwrapped and the body decrypted by openssl
            enc = os.path.join(WORK, f"{name}.enc.sgn")
            rc, got = ask("sign", plain, "--key", tftp, "--digest", digest, "--enc-cert", mic, "--out", enc)
            check(f"encrypt {name} {digest}", rc == 0 and got.get("kind") == "encrypted", f"{rc} {got}")
            check(f"encrypt {name} {digest}: openssl agrees", openssl_agrees(enc, tftp, digest))
            data = open(enc, "rb").read()
            at = data.index(b"\x19\x01\x00", signature_of(data)[0] + 256)
            key = openssl("pkeyutl", "-decrypt", "-inkey", mic, data=data[at + 3:at + 3 + 256]).stdout
            check(f"encrypt {name} {digest}: openssl unwraps", len(key) == 16)
            cipher = data[int.from_bytes(data[8:10], "big"):]
            text = openssl("enc", "-d", "-aes-128-cbc", "-nopad", "-K", key.hex(), "-iv", got["encryption"]["iv"],
                           data=cipher).stdout
            pad = got["encryption"]["padding"]
            check(f"encrypt {name} {digest}: openssl decrypts", text == body + b"\r" * pad and 1 <= pad <= 16)
            check(f"encrypt {name} {digest}: hash", got["encryption"]["hash"].lower() == hashlib.new(digest, body).hexdigest())
            check(f"encrypt {name} {digest}: comes back", run("decrypt", enc, "--key", mic, "--cert", tftp)[1] == body)
    plain = os.path.join(folder, "plain", "Ringlist.xml")
    body = open(plain, "rb").read()
    enc, sym, bad = (os.path.join(WORK, n) for n in ("s.enc.sgn", "sym.hex", "bad.bin"))
    open(sym, "w").write("00112233 44556677 8899aabb ccddeeff\n")
    open(bad, "wb").write(b"0123456789abcdef")
    check("symmetric", run("sign", plain, "--key", tftp, "--sym-key-file", sym, "--out", enc)[0] == 0)
    check("symmetric: comes back", run("decrypt", enc, "--sym-key-file", sym, "--cert", tftp)[1] == body)
    check("symmetric: another key", run("decrypt", enc, "--sym-key-file", bad, "--cert", tftp)[0] == 1)
    check("symmetric: a phone's key", run("decrypt", enc, "--key", mic, "--cert", tftp)[0] == 1)
    rc, got = ask("show", enc)
    cipher = open(enc, "rb").read()[got["header_bytes"]:]
    text = openssl("enc", "-d", "-aes-128-cbc", "-nopad", "-K", "00112233445566778899aabbccddeeff", "-iv",
                   got["encryption"]["iv"], data=cipher).stdout
    check("symmetric: openssl decrypts", text == body + b"\r" * got["encryption"]["padding"])
    # what cannot be done says so
    ec = os.path.join(keys, "app-ec.pem")
    check("an EC key does not sign", run("sign", plain, "--key", ec, "--out", os.path.join(WORK, "x"))[0] == 1)
    check("nor is one encrypted for", run("sign", plain, "--key", tftp, "--enc-cert", ec, "--out", os.path.join(WORK, "x"))[0] == 1)
    check("another's certificate", run("sign", plain, "--key", tftp, "--cert", mic, "--out", os.path.join(WORK, "x"))[0] == 2)
    check("nothing was written", not os.path.exists(os.path.join(WORK, "x")))


def check_unreadable(folder, keys):
    ctl = os.path.join(folder, "tlv", "CTLFile.tlv")
    check("no such file", run("show", "/nonexistent")[0] == 2)
    check("a folder", run("verify", folder)[0] == 2)
    check("no such certificate", run("verify", ctl, "--cert", "/nonexistent")[0] == 2)
    check("no certificate in it", run("verify", ctl, "--cert", ctl)[0] == 2)
    check("no list in it", run("verify", ctl, "--list", os.path.join(keys, "ccm.pem"))[0] == 2)
    check("unknown option", run("verify", ctl, "--nonsense")[0] == 2)
    check("a list of its own cluster", run("verify", ctl, "--list", ctl)[0] == 0)
    rc, got = ask("show", "/nonexistent")
    check("errors in JSON too", rc == 2 and got.get("error", {}).get("code") == "unreadable")
    # one cluster's list does not vouch for another's
    for other in sorted(os.listdir(VECTORS)):
        p = os.path.join(VECTORS, other, "tlv", "CTLFile.tlv")
        if os.path.isdir(os.path.join(VECTORS, other)) and not folder.endswith(other):
            check(f"{other} by {folder}", run("verify", p, "--list", ctl)[0] == 1)
    # an unknown role is shown, and means nothing; DER certificates are read
    der = os.path.join(WORK, "cert.der")
    cert = openssl("x509", "-in", os.path.join(keys, "sast1.pem"), "-outform", "DER").stdout
    open(der, "wb").write(cert)
    check("a certificate in DER", run("verify", ctl, "--cert", der)[0] == 0)
    data = bytearray(open(ctl, "rb").read())
    at = data.index(b"\x04\x00\x02\x00\x02", 440)
    data[at + 4] = 99
    odd = os.path.join(WORK, "CTLFile.tlv")
    open(odd, "wb").write(data)
    rc, got = ask("show", odd)
    check("an unknown role is kept", any(r["role"] == "role-99" for r in got.get("records", [])))
    check("and the change is seen", rc == 1 and got.get("valid") is False)
    # control characters of a file do not reach the terminal
    data = bytearray(open(ctl, "rb").read())
    at = data.index(b"Example Telephony")
    data[at:at + 4] = b"\x1b[2J"
    open(odd, "wb").write(data)
    rc, out, err = run("show", odd)
    check("no escape sequences", rc == 1 and b"\x1b" not in out + err and b"\\x1b[2J" in out)


sets = sorted(d for d in os.listdir(VECTORS) if d.startswith("set-"))
seen = 0
for s in sets:
    folder = os.path.join(VECTORS, s)
    keys = os.path.join(folder, "keys")
    lists = next(os.path.join(folder, "tlv", n) for n in os.listdir(os.path.join(folder, "tlv")) if n.startswith("ITLSEP"))
    manifest = json.load(open(os.path.join(folder, "manifest.json")))
    files = dict(manifest["files"])
    files.update(json.load(open(os.path.join(folder, "constructed", "expected.json"))))
    for name, want in sorted(files.items()):
        check_fields(os.path.join(folder, name), want)
        check_valid(folder, name, want, keys, lists)
        seen += 1
    for name, want in sorted(json.load(open(os.path.join(folder, "negative", "expected.json"))).items()):
        path = os.path.join(folder, name)
        if name.endswith(".tlv"):
            rc = run("verify", path)[0]
            check(f"{path}: refused", rc == 1, rc)
            check(f"{path}: show refuses too", run("show", path)[0] == 1)
        elif want["expect"] == "reject-if-name-is-checked":
            check(f"{path}: the signature is right", run("verify", path, "--list", lists)[0] == 0)
            check(f"{path}: the name is not", run("verify", path, "--list", lists, "--name", "SEP0A1B2C3D4E51.cnf.xml.sgn")[0] == 1)
        else:
            rc = run("decrypt", path, "--list", lists, "--key", os.path.join(keys, "mic.pem"))[0]
            check(f"{path}: refused", rc == 1, rc)
        seen += 1
    check_made(folder, keys)
    check_unreadable(folder, keys)
check("files seen", seen == 37 + 70, seen)
print(f"trust-files: {done - failed} of {done} checks passed")
sys.exit(1 if failed else 0)
