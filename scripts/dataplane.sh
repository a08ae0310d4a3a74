# SPDX-License-Identifier: BSD-3-Clause
# A dataplane alone between two hosts, for scenarios whose controlplane is tests/scenario/dp_client.py: sourced after lib.sh by
# scripts that set DP_NAME and BUILD. Network namespaces ${NS}a (10.77.1.2) and ${NS}b (10.77.2.2) are the hosts, ${NS}d is the
# dataplane's (10.77.1.1, 10.77.2.1). What a script starts besides, it adds to DP_MORE (pids). WORK is its folder; RC its result.

NS=rv${DP_NAME:0:4}$$
WORK=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-$DP_NAME.XXXXXX")
DP_PID=
DP_MORE=
RC=1
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$RAVELIN_TOP/tests/scenario/lsan.supp:print_suppressions=0}

dp_cleanup() {
	local p n
	trap - EXIT INT TERM
	for p in $DP_PID $DP_MORE; do { kill -KILL "$p"; wait "$p"; } 2>/dev/null; done
	for n in a b d; do ip netns del "$NS$n" 2>/dev/null; done
	[ $RC = 0 ] && rm -rf "$WORK" || say "logs are in $WORK"
	exit $RC
}
trap dp_cleanup EXIT
trap 'RC=1; exit 1' INT TERM

# dp_up: hosts, links and the dataplane; ends the script if one of them cannot be.
dp_up() {
	local n
	for n in a b d; do
		ip netns add "$NS$n" && ip -n "$NS$n" link set lo up || die "network namespaces"
	done
	for n in a b; do
		ip -n "${NS}d" link add "v$n" type veth peer name eth0 netns "$NS$n"
		# The appliance's kernel has no part in this.
		ip netns exec "${NS}d" sysctl -qw "net.ipv6.conf.v$n.disable_ipv6=1"
		ip -n "${NS}d" link set "v$n" up
		ip -n "$NS$n" link set eth0 up
	done
	ip -n "${NS}a" addr add 10.77.1.2/24 dev eth0
	ip -n "${NS}b" addr add 10.77.2.2/24 dev eth0
	cat >"$WORK/ravelin.yaml" <<-CFG
		paths: {state: $WORK/state, run: $WORK/run}
		dataplane:
		  huge_pages: never
		  memory_mb: 96
		  mbufs: 8192
		  max_legs: 64
		  ports:
		    - {device: "af_packet:va", addresses: [10.77.1.1/24]}
		    - {device: "af_packet:vb", addresses: [10.77.2.1/24]}
		media:
		  addresses: [{address: 10.77.1.1}, {address: 10.77.2.1}]
	CFG
	ip netns exec "${NS}d" "$BUILD/dataplane/ravelin-dataplane" -c "$WORK/ravelin.yaml" 2>"$WORK/log" &
	DP_PID=$!
	for _ in $(seq 600); do
		grep -q event=ready "$WORK/log" && return
		kill -0 "$DP_PID" 2>/dev/null || break
		sleep 0.1
	done
	cat "$WORK/log" >&2
	die "the dataplane did not start"
}

# dp_end: SIGTERM; RC stays 0 only if it leaves in good order, with every packet buffer, and no sanitizer had a word.
dp_end() {
	kill -TERM "$DP_PID"
	wait "$DP_PID" || { RC=1; say "the dataplane left with an error"; }
	DP_PID=
	grep -q 'event=stopped mbufs_leaked=0' "$WORK/log" || { RC=1; say "packet buffers leaked"; }
	if grep -E 'AddressSanitizer|runtime error|LeakSanitizer' "$WORK/log"; then RC=1; fi
	exit $RC
}
