#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# GStreamer's srtpenc and srtpdec as parties nobody here wrote, on both sides of ravelin-dataplane: AES-CM of 128 and 256
# bits, GCM, several keys by MKI changed in mid-stream on both sides, a receiver that joins with a ROC
# (RFC 3711, 6188, 7714). Audio must arrive byte for byte. As root; RAVELIN_BUILD: build directory. Exit 0 or 1.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
NS=rvgst$$
. "$here/../../scripts/lib.sh"
need_root
BUILD=$(realpath "${RAVELIN_BUILD:-$here/../../build}")
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$here/lsan.supp:print_suppressions=0}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-gst.XXXXXX")
PID=
RC=1
cleanup() {
	trap - EXIT INT TERM
	[ -z "$PID" ] || kill -KILL "$PID" 2>/dev/null
	for n in a b d; do ip netns del "$NS$n" 2>/dev/null; done
	[ $RC = 0 ] && rm -rf "$WORK" || say "logs are in $WORK"
	exit $RC
}
trap cleanup EXIT
trap 'exit 1' INT TERM

for n in a b d; do
	ip netns add "$NS$n" && ip -n "$NS$n" link set lo up || die "network namespaces"
done
for n in a b; do
	ip -n "${NS}d" link add "v$n" type veth peer name eth0 netns "$NS$n"
	ip netns exec "${NS}d" sysctl -qw "net.ipv6.conf.v$n.disable_ipv6=1"
	ip -n "${NS}d" link set "v$n" up
	ip -n "$NS$n" link set eth0 up
done
ip -n "${NS}a" addr add 10.77.1.2/24 dev eth0
ip -n "${NS}b" addr add 10.77.2.2/24 dev eth0
cat >"$WORK/ravelin.yaml" <<CFG
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
PID=$!
for _ in $(seq 300); do
	grep -q event=ready "$WORK/log" && break
	kill -0 "$PID" 2>/dev/null || break
	sleep 0.1
done
grep -q event=ready "$WORK/log" || { cat "$WORK/log" >&2; die "the dataplane did not start"; }

/usr/bin/python3 "$here/gst_srtp.py" "$WORK/run/dataplane.sock" "${NS}a" "${NS}b" "$WORK"
RC=$?
kill -TERM "$PID"
wait "$PID" || { RC=1; say "the dataplane left with an error"; }
PID=
grep -q 'event=stopped mbufs_leaked=0' "$WORK/log" || { RC=1; say "packet buffers leaked"; }
if grep -E 'AddressSanitizer|runtime error|LeakSanitizer' "$WORK/log"; then RC=1; fi
exit $RC
