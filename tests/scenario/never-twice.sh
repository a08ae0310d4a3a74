#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The dataplane and the controlplane are killed by turns (SIGKILL, six times; KILLS=N: so often; RAVELIN_FULL=1: 30) while calls are made to gateways and
# keep-alives go, some answers being lost, under SAs that were keyed by hand and such that IKE made. On the wire no sequence number comes twice under an SPI, whoever
# died; the SAs are those of before each time; and no gateway executes a command twice, by transaction or by call.
# RAVELIN_BUILD: build directory. As root; exit 0 or 1.
# Rows: 004a:GW-01.
# May run beside another; takes long.
set -u
SC_NAME=twice
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
. "$RAVELIN_TOP/scripts/ike.sh"
KILLS=${KILLS:-$([ "${RAVELIN_FULL:-0}" = 1 ] && echo 30 || echo 6)}

AGENT=10.77.2.2
ns_up || die "network namespaces could not be made"
sc_phones 1 2 3
for n in 1 2 3 4; do ip -n "$NS_GW" addr add "$(sc_gw_ip $n)/24" dev gw0; done
appliance_config || die "configuration"
sed -i '/^ipsec:/,$d; s|^      addresses: \[10.77.2.2/24.*|&\n      punt: ikep|' "$WORK/ravelin.yaml"
printf 'ike: {enable: true, source: socket, vici: %s/ours/vici}\n' "$WORK" >>"$WORK/ravelin.yaml"
printf 'correct horse\n' >"$WORK/psk"
chmod 600 "$WORK/psk"
CLUSTER=nonsecure appliance_start || die "the appliance did not come up"
ike_punt ikep $AGENT || die "punt interface"
wait_for 10 test -S "$WORK/run/xfrm.sock" || die "no xfrm.sock"
for n in 1 2 3; do sc_device $n nonsecure || die "device $n"; done

# Gateways 1 and 2 have ESP of their own, keyed by hand; 3 and 4 are behind a charon. Its table leads all that goes to us into its tunnel: not theirs.
mkdir "$WORK/peer"
for n in 3 4; do
	cat <<-CONN
		connections { gw$n {
			version = 2
			mobike = no
			local_addrs = $(sc_gw_ip $n)
			remote_addrs = $AGENT
			local { auth = psk
			}
			remote { auth = psk
				id = $AGENT
			}
			children { gw$n {
				local_ts = $(sc_gw_ip $n)/32[udp/2427]
				remote_ts = $AGENT/32[udp/2727]
				esp_proposals = aes128gcm16
			} }
		} }
		secrets { ike-gw$n { id = $(sc_gw_ip $n)
			secret = "correct horse"
		} }
	CONN
done >"$WORK/peer/swanctl.conf"
ike_charon peer "$NS_GW" libipsec || die "the gateways' charon did not start"
swan peer --load-all --file "$WORK/peer/swanctl.conf" >"$WORK/peer-load.log" 2>&1 || die "swanctl --load-all: $(tail -n 3 "$WORK/peer-load.log")"
in_gw ip rule add pref 200 to $AGENT ipproto udp dport 2727 lookup 220 && in_gw ip rule add pref 202 to $AGENT lookup main &&
	in_gw sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.ipsec0.rp_filter=0 || die "the gateways' routes"
ike_charon ours "$NS_APP" kernel LD_PRELOAD="$BUILD/controlplane/ike/libravelin-xfrm.so" RAVELIN_XFRM="$WORK/run/xfrm.sock" || die "our charon did not start"
sc_capture "$NS_GW" gw0 "$WORK/gw0.pcap" || die tcpdump

G() { # NUMBER OPTIONS...
	local n=$1
	shift
	ctl gateway add "gw$n.example" --address "$(sc_gw_ip "$n")" --region gateways --endpoint aaln/1 --endpoint aaln/2 --number "90$n*" "$@" >/dev/null 2>>"$WORK/checks.log"
}
G 1 && sc_sas 1 aes-gcm-128 transport && GW1_OPTS=("${SA_OPTS[@]}") && G 2 && sc_sas 2 aes-cbc-128-sha1 tunnel && GW2_OPTS=("${SA_OPTS[@]}") || die "gateways keyed by hand"
for n in 3 4; do G $n --ike 2 --ike-psk-file "$WORK/psk" --ike-mode tunnel --ike-esp aes-gcm-128 || die "gateway $n"; done
soon_ctl "IKE is up with two gateways" 60 "show ike" '[.[] | select(.state == "up")] | length == 2'
soon_ctl "eight SAs" 20 "show sas" '[.[] | select(.state == "live")] | length == 8'

step "calls and keep-alives"
# A sixth of what gateways 1 and 2 say is lost: commands that they have executed are repeated, by whoever lives then.
in_gw iptables -w -A OUTPUT -d $AGENT -p esp -m statistic --mode random --probability 0.17 -j DROP || die "no losses"
SC_GW_S=1500
gateway 1 "${GW1_OPTS[@]}" --endpoint aaln/2 --answer-after 0 --keepalive 1 &
PG=("$!")
gateway 2 "${GW2_OPTS[@]}" --endpoint aaln/2 --answer-after 0 --keepalive 1 &
PG+=("$!")
gateway 3 --endpoint aaln/2 --answer-after 0 --keepalive 1 &
PG+=("$!")
in_gw timeout 1500 python3 "$RAVELIN_TOP/tests/scenario/ike_keepalive.py" "$(sc_gw_ip 4)" $AGENT:2727 gw4.example 200 1400 "$WORK/enough" >"$WORK/load.json" &
LOAD=$!
for n in 1 2 3; do wait_for 30 gateway_up $n || bad "gateway $n comes up"; done
calls() { # N: phone N calls gateway N, again and again
	local i=0
	while [ ! -e "$WORK/enough" ]; do
		i=$((i + 1))
		printf 'dial 90%d%d#\n' "$1" $((50 + i % 50))
		sleep 1.$((RANDOM % 10))
		echo hangup
		sleep 0.2
	done
	echo quit
}
for n in 1 2 3; do
	name=$(sc_phone_name $n)
	calls $n | in_phone timeout -k 2 1500 "$SIM/ravelin-phonesim" --server 10.77.1.1 --tcp --name "$name" --source "$(sc_phone_ip $n)" --commands --retry 300 --give-up 0 \
		--events="$WORK/p$n.events" --report "$WORK/p$n.json" >"$WORK/p$n.log" 2>&1 &
done
executed() { cat "$WORK"/g[123].events 2>/dev/null | jq -s "[.[] | select(.event == \"command\" and .verb == \"CRCX\")] | length"; }
more() { [ "$(executed)" -gt $(($1 + 3)) ]; }
check "calls are made" wait_for 60 more 3

step "$KILLS kills"
spis() { ctl -j show sas | jq -c '[.[] | [.gateway, .direction, .spi]] | sort'; }
same() { [ "$(spis)" = "$WAS" ]; }
whole() { ctl_holds "show sas" '[.[] | select(.state == "live")] | length == 8'; }
WAS=$(spis)
for i in $(seq $KILLS); do
	who=$([ $((i % 2)) = 1 ] && echo dataplane || echo controlplane)
	before=$(executed)
	pid=$(daemon_pid $who)
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	daemon $who
	wait_for 60 dataplane_up || die "kill $i: the $who did not come back"
	ike_punt ikep $AGENT || bad "kill $i: punt interface"
	check "kill $i, the $who: the SAs are those of before" wait_for 30 eval 'same && whole'
	soon_ctl "kill $i: packets go under all of them" 60 "show sas" 'length == 8 and all(.[]; .packets > 0)'
	check "kill $i: calls are made ($before until then)" wait_for 60 more "$before"
done
touch "$WORK/enough"
wait $LOAD
soon_ctl "the calls end" 60 "show calls" 'length == 0'
sleep 1
for n in 1 2 3; do gateway_signal $n TERM; done
wait "${PG[@]}"
kill "$SC_CAP"
wait "$SC_CAP" 2>/dev/null

step "the wire"
check "nothing was lost by the capture" grep -q '^0 packets dropped by kernel' "$WORK/gw0.pcap.log"
tshark -r "$WORK/gw0.pcap" -Y 'esp && !icmp' -T fields -e ip.src -e esp.spi -e esp.sequence 2>/dev/null >"$WORK/numbers"
grep "^$AGENT	" "$WORK/numbers" | cut -f2- >"$WORK/ours.numbers"
check "$(wc -l <"$WORK/ours.numbers") packets of ours, under $(cut -f1 "$WORK/ours.numbers" | sort -u | wc -l) SPIs: four, and each was used a lot" \
	test "$(cut -f1 "$WORK/ours.numbers" | sort | uniq -c | awk '$1 > 50' | wc -l)" = 4
twice=$(sort "$WORK/ours.numbers" | uniq -d)
check "no sequence number came twice under an SPI ($(grep -c . <<<"$twice") did)" test -z "$twice"
jq -c 'select(.event == "command" and .verb == "CRCX") | [.who, .endpoint, .txid, .call]' "$WORK"/g[123].events >"$WORK/crcx"
check "$(wc -l <"$WORK/crcx") connections were made, with $(cat "$WORK"/g[123].json | jq -s "[.[].gateway[].duplicates] | add") repetitions of commands" \
	test "$(wc -l <"$WORK/crcx")" -gt $((KILLS * 3)) -a "$(cat "$WORK"/g[123].json | jq -s "[.[].gateway[].duplicates] | add")" -gt 0
check "each says its call" jq -s -e 'all(.[]; .[3] != null)' "$WORK/crcx"
jq -c 'select(.event == "command") | [.who, .txid]' "$WORK"/g[123].events | sort >"$WORK/executed"
check "no transaction of $(wc -l <"$WORK/executed") was executed twice" test -z "$(uniq -d "$WORK/executed")"
check "no connection was made twice for a call" test -z "$(jq -c '[.[0], .[1], .[3]]' "$WORK/crcx" | sort | uniq -d)"
for n in 1 2 3; do check_json "gateway $n: nothing malformed" "$WORK/g$n.json" '.gateway[0].bad_messages == 0'; done
ike_stop ours TERM
ike_stop peer TERM
check "the appliance stops cleanly" appliance_stop
sc_end
