#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tokens for test_jwt.c, made by python3-cryptography and put together by hand: jwt_make.py > jwt_vectors.h"""
import base64, hmac, json
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

b64 = lambda b: base64.urlsafe_b64encode(b).rstrip(b'=').decode()
num = lambda n, size=0: b64(n.to_bytes(size or (n.bit_length() + 7) // 8, 'big'))
R, R2 = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)
SMALL = rsa.generate_private_key(65537, 1024)
E, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
pem = lambda k: k.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
NOW = 2000000000
GOOD = {"iss": "https://issuer.example", "sub": "SEP001122334455", "aud": "ravelin", "scope": "openid tftp sip",
        "exp": NOW + 600, "nbf": NOW - 10, "iat": NOW - 10}

def rs(key, msg, pad=None, digest=hashes.SHA256()):
    return key.sign(msg, pad or padding.PKCS1v15(), digest)
def es(key, msg, size=32):
    r, s = decode_dss_signature(key.sign(msg, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(size, 'big') + s.to_bytes(size, 'big')
def token(head, claims, sign):
    text = lambda x: x.encode() if isinstance(x, str) else json.dumps(x).encode()
    msg = (b64(text(head)) + '.' + b64(text(claims))).encode()
    return msg.decode() + '.' + b64(sign(msg))
RS, ES = {"alg": "RS256", "typ": "JWT"}, {"alg": "ES256"}
r = lambda claims, head=RS: token(head, claims, lambda m: rs(R, m))
e = lambda claims, head=ES: token(head, claims, lambda m: es(E, m))
but = lambda **kw: {k: v for k, v in {**GOOD, **kw}.items() if v is not None}
good_r, good_e = r(GOOD), e(GOOD)
h, p, s = good_r.split('.')
eh, ep, esig = good_e.split('.')
raw = base64.urlsafe_b64decode(esig + '==')
other = 'BCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_A'
alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

good = {
    "RS256": good_r, "ES256": good_e,
    "kid": r(GOOD, {**RS, "kid": "rsa-1"}), "kid of the other kind's": e(GOOD, {**ES, "kid": "ec-1"}),
    "at+jwt": r(GOOD, {**RS, "typ": "at+JWT"}), "application/jwt": r(GOOD, {**RS, "typ": "application/jwt"}),
    "device over sub": r(but(device="SEP001122334455", sub="somebody")),
    "audiences": r(but(aud=["x", "ravelin"])), "scope alone": r(but(scope="tftp")),
    "no nbf": r(but(nbf=None)), "just expired": r(but(exp=NOW - 59)), "just not yet": r(but(nbf=NOW + 60)),
    "fraction": r(but(exp=NOW + 0.5)), "spaces": r(json.dumps(GOOD, indent=2)),
}
NO_ALG, SIG, FORM = "algorithm is neither RS256 nor ES256", "signature is not the issuer's", "malformed"
bad = [
    ("none", h.replace(h, b64(b'{"alg":"none"}')) + '.' + p + '.', NO_ALG),
    ("None with signature", token({"alg": "None"}, GOOD, lambda m: rs(R, m)), NO_ALG),
    ("HS256 keyed with the RSA key's PEM", token({"alg": "HS256"}, GOOD, lambda m: hmac.digest(pem(R), m, 'sha256')), NO_ALG),
    ("HS256 keyed with the EC key's PEM", token({"alg": "HS256"}, GOOD, lambda m: hmac.digest(pem(E), m, 'sha256')), NO_ALG),
    ("RS384", token({"alg": "RS384"}, GOOD, lambda m: rs(R, m, digest=hashes.SHA384())), NO_ALG),
    ("PS256", token({"alg": "PS256"}, GOOD, lambda m: rs(R, m, padding.PSS(padding.MGF1(hashes.SHA256()), 32))), NO_ALG),
    ("PSS called RS256", token(RS, GOOD, lambda m: rs(R, m, padding.PSS(padding.MGF1(hashes.SHA256()), 32))), SIG),
    ("rs256", token({"alg": "rs256"}, GOOD, lambda m: rs(R, m)), NO_ALG),
    ("no alg", token({"typ": "JWT"}, GOOD, lambda m: rs(R, m)), NO_ALG),
    ("alg a list", token({"alg": ["RS256"]}, GOOD, lambda m: rs(R, m)), NO_ALG),
    ("RSA called ES256", token(ES, GOOD, lambda m: rs(R, m)), SIG),
    ("EC called RS256", token(RS, GOOD, lambda m: es(E, m)), SIG),
    ("another RSA key", token(RS, GOOD, lambda m: rs(R2, m)), SIG),
    ("another EC key", token(ES, GOOD, lambda m: es(ec.generate_private_key(ec.SECP256R1()), m)), SIG),
    ("kid of another key", r(GOOD, {**RS, "kid": "rsa-2"}), SIG),
    ("unknown kid", r(GOOD, {**RS, "kid": "nobody"}), SIG),
    ("key in the header", token({**RS, "jwk": {"kty": "RSA", "n": num(R2.public_key().public_numbers().n), "e": "AQAB"}},
                                GOOD, lambda m: rs(R2, m)), SIG),
    ("crit", r(GOOD, {**RS, "crit": ["exp"], "exp": 1}), "critical header parameter"),
    ("b64 crit", r(GOOD, {**RS, "b64": False, "crit": ["b64"]}), "critical header parameter"),
    ("typ", r(GOOD, {**RS, "typ": "JOSE"}), "not a JWT"),
    ("typ a number", r(GOOD, {**RS, "typ": 1}), "not a JWT"),
    ("payload changed", h + '.' + b64(json.dumps(but(device="SEP001122334455")).encode()) + '.' + s, SIG),
    ("header changed", b64(b'{"alg":"RS256"}') + '.' + p + '.' + s, SIG),
    ("signature cut", h + '.' + p + '.' + b64(base64.urlsafe_b64decode(s + '==')[:-1]), SIG), ("no signature", h + '.' + p + '.', SIG),
    ("ES256 cut", eh + '.' + ep + '.' + b64(raw[:-1]), SIG),
    ("ES256 longer", eh + '.' + ep + '.' + b64(raw + b'\0'), SIG),
    ("ES256 of zeros", eh + '.' + ep + '.' + b64(bytes(64)), SIG),
    ("ES256 in DER", token(ES, GOOD, lambda m: E.sign(m, ec.ECDSA(hashes.SHA256()))), SIG),
    ("ES256 on P-384", token(ES, GOOD, lambda m: es(P384, m, 48)), SIG),
    ("padding", good_e + '==', FORM), ("standard base64", h + '.' + p + '.+/' + s[2:], FORM),
    ("not canonical", good_e[:-1] + other[alphabet.index(good_e[-1])], FORM),
    ("newline", good_r + '\\n', FORM), ("blank", ' ' + good_r, FORM), ("four parts", good_r + '.AAAA', FORM),
    ("two parts", h + '.' + p, FORM), ("empty", "", FORM), ("dots", "..", FORM), ("five parts", "a.b.c.d.e", FORM),
    ("header twice alg", token('{"alg":"RS256","alg":"RS256"}', GOOD, lambda m: rs(R, m)), FORM),
    ("claim twice", r('{"iss":"https://issuer.example",' + json.dumps(GOOD)[1:]), FORM),
    ("payload a list", r('[]'), FORM), ("payload no JSON", r('hello'), FORM), ("payload and more", r(json.dumps(GOOD) + 'x'), FORM),
    ("payload too large", r(but(x='a' * 4096)), FORM),
    ("header too large", r(GOOD, {**RS, "x": 'a' * 1024}), FORM),
    ("issuer", r(but(iss="https://issuer.example/")), "another issuer"), ("no issuer", r(but(iss=None)), "another issuer"),
    ("issuer a list", r(but(iss=["https://issuer.example"])), "another issuer"),
    ("expired", r(but(exp=NOW - 60)), "expired"), ("no expiry", r(but(exp=None)), "no expiry"),
    ("expiry a text", r(but(exp=str(NOW + 600))), "no expiry"), ("expiry negative", r(but(exp=-1)), "expired"),
    ("not yet", r(but(nbf=NOW + 61)), "not valid yet"), ("nbf a text", r(but(nbf="0")), "not valid yet"),
    ("audience", r(but(aud="other")), "another audience"), ("audiences of others", r(but(aud=["x", 1])), "another audience"),
    ("no audience", r(but(aud=None)), "another audience"), ("audience's prefix", r(but(aud="ravelin2")), "another audience"),
    ("no scope", r(but(scope=None)), "scope is missing"), ("scope", r(but(scope="tftp2 xtftp tf tp")), "scope is missing"),
    ("scope a list", r(but(scope=["tftp"])), "scope is missing"), ("scope empty", r(but(scope="")), "scope is missing"),
    ("device", r(but(device="SEP001122334456")), "another device"), ("sub", r(but(sub="SEP001122334456")), "another device"),
    ("no device", r(but(sub=None)), "another device"), ("device null", r(but(device=None) | {"device": None}), "another device"),
    ("device in lower case", r(but(sub="sep001122334455")), "another device"),
    ("device and more", r(but(sub="SEP001122334455\u0000x")), FORM),
]
jwk_r = lambda k, kid: {"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": num(k.public_key().public_numbers().n), "e": "AQAB"}
en = E.public_key().public_numbers()
jwk_e = {"kty": "EC", "kid": "ec-1", "crv": "P-256", "x": num(en.x, 32), "y": num(en.y, 32)}
jwks = {"keys": [{"kty": "oct", "k": "AAAA", "kid": "x"}, jwk_r(SMALL, "small"), {**jwk_r(R2, "rsa-2"), "use": "enc"},
                 {**jwk_r(R2, "e1"), "e": "AQ"}, {**jwk_e, "kid": "off", "y": num(en.y ^ 1, 32)}, jwk_r(R, "rsa-1"), jwk_e]}
q = lambda t: json.dumps(t if isinstance(t, str) else t.decode()).replace('\\\\n', '\\n')
print('/* SPDX-License-Identifier: BSD-3-Clause */\n/* Made by jwt_make.py: python3-cryptography, keys drawn for it and thrown away. */')
print('#ifndef VECTORS_JWT_H\n#define VECTORS_JWT_H\n\n#pragma GCC diagnostic ignored "-Woverlength-strings"\n')
print('#define JWT_NOW %d' % NOW)
def text(name, t):
    t = t if isinstance(t, str) else t.decode()
    cut = [t[i:i + 100] for i in range(0, len(t), 100)]
    print('static const char %s[] =\n\t%s;' % (name, '\n\t'.join(json.dumps(c) for c in cut)))
text('jwt_jwks', json.dumps(jwks))
text('jwt_jwks_private', json.dumps({"keys": [jwk_r(R, "rsa-1"), {**jwk_e, "d": "AAAA"}]}))
text('jwt_pem', pem(R) + pem(E))
print('struct jwt_vector {\n\tconst char *name, *token, *why;\n};')
def rows(name, list_):
    print('static const struct jwt_vector %s[] = {' % name)
    for n, t, why in list_:
        print('\t{%s,\n\t %s,\n\t %s},' % (json.dumps(n), q(t), json.dumps(why) if why else 'NULL'))
    print('};')
rows('jwt_good', [(n, t, None) for n, t in good.items()])
rows('jwt_bad', bad)
print('#endif')
