#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Policies of registration: phones without a record in a non-secure cluster, and not in mixed mode (004b:CTL-17, CTL-18, R-01); the
# record is synced before the phone is answered, so a kill -9 behind the answer leaves it; two phones of one name; LSC or MIC; NULL-SHA for
# authenticated devices on the legacy policy (004b:SEC-05, SEC-06), never for encrypted ones (004c:TR-03); phones found by their mode (004b:SEC-18); resets that wait outlive a kill -9 (004a:SVC-02). No dataplane: nobody calls.
# RAVELIN_BUILD: build directory. As root; exit 0 or 1.
# May run beside another.
set -u
SC_NAME=rpol
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
HERE=$(dirname "${BASH_SOURCE[0]}")

ns_up || die "network namespaces could not be made"
sc_phones $(seq 1 20)
appliance_config "provision: {listen: 10.77.1.1, auto_registration: true}" || die "configuration"
sed -i 's/^  listen: 10.77.1.1$/&\n  legacy_tls: true\n  duplicate: refuse\n  mic_only: refuse\n  auto_numbers: 0801-0802/' "$WORK/ravelin.yaml"
P=$WORK/pki
mkdir "$P"
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/O=Vendor/CN=Vendor CA" -keyout "$P/ca.key" -out "$P/ca.crt" \
	-addext keyUsage=critical,keyCertSign 2>/dev/null &&
	printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=clientAuth\n' >"$P/ext" &&
	openssl req -newkey rsa:2048 -nodes -subj "/O=Vendor/CN=CP-7962-$(sc_phone_name 3)" -keyout "$P/mic.key" -out "$P/mic.csr" 2>/dev/null &&
	openssl x509 -req -in "$P/mic.csr" -CA "$P/ca.crt" -CAkey "$P/ca.key" -CAcreateserial -days 20 -extfile "$P/ext" -out "$P/mic.crt" 2>/dev/null &&
	cat "$P/mic.key" "$P/mic.crt" >"$P/mic.pem" || die "openssl made no certificates"
up() { ctl_holds status 'has("registered")'; }
daemon signer
daemon controlplane
wait_for 60 up || die "the controlplane did not come up: $(tail -n 3 "$WORK/controlplane.log")"
D() { sc_phone_name "$1"; }
phone_as() { # N SOURCE-N OPTIONS...
	local n=$1 from=$2
	shift 2
	in_phone timeout -k 2 90 "$SIM/ravelin-phonesim" --server 10.77.1.1 --name "$(D "$n")" --source "$(sc_phone_ip "$from")" \
		--duration 0.5 --timeout 30 --retry 0 --report "$WORK/p$from.json" "$@" >"$WORK/p$from.log" 2>&1
}

step "phones without a record, in a non-secure cluster"
phone_as 9 9 --tcp
check_json "the first one registers" "$WORK/p9.json" '.registered and .ready'
kill -9 "$(cat "$WORK/controlplane.pid")"
while kill -0 "$(cat "$WORK/controlplane.pid")" 2>/dev/null; do sleep 0.05; done
daemon controlplane
wait_for 60 up || die "the controlplane did not come back"
check_ctl "its record outlives a kill -9: the next number, its model" "device show $(D 9)" \
	'.mode == "nonsecure" and .lines[0].number == "0801" and .model == "7942"'
phone_as 9 9 --tcp
check_json "it registers with it" "$WORK/p9.json" '.registered'
phone_as 10 10 --tcp
check_json "the second one registers" "$WORK/p10.json" '.registered'
phone_as 11 11 --tcp
check_json "the third one finds no number" "$WORK/p11.json" '.registered == false'
check_ctl "and an alarm says so" "show alarms" 'any(.[]; .id == "auto-numbers-used-up" and (.text | test("remedy")))'
check "a device goes" ctl device del "$(D 10)"
check_ctl "the alarm with it" "show alarms" 'all(.[]; .id != "auto-numbers-used-up")'
phone_as 11 11 --tcp
check_json "the third one registers" "$WORK/p11.json" '.registered'
check_ctl "each record is in the audit" "show audit --max 100" '[.. | strings | select(test("auto-registration"))] | length >= 3'

step "two phones of one name"
phone_as 9 9 --tcp --duration 80 & FIRST=$!
soon_ctl "the first is there" 5 "show registrations" 'length == 1'
phone_as 9 12 --tcp
check_json "the second is refused: the first one answers" "$WORK/p12.json" '.registered == false'
check_ctl "an alarm names it and the other address" "show alarms" \
	"any(.[]; .id == \"sccp-duplicate\" and .subject == \"$(D 9)\" and (.text | test(\"$(sc_phone_ip 12)\")))"
kill -STOP $(pgrep -f "^[^ ]*ravelin-phonesim .*--report $WORK/p9.json ") # timeout(1) does not match: it begins otherwise
phone_as 9 12 --tcp
check_json "but gets in when that one does not answer" "$WORK/p12.json" '.registered'
check_ctl "the alarm is over" "show alarms" 'all(.[]; .id != "sccp-duplicate")'
kill -KILL $(pgrep -f "^[^ ]*ravelin-phonesim .*--report $WORK/p9.json ")
wait $FIRST 2>/dev/null

found() { # TEXT OPTIONS FILTER
	check_ctl "$1" "phone list $2" "$3"
}
found "phones are found by the mode that holds: in this cluster none is secure (004b:SEC-18)" "--effective-mode nonsecure" 'length == 2'
found "none" "--effective-mode encrypted" 'length == 0'
step "mixed mode"
check "the CTL is made" ctl utils ctl set-cluster mixed-mode
check_ctl "an alarm: no auto-registration" "show alarms" 'any(.[]; .id == "auto-registration-off")'
check "a device goes" ctl device del "$(D 11)"
phone_as 11 11 --tcp
check_json "a phone without a record is refused" "$WORK/p11.json" '.registered == false'
check_ctl "and none is made" "show devices" "all(.[]; .name != \"$(D 11)\")"

step "LSC or MIC, and NULL-SHA"
sc_device 1 authenticated && sc_device 2 encrypted && sc_device 3 encrypted || die devices
found "encrypted ones are found" "--mode encrypted" \
	"[.[].device] == [\"$(D 2)\", \"$(D 3)\"] and all(.[]; .effective_mode == \"encrypted\" and .numbers != [] and has(\"owner\"))"
found "and authenticated ones, by both" "--mode authenticated --effective-mode authenticated" "[.[].device] == [\"$(D 1)\"]"
check "another word is refused" eval '! ctl phone list --mode secure'
check "the vendor's CA is trusted" ctl cert upload --store CallManager-trust "$P/ca.crt"
phone_as 3 3 --tls --ca "$WORK/ca.pem" --cert "$P/mic.pem"
check_json "a MIC is not enough" "$WORK/p3.json" '.registered == false'
check_ctl "the alarm says what to do" "show alarms" 'any(.[]; .id == "sccp-mic-only" and (.text | test("capf set")))'
phone_as 3 3 --tls --ca "$WORK/ca.pem" --cert "$WORK/$(D 3).pem"
check_json "an LSC is" "$WORK/p3.json" '.registered'
old() { # N CIPHER VERSION
	in_phone timeout 90 python3 "$HERE/registration_peer.py" 10.77.1.1:2443 "$(sc_phone_ip "$1")" "$(D "$1")" "$WORK/$(D "$1").pem" "$2" "$3" \
		>"$WORK/old.json" 2>>"$WORK/checks.log"
}
old 1 NULL-SHA TLSv1
check_json "authenticated device: TLS 1.0 with NULL-SHA registers (0x81)" "$WORK/old.json" '.cipher == "NULL-SHA" and .answers[0] == 129 and .plain'
old 2 NULL-SHA TLSv1
check_json "encrypted device: it does not (0x9d)" "$WORK/old.json" '.cipher == "NULL-SHA" and .answers[0] == 157 and .text == "TLS without encryption"'
check_ctl "an alarm names it" "show alarms" "any(.[]; .id == \"sccp-tls-weak\" and .subject == \"$(D 2)\")"
old 2 AES128-SHA TLSv1
check_json "with AES128-SHA it does" "$WORK/old.json" '.cipher == "AES128-SHA" and .answers[0] == 129 and (.plain | not)'
old 1 NULL-MD5 TLSv1
check_json "NULL-MD5 is refused" "$WORK/old.json" '.cipher == null'
check_ctl "counted by kind" "show counters" '.sccp.refused["sccp-tls-weak"] == 1 and .sccp.auto_added >= 2 and .sccp.probes >= 2'

step "resets that wait when the controlplane is killed"
# Twelve phones, one a second: some were told before the kill, the others are when they are back, each of them once.
MANY="4 5 6 7 13 14 15 16 17 18 19 20"
for n in $MANY; do
	ctl device add "$(D $n)" --mode nonsecure --line "$((1400 + n))" >/dev/null || bad "device $n"
	in_phone timeout -k 2 400 "$SIM/ravelin-phonesim" --server 10.77.1.1 --name "$(D $n)" --source "$(sc_phone_ip $n)" --tcp --duration 350 --retry 200 \
		--timeout 30 --report "$WORK/r$n.json" --events="$WORK/r$n.jsonl" >"$WORK/r$n.log" 2>&1 &
	PHONES="${PHONES:-} $!"
done
soon_ctl "twelve phones are there" 10 "show registrations" 'length == 12'
resets() { cat "$WORK"/r*.jsonl | grep -c '"event":"reset"'; }
check_ctl "they are to restart, one a second" "phone restart --all --per-second 1" '.phones == 12 and .waiting == 11'
kill -9 "$(cat "$WORK/controlplane.pid")"
while kill -0 "$(cat "$WORK/controlplane.pid")" 2>/dev/null; do sleep 0.05; done
check "most wait still" test "$(resets)" -lt 12
daemon controlplane
wait_for 60 up || die "the controlplane did not come back"
check "the next one goes on with them" grep -q 'event=resets-taken-over phones=[1-9]' "$WORK/controlplane.log"
all_told() { [ "$(resets)" -ge 12 ]; }
check "all are told" wait_for 30 all_told
sleep 2
check "each of them once" eval 'for n in $MANY; do [ "$(grep -c "\"event\":\"reset\"" "$WORK/r$n.jsonl")" = 1 ] || exit 1; done'
check_ctl "and none waits" "show counters" '.sccp.resets_waiting == 0'
kill $PHONES 2>/dev/null
wait $PHONES 2>/dev/null

kill "$(cat "$WORK/controlplane.pid")"
gone() { ! kill -0 "$(cat "$WORK/controlplane.pid")" 2>/dev/null; }
check "the controlplane stops" wait_for 20 gone
check "cleanly" grep -q 'event=stopped clean=1' "$WORK/controlplane.log"
sc_end
