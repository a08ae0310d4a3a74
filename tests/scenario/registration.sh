#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Who may register, and who is told why not: certificates of other devices, of strangers, expired, none; clear text for a
# secure device; unknown devices; MICs of a vendor's CA. Each refusal raises its alarm, a good registration clears it.
# Phones are reset by name, by profile and all, and after changes (001:L335; 004a:SVC-02; 004b:SEC-20).
# RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# May run beside another.
# Rows: 000:P0-24; 001:P1-001, P1-002, P1-006, P1-012, P1-013, P1-015, P1-019, P1-031, P1-051, P1-058, P1-097; 004a:AUT-03, AUT-07,
# AUT-09 to AUT-11, GEN-01 to GEN-03, SRTP-01; 004b:PKI-10, R-23, SEC-04, SEC-06; 004c:CA-08, TR-01, TR-02.
set -u
SC_NAME=registration
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

ns_up || die "network namespaces could not be made"
sc_phones $(seq 1 30)
appliance_config || die "configuration"

# --- certificates that openssl makes, not we ---
PKI=$WORK/pki
mkdir "$PKI"
new_ca() { # NAME CN
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/O=Elsewhere/CN=$2" \
		-keyout "$PKI/$1.key" -out "$PKI/$1.crt" -addext basicConstraints=critical,CA:TRUE \
		-addext keyUsage=critical,keyCertSign 2>/dev/null
}
leaf() { # NAME CA CN DAYS-FROM DAYS-TO [bits of RSA]
	openssl req -newkey "rsa:${6:-2048}" -nodes -subj "/C=US/O=Vendor/CN=$3" -keyout "$PKI/$1.key" -out "$PKI/$1.csr" 2>/dev/null &&
		openssl ca -batch -notext -md sha256 -config "$PKI/ca.cnf" -cert "$PKI/$2.crt" -keyfile "$PKI/$2.key" \
			-startdate "$(date -u -d "$4 days" +%Y%m%d%H%M%SZ)" -enddate "$(date -u -d "$5 days" +%Y%m%d%H%M%SZ)" \
			-in "$PKI/$1.csr" -out "$PKI/$1.crt" 2>>"$PKI/log" && cat "$PKI/$1.key" "$PKI/$1.crt" >"$PKI/$1.pem"
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
x509_extensions = x
[p]
countryName = optional
organizationName = optional
commonName = supplied
[x]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = clientAuth
CNF
: >"$PKI/index"
echo 1000 >"$PKI/serial"
new_ca vendor "Vendor Manufacturing CA" && new_ca stranger "CAPF-ravelin" || die "openssl made no CA"
leaf mic11 vendor "CP-7962-$(sc_phone_name 11)" -1 3650 &&
	leaf mic12 vendor "CP-7962-$(sc_phone_name 99)" -1 3650 &&
	leaf micold vendor "CP-7962-$(sc_phone_name 13)" -400 -35 &&
	leaf micfuture vendor "CP-7962-$(sc_phone_name 13)" 35 400 &&
	leaf stranger1 stranger "$(sc_phone_name 1)" -1 365 &&
	leaf oddname vendor "$(sc_phone_name 14)-x" -1 365 &&
	leaf prefix vendor "x$(sc_phone_name 14)" -1 365 ||
	die "openssl made no certificates: $(cat "$PKI/log")"
printf 'signer:\n  trust: [%s]\n' "$PKI/vendor.crt" >>"$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"
for n in 1 2 3 5 11 12 13 14; do sc_device "$n" encrypted || die "device $n"; done
sc_device 4 nonsecure && sc_device 6 authenticated || die devices

alarm() { # ID SUBJECT: a jq filter
	printf 'any(.[]; .id == "%s" and .subject == "%s")' "$1" "$2"
}
# refused TEXT N ALARM SUBJECT PHONE-OPTIONS...: does not register, and the alarm that says why stands.
refused() {
	local text=$1 n=$2 id=$3 subject=$4 before
	shift 4
	before=$(ctl -j show alarms | jq "$(alarm "$id" "$subject")")
	[ "$before" = false ] || bad "$text: no such alarm before" "$before"
	phone_as "$n" "$@"
	check_json "$text: not registered" "$WORK/p$n.json" '.registered == false and .registrations == 0'
	soon_ctl "$text: alarm $id" 3 "show alarms" "$(alarm "$id" "$subject")"
	check_ctl "$text: and no other alarm of $subject" "show alarms" "[.[] | select(.subject == \"$subject\")] | length == 1"
}
# phone_as N OPTIONS...: like phone, with these instead of its own certificate. Leaves after half a second.
phone_as() {
	local n=$1
	shift
	in_phone timeout -k 2 90 "$SIM/ravelin-phonesim" --server 10.77.1.1 --name "$(sc_phone_name "$n")" --source "$(sc_phone_ip "$n")" \
		--duration 0.5 --timeout 30 --retry 0 --report "$WORK/p$n.json" "$@" >"$WORK/p$n.log" 2>&1
}
# accepted TEXT N FILTER PHONE-OPTIONS...: registers; the registration says FILTER; alarms of the device are gone.
accepted() {
	local text=$1 n=$2 filter=$3 pid
	shift 3
	phone_as "$n" --duration 3 "$@" &
	pid=$!
	soon_ctl "$text: registered, and shown so" 5 "show registrations" \
		"any(.[]; .device == \"$(sc_phone_name "$n")\" and ($filter))"
	check_ctl "$text: no alarm of the device stands" "show alarms" "all(.[]; .subject != \"$(sc_phone_name "$n")\")"
	check "$text: leaves in peace" wait $pid
	check_json "$text: the phone says so too" "$WORK/p$n.json" '.registered and .ready'
	soon_ctl "$text: gone from the list" 3 "show registrations" "all(.[]; .device != \"$(sc_phone_name "$n")\")"
}
TLS="--tls --ca $WORK/ca.pem"
own() { printf -- '%s --cert %s/%s.pem' "$TLS" "$WORK" "$(sc_phone_name "$1")"; }
with() { printf -- '%s --cert %s/%s.pem' "$TLS" "$PKI" "$1"; }
D() { sc_phone_name "$1"; }

step "good ones"
P=
accepted "LSC, TLS 1.3" 1 '.security == "encrypted" and .transport == "tls" and .tls_version == "TLSv1.3"' $(own 1) --tls-version 1.3 & P="$P $!"
accepted "LSC, TLS 1.2" 2 '.security == "encrypted" and .tls_version == "TLSv1.2" and (.tls_cipher | test("ECDHE.*GCM|CHACHA"))' $(own 2) --tls-version 1.2 & P="$P $!"
accepted "authenticated device over TLS" 6 '.security == "authenticated" and .transport == "tls"' $(own 6) & P="$P $!"
accepted "non-secure device over TCP" 4 '.security == "nonsecure" and .transport == "tcp"' --tcp & P="$P $!"
accepted "MIC of a trusted vendor's CA" 11 '.security == "encrypted"' $(with mic11) & P="$P $!"
wait $P

step "refused ones"
refused "certificate of another device" 3 sccp-cert-name "$(D 3)" $(own 5)
refused "certificate of an untrusted CA of our name" 1 sccp-cert-untrusted "$(D 1)" $(with stranger1)
refused "expired certificate" 13 sccp-cert-expired "$(D 13)" $(with micold)
refused "no certificate" 5 sccp-cert-missing "$(sc_phone_ip 5)" $TLS
refused "encrypted device on port 2000" 2 sccp-clear-registration "$(D 2)" --tcp
refused "authenticated device on port 2000" 6 sccp-clear-registration "$(D 6)" --tcp
refused "MIC of another device" 12 sccp-cert-name "$(D 12)" $(with mic12)
refused "name in a longer word" 14 sccp-cert-name "$(D 14)" $(with prefix)
ctl alarm clear sccp-cert-name "$(D 14)" >/dev/null
refused "something behind the name" 14 sccp-cert-name "$(D 14)" $(with oddname)
ctl cert issue "$(D 20)" --out "$WORK" >/dev/null
refused "device nobody knows, with a good certificate" 20 sccp-unknown-device "$(sc_phone_ip 20)" $(own 20)
refused "device nobody knows, in clear" 21 sccp-unknown-device "$(sc_phone_ip 21)" --tcp
ctl alarm clear sccp-cert-expired "$(D 13)" >/dev/null
refused "certificate not valid yet" 13 sccp-cert-expired "$(D 13)" $(with micfuture)
check_ctl "certificate not valid yet: and the alarm says so" "show alarms" \
	'.[] | select(.id == "sccp-cert-expired") | .text | test("not yet valid")'
check_ctl "the reasons are counted, each by itself" "show counters" \
	'[.. | objects | select(has("sccp-cert-name"))][0] | .["sccp-cert-name"] == 4 and .["sccp-cert-untrusted"] == 1 and
	 .["sccp-cert-missing"] == 1 and .["sccp-clear-registration"] == 2 and .["sccp-unknown-device"] == 2'

step "a good registration clears what stood"
P=
for n in 1 2 3 5 6 12 13 14; do
	accepted "device $n" "$n" true $(own "$n") & P="$P $!"
done
wait $P
check_ctl "a certificate that was missing was of that address: cleared too" "show alarms" "all(.[]; .subject != \"$(sc_phone_ip 5)\")"
ctl device add "$(D 20)" --mode encrypted --line 1020 --region phones >/dev/null || bad "device 20 is added"
accepted "the unknown device, once it is known" 20 '.security == "encrypted"' $(own 20)
check_ctl "the unknown device's alarm is cleared" "show alarms" "all(.[]; .subject != \"$(sc_phone_ip 20)\")"
check_ctl "cleared alarms are in the audit" "show audit --max 200" '[.. | strings | select(test("sccp-cert-name"))] | length > 0'

step "resets"
phone_as 1 --duration 6 $(own 1) --retry 100 --events="$WORK/reset.jsonl" & P=$!
ready_again() { [ "$(grep -c '"event":"ready"' "$WORK/reset.jsonl")" -ge "$TIMES" ]; }
TIMES=0
there() { # once more
	TIMES=$((TIMES + 1))
	check "the phone registers, for the ${TIMES}th time" wait_for 5 ready_again
}
there
check_ctl "a reset of one that is not registered says so" "phone reset $(D 2)" ".phones == 0 and .not_registered == [\"$(D 2)\"]"
check_ctl "a reset of one that is" "phone reset $(D 1)" '.phones == 1 and .not_registered == []'
there
check_ctl "restart of all, slowly" "phone restart --all --per-second 1" '.phones == 1'
check_ctl "an unknown device" "phone reset SEP00000000FFFF" '.error.code == "not-found"'
check_ctl "nobody named" "phone reset" '.error.code == "invalid"'
check_ctl "an unknown profile" "phone reset --profile nope" '.error.code == "not-found"'
there
check_ctl "what answers say: done by itself" "device set $(D 1) --description x" \
	'.reset.phones == "restart" and .reset.by_itself and .reset.command == null'
there
ctl profile add desk --mode encrypted >/dev/null && ctl device set "$(D 1)" --profile desk >/dev/null || bad "profile desk"
there
check_ctl "a profile's change says what is left to do" "profile set desk --load X1" \
	'.reset.command == "ravelinctl phone reset --profile desk" and (.reset.why | test("001:L316"))'
check_ctl "and does it when asked" "profile set desk --load X2 --reset" '.told == 1'
check_ctl "the table of resets" "show resets" 'length > 20 and all(.[]; .rows != "")'
wait $P
told() { [ "$(grep -c '"event":"reset"' "$WORK/reset.jsonl")" -ge 5 ]; }
check "the phone was told each time" told
check_ctl "who reset phones is in the audit" "show audit --max 50" '[.. | strings | select(test("phone.reset"))] | length > 0'
check_ctl "they are counted" "show counters" '.sccp.resets >= 2 and .sccp.restarts >= 2'

step "strangers at the door"
# openssl s_client knows nothing of SCCP: a chain it can verify, no certificate of its own, old protocols, noise.
s_client() { in_phone timeout 90 openssl s_client -connect 10.77.1.1:2443 -CAfile "$WORK/ca.pem" "$@" </dev/null 2>&1; }
s_client -cert "$WORK/$(D 1).pem" -key "$WORK/$(D 1).pem" -verify_return_error >"$WORK/s_client"
check "the server's certificate verifies against ca.pem" grep -q 'Verify return code: 0 (ok)' "$WORK/s_client"
check "it asks for certificates of our CAs" grep -q 'Acceptable client certificate CA names' "$WORK/s_client"
check "it names the CAPF CA and the vendor's" eval "grep -q 'CN = CAPF-ravelin' '$WORK/s_client' && grep -q 'CN = Vendor Manufacturing CA' '$WORK/s_client'"
s_client -tls1_1 -cipher 'ALL:@SECLEVEL=0' >"$WORK/s_client11"
check "TLS 1.1 is refused" grep -q -i 'alert protocol version\|unsupported protocol' "$WORK/s_client11"
soon_ctl "and an alarm says so (004c:TR-03)" 3 "show alarms" 'any(.[]; .id == "sccp-tls-incompatible" and (.text | test("legacy_tls")))'
s_client -tls1_2 -cipher 'NULL-SHA:@SECLEVEL=0' >"$WORK/s_client_null"
check "NULL-SHA is refused, without sccp.legacy_tls" grep -q -i 'handshake failure' "$WORK/s_client_null"
s_client -tls1_2 -cipher 'AES128-SHA:@SECLEVEL=0' >"$WORK/s_client_sha"
check "RSA key exchange with AES128-SHA is refused" grep -q -i 'handshake failure' "$WORK/s_client_sha"
s_client -tls1_2 >"$WORK/s_client_none"
check "TLS 1.2 without a certificate is refused" grep -q -i 'alert' "$WORK/s_client_none"
check "clear text at the TLS port is cut" in_phone timeout 90 python3 -c '
import socket
s = socket.create_connection(("10.77.1.1", 2443)); s.settimeout(8)
s.sendall(b"GET / HTTP/1.0\r\n\r\n")
while True:
    try:
        d = s.recv(4096)
    except ConnectionResetError:
        break
    if not d:
        break
'
check "TLS at the clear port is cut" in_phone timeout 90 python3 -c '
import socket
s = socket.create_connection(("10.77.1.1", 2000)); s.settimeout(8)
s.sendall(bytes.fromhex("16030100c8010000c40303") + bytes(190))
while True:
    try:
        d = s.recv(4096)
    except ConnectionResetError:
        break
    if not d:
        break
'
check_ctl "nobody of these is registered" "show registrations" 'length == 0'
accepted "a phone registers as before" 1 '.security == "encrypted"' $(own 1)

appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
sc_end
