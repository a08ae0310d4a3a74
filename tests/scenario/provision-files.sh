#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What phones fetch from a whole appliance, fetched by curl over TFTP and HTTP: configurations signed, short, encrypted and plain,
# the operator's files, unknown phones. Verified by `ravelinctl file`, by python's cryptography (which parses the file by
# itself) and by xmllint. A restart signs nothing anew; a change signs one file; explain says what was served.
# 004a:TFTP-02, TFTP-03, TFTP-05, TFTP-07 to TFTP-09, CTL-29, PKI-07; 002:P2-01, P2-03, P2-11; 001:P1-053, P1-054, P1-132, P1-135.
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# Rows: 000:P0-45, P0-47, P0-50; 001:P1-001, P1-002, P1-041, R-26; 002:P2-14, P2-30 to P2-32, P2-51, R-01, R-11; 004a:AUT-02,
# AUT-05, GEN-02, GEN-03, SVC-03, TFTP-12; 004b:HARD-03, SRST-03.
# May run beside another.
set -u
SC_NAME=provision
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

ns_up || die "network namespaces could not be made"
sc_phones 1 2 3
appliance_config "provision:
  listen: 10.77.1.1
  call_managers: [10.77.1.1, cm2.example]
  auto_registration: true" || die "configuration"
sed -i 's/^sccp:$/sccp:\n  port: 2010\n  tls_port: 2453/' "$WORK/ravelin.yaml"
mkdir -p "$WORK/state/files/New_Zealand"
printf '<CiscoIPPhoneRinglist/>\n' >"$WORK/state/files/Ringlist.xml"
printf '<tones/>\n' >"$WORK/state/files/New_Zealand/g3-tones.xml"
printf 'vendor signed this' >"$WORK/state/files/term.sgn"
head -c 300000 /dev/urandom >"$WORK/state/files/firmware.bin"
ln -s /etc/passwd "$WORK/state/files/link"
CLUSTER=nonsecure appliance_start || die "the appliance did not come up"
OUT=$WORK/out
mkdir "$OUT"

# http NAME / tftp NAME: into $OUT/NAME; the exit status is curl's.
http() {
	mkdir -p "$(dirname "$OUT/$1")"
	in_phone timeout 90 curl -sf --path-as-is -o "$OUT/$1" "http://10.77.1.1:6970/$1"
}
tftp() {
	mkdir -p "$(dirname "$OUT/$1")"
	in_phone timeout 90 curl -sf --path-as-is -o "$OUT/$1" "tftp://10.77.1.1/$1"
}
refused() { ! "$@"; }
stat_of() { ctl -j show files | jq -r ".$1"; }
xp() { xmllint --nonet --xpath "string($2)" "$OUT/$1"; }
is() { # TEXT FILE XPATH VALUE
	local got
	got=$(xp "$2" "$3" 2>&1)
	if [ "$got" = "$4" ]; then ok "$1"; else bad "$1" "$3 is '$got', not '$4'"; fi
}
body() { # FILE.sgn -> what is behind the header, by somebody else's hand
	python3 - "$OUT/$1" "$OUT/$2" <<-PY
		import sys
		d = open(sys.argv[1], 'rb').read()
		assert d[0] == 1 and d[5] == 2
		open(sys.argv[2], 'wb').write(d[int.from_bytes(d[8:10], 'big'):])
	PY
}
# verify_py FILE CERT NAME: header by hand, signature by python's cryptography
verify_py() {
	python3 - "$OUT/$1" "$2" "$3" <<-PY
		import sys
		from cryptography import x509
		from cryptography.hazmat.primitives import hashes
		from cryptography.hazmat.primitives.asymmetric import padding
		d = open(sys.argv[1], 'rb').read()
		cert = x509.load_pem_x509_certificate(open(sys.argv[2], 'rb').read())
		end, at, tags, off = int.from_bytes(d[8:10], 'big'), 0, {}, {}
		while at < end:
		    t = d[at]
		    if t == 13:
		        at += 1
		        continue
		    n = int.from_bytes(d[at + 1:at + 3], 'big')
		    tags[t], off[t] = d[at + 3:at + 3 + n], at
		    at += 3 if t in (3, 7, 9, 16, 17, 21) else 3 + n
		assert at == end and end % 4 == 0, 'header'
		assert tags[14] == sys.argv[3].encode() + b'\0', tags[14]
		h = {1: hashes.SHA1(), 2: hashes.SHA256(), 3: hashes.SHA512()}[tags[8][0]]
		tbs = d[:off[12]] + d[off[12] + 3 + len(tags[12]):]
		cert.public_key().verify(tags[12], tbs, padding.PKCS1v15(), h)
		print(h.name)
	PY
}
digest_is() { [ "$(verify_py "$1" "$TFTP" "$1" 2>>"$WORK/checks.log")" = "$2" ]; }

cp "$WORK/state/signer/TFTP.cert.pem" "$WORK/tftp.pem"
TFTP=$WORK/tftp.pem
[ -s "$TFTP" ] || die "the signer's certificate cannot be exported"

A=$(sc_phone_name 1) B=$(sc_phone_name 2) C=$(sc_phone_name 3)
ctl profile add secure --mode encrypted --encrypted-config --capf-auth lsc --harden webAccess=off,garp=off >/dev/null || die profile
ctl device add "$A" --model 8851 --mode encrypted --line 1001 >/dev/null && ctl device add "$B" --model 7965 --line 1002 >/dev/null || die devices
ctl device set "$B" --profile secure >/dev/null || die "device set"

# --- the operator's files ---
check "HTTP: a file of the directory" http firmware.bin
check "and it is the same" cmp "$OUT/firmware.bin" "$WORK/state/files/firmware.bin"
check "TFTP: the same" tftp firmware.bin
check "and it is the same" cmp "$OUT/firmware.bin" "$WORK/state/files/firmware.bin"
check "a folder's file, signed" tftp New_Zealand/g3-tones.xml.sgn
check "its name in it has the folder" verify_py New_Zealand/g3-tones.xml.sgn "$TFTP" New_Zealand/g3-tones.xml.sgn
check "ring list, signed" http Ringlist.xml.sgn
check "SHA-512 by default" digest_is Ringlist.xml.sgn sha512
check "ravelinctl verifies it" ctl file verify "$OUT/Ringlist.xml.sgn" --cert "$TFTP"
check "what the vendor signed is as it lies there" http term.sgn
check "and is not signed again" cmp "$OUT/term.sgn" "$WORK/state/files/term.sgn"
for n in link ../ravelin.yaml New_Zealand/../../ravelin.yaml %2e%2e/ravelin.yaml New_Zealand nothing.xml nothing.xml.sgn; do
	check "not found: $n" refused http "$n"
	check "not found by TFTP: $n" refused tftp "$n"
done
printf 'changed' >"$WORK/state/files/Ringlist.xml"
check "a changed file, signed" http Ringlist.xml.sgn
check "has the new bytes" sh -c "tail -c 7 '$OUT/Ringlist.xml.sgn' | grep -qx changed"

# --- a modern phone: its list, then what the list lets it verify ---
check_ctl "explain: it is not known what it holds" "explain $A" '.itl_held == "unknown"'
check "its ITL" tftp "ITL$A.tlv"
check "ravelinctl verifies it" ctl file verify "$OUT/ITL$A.tlv"
check_ctl "explain: it can verify what is signed" "explain $A" 'any(.asks[]; .name == "'"$A"'.cnf.xml.sgn" and .verifies == "yes")'
check "its configuration, signed" tftp "$A.cnf.xml.sgn"
check "by SHA-512" digest_is "$A.cnf.xml.sgn" sha512
body "$A.cnf.xml.sgn" a.xml || bad "body of $A.cnf.xml.sgn"
check "well-formed" xmllint --nonet --noout "$OUT/a.xml"
is "non-secure, since the cluster is" a.xml /device/deviceSecurityMode 1
is "call manager 1" a.xml '//callManagerGroup/members/member[@priority=0]//processNodeName' 10.77.1.1
is "call manager 2" a.xml '//callManagerGroup/members/member[@priority=1]//processNodeName' cm2.example
is "the port that SCCP is served at" a.xml '//member[@priority=0]//ports/ethernetPhonePort' 2010
is "IPv4" a.xml /device/ipAddressMode 0
is "CAPF" a.xml //capfList/capf/phonePort 3804
is "TVS" a.xml //TVS/members/member/port 2445
check "unsigned too" http "$A.cnf.xml"
check "and the same" cmp "$OUT/$A.cnf.xml" "$OUT/a.xml"
check_ctl "explain: signed, whole" "explain $A" 'any(.asks[]; .name == "'"$A"'.cnf.xml.sgn" or .name == "'"$A"'.cnf.xml")'
check_ctl "explain: the mode is the cluster's doing" "explain $A" 'any(.settings[]; .setting == "mode" and .value == "nonsecure" and .from == "cluster mode")'

# --- an older phone, encrypted ---
check "no key known: the whole one, signed" tftp "$B.cnf.xml.sgn"
check "by SHA-1: an older phone" digest_is "$B.cnf.xml.sgn" sha1
check "and none encrypted" refused tftp "$B.cnf.xml.enc.sgn"
check_ctl "explain says why" "explain $B" 'any(.notes[]; test("neither its certificate nor"))'
check "an LSC is issued" ctl cert issue "$B" --out "$WORK"
check "now there is an encrypted one" tftp "$B.cnf.xml.enc.sgn"
check "signed over all of it" verify_py "$B.cnf.xml.enc.sgn" "$TFTP" "$B.cnf.xml.enc.sgn"
check "the phone's key opens it" ctl file decrypt "$OUT/$B.cnf.xml.enc.sgn" --key "$WORK/$B.pem" --out "$OUT/b.xml"
check "well-formed" xmllint --nonet --noout "$OUT/b.xml"
is "the profile hardens it" b.xml //webAccess 1
is "gratuitous ARP is ignored" b.xml //garp 1
is "settings stay" b.xml //settingsAccess 1
openssl genrsa -out "$WORK/other.pem" 2048 2>/dev/null
check "another key does not" refused ctl file decrypt "$OUT/$B.cnf.xml.enc.sgn" --key "$WORK/other.pem" --out "$OUT/x.xml"
check "the short one" tftp "$B.cnf.xml.sgn"
body "$B.cnf.xml.sgn" bs.xml
is "says so" bs.xml /device/fullConfig false
is "and that there is more" bs.xml /device/encrConfig true
is "for which certificate" bs.xml /device/certHash "$(openssl x509 -in "$WORK/$B.pem" -outform DER | md5sum | cut -d' ' -f1)"
check_ctl "explain: what it will ask for" "explain $B" '[.asks[].name] | any(endswith(".cnf.xml.enc.sgn"))'

# --- phones that nobody knows ---
check "auto-registration: the default configuration" http XMLDefault.cnf.xml
check "well-formed" xmllint --nonet --noout "$OUT/XMLDefault.cnf.xml"
check "signed too" http XMLDefault.cnf.xml.sgn
check "a phone that is not there has none" refused http "$C.cnf.xml"

# --- what is in use stays; validity ---
check "a profile in use cannot be deleted" refused ctl profile del secure
check "OAuth excludes encrypted configuration" refused ctl profile set secure --oauth
ctl -j export >"$WORK/export.json"
check "an export is imported as it is" ctl import "$WORK/export.json"

# --- a restart signs nothing anew, a change one file ---
for f in "$A.cnf.xml.sgn" "$B.cnf.xml.sgn" "$B.cnf.xml.enc.sgn" Ringlist.xml.sgn XMLDefault.cnf.xml.sgn; do http "$f" && cp "$OUT/$f" "$OUT/before-$f"; done
kill -9 "$(daemon_pid controlplane)"
daemon controlplane
wait_for 10 ctl_holds status '.version != null' || bad "the controlplane is back"
for f in "$A.cnf.xml.sgn" "$B.cnf.xml.sgn" "$B.cnf.xml.enc.sgn" Ringlist.xml.sgn XMLDefault.cnf.xml.sgn; do
	wait_for 5 http "$f"
	check "after kill -9, the same: $f" cmp "$OUT/$f" "$OUT/before-$f"
done
check_ctl "nothing was signed for it" "show files" '.signs == 0 and .sign_cache_hits == 5'
ctl device set "$A" --load sip88xx >/dev/null || bad "device set"
for f in "$A.cnf.xml.sgn" "$B.cnf.xml.sgn" "$B.cnf.xml.enc.sgn" Ringlist.xml.sgn; do http "$f"; done
check_ctl "a change signs one file" "show files" '.signs == 1'
body "$A.cnf.xml.sgn" a2.xml
is "and it says the new" a2.xml /device/loadInformation sip88xx
check "nothing generated was written" sh -c "! find '$WORK/state/files' -name '*.cnf.xml*' | grep -q ."

# --- an ITL with empty sections: nothing names the file server, so nothing is asked for as signed ---
check "rollback is prepared" ctl itl rollback on --strand 0
check_ctl "explain: unsigned" "explain $A" 'any(.asks[]; .name == "'"$A"'.cnf.xml")'
check "rollback is over" ctl itl rollback off --strand 0
check_ctl "explain: signed again" "explain $A" 'any(.asks[]; .name == "'"$A"'.cnf.xml.sgn")'

# --- an SRST gateway's certificate is in the configuration, and in no list ---
openssl req -x509 -newkey rsa:2048 -nodes -days 900 -subj "/O=Branch/CN=srst-gateway" -keyout "$WORK/srst.key" -out "$WORK/srst.crt" 2>/dev/null
check "an SRST reference" eval "ctl srst add branch --address 10.77.9.1 --secure && ctl srst cert branch '$WORK/srst.crt' && ctl device set $A --srst branch"

# --- mixed mode: 004b:SEC-07, R-01 ---
check "mixed mode" ctl utils ctl set-cluster mixed-mode
check "the configuration" tftp "$A.cnf.xml.sgn"
body "$A.cnf.xml.sgn" a3.xml
is "what is demanded holds now" a3.xml /device/deviceSecurityMode 3
is "SRST by TLS" a3.xml //srstInfo/isSecure true
check "with its certificate" eval "cmp -s <(xp a3.xml //srstInfo/certificate | tr -d ' \n\r' | base64 -d) <(openssl x509 -in '$WORK/srst.crt' -outform DER)"
check_ctl "explain: a TLS port that no file can tell it of" "explain $A" 'any(.notes[]; test("sccp.tls_port is 2453"))'
check "no auto-registration" refused http XMLDefault.cnf.xml
check "nor signed" refused tftp XMLDefault.cnf.xml.sgn
check "its CTL" tftp "CTL$A.tlv"
check "ravelinctl verifies it" ctl file verify "$OUT/CTL$A.tlv"
check "its ITL" tftp "ITL$A.tlv"
check "neither names the SRST gateway" eval "! grep -q -a srst-gateway '$OUT/CTL$A.tlv' '$OUT/ITL$A.tlv'"

# --- without the signer ---
kill -9 "$(daemon_pid signer)"
check "what was signed is still served" http "$A.cnf.xml.sgn"
printf 'unsigned yet' >"$WORK/state/files/late.xml"
check "what was not is not" refused http late.xml.sgn
check "unsigned files go on" http late.xml
daemon signer
check "and is, when the signer is back" wait_for 10 http late.xml.sgn
sc_end
