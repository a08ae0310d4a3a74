#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Gateways behind a router with NAT that moves: another port, another address, under load, IKEv2 and IKEv1. ESP of theirs that comes from elsewhere
# is what tells: neither end's IKE speaks. Our SAs follow, by their SPIs and with their numbers, and packets go both ways again. The gateways are
# unmodified strongSwans with kernel-libipsec, the router is Linux. RAVELIN_BUILD: build directory. As root; exit 0 or 1.
# May run beside another.
# Rows: 001:P1-013; 004a:GW-01.
set -u
SC_NAME=iknat
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
. "$RAVELIN_TOP/scripts/ike.sh"

AGENT=10.77.2.2
NAMES=(nat2 nat1)
# The phones' namespace is the network behind the router, the gateways' is the router.
inside() { printf '192.168.7.%d' $((10 + $1)); }
ns_up && ip link add in0 netns "$NS_PHONE" type veth peer name rt0 netns "$NS_GW" || die "network namespaces could not be made"
in_phone ethtool -K in0 tx off rx off >/dev/null
in_gw ethtool -K rt0 tx off rx off >/dev/null
for n in 1 2; do ip -n "$NS_PHONE" addr add "$(inside $n)/24" dev in0; done
for a in 11 12 21 22; do ip -n "$NS_GW" addr add 10.77.2.$a/24 dev gw0; done
ip -n "$NS_GW" addr add 192.168.7.1/24 dev rt0 && ip -n "$NS_GW" link set rt0 up && ip -n "$NS_PHONE" link set in0 up &&
	ip -n "$NS_PHONE" route add 10.77.2.0/24 via 192.168.7.1 && in_gw sysctl -qw net.ipv4.ip_forward=1 || die "the router"

# nat HOST ADDRESS FIRST-PORT: what comes from there goes out so from now on; whatever was before is forgotten.
nat() {
	local at
	at=$(inside "$1")
	in_gw iptables -w -t nat -S POSTROUTING | grep -- "-s $at/32" | sed 's/^-A/-D/' | while read -r rule; do in_gw iptables -w -t nat $rule; done
	in_gw iptables -w -t nat -A POSTROUTING -s "$at/32" -p udp -j SNAT --to-source "$2:$3-$(($3 + 999))" || return 1
	in_gw conntrack -D -s "$at" >/dev/null 2>&1
	return 0
}
nat 1 10.77.2.11 20000 && nat 2 10.77.2.12 22000 || die "no NAT"

appliance_config || die "configuration"
sed -i '/^ipsec:/,$d; s|^      addresses: \[10.77.2.2/24.*|&\n      punt: ikep|' "$WORK/ravelin.yaml"
printf 'ike: {enable: true, source: socket, vici: %s/ours/vici}\n' "$WORK" >>"$WORK/ravelin.yaml"
printf 'correct horse\n' >"$WORK/psk"
chmod 600 "$WORK/psk"
appliance_start || die "the appliance did not come up"
ike_punt ikep $AGENT || die "punt interface"
wait_for 10 test -S "$WORK/run/xfrm.sock" || die "no xfrm.sock"

conn() { # NUMBER VERSION PROPOSALS ESP
	local name=${NAMES[$1 - 1]} at
	at=$(inside "$1")
	cat <<-CONN
		connections { $name {
			version = $2
			mobike = no
			local_addrs = $at
			remote_addrs = $AGENT
			proposals = $3
			dpd_delay = 0s
			local { auth = psk
				id = $name.example
			}
			remote { auth = psk
				id = $AGENT
			}
			children { $name {
				local_ts = $at/32[udp/2427]
				remote_ts = $AGENT/32[udp/2727]
				esp_proposals = $4
			} }
		} }
		secrets { ike-$name { id = $name.example
			secret = "correct horse"
		} }
	CONN
}
mkdir "$WORK/peer"
{
	conn 1 2 default aes128gcm16
	conn 2 1 aes256-sha256-modp2048 aes256-sha256
} >"$WORK/peer/swanctl.conf"
ike_charon peer "$NS_PHONE" libipsec || die "the gateways' charon did not start"
swan peer --load-all --file "$WORK/peer/swanctl.conf" >"$WORK/peer-load.log" 2>&1 || die "swanctl --load-all: $(tail -n 3 "$WORK/peer-load.log")"
ike_charon ours "$NS_APP" kernel LD_PRELOAD="$BUILD/controlplane/ike/libravelin-xfrm.so" RAVELIN_XFRM="$WORK/run/xfrm.sock" || die "our charon did not start"
G() { # NUMBER OPTIONS...
	local name=${NAMES[$1 - 1]} n=$1
	shift
	ctl gateway add "$name" --address "$(inside "$n")" --endpoint aaln/1 --ike-mode tunnel --ike-begin wait --ike-psk-file "$WORK/psk" --ike-remote-id "$name.example" \
		--ike-remote "10.77.2.1$n" --ike-dpd-s 3600 "$@" 2>>"$WORK/checks.log" >&2
}
load() { # NUMBER RATE SECONDS: keep-alives, until $WORK/enough is there or the time is over
	rm -f "$WORK/enough"
	in_phone timeout 300 python3 "$RAVELIN_TOP/tests/scenario/ike_keepalive.py" "$(inside "$1")" $AGENT:2727 "${NAMES[$1 - 1]}" "$2" "$3" "$WORK/enough" >"$WORK/load.json"
}
known() { swan ours --list-conns 2>/dev/null | grep -q "^$1:"; }
spis() { ctl -j show sas | jq -c "[.[] | select(.gateway == \"$1\") | [.direction, .spi]] | sort"; }
packets() { ctl -j show sas | jq "[.[] | select(.gateway == \"$1\").packets] | max"; }
number() { ctl -j show sas | jq "[.[] | select(.gateway == \"$1\" and .direction == \"out\").sequence] | max"; }
at() { # NAME ADDRESS FIRST-PORT: both SAs go there and come from there
	ctl_holds "show sas" "[.[] | select(.gateway == \"$1\" and .state == \"live\") | .remote | capture(\"^$2:(?<p>[0-9]+)\$\").p | tonumber | select(. >= $3 and . < $3 + 1000)] | length == 2"
}
# moves NUMBER TEXT ADDRESS FIRST-PORT: the NAT does, under load.
moves() {
	local name=${NAMES[$1 - 1]} text=$2 was from bg ike had
	was=$(spis "$name")
	ike=$(ctl -j show ike | jq -r ".[] | select(.gateway == \"$name\").ike_sa")
	had=$(packets "$name")
	load "$1" 200 200 &
	bg=$!
	wait_for 10 ctl_holds "show sas" "[.[] | select(.gateway == \"$name\" and .packets > $had + 100)] | length == 2" || bad "$text: packets before"
	from=$(number "$name")
	nat "$1" "$3" "$4" || bad "$text: the NAT moves"
	check "$text: both SAs follow" wait_for 30 at "$name" "$3" "$4"
	check "$text: they are the same" test "$(spis "$name")" = "$was"
	had=$(packets "$name")
	soon_ctl "$text: packets go both ways again" 30 "show sas" "[.[] | select(.gateway == \"$name\" and .packets > $had + 100)] | length == 2"
	check "$text: our numbers went on from $from" test "$(number "$name")" -gt "$from"
	touch "$WORK/enough"
	wait $bg
	say "      $(jq -c . "$WORK/load.json")"
	load "$1" 100 2
	check_json "$text: nothing is lost any more: $(jq -c . "$WORK/load.json")" "$WORK/load.json" '.answered > 50 and .lost == 0'
	soon_ctl "$text: show ike has it there" 20 "show ike" ".[] | select(.gateway == \"$name\") | .state == \"up\" and .ike_sa == \"$ike\" and (.peer | startswith(\"$3:\")) and
		(.children[0] | .in_udp and .in.state == \"live\" and .out.state == \"live\" and .out.packets > 0)"
	check "$text: charon was told by a packet" grep -q 'NAT mappings of CHILD_SA' "$WORK/ours.charon"
	: >"$WORK/ours.charon"
}

sc_capture "$NS_GW" gw0 "$WORK/gw0.pcap" || die tcpdump
G 1 --ike 2 --ike-esp aes-gcm-128 && G 2 --ike 1 --ike-proposal aes-cbc-256-sha256/modp2048 --ike-esp aes-cbc-256-sha256 || die "records"
for n in 1 2; do
	name=${NAMES[$n - 1]}
	step "behind a NAT: IKEv$((3 - n))"
	check "charon knows it" wait_for 20 known "$name"
	swan peer --initiate --child "$name" --timeout 15 >"$WORK/peer-init.log" 2>&1
	soon_ctl "it is up, with ESP in UDP" 30 "show ike" ".[] | select(.gateway == \"$name\") | .state == \"up\" and .initiator == false and .children[0].in_udp"
	check "from where the NAT has it" wait_for 10 at "$name" 10.77.2.1$n $((n == 1 ? 20000 : 22000))
	moves $n "another port" 10.77.2.1$n 30000
	moves $n "another address" 10.77.2.2$n 40000
	was=$(spis "$name")
	swan peer --rekey --child "$name" >/dev/null 2>&1
	renewed() { [ "$(spis "$name")" != "$was" ] && ctl_holds "show sas" "[.[] | select(.gateway == \"$name\" and .state == \"live\") | .direction] | unique | length == 2"; }
	check "its keys are renewed from there" wait_for 30 renewed
	load $n 100 2
	check_json "and packets go under them: $(jq -c . "$WORK/load.json")" "$WORK/load.json" '.answered > 50 and .lost == 0'
done
step "the wire"
kill "$SC_CAP"
wait "$SC_CAP" 2>/dev/null
tshark -r "$WORK/gw0.pcap" -Y 'esp && !icmp' -T fields -e ip.src -e esp.spi -e esp.sequence 2>/dev/null | awk '$1 ~ /^10\.77\.2\./' >"$WORK/numbers"
check "no number of ours came twice under an SPI, of $(grep -c "^$AGENT	" "$WORK/numbers")" test "$(cut -f2- "$WORK/numbers" | sort | uniq -d | wc -l)" = 0 -a "$(wc -l <"$WORK/numbers")" -gt 1000
check_ctl "nothing was refused of what came" "show sas" 'all(.[]; .auth_failed == 0)'
ike_stop ours TERM
ike_stop peer TERM
check "the appliance stops cleanly" appliance_stop
sc_end
