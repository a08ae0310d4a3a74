#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# CAPF, a whole appliance without its dataplane: openssl s_client, a simulated phone with a flash, and a client in Python. Each operation
# and mode, wrong strings and the lock, two phones of one name, an upgrade, MICs of a manufacturer of openssl's, what is revoked, phones
# that vanish at any byte, and the controlplane killed in the middle of enrolments: 20 times, 200 with RAVELIN_FULL, and no phone's idea
# of its LSC is another than ours. 004b:CAPF-04, CAPF-10 to CAPF-24, CAPF-35, CAPF-37. RAVELIN_BUILD: build directory. As root;
# exit 0 or 1.
# Rows: 000:P0-41, P0-47, P0-48, R-15, R-21; 001:P1-024, P1-030, P1-031, P1-052; 002:P2-34; 004a:CAPF-01, CAPF-02, CAPF-04,
# CAPF-08, PKI-02, PKI-03; 004b:CAPF-01, CAPF-03, CAPF-09, CAPF-25, CAPF-46, PKI-08, PKI-09, R-21, R-26, SEC-19; 004c:CA-03 to
# CA-07, CA-11.
# May run beside another; takes long.
set -u
SC_NAME=enrol
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
KILLS=20
[ "${RAVELIN_FULL:-0}" = 0 ] || KILLS=200
HERE=$(dirname "${BASH_SOURCE[0]}")

ns_up || die "network namespaces could not be made"
sc_phones 1 2
appliance_config "signer: {server_key: ec-p256}
enrol: {listen: 10.77.1.1}" || die "configuration"
daemon signer
daemon controlplane
is_up() { ctl_holds status 'has("registered")'; }
wait_for 60 is_up || die "the controlplane did not come up: $(tail -n 3 "$WORK/controlplane.log")"
ctl utils ctl set-cluster mixed-mode >/dev/null || die "mixed mode"
for n in 1 2 3; do ctl device add "$(sc_phone_name $n)" --mode nonsecure --line 100$n --region phones >/dev/null || die "device $n"; done
A=$(sc_phone_name 1) B=$(sc_phone_name 2) C=$(sc_phone_name 3)
CA=$WORK/state/signer/ca.pem
FLASH=$WORK/flash
mkdir "$FLASH"

sim() { # NAME OPTIONS...: its report in $WORK/NAME.json
	local name=$1
	shift
	in_phone timeout -k 2 90 "$SIM/ravelin-capfsim" --server 10.77.1.1 --ca "$CA" --name "$name" --flash "$FLASH" "$@" \
		>"$WORK/$name.json" 2>>"$WORK/capfsim.log"
}
did() { # TEXT FILTER NAME [OPTIONS]: one session, and what the phone says of it
	local text=$1 filter=$2 name=$3
	shift 3
	sim "$name" "$@"
	check_json "$text" "$WORK/$name.json" "$filter"
}
set_op() { ctl -j capf set "$@" >"$WORK/set.json" 2>"$WORK/set.err"; }
refused() { # TEXT WORDS SET-ARGUMENTS...
	local text=$1 words=$2
	shift 2
	if set_op "$@"; then bad "$text" "it was done"; elif grep -q -- "$words" "$WORK/set.json" "$WORK/set.err"; then ok "$text"; else
		bad "$text" "$(cat "$WORK/set.json" "$WORK/set.err")"
	fi
}
string() { jq -r .string "$WORK/set.json"; }
held() { ctl -j capf show "$1" | jq -r '[.certificates[] | select(.state == "held") | .serial] | join(",")'; }
flash() { "$SIM/ravelin-capfsim" --holds --name "$1" --flash "$FLASH"; }
same() { [ -n "$(flash "$1")" ] && [ "$(held "$1")" = "$(flash "$1")" ]; }

step "who speaks first"
check "openssl s_client hears AUTH_REQUEST before it says anything" eval \
	'sleep 1 | in_phone timeout 60 openssl s_client -connect 10.77.1.1:3804 -CAfile "$CA" -verify_return_error -quiet 2>/dev/null | head -c 16 | od -An -tx1 | tr -d " \n" | grep -q "^5501........0008070001030800010"'
check_ctl "nothing is pending" "capf show $A" '.status == "No Pending Operation" and .certificates == []'
did "a phone with nothing to do is told so" '.reason == 0 and .op == "none"' "$A"
did "one that nobody knows too" '.reason == 9' SEP00000000FFFF

step "what may not be set"
refused "no mode" "auth string" "$A" --op install
refused "a string with letters" "invalid characters" "$A" --op install --auth string --string 12a4
refused "a string of three digits" "between 4 and 10" "$A" --op install --auth string --string 123
refused "a deadline in the past" "Invalid Year" "$A" --op install --auth null --by 2020:01:01:00
refused "deleting what there is not" "nothing to delete" "$A" --op delete --auth null
refused "a key of 1024 bits" "old_keys" "$A" --op install --auth null --key rsa-1024
check "another vendor's phone" ctl device add SEP0000000B0009 --mode nonsecure --model "ACME 9"
refused "has no CAPF, whatever is said (000:R-10)" "another vendor's model" SEP0000000B0009 --op install --auth null --force
refused "a device that there is not" "no device" SEP00000000FFFF --op install --auth null

step "by string"
check "an operation, with a string of ours" set_op "$A" --op install --auth string --generate
S=$(string)
check_json "8 digits" "$WORK/set.json" '(.string | test("^[0-9]{8}$")) and .status == "Install/Upgrade pending"'
check_ctl "explain says what to do" "explain $A" 'any(.enrolment[]; test("next: .*registered"))'
did "a wrong one is refused" '.reason == 7 and .stored == false' "$A" --string 0000
check_ctl "and counted, the operation stays" "capf show $A" '.wrong_strings == 1 and .status == "Install/Upgrade pending" and (.error | test("string is wrong"))'
did "the right one is taken" '.reason == 1 and .stored and .key_bits == 2048' "$A" --string "$S"
check_ctl "successful" "capf show $A" '.status == "Install/Upgrade successful" and .string == ""'
check "both know the same LSC" same "$A"
did "the string is used up" '.reason == 0' "$A" --string "$S"
openssl x509 -in "$FLASH/$A.lsc.pem" -noout -text >"$WORK/lsc.txt" 2>&1
check "openssl verifies it" openssl verify -partial_chain -CAfile "$CA" "$FLASH/$A.lsc.pem"
for w in "CN = $A" "sha256WithRSAEncryption" "URI:$A" "TLS Web Server Authentication, TLS Web Client Authentication" "CA:FALSE"; do
	check "it says $w" grep -q "$w" "$WORK/lsc.txt"
done

step "ten wrong strings"
set_op "$B" --op install --auth string --string 135790 || bad "an operation for phone 2"
for i in 1 2 3 4 5 6 7 8 9 10; do sim "$B" --string 4444; done
did "the right one comes too late" '.reason == 7' "$B" --string 135790
check_ctl "locked" "capf show $B" '.wrong_strings == 10 and .locked_until != "" and .string == "135790"'
check_ctl "with an alarm" "show alarms" "any(.[]; .id == \"capf-string-locked\" and .subject == \"$B\")"
kill -9 "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)" 2>/dev/null
daemon controlplane
wait_for 30 is_up || die "it did not come back"
did "a restart does not unlock it" '.reason == 7' "$B" --string 135790
check "an operator does" ctl capf unlock "$B"
did "and it goes on" '.reason == 1' "$B" --string 135790

step "existing certificates, keys"
set_op "$A" --op install --auth lsc --key ec-p384 || bad "an upgrade"
OLD=$(flash "$A")
did "by its LSC, to an EC key" '.reason == 1 and .key_ec and .key_bits == 384' "$A" --show lsc
check "both know the new one" same "$A"
check_ctl "the old one is revoked: it is overwritten" "capf show $A" "any(.certificates[]; .serial == \"$OLD\" and .state == \"revoked\")"
set_op "$C" --op install --auth lsc || bad "an operation for phone 3"
did "who has no certificate fails" '.reason == 7' "$C"
check_ctl "and that is said" "capf show $C" '(.error | test("neither LSC nor MIC")) and (.remedy | test("string"))'
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/O=Vendor/CN=Vendor Manufacturing CA" -keyout "$WORK/mics.key" -out "$WORK/mics.crt" \
	-addext keyUsage=critical,keyCertSign,cRLSign 2>>"$WORK/openssl.log" &&
	openssl req -newkey rsa:2048 -nodes -subj "/O=Vendor/CN=CP-8861-$C" -keyout "$WORK/mic.key" -out "$WORK/mic.csr" 2>>"$WORK/openssl.log" &&
	openssl x509 -req -in "$WORK/mic.csr" -CA "$WORK/mics.crt" -CAkey "$WORK/mics.key" -set_serial 77 -days 900 -out "$WORK/mic.crt" 2>>"$WORK/openssl.log" ||
	die "openssl made no MIC"
cat "$WORK/mic.crt" "$WORK/mic.key" >"$FLASH/$C.mic.pem"
did "a MIC of a manufacturer that nobody knows" '.reason == 7' "$C" --show mic
ctl cert upload --store CAPF-trust "$WORK/mics.crt" >/dev/null || bad "its root goes into CAPF-trust"
did "with its root in CAPF-trust" '.reason == 1 and .stored' "$C" --show mic
set_op "$C" --op install --auth mic --key ec-p521 --backup rsa-2048 || bad "EC with a backup"
did "a phone that makes no EC keys" '.reason == 7' "$C" --show mic --no-ec
did "is asked for RSA the next time" '.reason == 1 and .key_ec == false and .key_bits == 2048' "$C" --show mic --no-ec
check "both know it" same "$C"

step "troubleshoot, delete"
set_op "$C" --op troubleshoot --auth mic || bad "troubleshoot"
did "it shows what it has" '.reason == 0 and .op == "fetch"' "$C" --show mic
wait_for 5 test -s "$WORK/state/capf/$C-MIC.pem" -a -s "$WORK/state/capf/$C-LSC.pem"
check "its LSC is a file" test "$(openssl x509 -in "$WORK/state/capf/$C-LSC.pem" -noout -serial | cut -d= -f2)" = "$(flash "$C")"
check "and its MIC another" grep -q "CP-8861-$C" "$WORK/state/capf/$C-MIC.pem"
check_ctl "successful" "capf show $C" '.status == "Troubleshoot successful" and (.files | length) == 2'
cp "$FLASH/$C.lsc.pem" "$WORK/kept.pem"
set_op "$C" --op delete --auth null || bad "delete"
did "it deletes" '.reason == 1 and .deleted' "$C"
check_ctl "Delete Success" "capf show $C" '.status == "Delete Success" and .lsc == ""'
set_op "$C" --op install --auth lsc || bad "an operation"
cp "$WORK/kept.pem" "$FLASH/$C.lsc.pem"
did "a deleted LSC that comes back proves nothing" '.reason == 7' "$C" --show lsc
rm "$FLASH/$C.lsc.pem"

step "two of one name"
set_op "$B" --op install --auth null || bad "an operation"
sim "$B" --slow-ms 10000 &
SLOW=$!
wait_for 10 eval 'ctl explain "$B" | grep -q "session of it is under way"' || bad "the first is in its session"
in_phone timeout 90 "$SIM/ravelin-capfsim" --server 10.77.1.1 --ca "$CA" --name "$B" >"$WORK/second.json" 2>/dev/null
check_json "the second is refused" "$WORK/second.json" '.reason == 7'
wait $SLOW
check_json "the first does not notice" "$WORK/$B.json" '.reason == 1 and .stored'
check "both know it" same "$B"
in_phone timeout 90 bash -c 'printf "GET / HTTP/1.0\r\n\r\n" >/dev/tcp/10.77.1.1/3804' 2>/dev/null
{ printf 'GET / HTTP/1.0\r\n\r\n'; sleep 1; } | in_phone timeout 60 openssl s_client -connect 10.77.1.1:3804 -quiet 2>/dev/null | od -An -tx1 | tr -d ' \n' >"$WORK/garbage"
check "what is no CAPF is answered with END 7" grep -q '550f........000401000107$' "$WORK/garbage"

step "a client in Python"
PY=$WORK/py
mkdir "$PY"
python_did() { # TEXT FILTER STRING
	in_phone timeout 90 python3 "$HERE/capf_client.py" 10.77.1.1 "$CA" "$B" "$PY" "$3" >"$WORK/py.json" 2>>"$WORK/py.log"
	check_json "$1" "$WORK/py.json" "$2"
}
set_op "$B" --op install --auth string --string 987654 --key ec-p256 || bad "an operation"
python_did "install" '.reason == 1 and .said == [1,3,9,15] and .closed and (.text | test("ecdsa-with-SHA256|sha256WithRSAEncryption"))' 987654
check "both know the same LSC" test "$(held "$B")" = "$(jq -r .serial "$WORK/py.json")"
set_op "$B" --op troubleshoot --auth null || bad "an operation"
python_did "fetch" '.reason == 0 and .said == [1,11,15]' ""
set_op "$B" --op delete --auth null || bad "an operation"
python_did "delete" '.reason == 1 and .said == [1,13,15] and (has("serial") | not)' ""
check_ctl "nothing is held any more" "capf show $B" '.lsc == ""'
rm -f "$FLASH/$B.lsc.pem"

step "revoked"
ctl device set "$A" --mode encrypted >/dev/null || bad "phone 1 becomes encrypted"
in_phone timeout -k 2 400 "$SIM/ravelin-phonesim" --server 10.77.1.1 --name "$A" --source "$(sc_phone_ip 1)" --tls --ca "$CA" \
	--cert "$FLASH/$A.lsc.pem" --duration 300 --timeout 30 --retry 0 --report "$WORK/p1.json" >"$WORK/p1.log" 2>&1 &
REG=$!
wait_for 10 registered 1 && ok "phone 1 registers with its LSC" || bad "phone 1 registers with its LSC"
ctl -j capf revoke "$A" >"$WORK/revoke.json"
check_json "it is reported lost: closed at once" "$WORK/revoke.json" '.revoked == 1 and .closed'
kill $REG 2>/dev/null
wait $REG 2>/dev/null
in_phone timeout -k 2 90 "$SIM/ravelin-phonesim" --server 10.77.1.1 --name "$A" --source "$(sc_phone_ip 1)" --tls --ca "$CA" \
	--cert "$FLASH/$A.lsc.pem" --duration 0.5 --timeout 30 --retry 0 --report "$WORK/p1.json" >"$WORK/p1.log" 2>&1
check_json "and not registered again" "$WORK/p1.json" '.registered == false'
check_ctl "with an alarm" "show alarms" "any(.[]; .id == \"sccp-cert-revoked\" and .subject == \"$A\")"
crl_has() { # SERIAL
	in_phone timeout 90 curl -sf -o "$WORK/CAPF.crl" http://10.77.1.1:6970/CAPF.crl &&
		openssl crl -inform DER -in "$WORK/CAPF.crl" -CAfile "$WORK/state/signer/CAPF.cert.pem" -text -noout 2>"$WORK/crl.verify" >"$WORK/crl.txt" &&
		grep -q "verify OK" "$WORK/crl.verify" && grep -q "Serial Number: $1" "$WORK/crl.txt"
}
wait_for 10 crl_has "$(flash "$A")" && ok "the revocation list of port 6970 names it, and openssl verifies that" ||
	bad "the revocation list" "$(head -c 300 "$WORK/crl.verify")"
check "and the one that was deleted" grep -q "$(openssl x509 -in "$WORK/kept.pem" -noout -serial | cut -d= -f2)" "$WORK/crl.txt"
check "the reason of a lost one" grep -q "Key Compromise" "$WORK/crl.txt"
check "a phone that holds an LSC is not in it" eval '! grep -q "$(held "$B" | grep . || echo nothing)" "$WORK/crl.txt"'
refused "a string is no way back for an encrypted phone" "make it nonsecure" "$A" --op install --auth string --generate
set_op "$A" --op install --auth null || bad "an operation"
check_ctl "explain: CAPF before it registers" "explain $A" 'any(.enrolment[]; test("connects to CAPF before it registers"))'
did "a new one" '.reason == 1 and .stored' "$A"
in_phone timeout -k 2 90 "$SIM/ravelin-phonesim" --server 10.77.1.1 --name "$A" --source "$(sc_phone_ip 1)" --tls --ca "$CA" \
	--cert "$FLASH/$A.lsc.pem" --duration 0.5 --timeout 30 --retry 0 --report "$WORK/p1.json" >"$WORK/p1.log" 2>&1
check_json "and it registers" "$WORK/p1.json" '.registered == true'
ctl device set "$A" --mode nonsecure >/dev/null || bad "phone 1 becomes nonsecure"

step "gone at any byte"
# A session of an EC key has some 900 bytes. What the phone holds after it vanished is never something that we refuse.
lost=0
for at in 5 16 40 70 75 130 180 400 800 860; do
	set_op "$B" --op install --auth null --key ec-p256 || bad "an operation"
	sim "$B" --vanish $at
	jq -e .vanished "$WORK/$B.json" >/dev/null || bad "gone after $at bytes" "$(cat "$WORK/$B.json")"
	have=$(flash "$B")
	if [ -n "$have" ] && [ "$(ctl -j capf show "$B" | jq -r ".certificates[] | select(.serial == \"$have\") | .state" | grep -c -E 'offered|held|superseded')" != 1 ]; then
		lost=$((lost + 1))
	fi
	sim "$B"
	same "$B" || { [ "$(jq .reason "$WORK/$B.json")" = 0 ] && [ "$(held "$B")" = "" ]; } || lost=$((lost + 1))
done
[ $lost = 0 ] && ok "phones that came back after vanishing at 10 places hold what we think" || bad "phones that came back" "$lost differ"
did "the last word of all" '.reason <= 1' "$B"

step "killed in the middle, $KILLS times"
differ=0
middle=0
for i in $(seq "$KILLS"); do
	set_op "$B" --op install --auth null --key ec-p256 || { bad "an operation" "$(cat "$WORK/set.err")"; break; }
	sim "$B" --slow-ms $((RANDOM % 40)) &
	SLOW=$!
	sleep "0.$(printf %03d $((20 + RANDOM % 80)))"
	kill -9 "$(daemon_pid controlplane)"
	wait "$(daemon_pid controlplane)" 2>/dev/null
	wait $SLOW
	[ "$(jq .reason "$WORK/$B.json")" != -1 ] || middle=$((middle + 1))
	daemon controlplane
	wait_for 30 is_up || die "it did not come back"
	# What the phone has is known, and not refused.
	have=$(flash "$B")
	if [ -n "$have" ]; then
		ctl -j capf show "$B" | jq -e ".certificates[] | select(.serial == \"$have\") | .state | test(\"offered|held|superseded\")" >/dev/null ||
			differ=$((differ + 1))
	fi
	# The phone comes again, as phones do: then there is one truth.
	if ctl_holds "capf show $B" '.status == "Install/Upgrade pending"'; then sim "$B"; fi
	same "$B" || { differ=$((differ + 1)); echo "kill $i: held $(held "$B"), flash $(flash "$B"): $(ctl -j capf show "$B")" >>"$WORK/differ"; }
done
[ $differ = 0 ] && ok "no phone's idea of its LSC is another than ours" || bad "phones whose idea differs" "$differ: $(head -c 400 "$WORK/differ")"
check "some of them in the middle of a session ($middle)" test $middle -gt 0
check "no LSC was issued twice" eval '[ "$(ctl -j capf show "$B" | jq -r ".certificates[].serial" | sort | uniq -d | wc -l)" = 0 ]'

step "a new issuer"
cp "$WORK/state/signer/CAPF.cert.pem" "$WORK/CAPF.prev.cert.pem"
check "CAPF gets a new key" ctl cert regenerate CAPF
# CAPF's TLS certificate stays, as in phones' lists
ALL_CA=$CA
CA=$WORK/state/signer/CAPF-TLS.cert.pem
set_op "$B" --op install --auth lsc --key ec-p256 || bad "an operation"
did "an LSC of the old issuer is believed, and the new one issues" '.reason == 1 and .stored' "$B" --show lsc
check "both know it" same "$B"
check "it is of the new issuer" openssl verify -partial_chain -CAfile "$WORK/state/signer/CAPF.cert.pem" "$FLASH/$B.lsc.pem"
both_crls() {
	local c ca
	for c in CAPF CAPF.prev; do
		ca=$WORK/state/signer/$c.cert.pem
		[ -e "$ca" ] || ca=$WORK/$c.cert.pem
		in_phone timeout 90 curl -sf -o "$WORK/$c.crl" "http://10.77.1.1:6970/$c.crl" &&
			openssl crl -inform DER -in "$WORK/$c.crl" -CAfile "$ca" -noout 2>&1 | grep -q "verify OK" || return 1
	done
}
wait_for 15 both_crls && ok "each of the two has its revocation list" || bad "each of the two has its revocation list"
CA=$ALL_CA

step "reports"
check_ctl "JSON" "capf report" 'length == 3 and all(.[]; has("status") and has("string") and has("auth") and has("error") and has("remedy"))'
check "CSV" eval '[ "$(ctl capf report --csv | tr -d "\r" | head -1)" = "device,operation,status,auth,string,error,remedy,lsc,lsc_expires,key,detail,complete_by,last,attempts,wrong_strings,locked_until,model,profile,wave" ] && [ "$(ctl capf report --csv | wc -l)" = 4 ]'
set_op "$C" --op install --auth string --string 2468013579 || bad "an operation"
check "the string is in the report" eval 'ctl capf report --csv --status pending | grep -q "^$C,install,Install/Upgrade pending,string,2468013579,"'
check "and in no log, audit or record" eval '! grep -r -q -a 2468013579 "$WORK/state" "$WORK"/*.log && ! ctl -j show audit --max 1000 | grep -q 2468013579'
check "it is cancelled" ctl capf cancel "$C"
check_ctl "No Pending Operation" "capf show $C" '.status == "No Pending Operation" and .string == ""'
kill "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)"
check "it stops cleanly" test $? = 0
sc_end
