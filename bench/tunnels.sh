#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The 'tunnels' rows: a whole appliance with its charon brings up IKEv2 and a pair of SAs with 1,000 gateways, which one unmodified strongSwan is;
# beside two strongSwans of the same settings without us, in turn. Prints ravelin-bench's JSON lines; what it does goes to stderr. As
# root; makes its namespaces and ends what it started. See README.md, "tunnels".
#
# RAVELIN_BUILD: build directory. RUNS: rounds (3). TUNNELS: how many (1000).
set -u
SC_NAME=tunb
RAVELIN_BUILD=${RAVELIN_BUILD:-$(dirname "${BASH_SOURCE[0]}")/../build}
exec 3>&1 1>&2
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/scenario.sh"
. "$RAVELIN_TOP/scripts/ike.sh"
. "$RAVELIN_TOP/scripts/tunnels.sh"
N=${TUNNELS:-1000} RUNS=${RUNS:-3}
SECRET="one of a thousand"

now() { date +%s%N; }
cpu() { # NAME...: milliseconds that these processes used
	local n s=0 f
	for n in "$@"; do
		read -r -a f <"/proc/$(cat "$WORK/$n.pid")/stat"
		s=$((s + f[13] + f[14]))
	done
	printf '%s' $((s * 1000 / $(getconf CLK_TCK)))
}
mb() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$(cat "$WORK/$1.pid")/status"; }

# until_up: IKE with all of them, and two live SAs of each. Asked over one socket, so that asking costs next to nothing.
until_up() {
	python3 - "$WORK/run/admin.sock" "$N" <<-'PY'
		import json, socket, sys, time
		n, end = int(sys.argv[2]), time.monotonic() + 300
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		f = s.makefile("rw")
		def ask(cmd):
		    f.write(json.dumps({"cmd": cmd}) + "\n")
		    f.flush()
		    return json.loads(f.readline())["result"]
		while ask("status")["ike"]["up"] != n:
		    time.sleep(0.02)
		    if time.monotonic() > end:
		        sys.exit("not all are up")
		while sum(o["source"] == "ike" and o["state"] == "live" for o in ask("show.sas")) != 2 * n:
		    time.sleep(0.1)
		    if time.monotonic() > end:
		        sys.exit("not all SAs are live")
	PY
}
none_up() { ctl_holds status '.ike.up == 0' && ctl_holds 'show sas' 'length == 0' && stats peer 0; }
stats() { # NAME HOW MANY: IKE SAs, none half open
	swan "$1" --stats 2>/dev/null | grep -q "^IKE_SAs: $2 total, 0 half-open"
}

ns_up && tunnels_addresses "$NS_GW" gw0 || die "network namespaces could not be made"
ip link add init0 netns "$NS_PHONE" type veth peer name gw1 netns "$NS_GW" && ip -n "$NS_PHONE" addr add 10.77.3.2/24 dev init0 &&
	ip -n "$NS_GW" addr add 10.77.3.10/24 dev gw1 && ip -n "$NS_PHONE" link set init0 up && ip -n "$NS_GW" link set gw1 up &&
	ip -n "$NS_PHONE" route add 10.128.0.0/16 via 10.77.3.10 || die "the other strongSwan's network"
tunnels_appliance 'log: {level: warn}' || die "the appliance did not come up"
tunnels_records "$WORK/gateways.json"

# What 'ours' and 'theirs' meet: one connection that is all gateways, for either.
tunnels_peer || die "the gateways' charon did not start"
sed -e '/^secrets/,$d' -e "s/all {/other {/; s/$TUNNELS_ME/10.77.3.2/" "$WORK/peer/swanctl.conf" >>"$WORK/peer/swanctl.conf.other"
cat "$WORK/peer/swanctl.conf.other" >>"$WORK/peer/swanctl.conf"
swan peer --load-all --file "$WORK/peer/swanctl.conf" >"$WORK/peer-load.log" 2>&1 || die "$(tail -n 3 "$WORK/peer-load.log")"
theirs() { # connections and keys as we tell them to our charon, begun as they are loaded
	local i a
	mkdir -p "$WORK/init"
	for i in $(seq "$N"); do
		a=$(tunnels_address "$i")
		cat <<-CONF
			connections { gw$i {
				version = 2
				mobike = no
				local_addrs = 10.77.3.2
				remote_addrs = $a
				proposals = aes128gcm16-prfsha256-x25519
				local { auth = psk
				id = 10.77.3.2
				}
				remote { auth = psk
				id = $a
				}
				children { gw$i {
					local_ts = 10.77.3.2/32[udp/2727]
					remote_ts = $a/32[udp/2427]
					esp_proposals = aes128gcm16
					start_action = start
				} }
			} }
			secrets { ike-gw$i {
				id = $a
				secret = "$SECRET"
			} }
		CONF
	done >"$WORK/init/swanctl.conf"
}
theirs

round_theirs() {
	local t c
	IKE_MANY=1 IKE_ROUTES=no ike_charon init "$NS_PHONE" libipsec || die "the other strongSwan did not start"
	c=$(cpu peer)
	t=$(now)
	swan init --load-all --file "$WORK/init/swanctl.conf" >"$WORK/init-load.log" 2>&1 || die "$(tail -n 3 "$WORK/init-load.log")"
	wait_for 300 stats init "$N" || die "the two strongSwans did not come up: $(swan init --stats)"
	t=$(($(now) - t))
	jq -cn --argjson t $t --argjson c "$(cpu init)" --argjson p $(($(cpu peer) - c)) --argjson m "$(mb init)" \
		'{what: "peer", s: ($t / 1e9), charon_cpu_s: ($c / 1000), gateways_cpu_s: ($p / 1000), charon_mb: $m}' >>"$WORK/rounds"
	ike_stop init TERM
	wait_for 60 stats peer 0 || die "the gateways' charon keeps SAs"
}
round_ours() { # WHAT COMMAND...: from the command on
	local what=$1 t cp dp pe
	shift
	cp=$(cpu controlplane) dp=$(cpu dataplane) pe=$(cpu peer)
	[ "$what" = records ] && ch=$(cpu ours) || ch=0
	t=$(now)
	"$@" || die "$what"
	until_up || die "$what"
	t=$(($(now) - t))
	jq -cn --arg what "$what" --argjson t $t --argjson c $(($(cpu ours) - ch)) --argjson p $(($(cpu peer) - pe)) --argjson cp $(($(cpu controlplane) - cp)) \
		--argjson dp $(($(cpu dataplane) - dp)) --argjson m "$(mb ours)" --argjson cm "$(mb controlplane)" --argjson dm "$(mb dataplane)" \
		'{what: $what, s: ($t / 1e9), charon_cpu_s: ($c / 1000), gateways_cpu_s: ($p / 1000), controlplane_cpu_s: ($cp / 1000),
		dataplane_cpu_s: ($dp / 1000), charon_mb: $m, controlplane_mb: $cm, dataplane_mb: $dm}' >>"$WORK/rounds"
}
import() { ctl import "$WORK/gateways.json" >/dev/null; }

for i in $(seq "$RUNS"); do
	say "round $i, load $(cut -d' ' -f1-3 /proc/loadavg)"
	round_theirs
	tunnels_ours && wait_for 10 ctl_holds status .ike.charon || die "our charon did not start"
	round_ours records import
	ike_stop ours TERM
	wait_for 60 none_up || die "SAs are left of a charon that was stopped"
	round_ours charon tunnels_ours
	tunnels_delete && wait_for 60 none_up || die "SAs are left of gateways that were deleted"
	ike_stop ours TERM
done
jq -cs --argjson n "$N" --argjson runs "$RUNS" '
	def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
	def of($what; f): [.[] | select(.what == $what) | f] | median;
	def spread($what): [.[] | select(.what == $what) | .s] | (max - min) / median;
	. as $all | ("records", "charon") as $what | $all | {bench: "tunnels", case: {what: $what, tunnels: $n}, value: of($what; .s), unit: "s",
	peer: "strongswan", peer_value: of("peer"; .s), ratio: (of("peer"; .s) / of($what; .s)), peer_runs: $runs, runs: $runs, spread: spread($what),
	per_s: ($n / of($what; .s)), charon_cpu_s: of($what; .charon_cpu_s), gateways_cpu_s: of($what; .gateways_cpu_s),
	controlplane_cpu_s: of($what; .controlplane_cpu_s), dataplane_cpu_s: of($what; .dataplane_cpu_s), peer_charon_cpu_s: of("peer"; .charon_cpu_s),
	peer_gateways_cpu_s: of("peer"; .gateways_cpu_s), charon_mb: of($what; .charon_mb), controlplane_mb: of($what; .controlplane_mb),
	dataplane_mb: of($what; .dataplane_mb), peer_charon_mb: of("peer"; .charon_mb)}' "$WORK/rounds" >&3 || die "no rows"
ike_stop peer TERM
appliance_stop
SC_DONE=1 SC_RC=0
