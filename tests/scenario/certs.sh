#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Certificates: trust stores and what they refuse, MIC roots kept apart, a third party's CA made with openssl(1), and phones that stay
# registered over 100 reloads of the CallManager's TLS, with others that come and go all the while and openssl s_client that sees the new
# certificate at once. 20 phones; with RAVELIN_FULL 1,000 of each. No dataplane: nobody calls. RAVELIN_BUILD: build directory. As root; exit 0 or 1.
# 000:P0-04, P0-05; 001:P1-027 to P1-029, P1-033.
# Rows: 000:P0-24; 001:L471, P1-034, P1-036, P1-046, R-20; 004a:WEB-09, WEB-10.
# May run beside another.
set -u
SC_NAME=certs
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
PHONES=20 RELOADS=100
[ "${RAVELIN_FULL:-0}" = 0 ] || PHONES=1000 RELOADS=1000

ns_up || die "network namespaces could not be made"
sc_phones 1 2 3
appliance_config "signer: {server_key: ec-p256}" || die "configuration"

# --- other people's certificates ---
PKI=$WORK/pki
mkdir "$PKI"
ca() { # NAME CN [options]
	local name=$1 cn=$2
	shift 2
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/O=Elsewhere/CN=$cn" \
		-keyout "$PKI/$name.key" -out "$PKI/$name.crt" -addext keyUsage=critical,keyCertSign,cRLSign "$@" 2>>"$PKI/log"
}
cat >"$PKI/ca.cnf" <<CNF
[ca]
default_ca = d
[d]
database = $PKI/index
serial = $PKI/serial
new_certs_dir = $PKI
policy = p
unique_subject = no
copy_extensions = none
[p]
countryName = optional
organizationName = optional
commonName = supplied
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = IP:10.77.1.1
[client]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = clientAuth
[sub]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign
CNF
: >"$PKI/index"
echo 1000 >"$PKI/serial"
sign() { # CSR OUT CA EXTENSIONS FROM-DAYS TO-DAYS
	openssl ca -batch -notext -md sha256 -config "$PKI/ca.cnf" -cert "$PKI/$3.crt" -keyfile "$PKI/$3.key" -extensions "$4" \
		-startdate "$(date -u -d "$5 days" +%Y%m%d%H%M%SZ)" -enddate "$(date -u -d "$6 days" +%Y%m%d%H%M%SZ)" \
		-in "$1" -out "$2" 2>>"$PKI/log"
}
request() { # NAME CN [openssl options]
	local name=$1 cn=$2
	shift 2
	openssl req -nodes -subj "/O=Vendor/CN=$cn" -keyout "$PKI/$name.key" -out "$PKI/$name.csr" "$@" 2>>"$PKI/log"
}
ca mics "Vendor Manufacturing CA" && ca load "Load CA" && ca company "Company Root CA" &&
	request issuing "Company Issuing CA" -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 &&
	sign "$PKI/issuing.csr" "$PKI/issuing.crt" company sub -1 900 &&
	request mic1 "CP-7965-$(sc_phone_name 1)" -newkey rsa:2048 && sign "$PKI/mic1.csr" "$PKI/mic1.crt" mics client -1 900 &&
	request old "Old CA" -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 && sign "$PKI/old.csr" "$PKI/old.crt" company sub -400 -35 &&
	sign "$PKI/old.csr" "$PKI/future.crt" company sub 35 400 &&
	openssl req -x509 -newkey rsa:1024 -nodes -subj "/CN=Weak CA" -keyout "$PKI/weak.key" -out "$PKI/weak.crt" 2>>"$PKI/log" ||
	die "openssl made no certificates: $(tail -5 "$PKI/log")"
cat "$PKI/mic1.key" "$PKI/mic1.crt" >"$PKI/mic1.pem"
openssl x509 -in "$PKI/mics.crt" -outform DER -out "$PKI/mics.der"
cat "$PKI/load.key" "$PKI/load.crt" >"$PKI/load.pem"

daemon signer
daemon controlplane
is_up() { ctl_holds status 'has("registered")'; }
wait_for 60 is_up || die "the controlplane did not come up: $(tail -n 3 "$WORK/controlplane.log")"
sc_device 1 encrypted && sc_device 2 encrypted || die devices
TLS="--tls --ca $WORK/ca.pem"

refused() { # TEXT WORDS COMMAND...
	local text=$1 words=$2 out rc
	shift 2
	out=$(ctl "$@" 2>&1)
	rc=$?
	if [ $rc = 1 ] && grep -q -- "$words" <<<"$out"; then ok "$text: $(tr '\n' ' ' <<<"${out#ravelinctl: }")"; else bad "$text" "$rc: $out"; fi
}
has() { # STORE COUNT
	check_ctl "$1 has $2" "show certs --store $1" "length == $2"
}

step "trust stores"
has CAPF-trust 0
check "a manufacturer's root, in DER, into CAPF-trust" ctl cert upload --store CAPF-trust "$PKI/mics.der"
has CAPF-trust 1
has CallManager-trust 0
refused "the same again" 'duplicate: Vendor Manufacturing CA' cert upload --store CAPF-trust "$PKI/mics.crt"
refused "an expired one" 'expired: Old CA' cert upload --store CAPF-trust "$PKI/old.crt"
refused "one of the future" 'not yet valid: Old CA' cert upload --store CAPF-trust "$PKI/future.crt"
refused "a phone's where CAs belong" 'wrong usage' cert upload --store CAPF-trust "$PKI/mic1.crt"
refused "a weak key" 'weak key.*rsa-1024' cert upload --store CAPF-trust "$PKI/weak.crt"
refused "a file with a private key" 'private key' cert upload --store CAPF-trust "$PKI/mic1.pem"
refused "a request" 'CERTIFICATE REQUEST' cert upload --store CAPF-trust "$PKI/mic1.csr"
head -c 300 "$PKI/mics.der" >"$PKI/cut.der"
refused "half a certificate" 'malformed' cert upload --store CAPF-trust "$PKI/cut.der"
refused "something else" 'malformed' cert upload --store CAPF-trust "$WORK/ravelin.yaml"
refused "a store that is none" 'no trust store' cert upload --store Other-trust "$PKI/mics.crt"
has CAPF-trust 1
check_ctl "refusals are in the audit with their reason" "show audit --max 100" \
	'[.[] | tostring | select(test("refused") and test("cert.upload"))] | length >= 9'
for h in sha256 sha1 md5; do
	want=$(openssl x509 -in "$PKI/mics.crt" -noout -fingerprint -$h | sed 's/.*=//')
	check_ctl "its $h fingerprint is openssl's" "cert show $want" \
		".fingerprints.$h == \"$(tr -d : <<<"$want" | tr A-F a-f)\" and .store == \"CAPF-trust\""
done
ctl cert export "Vendor Manufacturing CA" --der --out "$PKI/back.der"
check "exported DER is what was uploaded" cmp "$PKI/back.der" "$PKI/mics.der"
check "exported PEM is read by openssl" eval 'ctl cert export "Vendor Manufacturing CA" | openssl x509 -noout'

step "MIC roots are kept apart"
mic() { # TEXT true|false
	in_phone timeout -k 2 90 "$SIM/ravelin-phonesim" --server 10.77.1.1 --name "$(sc_phone_name 1)" --source "$(sc_phone_ip 1)" \
		$TLS --cert "$PKI/mic1.pem" --duration 0.5 --timeout 30 --retry 0 --report "$WORK/mic.json" >"$WORK/mic.log" 2>&1
	check_json "$1" "$WORK/mic.json" ".registered == $2"
}
mic "a MIC of a root in CAPF-trust does not register" false
ctl cert upload --store CallManager-trust "$PKI/mics.crt" >/dev/null || bad "the root goes into CallManager-trust too"
mic "with its root in CallManager-trust it does" true
check_ctl "and that is an alarm" "show alarms" 'any(.[]; .id == "manufacturer-root-trusted")'
ctl cert delete --store CallManager-trust "Vendor Manufacturing CA" >/dev/null || bad "it is deleted"
mic "deleted from there, no more" false
check_ctl "nor is the alarm" "show alarms" 'all(.[]; .id != "manufacturer-root-trusted")'

step "$PHONES phones over $RELOADS reloads"
check "the CA of the phones goes into CallManager-trust" ctl cert upload --store CallManager-trust "$PKI/load.crt"
# the simulator counts its phones' names in hex
jq -n --argjson n "$PHONES" 'def hex: [recurse(if . > 15 then . / 16 | floor else empty end) % 16] | reverse | map("0123456789ABCDEF"[.:.+1]) | add;
	{devices: [range($n + 5) | {name: ("SEP0000000B" + ("0000" + hex)[-4:]), mode: "encrypted", lines: [{number: (30000 + . | tostring)}]}]}' \
	>"$WORK/devices.json"
ctl import "$WORK/devices.json" >/dev/null || bad "devices are imported"
in_phone "$SIM/ravelin-phonesim" --server 10.77.1.1 $TLS --load "$PHONES" --load-ca "$PKI/load.pem" --first SEP0000000B0000 \
	--hold 3600 --retry 0 --timeout 60 --report "$WORK/load.json" >"$WORK/load.log" 2>&1 &
load=$!
# a cluster that is not in mixed mode counts them as non-secure, TLS or not
all_in() { ctl_holds status "([.registered[]] | add) == $PHONES"; }
wait_for 300 all_in || bad "$PHONES phones are registered" "$(ctl -j status | jq -c .registered)"
# regenerate NAME: with --strand, should the ledger know of phones that do not find back
regenerate() {
	local out n
	out=$(ctl -j cert regenerate "$@" 2>/dev/null) && return 0
	n=$(jq -r '.error.message' <<<"$out" | grep -o -- '--strand [0-9]*' | head -1)
	[ -n "$n" ] && ctl cert regenerate "$@" $n >/dev/null
}
shown() { # the SHA-256 that a stranger's next handshake is shown
	in_phone timeout 90 openssl s_client -connect 10.77.1.1:2443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256 |
		sed 's/.*=//' | tr -d : | tr A-F a-f
}
# Five that come, register and go, again and again: none may fail, whatever is being changed. They take any server's certificate.
comers() {
	local first
	first=$(printf 'SEP0000000B%04X' "$PHONES")
	while [ -e "$WORK/comers" ]; do
		in_phone timeout 300 "$SIM/ravelin-phonesim" --server 10.77.1.1 --tls --insecure --load 5 --load-ca "$PKI/load.pem" --first "$first" \
			--hold 0 --retry 0 --timeout 60 --rate 50 --report - 2>>"$WORK/comers.log" | jq -c '[.registered, .failed]' >>"$WORK/came"
	done
}
: >"$WORK/comers"
: >"$WORK/came"
comers &
comers=$!
same=0 fresh=0 last=
for i in $(seq 1 $RELOADS); do
	case $((i % 4)) in
	0) regenerate CallManager --key ec-p256 ;;
	1) ctl cert upload --store CallManager-trust "$PKI/company.crt" >/dev/null ;;
	2) regenerate CallManager --key ec-p384 ;;
	3) ctl cert delete --store CallManager-trust "Company Root CA" >/dev/null ;;
	esac || bad "reload $i"
	want=$(ctl -j cert show CallManager --store own | jq -r .fingerprints.sha256)
	[ "$(shown)" != "$want" ] || same=$((same + 1))
	[ "$want" = "$last" ] || fresh=$((fresh + 1))
	last=$want
done
rm "$WORK/comers"
wait $comers
check "each of $RELOADS reloads shows in the very next handshake" test "$same" = $RELOADS
check "of them $((RELOADS / 2)) with another certificate" test "$fresh" = $((RELOADS / 2 + 1))
came=$(wc -l <"$WORK/came")
check "5 phones came and went $came times meanwhile" test "$came" -ge 3
check "and none of them failed" test "$(grep -c '^\[5,0\]$' "$WORK/came")" = "$came"
check "and each change is logged" test "$(grep -c 'event=cert-changed' "$WORK/controlplane.log")" = $((RELOADS / 2))
soon_ctl "$PHONES phones are registered" 5 status "([.registered[]] | add) == $PHONES"
kill -TERM "$(pgrep -f "^[^ ]*ravelin-phonesim .*--report $WORK/load.json")" 2>/dev/null
wait $load
check_json "and none of them noticed" "$WORK/load.json" ".registered == $PHONES and .registered_at_end == $PHONES and .lost == 0 and .failed == 0"

step "a third party's CA"
check "a request for CallManager" ctl cert csr CallManager --key ec-p256 --out "$PKI/cm.csr"
check "openssl finds it sound" openssl req -in "$PKI/cm.csr" -noout -verify
before=$(shown)
sign "$PKI/cm.csr" "$PKI/cm.crt" issuing server -1 400 && sign "$PKI/cm.csr" "$PKI/cm-client.crt" issuing client -1 400 &&
	sign "$PKI/cm.csr" "$PKI/cm-old.crt" issuing server -40 -4 && sign "$PKI/mic1.csr" "$PKI/other.crt" issuing server -1 400 ||
	bad "openssl signs" "$(tail -3 "$PKI/log")"
chain() { cat "$PKI/$1.crt" "$PKI/issuing.crt" "$PKI/company.crt" >"$PKI/$1.chain"; }
for n in cm cm-client cm-old other; do chain $n; done
refused "the answer to another's request" 'mismatched key' cert import CallManager "$PKI/other.chain"
refused "one without its chain" 'chain incomplete: Company Issuing CA' cert import CallManager "$PKI/cm.crt"
refused "an expired one" 'expired' cert import CallManager "$PKI/cm-old.chain"
refused "one that may not serve" 'wrong usage' cert import CallManager "$PKI/cm-client.chain"
refused "a CA's for a server" 'wrong usage' cert import CallManager "$PKI/company.crt"
check "nothing of it was taken" test "$(shown)" = "$before"
out=$(ctl cert import CallManager "$PKI/cm.chain" 2>&1) ||
	out=$(ctl cert import CallManager "$PKI/cm.chain" $(grep -o -- '--strand [0-9]*' <<<"$out" | head -1) 2>&1) || bad "import" "$out"
check "the right one is shown at once" test "$(shown)" = "$(openssl x509 -in "$PKI/cm.crt" -noout -fingerprint -sha256 | sed 's/.*=//' | tr -d : | tr A-F a-f)"
check "and verifies by the company's root alone" eval "in_phone timeout 90 openssl s_client -connect 10.77.1.1:2443 -CAfile '$PKI/company.crt' \
	-verify_ip 10.77.1.1 </dev/null 2>&1 | grep -q 'Verify return code: 0 (ok)'"
refused "once more" 'duplicate' cert import CallManager "$PKI/cm.chain"
check_ctl "what it was before is kept" "show certs --store own" 'any(.[]; .name == "CallManager.prev")'
refused "RSA-4096 for what phones hold" '526 bytes' cert regenerate TFTP --key rsa-4096

step "another start"
regenerate TFTP || bad "TFTP is made anew"
kill -9 "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)" 2>/dev/null
daemon controlplane
wait_for 60 is_up || bad "it comes up again"
has CAPF-trust 1
has CallManager-trust 1
check "the imported certificate is served" test "$(shown)" = "$(openssl x509 -in "$PKI/cm.crt" -noout -fingerprint -sha256 | sed 's/.*=//' | tr -d : | tr A-F a-f)"
check_ctl "no alarm of certificates" "show alarms" 'all(.[]; .id | test("^cert-|^tls-") | not)'
# what was there when it started is not there for ever
check_ctl "phones are led over from the TFTP certificate before" "show certs --store own" 'any(.[]; .name == "TFTP.prev")'
retire() {
	local out n
	out=$(ctl -j cert retire TFTP 2>/dev/null) && return 0
	n=$(jq -r '.error.message' <<<"$out" | grep -o -- '--strand [0-9]*' | head -1)
	[ -n "$n" ] && ctl cert retire TFTP $n >/dev/null
}
retire || bad "TFTP.prev is retired"
itl_by_own() { grep 'event=itl-made' "$WORK/controlplane.log" | tail -1 | grep -q 'signer=TFTP '; }
wait_for 5 itl_by_own && ok "the ITL is signed with the new one then" || bad "the ITL is signed with the new one" "$(grep itl "$WORK/controlplane.log" | tail -2)"
check_ctl "and there is no alarm of it" "show alarms" 'all(.[]; .id != "itl-not-made")'
check "no key was logged" eval "! grep -l 'PRIVATE KEY' '$WORK'/*.log"
appliance_stop 2>>"$WORK/checks.log"
check "both daemons stop cleanly" test $? = 0
sc_end
