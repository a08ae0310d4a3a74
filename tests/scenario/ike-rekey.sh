#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# IKE's keys are renewed under load: 1,000 packets a second each way between a gateway and the dataplane, 100 renewals of ESP begun by
# either end, and of IKE, without a lost packet; both ends at once; the peer restarts; our charon is killed. Our charon is steered from the gateway's record; the peer is an
# unmodified strongSwan (004a:GW-01). RAVELIN_BUILD: build directory. RENEWALS: how many (100); COLLISIONS: how many of both at once (10).
# As root; exit 0 or 1.
#
# Both at once: charon 5.9.8 does not always end with the same SAs at both ends (RFC 7296, section 2.8.1: redundant ones are to be deleted). Seen, of it:
# a CHILD_SA that the other end has ended already, or never took, and that the policy here names, so that what is sent under it is lost until
# the next renewal; one that stays REKEYED at both ends to its hard lifetime. What is ours is that the dataplane has what our charon lists, no more and
# no less, and that with charon's SAs the dataplane's end.
set -u
SC_NAME=ikrk
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
. "$RAVELIN_TOP/scripts/ike.sh"

ME=10.77.2.2
GW=$(sc_gw_ip 1)
N=${RENEWALS:-100}
ns_up || die "network namespaces could not be made"
ip -n "$NS_GW" addr add "$GW/24" dev gw0
appliance_config || die "configuration"
sed -i '/^ipsec:/,$d; s|^      addresses: \[10.77.2.2/24.*|&\n      punt: ikep|' "$WORK/ravelin.yaml"
printf 'ike: {enable: true, source: socket, vici: %s/a/vici}\n' "$WORK" >>"$WORK/ravelin.yaml"
appliance_start || die "the appliance did not come up"
ike_punt ikep $ME || die "punt interface"
wait_for 10 test -S "$WORK/run/xfrm.sock" || die "no xfrm.sock"
printf "one of the tests' own\n" >"$WORK/psk"
ctl gateway add gw1.example --address "$GW" --region gateways --endpoint aaln/1 --ike 2 --ike-psk-file "$WORK/psk" --ike-mode tunnel \
	--ike-proposal aes-cbc-128-sha256/x25519 --ike-esp aes-gcm-128/x25519 --ike-local-ts $ME --ike-remote-ts "$GW" \
	--ike-dpd-s 2 >/dev/null || die gateway
charon_a() { ike_charon a "$NS_APP" kernel LD_PRELOAD="$BUILD/controlplane/ike/libravelin-xfrm.so" RAVELIN_XFRM="$WORK/run/xfrm.sock"; }
charon_a || die "charon a"
ike_charon b "$NS_GW" libipsec || die "charon b"
ike_conn b 2 "$GW" $ME aes128-sha256-x25519 aes128gcm16-x25519 || die "connection b"

sas() { # FILTER over IKE's SAs
	ctl_holds 'show sas' "[.[] | select(.source == \"ike\")] | $1"
}
pair='([.[] | select(.state == "live") | .direction] | sort) == ["in", "out"]'
in_spi() { ctl -j show sas | jq -r '[.[] | select(.source == "ike" and .direction == "in") | .spi] | join(" ")'; }
load() { # SECONDS: until they are over, or $WORK/enough is there
	rm -f "$WORK/enough"
	in_gw timeout 300 python3 "$RAVELIN_TOP/tests/scenario/ike_keepalive.py" "$GW" $ME:2727 gw1.example 1000 "$1" "$WORK/enough" >"$WORK/load.json"
}
loaded() { # TEXT: what is under way ends, with nothing lost
	touch "$WORK/enough"
	wait $bg
	check_json "$1: $(jq -c . "$WORK/load.json")" "$WORK/load.json" '.sent > 500 and .lost == 0 and .refused == 0'
}
rekey() { # END KIND: begun, and done
	case $1 in
	a) swan a --rekey --"$2" gw1.example ;;
	*) swan b --rekey --"$2" $([ "$2" = ike ] && echo gw || echo c) ;;
	esac >/dev/null 2>&1
}
ike_sas() { for n in a b; do swan $n --list-sas --raw 2>/dev/null | grep -oE '\b(initiator|responder)-spi=[0-9a-f]+'; done | sort -u | tr '\n' ' '; }
another_ike() { # SPIS: both have one, the same, and none of these
	local now
	now=$(ike_sas)
	[ "$now" != "$1" ] && [ "$(wc -w <<<"$now")" = 2 ] && ike_settled a b >/dev/null
}
counted() { ctl -j show ike | jq "[.[0].child_rekeys, .[0].rekeys]" -c; }

step "up"
soon_ctl "IKE is up" 20 "show ike" '.[0].state == "up"'
check "both directions are in the dataplane" wait_for 10 sas "$pair"
load 2
check_json "1,000 a second each way: $(jq -c . "$WORK/load.json")" "$WORK/load.json" '.sent > 500 and .lost == 0 and .refused == 0'

step "$N renewals under load"
begin=$(date +%s)
load 240 &
bg=$!
sleep 1
failed=0
for i in $(seq "$N"); do
	end=$([ $((i % 2)) = 0 ] && echo a || echo b)
	kind=$([ $((i % 10)) = 0 ] && echo ike || echo child)
	is=$(ike_sas)
	spi=$(ike_settled a b)
	rekey "$end" "$kind" || failed=$((failed + 1))
	# One at a time: the next begins when both ends are through with this one.
	if [ "$kind" = ike ]; then
		wait_for 30 another_ike "$is"
	else
		wait_for 30 ike_renewed a b "$spi"
	fi || failed=$((failed + 1))
done
took=$(($(date +%s) - begin))
check "each of $N was done ($took s)" test $failed = 0
loaded "0 lost"
soon_ctl "show ike has counted them: $(counted)" 10 "show ike" ".[0].child_rekeys + .[0].rekeys >= $N"
check "two SAs are left" wait_for 15 sas "$pair and length == 2"
check_ctl "nothing was refused of what came" "show sas" 'all(.[]; .auth_failed == 0 and .replayed == 0)'

step "both ends at once"
load 120 &
bg=$!
sleep 1
for _ in $(seq "${COLLISIONS:-10}"); do
	rekey a child &
	one=$!
	rekey b child &
	wait $one $!
done
for _ in 1 2 3; do
	rekey a ike &
	one=$!
	rekey b ike &
	wait $one $!
done
sleep 1
touch "$WORK/enough"
wait $bg
check_json "packets went meanwhile: $(jq -c . "$WORK/load.json")" "$WORK/load.json" '.answered > 0 and .refused == 0'
soon_ctl "IKE is up" 60 "show ike" '.[0].state == "up"'
check "the dataplane has what our charon has: $(ike_children a | cut -d' ' -f1 | sort | uniq -c | xargs)" wait_for 60 ike_mirrored a
check "ike down" ctl ike down gw1.example
swan b --terminate --ike gw --force >/dev/null 2>&1
nothing() { [ -z "$(ike_children a)$(ike_children b)" ]; }
check "all of charon's end" wait_for 90 nothing
check "and all of the dataplane's" wait_for 10 sas 'length == 0'
check "ike up" ctl ike up gw1.example
check "there is one pair" wait_for 30 sas "$pair and length == 2"
check "the same at both ends" wait_for 30 ike_settled a b
check "and in the dataplane" ike_mirrored a
load 2
check_json "0 lost with it: $(jq -c . "$WORK/load.json")" "$WORK/load.json" '.sent > 500 and .lost == 0 and .refused == 0'

step "the peer restarts"
was=$(ctl -j show ike | jq -r '.[0].ike_sa')
ike_stop b KILL
soon_ctl "its silence is seen: no IKE" 60 "show ike" '.[0].state != "up"'
soon_ctl "an alarm says so" 20 "show alarms" 'any(.[]; .id == "ike-down" and .subject == "gw1.example")'
ike_charon b "$NS_GW" libipsec || die "charon b did not come back"
swan b --load-all --file "$WORK/b/swanctl.conf" >>"$WORK/b.swanctl" 2>&1
soon_ctl "it is up again by itself" 150 "show ike" ".[0].state == \"up\" and .[0].ike_sa != \"$was\""
check "with one pair of SAs" wait_for 30 sas "$pair and length == 2"
check_ctl "the alarm is over" "show alarms" 'all(.[]; .id != "ike-down")'
load 2
check_json "packets both ways: $(jq -c . "$WORK/load.json")" "$WORK/load.json" '.sent > 500 and .lost == 0 and .refused == 0'
step "our charon is killed"
left() { ctl -j show counters | jq '.ike_source.left'; }
was=$(in_spi)
ike_stop a KILL
soon_ctl "an alarm says so" 20 "show alarms" 'any(.[]; .id == "ike-daemon")'
check "its SAs are there" sas "$pair"
charon_a || die "charon a did not come back"
soon_ctl "IKE is up again" 150 "show ike" '.[0].state == "up"'
check "the SAs of the one before go: one pair is left" wait_for 60 sas "$pair and length == 2"
check "it is the new one's" ike_mirrored a
check "not the old one" test "$(in_spi)" != "$was"
check "none is counted as left" test "$(left)" = 0
load 2
check_json "packets both ways: $(jq -c . "$WORK/load.json")" "$WORK/load.json" '.sent > 500 and .lost == 0 and .refused == 0'
ike_stop a TERM
ike_stop b TERM
check "the appliance stops cleanly" appliance_stop
sc_end
