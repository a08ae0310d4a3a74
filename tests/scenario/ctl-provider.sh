#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Trust lists of a whole appliance: non-secure as installed, made mixed by a stranger over HTTPS (curl), changed by tokens whose keys
# are elsewhere (openssl's, and SoftHSM's by PKCS#11), every list read and verified by a parser that shares no code with us.
# 000:P0-40; 001:P1-007, P1-008; 004a:CTL-09, CTL-14, CTL-26, PKI-10; 004b:CTL-01, CTL-03, CTL-05, CTL-10, CTL-26; 004c:CT-07, CT-10, CT-12,
# CT-13, CT-19, CT-20, CT-22, CT-23, CT-25.
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# Rows: 000:P0-01, R-01, R-14; 001:P1-006, P1-052, R-02, R-05; 002:P2-02, R-02, R-13; 004a:AUT-04, AUT-07, AUT-10, CTL-01, CTL-06,
# CTL-07, CTL-15, SRST-03, SRTP-08, SVC-03; 004b:CTL-06, CTL-16 to CTL-19, R-03, R-05, R-06, R-33, SEC-01, SEC-07; 004c:CT-01,
# CT-14, CT-24.
# May run beside another.
set -u
SC_NAME=ctl-provider
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CTL=$BUILD/controlplane/ctl/ravelinctl

ns_up || die "network namespaces could not be made"
sc_phones 1 2 3 4 5 6
appliance_config "ctl_provider: {listen: 10.77.1.1, port: 2444}" || die "configuration"
CLUSTER=nonsecure appliance_start || die "the appliance did not come up"
CA=$WORK/state/signer/HTTPS.cert.pem
P=$WORK/tok
mkdir "$P"
token() { # NAME: a token's key and certificate that openssl makes
	openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/O=Elsewhere/CN=$1" -keyout "$P/$1.key" -out "$P/$1.crt" 2>/dev/null &&
		cat "$P/$1.key" "$P/$1.crt" >"$P/$1.pem"
}
token etoken1 && token etoken2 && token carol || die "openssl made no tokens"
verify() { python3 "$HERE/tlv_verify.py" "$@" 2>>"$WORK/checks.log"; }
# list NAME: the CTL in force as a stranger reads it, $WORK/NAME-CLASS.tlv
fetch() {
	mkdir -p "$WORK/$1" && "$CTL" -s "$WORK/run/admin.sock" ctl get --out "$WORK/$1" >/dev/null
}

step "as installed: non-secure"
check_ctl "the cluster is non-secure, and has an ITL" status '.cluster.mode == "nonsecure" and .cluster.ctl == false and .cluster.itl_signed_by == "TFTP"'
check_ctl "no CTL" "ctl mode" '.cluster_security_mode == 0'
ctl show ctl >"$WORK/noctl" 2>&1
check "which 'show ctl' says" grep -q 'No CTL File' "$WORK/noctl"
sc_device 1 encrypted || die "device"
phone 1 --tcp --duration 2 --retry 0 &
PP=$!
soon_ctl "an encrypted device registers in clear, non-secure" 5 "show registrations" 'any(.[]; .security == "nonsecure" and .transport == "tcp")'
wait $PP
check_ctl "the ITL names TFTP twice, TVS, CAPF and a recovery key" "show itl" \
	'[.records[].function] | (map(select(. == "SAST")) | length) == 2 and index("TFTP") != null and index("TVS") != null and index("CAPF") != null'

step "users"
printf 'correct horse\n' >"$WORK/alice.pw"
printf 'battery staple\n' >"$WORK/rita.pw"
check "administrator" ctl user add alice --password-file "$WORK/alice.pw"
check "reader" ctl user add rita --role reader --password-file "$WORK/rita.pw"
check "one by certificate" ctl user add carol --cert-sha256 "$(openssl x509 -in "$P/carol.crt" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g' | tr A-F a-f)"
check "a short password is refused" eval '! printf short | ctl user add dave'
check_ctl "three users" "show users" 'length == 3 and (map(select(.locked)) | length) == 0'

step "strangers: curl and openssl"
c() { # PATH BODY [curl options]: status in ST, body in $WORK/body
	local path=$1 body=$2
	shift 2
	ST=$(in_phone timeout 90 curl -s -o "$WORK/body" -w '%{http_code}' --cacert "$CA" "$@" -d "$body" "https://10.77.1.1:2444/v1/$path")
}
is() { [ "$ST" = "$1" ] && { [ -z "${2:-}" ] || jq -e "$2" "$WORK/body"; }; }
c version '{}'; check "no login, no answer: 401" is 401 '.ok == false'
c login '{"user":"alice","password":"wrong one"}'; check "wrong password: 401" is 401 '.error.message | test("could not be authenticated")'
c login '{"user":"nobody","password":"wrong one"}'; check "unknown user: the same answer" is 401 '.error.message | test("could not be authenticated")'
c login '{"user":'; check "broken JSON: 400" is 400
ST=$(in_phone curl -s -o /dev/null -w '%{http_code}' --cacert "$CA" https://10.77.1.1:2444/v1/version); check "GET: 405" is 405
head -c 600000 /dev/zero | tr '\0' ' ' >"$WORK/big"
ST=$(in_phone timeout 90 curl -s -o /dev/null -w '%{http_code}' --cacert "$CA" --data-binary "@$WORK/big" https://10.77.1.1:2444/v1/login)
check "a body too large: refused" test "$ST" = 413 -o "$ST" = 000 -o "$ST" = 400
in_phone timeout 90 openssl s_client -connect 10.77.1.1:2444 -tls1_1 -cipher 'ALL:@SECLEVEL=0' </dev/null >"$WORK/tls11" 2>&1
check "TLS 1.1 is refused" grep -q -i 'alert protocol version\|unsupported protocol' "$WORK/tls11"
in_phone timeout 90 openssl s_client -connect 10.77.1.1:2444 -CAfile "$CA" -partial_chain </dev/null >"$WORK/tls" 2>&1
check "openssl verifies the HTTPS certificate" grep -q 'Verify return code: 0 (ok)' "$WORK/tls"
check "clear text gets no answer" in_phone timeout 90 python3 -c '
import socket
s = socket.create_connection(("10.77.1.1", 2444)); s.settimeout(60)
s.sendall(b"POST /v1/version HTTP/1.0\r\n\r\n")
got = b""
while True:
    try:
        d = s.recv(4096)
    except ConnectionResetError:
        break
    if not d:
        break
    got += d
assert b"HTTP" not in got
'
c login "$(jq -n --arg p "$(cat "$WORK/rita.pw")" '{user:"rita",password:$p}')"
R=(-H "Authorization: Bearer $(jq -r .result.token "$WORK/body")")
c version '{}' "${R[@]}"; check "a reader reads" is 200 '.result.protocol == 1'
c change '{"mode":"mixed"}' "${R[@]}"; check "and may not write: 403" is 403 '.error.message | test("Invalid Group Name")'
c login "$(jq -n --arg p "$(cat "$WORK/alice.pw")" '{user:"alice",password:$p}')"
A=(-H "Authorization: Bearer $(jq -r .result.token "$WORK/body")")
c entered '{"data":{"tokens":["half typed"]}}' "${A[@]}"; c entered '{}' "${A[@]}"
check "data entered is kept" is 200 '.result.data.tokens[0] == "half typed"'
c lease '{"action":"take"}' "${A[@]}"; check "alice takes the lease" is 200
c change '{"mode":"mixed"}' --cert "$P/carol.pem"; check "carol, by certificate, must wait: 409" is 409 '.error.message | test("alice")'
c version '{}' --cert "$P/carol.pem"; check "but she reads" is 200
c version '{}' --cert "$P/carol.pem" -H 'Origin: https://elsewhere.example'; check "nothing for a page that her browser shows: 403" is 403
c version '{}' --cert "$P/etoken1.pem"; check "a certificate that no record names: 401" is 401
c change '{"mode":"mixed"}' "${A[@]}"
check "alice makes the cluster mixed; per server, file and status" is 200 \
	'.result.mode == "mixed" and (.result.servers | length) == 2 and all(.result.servers[]; .status == "stored" and .server == "10.77.1.1")'
c servers '{}' "${A[@]}"; check "servers and their certificates" is 200 '.result[0].certificates | map(.name) | index("CallManager") != null and index("CAPF") != null'
c read '{"class":"79xx"}' "${A[@]}"; jq -r .result.data "$WORK/body" | base64 -d >"$WORK/ctl1-79xx.tlv"
verify "$WORK/ctl1-79xx.tlv" >"$WORK/ctl1.json"
check_json "python verifies the CTL: SHA-1, two SASTs, CCM, TFTP, CAPF" "$WORK/ctl1.json" \
	'.good and .digest == 1 and .file == "CTLFile.tlv" and ([.records[].role] | (map(select(. == "SAST")) | length) == 2 and index("CCM") != null and index("TFTP") != null and index("CAPF") != null) and all(.records[]; .cert and .serial_fits)'
c change '{"mode":"mixed","no":1}' "${A[@]}"; check "an unknown member: 400" is 400
c change '{"del_tokens":["CallManager"]}' "${A[@]}"; check "what may not be deleted" is 409 '.error.message | test("You cannot delete this item")'
c change '{"del_tokens":["SAST1"]}' "${A[@]}"; check "two tokens at least" is 409 '.error.message | test("at least 2 security tokens")'
c logout '{}' "${A[@]}"; c version '{}' "${A[@]}"; check "logged out: 401" is 401
ctl ctl lease break >/dev/null

step "mixed: what a device's record says counts"
phone 1 --duration 2 --retry 0 &
PP=$!
soon_ctl "the same device registers encrypted" 5 "show registrations" 'any(.[]; .security == "encrypted" and .transport == "tls")'
wait $PP
phone 1 --tcp --duration 0.5 --timeout 30 --retry 0
check_json "and no more in clear" "$WORK/p1.json" '.registered == false'

step "tokens elsewhere, from another machine"
far() { # ravelinctl on the phones' host: no socket, no configuration
	in_phone "$CTL" -j "$@" --server 10.77.1.1:2444 --ca "$CA" --user alice --password-file "$WORK/alice.pw"
}
fetch ctl2
far ctl token add "$P/etoken1.crt" >"$WORK/far1.json" 2>&1
check_json "a token is added, signed by the appliance" "$WORK/far1.json" '.mode == "mixed" and .signer == "SAST1"'
far ctl update --key "$P/etoken2.pem" >"$WORK/far2.json" 2>&1
check_json "one that is not in the file cannot sign" "$WORK/far2.json" '.error.message | test("The token must already exist in the CTL file")'
far ctl update --key "$P/etoken1.pem" >"$WORK/far3.json" 2>&1
check_json "the new one signs the next" "$WORK/far3.json" '.signer == "etoken1"'
fetch ctl3
for cls in 79xx modern; do
	verify "$WORK/ctl3/CTLFile-$cls.tlv" --cert "$P/etoken1.crt" >"$WORK/v.json"
	check_json "python: signed by etoken1 ($cls)" "$WORK/v.json" '.good and (.signer | test("etoken1"))'
done
check "a phone that skipped one list refuses it" eval "! verify '$WORK/ctl3/CTLFile-79xx.tlv' --anchor '$WORK/ctl2/CTLFile-79xx.tlv'"
in_phone "$CTL" -j ctl version --server 10.77.1.1 --ca "$CA" --client-cert "$P/carol.pem" >"$WORK/far4.json" 2>&1
check "the client says its version" test "$(in_phone "$CTL" --version)" = "$(ctl -j status | jq -r .version)"
check_json "a client certificate instead of a password" "$WORK/far4.json" '.ctl and (.files | length) == 2'
in_phone "$CTL" ctl version --server 10.77.1.1 --ca "$P/carol.crt" --client-cert "$P/carol.pem" >"$WORK/far5" 2>&1
check "a server of another CA is not believed: exit 3" eval "[ $? = 3 ] && grep -q 'SSL Handshake' '$WORK/far5'"
# a lease is of a session: ravelinctl stays logged in while it holds one
far ctl lease take >"$WORK/lease1.json" 2>&1
check_json "a lease from afar" "$WORK/lease1.json" '.holder == "alice"'
in_phone "$CTL" -j ctl update --server 10.77.1.1 --ca "$CA" --client-cert "$P/carol.pem" >"$WORK/lease2.json" 2>&1
check_json "keeps another administrator out" "$WORK/lease2.json" '.error.message | test("alice")'
far ctl update --key "$P/etoken1.pem" >"$WORK/lease3.json" 2>&1
check_json "and is hers in the next command too" "$WORK/lease3.json" '.signer == "etoken1"'
far ctl lease release >"$WORK/lease4.json" 2>&1
check_json "until she gives it back" "$WORK/lease4.json" '.holder == ""'
check_ctl "and is logged out" status '.ctl_provider.evicted == 0 and .ctl_provider.sessions <= 2'
# PKCS#11: SoftHSM plays the token
export SOFTHSM2_CONF=$WORK/softhsm.conf
mkdir "$WORK/hsm"
printf 'directories.tokendir = %s/hsm\nobjectstore.backend = file\nlog.level = ERROR\n' "$WORK" >"$SOFTHSM2_CONF"
MOD=$(ls /usr/lib/softhsm/libsofthsm2.so /usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so 2>/dev/null | head -1)
softhsm2-util --init-token --free --label etoken --so-pin 87654321 --pin 1234 >/dev/null 2>&1
openssl pkcs8 -topk8 -nocrypt -in "$P/etoken2.key" -out "$P/etoken2.p8"
softhsm2-util --import "$P/etoken2.p8" --token etoken --label sast --id 01 --pin 1234 >/dev/null 2>&1 || bad "SoftHSM took the key"
far ctl token add "$P/etoken2.crt" --key "$P/etoken1.pem" >"$WORK/far6.json" 2>&1
check_json "another token, signed by the first" "$WORK/far6.json" '.signer == "etoken1"'
PKCS11_MODULE_PATH=$MOD far ctl update --pkcs11 'pkcs11:token=etoken;object=sast;type=private;pin-value=1234' --cert "$P/etoken2.crt" >"$WORK/far7.json" 2>&1
check_json "a PKCS#11 token signs" "$WORK/far7.json" '.signer == "etoken2"'
PKCS11_MODULE_PATH=$MOD far ctl update --pkcs11 'pkcs11:token=etoken;object=sast;type=private;pin-value=9999' --cert "$P/etoken2.crt" >"$WORK/far8.json" 2>&1
check "with a wrong PIN it does not" eval "[ $? != 0 ]"
fetch ctl4
verify "$WORK/ctl4/CTLFile-modern.tlv" --anchor "$WORK/ctl3/CTLFile-modern.tlv" >"$WORK/v.json"
check_json "python: not a SAST of the list two before" "$WORK/v.json" '.good == false'

step "a kill"
before=$(sha256sum "$WORK"/ctl4/* | cut -c1-64)
kill -9 "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)" 2>/dev/null
daemon controlplane
wait_for 10 dataplane_up || die "the controlplane did not come back"
fetch ctl5
check "the same bytes, the same mode" test "$before" = "$(sha256sum "$WORK"/ctl5/* | cut -c1-64)"
md5=$(ctl -j ctl version | jq -r '.files[] | select(.class == "79xx") | .md5')
check "its version is the file's MD5" test "$md5" = "$(md5sum <"$WORK/ctl5/CTLFile-79xx.tlv" | cut -c1-32)"
check_ctl "mixed" status '.cluster.mode == "mixed"'

step "the TFTP key is made anew: the old one leads phones over until it is retired"
itl() { # NAME: the lists in force over HTTP, as phone 1 gets them: so that the ledger knows what it holds
	in_phone timeout 90 curl -s -f -o "$WORK/ctl-$1.tlv" "http://10.77.1.1:6970/CTL$(sc_phone_name 1).tlv" &&
		in_phone timeout 90 curl -s -f -o "$WORK/itl-$1.tlv" "http://10.77.1.1:6970/ITL$(sc_phone_name 1).tlv"
}
check "a phone fetches the ITL" itl 1
verify "$WORK/itl-1.tlv" >"$WORK/v.json"
check_json "python verifies it" "$WORK/v.json" '.good and ([.records[] | select(.role == "SAST")] | length) == 2'
# Nobody registered: an operator says that it was the phone, as soon as the ledger has heard of its fetch.
sure() { wait_for 5 eval "ctl trust confirm $(sc_phone_name 1) >/dev/null && ctl $*"; }
check "regenerate" ctl cert regenerate TFTP
soon_ctl "signed by the old key" 5 "show itl" '.signed_by == "TFTP.prev" and ([.records[] | select(.function == "TFTP")] | length) >= 2'
itl 2
verify "$WORK/itl-2.tlv" --anchor "$WORK/itl-1.tlv" >"$WORK/v.json"
check_json "who holds the first takes the second" "$WORK/v.json" '.good'
check "retire" sure cert retire TFTP
soon_ctl "signed by the new key" 5 "show itl" '.signed_by == "TFTP"'
itl 3
verify "$WORK/itl-3.tlv" --anchor "$WORK/itl-2.tlv" >"$WORK/v.json"
check_json "who holds the second takes the third" "$WORK/v.json" '.good'
check "sign with the recovery key" sure utils itl reset localkey
itl 4
verify "$WORK/itl-4.tlv" --anchor "$WORK/itl-1.tlv" >"$WORK/v.json"
check_json "which even the first names" "$WORK/v.json" '.good'
check_ctl "the CTL lacks the new TFTP certificate, and an alarm says so" "show alarms" 'any(.[]; .id == "ctl-stale" and (.text | test("TFTP")))'

step "back to non-secure"
far utils ctl set-cluster non-secure-mode --key "$P/etoken1.pem" >"$WORK/far9.json" 2>&1
check_json "CallManager's spelling" "$WORK/far9.json" '.mode == "nonsecure"'
fetch ctl6
verify "$WORK/ctl6/CTLFile-79xx.tlv" --anchor "$WORK/ctl5/CTLFile-79xx.tlv" >"$WORK/v.json"
check_json "the CTL stays: no certificates, no names, and phones that hold the last one take it" "$WORK/v.json" \
	'.good and (.records | length) > 5 and all(.records[]; .cert == false and .subject == "")'
ctl show ctl >"$WORK/showctl" 2>&1
check "shown as CallManager shows it" grep -q -e '--- No Issuer Name---' "$WORK/showctl"

step "lock-out"
# from five addresses: one that fails must wait longer each time; the name is locked for all of them
for i in 1 2 3 4 5; do c login '{"user":"rita","password":"guess number"}' --interface "$(sc_phone_ip $i)"; done
c login "$(jq -n --arg p "$(cat "$WORK/rita.pw")" '{user:"rita",password:$p}')" --interface "$(sc_phone_ip 6)"
check "five wrong passwords: the right one does not help" is 429
check_ctl "and an alarm says so" "show alarms" 'any(.[]; .id == "user-locked" and .subject == "rita")'
check_ctl "every change is in the audit, with who made it" "show audit --max 200" '[.. | strings | select(test("alice"))] | length > 3'
check "no password in a log" eval "! grep -q -e 'correct horse' -e 'battery staple' -e 'guess number' '$WORK'/*.log"

appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
sc_end
