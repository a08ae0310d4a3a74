#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# CAPF behind a CA that is not ours: Debian's SCEP server (package scep), a SCEP server of the tests for what that one does not do
# (requests that wait, AES and SHA-256, a CA that wants the phone's own signature), and openssl(1) as a CA that is brought requests by
# hand. Phones of ravelin-capfsim enrol, register with what the CA made, lose it; the CA is away, slow, refuses; the controlplane is
# killed at each step. 004b:CAPF-01, CAPF-03, CAPF-30; 004a:PKI-02. RAVELIN_BUILD: build directory. As root; exit 0 or 1.
# May run beside another.
set -u
SC_NAME=scep
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
command -v scepserver >/dev/null || die "scepserver is not there: scripts/install.sh test"

ns_up || die "network namespaces could not be made"
sc_phones 1 2
ip -n "$NS_APP" link set lo up
DEPOT=$WORK/depot
(cd "$WORK" && scepserver ca -init -depot "$DEPOT" -organization "Stranger" >"$WORK/scep-init.log" 2>&1) || die "scepserver made no CA"
PIN=$(openssl x509 -in "$DEPOT/ca.pem" -outform DER | sha256sum | cut -d' ' -f1)
printf 'open sesame\n' >"$WORK/challenge"
chmod 400 "$WORK/challenge"
CONF="signer: {server_key: ec-p256}
enrol:
  listen: 10.77.1.1
  issuer: ISSUER
  scep: {url: 'http://127.0.0.1:PORT/scep', ca_sha256: $PIN, challenge: $WORK/challenge, timeout_s: 5, poll_s: 1, old_crypto: OLD}"
appliance_config "$CONF" || die "configuration"
cp "$WORK/ravelin.yaml" "$WORK/template.yaml"
is_up() { ctl_holds status 'has("registered")'; }
stop_all() {
	local d
	for d in controlplane signer; do
		[ -s "$WORK/$d.pid" ] || continue
		kill "$(daemon_pid $d)" 2>/dev/null
		wait "$(daemon_pid $d)" 2>/dev/null
	done
}
start_with() { # ISSUER PORT OLD
	stop_all
	sed "s/ISSUER/$1/; s/PORT/$2/; s/OLD/$3/" "$WORK/template.yaml" >"$WORK/ravelin.yaml"
	daemon signer
	daemon controlplane
	wait_for 60 is_up || die "the controlplane did not come up: $(tail -n 3 "$WORK/controlplane.log")"
}
killed() {
	kill -9 "$(daemon_pid controlplane)"
	wait "$(daemon_pid controlplane)" 2>/dev/null
	daemon controlplane
	wait_for 60 is_up || die "it did not come back"
}
debian() { # [OPTIONS]: the server of the package, on 8081
	ip netns exec "$NS_APP" scepserver -depot "$DEPOT" -port 8081 -challenge "open sesame" -allowrenew 0 "$@" >>"$WORK/scepserver.log" 2>&1 &
	CA_PID=$!
	wait_for 10 in_app curl -sf -o /dev/null "http://127.0.0.1:8081/scep?operation=GetCACaps" || die "scepserver does not answer"
}
ours() { # OPTIONS: the tests' own, on 8082, with the same CA
	ip netns exec "$NS_APP" "$SIM/ravelin-scepsim" --port 8082 --ca-key "$WORK/ca-plain.key" --ca-cert "$DEPOT/ca.pem" "$@" >>"$WORK/scepsim.out" 2>>"$WORK/scepsim.log" &
	CA_PID=$!
	wait_for 10 in_app curl -sf -o /dev/null "http://127.0.0.1:8082/scep?operation=GetCACaps" || die "scepsim does not answer"
}
ca_down() {
	kill "$CA_PID" 2>/dev/null
	wait "$CA_PID" 2>/dev/null
}

start_with scep 8081 false
ctl utils ctl set-cluster mixed-mode >/dev/null || die "mixed mode"
for n in 1 2 3; do ctl device add "$(sc_phone_name $n)" --mode nonsecure --line 100$n --region phones >/dev/null || die "device $n"; done
A=$(sc_phone_name 1) B=$(sc_phone_name 2) C=$(sc_phone_name 3)
CA=$WORK/state/signer/ca.pem
FLASH=$WORK/flash
mkdir "$FLASH"
untrusted() { ctl_holds "show alarms" 'any(.[]; .id == "scep-ca-not-trusted")'; }
trusted() { ctl_holds "show alarms" 'all(.[]; .id != "scep-ca-not-trusted")'; }
wait_for 10 untrusted && ok "a CA that is not in CAPF-trust is an alarm" || bad "an alarm for a CA that nobody trusts"
check "the CA goes into CAPF-trust" ctl cert upload --store CAPF-trust "$DEPOT/ca.pem"
wait_for 10 trusted && ok "the alarm is over" || bad "the alarm for a CA that is there"
check "and into CallManager-trust" ctl cert upload --store CallManager-trust "$DEPOT/ca.pem"

sim() { # NAME OPTIONS...
	local name=$1
	shift
	in_phone timeout -k 2 70 "$SIM/ravelin-capfsim" --server 10.77.1.1 --ca "$CA" --name "$name" --flash "$FLASH" --timeout-ms 65000 "$@" \
		>"$WORK/$name.json" 2>>"$WORK/capfsim.log"
}
did() { # TEXT FILTER NAME [OPTIONS]
	local text=$1 filter=$2 name=$3
	shift 3
	sim "$name" "$@"
	check_json "$text" "$WORK/$name.json" "$filter"
}
install() { ctl -j capf set "$1" --op install --auth "${AUTH:-null}" "${@:2}" >"$WORK/set.json" 2>&1 || bad "an operation of $1" "$(cat "$WORK/set.json")"; }
held() { ctl -j capf show "$1" | jq -r '[.certificates[] | select(.state == "held") | .serial] | join(",")'; }
flash() { "$SIM/ravelin-capfsim" --holds --name "$1" --flash "$FLASH"; }
same() { [ -n "$(flash "$1")" ] && [ "$(held "$1")" = "$(flash "$1")" ]; }
of_ca() { openssl verify -partial_chain -CAfile "$DEPOT/ca.pem" "$FLASH/$1.lsc.pem" && ! openssl verify -partial_chain -CAfile "$WORK/state/signer/CAPF.cert.pem" "$FLASH/$1.lsc.pem"; }
req_state() { ctl -j capf requests --all | jq -r ".[] | select(.device == \"$1\") | .state"; }
is_ready() { [ "$(req_state "$1")" = ready ]; }

step "Debian's server, whose answers are signed with SHA-1 and encrypted with DES"
debian
install "$A"
did "that is not taken unasked: the phone goes on as it is" '.reason == 0 and .made_key and .stored == false' "$A" --keep-key
check_ctl "and why is said" "capf show $A" '(.error | test("asked for at the external CA")) and (.detail | test("old_crypto")) and .status == "Install/Upgrade pending"'
check_ctl "with an alarm" "show alarms" 'any(.[]; .id == "scep-failing")'
start_with scep 8081 true
wait_for 15 is_ready "$A" && ok "with old_crypto it is, by asking again for the same key" || bad "asked again" "$(ctl -j capf show "$A")"
check_ctl "the alarm is over" "show alarms" 'all(.[]; .id != "scep-failing")'
check_ctl "explain says what to do" "explain $A" 'any(.enrolment[]; test("reset the phone"))'
did "the phone is given the certificate, for the key that it had" '.reason == 1 and .stored and .made_key == false' "$A" --keep-key
check "both know it" same "$A"
check "it is that CA's, and not ours" of_ca "$A"
for w in "CN = $A" "URI:$A" "TLS Web Client Authentication"; do
	check "it says $w" eval 'openssl x509 -in "$FLASH/$A.lsc.pem" -noout -text | grep -q "$w"'
done
install "$B" --key ec-p256
did "the next one gets it while it waits, for an EC key" '.reason == 1 and .stored and .made_key' "$B"
check "it is that CA's" of_ca "$B"
check "both know it" same "$B"
check_ctl "successful" "capf show $B" '.status == "Install/Upgrade successful"'
check_ctl "nothing is left to do" "capf requests --all" 'length == 0'
check "no challenge password in logs, records or audit" eval '! grep -r -q -a "open sesame" "$WORK/state" "$WORK/controlplane.log" "$WORK/signer.log"'

step "it registers with it"
ctl device set "$A" --mode encrypted >/dev/null || bad "phone 1 becomes encrypted"
reg() { # SECONDS
	in_phone timeout -k 2 90 "$SIM/ravelin-phonesim" --server 10.77.1.1 --name "$A" --source "$(sc_phone_ip 1)" --tls --ca "$CA" \
		--cert "$FLASH/$A.lsc.pem" --duration "$1" --timeout 30 --retry 0 --report "$WORK/p1.json" >"$WORK/p1.log" 2>&1
}
reg 0.5
check_json "encrypted" "$WORK/p1.json" '.registered == true'
AUTH=lsc install "$A"
OLD=$(flash "$A")
did "an upgrade by that LSC" '.reason == 1 and .stored and .made_key' "$A" --show lsc
check_ctl "the old one is revoked" "capf show $A" "any(.certificates[]; .serial == \"$OLD\" and .state == \"revoked\")"
check "revoked by hand" ctl capf revoke "$A"
reg 0.5
check_json "it does not register any more" "$WORK/p1.json" '.registered == false'
not_in_crl() {
	in_phone timeout 90 curl -sf -o "$WORK/CAPF.crl" http://10.77.1.1:6970/CAPF.crl &&
		openssl crl -inform DER -in "$WORK/CAPF.crl" -noout -text | grep -q "No Revoked Certificates"
}
wait_for 15 not_in_crl && ok "our revocation list has no certificates of theirs" || bad "our revocation list"
ctl device set "$A" --mode nonsecure >/dev/null

step "the CA refuses, is away, comes back"
chmod 600 "$WORK/challenge"
printf 'wrong\n' >"$WORK/challenge"
chmod 400 "$WORK/challenge"
install "$C"
did "a wrong challenge password" '.reason == 7 and .stored == false' "$C"
check_ctl "is what the CA says, with a remedy" "capf show $C" '(.error | test("external CA refused")) and (.detail | test("challenge")) and (.remedy | test("mend"))'
chmod 600 "$WORK/challenge"
printf 'open sesame\n' >"$WORK/challenge"
chmod 400 "$WORK/challenge"
ca_down
did "it is away: the phone goes on as it is" '.reason == 0 and .made_key' "$C" --keep-key
check_ctl "its request is kept" "capf requests --all" "any(.[]; .device == \"$C\" and .state == \"waiting\" and (.note | test(\"does not answer\")))"
did "who comes again meanwhile makes no other key" '.reason == 0 and .made_key == false' "$C" --keep-key
killed
debian
wait_for 20 is_ready "$C" && ok "back, and after a kill: it is asked again" || bad "asked again" "$(ctl -j capf requests --all)"
killed
did "the certificate waited through another kill" '.reason == 1 and .stored and .made_key == false' "$C" --keep-key
check "both know it" same "$C"

if [ "${RAVELIN_FULL:-0}" != 0 ]; then
step "a phone that has forgotten its key"
ca_down
install "$C"
did "asked, the CA away" '.reason == 0 and .made_key' "$C"
debian
wait_for 20 is_ready "$C" || bad "asked again"
did "it has no key for what came" '.reason == 7 and .stored == false' "$C"
check_ctl "that is said" "capf show $C" '(.error | test("no key for the certificate")) and .status == "Install/Upgrade pending"'
did "the next time it makes a new one" '.reason == 1 and .stored and .made_key' "$C"
check "both know it" same "$C"
fi
ca_down

step "a CA that lets wait"
openssl rsa -in "$DEPOT/ca.key" -passin pass: -out "$WORK/ca-plain.key" 2>>"$WORK/openssl.log" || cp "$DEPOT/ca.key" "$WORK/ca-plain.key"
start_with scep 8082 false
ours --pending 3 --challenge "open sesame"
install "$A" --key ec-p256
did "the phone goes on as it is" '.reason == 0 and .made_key' "$A" --keep-key
check_ctl "as the CA said" "capf show $A" '.detail | test("has not decided")'
killed
wait_for 20 is_ready "$A" && ok "it is polled until the CA has decided, also after a kill" || bad "polled" "$(ctl -j capf requests --all)"
check "it was asked once and then polled" eval '[ "$(jq -s "map(.type) | . == [19,20,20,20]" "$WORK/scepsim.out")" = true ]'
check "no signature of the phone's key was in the request" eval 'jq -s -e ".[0].self_signed == false" "$WORK/scepsim.out"'
did "and given" '.reason == 1 and .stored and .made_key == false' "$A" --keep-key
check "with AES and SHA-256, without old_crypto" of_ca "$A"
ca_down
ours --strict
install "$A"
did "a CA that wants the phone's own signature refuses" '.reason == 7' "$A"
check_ctl "that is said" "capf show $A" '.detail | test("badMessageCheck")'
ca_down

step "by hand"
start_with batch 8082 false
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/O=By Hand/CN=Hand CA" -keyout "$WORK/hand.key" -out "$WORK/hand.crt" \
	-addext keyUsage=critical,keyCertSign,cRLSign 2>>"$WORK/openssl.log" || die "openssl made no CA"
# The request is signed by our registration authority: a CA has to take its word for the key.
cat >"$WORK/ext.cnf" <<-CNF
	basicConstraints=critical,CA:FALSE
	keyUsage=critical,digitalSignature,keyEncipherment
	extendedKeyUsage=serverAuth,clientAuth
CNF
sign() { # CSR OUT SERIAL
	local name
	name=$(openssl req -in "$1" -noout -subject | grep -o 'SEP[0-9A-F]*')
	openssl req -in "$1" -noout -pubkey >"$WORK/pub.pem" &&
		openssl x509 -new -force_pubkey "$WORK/pub.pem" -subj "/CN=$name" -CA "$WORK/hand.crt" -CAkey "$WORK/hand.key" -set_serial "$3" -days 90 \
			-extfile "$WORK/ext.cnf" -out "$2"
}
install "$A"
install "$B" --key ec-p256
did "a request" '.reason == 0 and .made_key' "$A" --keep-key
killed
did "another" '.reason == 0 and .made_key' "$B" --keep-key
check_ctl "both wait" "capf requests" 'length == 2 and all(.[]; .state == "waiting")'
check "as files" ctl capf requests --out "$WORK/out/"
check "and a list" eval '[ "$(wc -l <"$WORK/out/requests.csv")" = 3 ]'
check "or one file" eval 'ctl capf requests --out "$WORK/all.pem" && [ "$(grep -c BEGIN "$WORK/all.pem")" = 2 ]'
check "the key is the phone's, the list says which" eval '[ "$(openssl req -in "$WORK/out/$A.csr.pem" -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -c1-64 | tr a-f A-F)" = "$(grep "^$A" "$WORK/out/requests.csv" | cut -d, -f3)" ]'
check "openssl's own CA refuses them: it wants the signature of the key that is in the request" eval \
	'! openssl x509 -req -in "$WORK/out/$A.csr.pem" -CA "$WORK/hand.crt" -CAkey "$WORK/hand.key" -set_serial 1 -out "$WORK/never.pem" 2>"$WORK/refused.txt" && grep -q "self-signature did not match" "$WORK/refused.txt"'
mkdir "$WORK/in"
sign "$WORK/out/$A.csr.pem" "$WORK/in/a.pem" 0x1001 2>>"$WORK/openssl.log" || bad "a certificate"
sign "$WORK/out/$B.csr.pem" "$WORK/in/b.pem" 0x1002 2>>"$WORK/openssl.log" || bad "another"
ctl -j capf certificates --in "$WORK/in" >"$WORK/in.json" 2>&1
check_json "a CA that nobody trusts" "$WORK/in.json" '.taken == 0 and (.refused | length) == 2 and all(.refused[]; .reason | test("CAPF-trust"))'
ctl cert upload --store CAPF-trust "$WORK/hand.crt" >/dev/null || bad "its CA"
openssl x509 -in "$WORK/in/b.pem" -outform DER -out "$WORK/in/b.pem.der" && rm "$WORK/in/b.pem"
openssl req -new -newkey rsa:2048 -nodes -subj "/CN=$A" -keyout /dev/null -out "$WORK/other.csr" 2>>"$WORK/openssl.log"
sign "$WORK/other.csr" "$WORK/in/other.pem" 0x1003 2>>"$WORK/openssl.log" || bad "a third"
echo "no certificate" >"$WORK/in/readme.txt"
ctl -j capf certificates --in "$WORK/in" >"$WORK/in.json" 2>&1
check_json "two taken, in PEM and DER, one for another key and one that is none refused" "$WORK/in.json" \
	'.taken == 2 and (.refused | length) == 2 and any(.refused[]; .reason | test("another key"))'
killed
ctl -j capf certificates --in "$WORK/in/a.pem" >"$WORK/in.json" 2>&1
check_json "once more it is known, after a kill too" "$WORK/in.json" '.taken == 0 and .known == 1'
did "the first" '.reason == 1 and .stored and .made_key == false' "$A" --keep-key
did "the second" '.reason == 1 and .stored and .made_key == false' "$B" --keep-key
check "both know it" eval 'same "$A" && same "$B"'
check "they are that CA's" openssl verify -partial_chain -CAfile "$WORK/hand.crt" "$FLASH/$A.lsc.pem" "$FLASH/$B.lsc.pem"
ctl -j capf certificates --in "$WORK/in/a.pem" >"$WORK/in.json" 2>&1
check_json "a third time" "$WORK/in.json" '.taken == 0 and .known == 1'
stop_all
check "it stops cleanly" true
sc_end
