#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# 1,000 IPsec tunnels at once (300 unless RAVELIN_FULL is 1): as many gateways' records in one import, their IKEv2 with pre-shared keys begun by our charon, one unmodified
# strongSwan with kernel-libipsec as all of them. Each carries MGCP of its gateway both ways; they stand through a kill -9 of the
# controlplane and of the dataplane, come back with a charon that was stopped, and leave nothing behind when their gateways are
# deleted (001:P1-013, 004a:GW-01). RAVELIN_BUILD: build directory. TUNNELS: how many. As root; exit 0 or 1.
# May run beside another.
set -u
SC_NAME=tunl
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
. "$RAVELIN_TOP/scripts/ike.sh"
. "$RAVELIN_TOP/scripts/tunnels.sh"

N=${TUNNELS:-$([ "${RAVELIN_FULL:-0}" = 1 ] && echo 1000 || echo 300)}
ns_up && tunnels_addresses "$NS_GW" gw0 || die "network namespaces could not be made"
tunnels_appliance || die "the appliance did not come up"

begun() { T0=$(date +%s%N); }
took() { # for the log: since begun
	say "      $((($(date +%s%N) - T0) / 1000000)) ms"
}
# 'show ike' of a thousand is a list that charon makes: while they come up it is not asked for again and again.
up() { # HOW MANY
	ctl_holds status ".ike.up == $1"
}
live() { # HOW MANY
	sleep 0.5
	ctl_holds 'show sas' "[.[] | select(.source == \"ike\" and .state == \"live\")] | length == $1"
}
# Heard or answering since this controlplane began, through SAs that carried packets both ways since this dataplane did.
spoken() {
	sleep 0.5
	ctl_holds 'show gateways' "[.[] | select(.state == \"up\" or .answers > 0 or .heard)] | length == $N" &&
		ctl_holds 'show sas' 'all(.[]; .packets > 0)'
}
spis() { ctl -j show sas | jq -c '[.[] | .spi] | sort'; }
# all_up TEXT: IKE, SAs, and MGCP through each of them.
all_up() {
	begun
	check "$1: $N are up" wait_for 240 up "$N"
	took
	check "$((2 * N)) SAs are live in the dataplane" wait_for 60 live $((2 * N))
	check "each gateway is heard, and answers: MGCP goes both ways in each tunnel" wait_for 240 spoken
	took
}

step "$N gateways"
tunnels_peer || die "the gateways' charon did not start: $(tail -n 3 "$WORK/peer-load.log" "$WORK/peer.charon")"
tunnels_records "$WORK/gateways.json"
begun
check "their records, with keys, are imported" ctl import "$WORK/gateways.json"
took
check_ctl "all of them are listed, down" "show ike" "length == $N and all(.[]; .state == \"down\")"

step "up"
in_gw "$SIM/ravelin-gwsim" --listen "$(tunnels_address 1)" --agent $TUNNELS_ME:2727 --name gw%d.farm --farm "$N" --endpoint aaln/1 --start-over 2 --keepalive 30 \
	--report "$WORK/sim.json" >"$WORK/sim.log" 2>&1 &
tunnels_ours || die "our charon did not start"
all_up "from nothing"
check_ctl "show ike has them all, each with its pair" "show ike" "[.[] | select(.state == \"up\" and (.children | length) == 1)] | length == $N"
check_ctl "there is one SA in and one out for each of them, and each carried packets" "show sas" \
	"([.[] | [.gateway, .direction]] | unique | length == $((2 * N))) and all(.[]; .packets > 0 and .auth_failed == 0)"
check_ctl "no alarm of IKE is left" "show alarms" 'all(.[]; .id != "ike-down" and .id != "ike-daemon")'

step "the controlplane is killed, then the dataplane"
WAS=$(spis)
kill -9 "$(daemon_pid controlplane)"
while daemon_alive controlplane; do sleep 0.05; done
daemon controlplane
wait_for 60 dataplane_up || die "the controlplane did not come back"
all_up "with a new controlplane"
check "their SAs are those of before" [ "$(spis)" = "$WAS" ]
kill -9 "$(daemon_pid dataplane)"
while daemon_alive dataplane; do sleep 0.05; done
daemon dataplane
wait_for 60 dataplane_up || die "the dataplane did not come back"
tunnels_punt || die "punt interface"
all_up "with a new dataplane"
check "their SAs are those of before" [ "$(spis)" = "$WAS" ]

step "charon is stopped, and starts"
if ike_stop ours TERM 300; then
	check "it takes its SAs with it" wait_for 60 live 0
else
	say "      charon did not end by itself and was killed: its SAs end when the next one has others"
fi
tunnels_ours || die "our charon did not start again"
all_up "with a new charon"
check "none of the SAs before is left" wait_for 30 ctl_holds 'show sas' "length == $((2 * N))"

step "all gateways are deleted"
begun
check "they are deleted" tunnels_delete
check_ctl "none has IKE any more" "show ike" 'length == 0'
check "no SA is left in the dataplane" wait_for 60 live 0
nothing() { # NAME: that charon has neither connections nor SAs
	[ -z "$(swan "$1" --list-sas 2>/dev/null)" ]
}
check "none in our charon" wait_for 60 nothing ours
check "nor a connection" [ -z "$(swan ours --list-conns 2>/dev/null)" ]
check "none in the gateways' charon" wait_for 60 nothing peer
took
for d in ours peer controlplane dataplane; do say "      $d: $(ps -o cputimes=,rss= -p "$(cat "$WORK/$d.pid")" | awk '{print $1 " s of CPU, " int($2 / 1024) " MB"}')"; done
ike_stop ours TERM
ike_stop peer TERM
check "the appliance stops cleanly" appliance_stop
sc_end
