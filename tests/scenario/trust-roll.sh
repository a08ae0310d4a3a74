#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A TFTP certificate rolled under two phones, in a whole appliance: what they fetch is in the ledger, a change that would strand one
# is refused with the number, and after a restart in the middle the old key can be dropped once both are over. Then new certificates of
# the listeners of files and of the CTL provider, under a download. 002:P2-17, P2-27, P2-36. RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
# Rows: 002:P2-39; 004c:CR-05.
# May run beside another.
set -u
SC_NAME=troll
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"

ns_up || die "network namespaces could not be made"
sc_phones 1 2
mkdir -p "$WORK/state/files"
head -c 800000 /dev/urandom >"$WORK/state/files/big"
appliance_config "ctl_provider: {listen: 10.77.1.1, port: 2444}
provision:
  listen: 10.77.1.1
enrol: {tvs_port: 0}" || die "configuration" # these phones ask nobody: tvs.sh has those who do
CLUSTER=nonsecure appliance_start || die "the appliance did not come up"
sc_device 1 nonsecure && sc_device 2 nonsecure || die "devices"
A=$(sc_phone_name 1)
B=$(sc_phone_name 2)
fetch() { # N FILE: the phone's ITL, as it does at boot; refused by 'file verify' if its last one does not vouch for it
	in_phone timeout 90 curl -sf --interface "$(sc_phone_ip "$1")" -o "$WORK/$2" "tftp://10.77.1.1/ITL$(sc_phone_name "$1").tlv"
}
boots() { fetch "$1" "boot$1" && comes "$1"; } # N
comes() { phone "$1" --tcp --duration 0.3 --timeout 30 --retry 0; } # N: it registers, and so shows that it was it
signed_by() { ctl -j show itl | jq -r .signed_by; }

step "two phones boot"
check_ctl "nobody was seen" "trust status" '.never_seen == 2'
check "phone 1 fetches its ITL" fetch 1 a1
check "so does phone 2" fetch 2 b1
soon_ctl "both hold what is served, says the ledger" 5 "trust status" '.hold_what_is_served == 2 and .never_seen == 0'
check_ctl "as far as nobody fetched in their names" "trust status" '.unproven == 2'
check "phone 1 registers" comes 1
soon_ctl "it was it" 5 "trust status" '.hold_what_is_served == 2 and .unproven == 1'
check_ctl "which is seen at each" "trust ledger $A $B" '.[0].unproven == [] and .[0].itl_how == "fetched" and .[1].unproven[0].from == "'"$(sc_phone_ip 2)"'"'

step "a new TFTP key"
check "nobody is stranded by it" ctl cert regenerate TFTP
check "the old key leads over" test "$(signed_by)" = TFTP.prev
check "phone 1 fetches" fetch 1 a2
check "its list vouches for the new one" ctl file verify "$WORK/a2" --list "$WORK/a1"
check_ctl "it may still hold the old one: nobody saw it since" "trust status" '.hold_what_is_served == 0 and .behind == 2 and .unproven == 2'
check "phone 1 registers" comes 1
soon_ctl "phone 2 is behind" 5 "trust status" '.hold_what_is_served == 1 and .behind == 1'

check_ctl "explain: phone 2 takes the new list first, then its configuration" "explain $B" \
	'any(.asks[]; (.name | test("^ITL")) and .verifies == "yes") and any(.asks[]; (.name | test("cnf.xml.sgn$")) and .verifies == "yes" and (.why | test("in force first")))'

step "the appliance is killed in the middle"
kill -9 "$(daemon_pid controlplane)"
wait "$(daemon_pid controlplane)" 2>/dev/null
daemon controlplane
wait_for 20 dataplane_up || die "the controlplane did not come back"
check_ctl "the ledger knows what it knew" "trust status" '.hold_what_is_served == 1 and .behind == 1'
ctl -j cert retire TFTP >"$WORK/no.json" 2>&1
check_json "dropping the old key would strand phone 2: refused" "$WORK/no.json" \
	'.error.code == "strands-phones" and (.error.message | test("^1 phone would be stranded") and test("'"$B"'"))'
ctl -j cert retire TFTP --strand 2 >"$WORK/no2.json" 2>&1
check_json "another number does not help" "$WORK/no2.json" '.error.code == "strands-phones"'
check "phone 2 comes" fetch 2 b2
check "its list vouches for the new one" ctl file verify "$WORK/b2" --list "$WORK/b1"
soon_ctl "nobody is behind" 5 "trust status" '.hold_what_is_served == 2'
check "now the old key goes" ctl cert retire TFTP
# What is not the signer's any more must not be named: the ITL is made anew by the key of today.
soon_ctl "the new key signs" 5 "show itl" '.signed_by == "TFTP"'
check_ctl "without an alarm" "show alarms" 'all(.[]; .id != "itl-not-made")'
check "phone 1 fetches" fetch 1 a3
check "and takes it" ctl file verify "$WORK/a3" --list "$WORK/a2"
check "phone 2 fetches" fetch 2 b3
check "and takes it" ctl file verify "$WORK/b3" --list "$WORK/b2"

step "other listeners take a new certificate too"
shown() { # PORT: SHA-256 of what a stranger is shown
	in_phone timeout 90 openssl s_client -connect "10.77.1.1:$1" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256 |
		sed 's/.*=//' | tr -d : | tr A-F a-f
}
own() { ctl -j cert show "$1" --store own | jq -r '.. | .sha256? // empty' | head -1 | tr -d : | tr A-F a-f; }
in_phone timeout 90 curl -skf --limit-rate 100k -o "$WORK/big" "https://10.77.1.1:6972/big" &
LOAD=$!
for l in HTTPS:6972 TFTP-EC:6971 HTTPS:2444; do
	was=$(shown "${l#*:}")
	check "${l%:*} anew" ctl cert regenerate "${l%:*}" --strand 0
	now=$(shown "${l#*:}")
	check "port ${l#*:} shows it in the next handshake" eval "[ -n '$was' ] && [ '$now' != '$was' ] && [ '$now' = '$(own "${l%:*}")' ]"
done
check "a download that had begun goes on" wait $LOAD
check "and is whole" cmp "$WORK/big" "$WORK/state/files/big"

step "reset by hand"
check "phone 1 registers" comes 1
soon_ctl "phone 1 holds a list" 5 "trust ledger $A" '.[0].unproven == [] and .[0].itl != "-" and .[0].itl_how == "fetched"'
check "an operator says that it holds none" ctl trust forget "$A"
check_ctl "which the ledger keeps" "trust ledger $A" '.[0].itl == "-" and (.[0].note | test("reset"))'

# Every kind of change that can strand: what the plan says, what the change says without and with a wrong number.
planned() { # N CHANGE: the plan counts N
	ctl -j trust plan "$2" >"$WORK/plan.json" 2>&1
	check_json "plan '$2': $1" "$WORK/plan.json" '.stranded_if_done_at_once == '"$1"
}
stranding() { # TEXT N COMMAND: refused, and refused with another number; nothing is done
	local how=$3
	ctl -j $how >"$WORK/r1.json" 2>&1
	check_json "$1: refused with $2" "$WORK/r1.json" '.error.message | test("^'"$2"' phones? would be stranded.*--strand '"$2"'")'
	ctl -j $how --strand $(($2 + 1)) >"$WORK/r2.json" 2>&1
	check_json "$1: another number does not help" "$WORK/r2.json" '.error.message | test("would be stranded.*Not '"$(($2 + 1))"'")'
}
step "refused: a certificate is made anew"
for n in 1 2; do fetch "$n" "x$n" && comes "$n" || bad "phone $n boots"; done
soon_ctl "both are known" 5 "trust status" '.hold_what_is_served == 2 and .unproven == 0'
check "as other servers do it" ctl itl sign-with TFTP
planned 2 "regenerate TFTP"
check_json "no order strands nobody, but with the recovery key there is one" "$WORK/plan.json" \
	'.verdict == "no order strands nobody" and (.or | map(.do) == ["sign itl with ITLRecovery", "regenerate TFTP"])'
stranding "regenerate" 2 "cert regenerate TFTP"
check "as the plan says" ctl itl sign-with ITLRecovery
check "now it strands nobody" ctl cert regenerate TFTP

step "refused: the ITL gets another signer"
fetch 1 y1 && comes 1 || bad "phone 1 boots"
planned 1 "sign itl with TFTP"
stranding "sign-with" 1 "itl sign-with TFTP"
check "with the very number it is done" ctl itl sign-with TFTP --strand 1
fetch 2 y2 && comes 2 || bad "phone 2 boots"
soon_ctl "phone 2 fetched what it must refuse: doubted" 5 "trust ledger $B" '.[0].note | test("^doubted")'
check_ctl "and counted as lost" "trust status" '.stranded == 1 and .doubtful == 1'
check_ctl "explain says what to do" "explain $B" 'any(.notes[]; test("trust forget")) and any(.asks[]; (.name | test("^ITL")) and .verifies == "no")'
check "somebody erases its lists" ctl trust forget "$B"
for n in 1 2; do fetch "$n" "z$n" && comes "$n" || bad "phone $n boots"; done
soon_ctl "all is well" 5 "trust status" '.hold_what_is_served == 2 and .stranded == 0 and .doubtful == 0'

step "refused: an older backup"
printf 'a good passphrase\n' >"$WORK/pass"
check "a backup" ctl backup create "$WORK/bundle" --passphrase-file "$WORK/pass"
check "a new TFTP key" eval "ctl cert retire TFTP && ctl itl sign-with auto && wait_for 10 ctl cert regenerate TFTP" # one at a time: the ITL is being made
for n in 1 2; do boots "$n" || bad "phone $n boots"; done
soon_ctl "both follow" 5 "trust status" '.hold_what_is_served == 2 and .unproven == 0'
check "the old one goes" ctl cert retire TFTP
for n in 1 2; do boots "$n" || bad "phone $n boots"; done
soon_ctl "both know the new one only" 5 "trust status" '.hold_what_is_served == 2 and .unproven == 0'
appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
restore() { timeout 60 "$BUILD/controlplane/ctl/ravelinctl" -c "$WORK/ravelin.yaml" restore "$WORK/bundle" --passphrase-file "$WORK/pass" --force "$@"; }
restore >"$WORK/restore" 2>&1
check "restore: refused with the number" grep -q '^error: 2 phones would be stranded.*--strand 2' "$WORK/restore"
restore --strand 1 >"$WORK/restore" 2>&1
check "another number does not help" grep -q '^error: 2 phones would be stranded.*Not 1' "$WORK/restore"
check "nothing is left of it" test ! -e "$WORK/state.restore"
restore --strand 2 >"$WORK/restore.json" 2>"$WORK/restore"
check_json "the very number restores" "$WORK/restore.json" '.phones.stranded == 2 and .phones.known == 2'
CLUSTER=nonsecure appliance_start || die "the restored appliance did not come up"
check_ctl "and what phones hold is known there" "trust status" '.stranded == 2 and .hold_what_is_served == 0'
for n in 1 2; do ctl trust forget "$(sc_phone_name "$n")" >/dev/null && boots "$n" || bad "phone $n boots"; done
soon_ctl "erased by hand they come" 5 "trust status" '.stranded == 0 and .hold_what_is_served == 2'

step "refused: the CTL begins anew"
check "mixed mode" ctl utils ctl set-cluster mixed-mode
lists() { # N: both lists, and it registers
	in_phone timeout 90 curl -sf --interface "$(sc_phone_ip "$1")" -o "$WORK/c$1" "tftp://10.77.1.1/CTL$(sc_phone_name "$1").tlv" &&
		fetch "$1" "i$1" && comes "$1"
}
for n in 1 2; do lists "$n" || bad "phone $n boots"; done
soon_ctl "both hold the CTL" 5 "trust status" '.hold_what_is_served == 2 and .unproven == 0'
check "one token anew" ctl cert regenerate SAST1
check "and gone" ctl cert retire SAST1
ctl -j cert regenerate SAST2 >/dev/null 2>&1
ctl -j cert retire SAST2 >"$WORK/last.json" 2>&1
check_json "the last one of the CTL does not go" "$WORK/last.json" '.error.message | test("last key")'
check "an update leads over" ctl ctl update
lists 1 || bad "phone 1 boots"
check "who came knows the new tokens" ctl cert retire SAST2
stranding "recreate" 1 "ctl set-mode mixed --recreate"
lists 2 || bad "phone 2 boots"
check "phone 2 came: nobody is stranded" ctl ctl set-mode mixed --recreate

appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
sc_end
