#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A TFTP certificate rolled under two phones, in a whole appliance: what they fetch is in the ledger, a change that would strand one
# is refused with the number, and after a restart in the middle the old key can be dropped once both are over. Then new certificates of
# the listeners of files and of the CTL provider, under a download. 002:P2-17, P2-27, P2-36. RAVELIN_BUILD: build directory (default: build/ of this repository). As root; exit 0 or 1.
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
  listen: 10.77.1.1" || die "configuration"
CLUSTER=nonsecure appliance_start || die "the appliance did not come up"
sc_device 1 nonsecure && sc_device 2 nonsecure || die "devices"
A=$(sc_phone_name 1)
B=$(sc_phone_name 2)
fetch() { # N FILE: the phone's ITL, as it does at boot; refused by 'file verify' if its last one does not vouch for it
	in_phone timeout 10 curl -sf --interface "$(sc_phone_ip "$1")" -o "$WORK/$2" "tftp://10.77.1.1/ITL$(sc_phone_name "$1").tlv"
}
comes() { phone "$1" --tcp --duration 0.3 --timeout 5 --retry 0; } # N: it registers, and so shows that it was it
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
	in_phone timeout 5 openssl s_client -connect "10.77.1.1:$1" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256 |
		sed 's/.*=//' | tr -d : | tr A-F a-f
}
own() { ctl -j cert show "$1" --store own | jq -r '.. | .sha256? // empty' | head -1 | tr -d : | tr A-F a-f; }
in_phone timeout 30 curl -skf --limit-rate 100k -o "$WORK/big" "https://10.77.1.1:6972/big" &
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

appliance_stop 2>>"$WORK/checks.log"
check "all daemons stop cleanly" test $? = 0
sc_end
