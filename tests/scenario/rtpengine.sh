#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# rtpengine as the far leg: plain RTP | dataplane | SRTP | rtpengine | plain RTP, both ways, with every suite of RFC 4568,
# 6188 and 7714, its own keys in its own description. Audio must arrive byte for byte. As root; RAVELIN_BUILD: build
# directory. Exit 0 or 1.
# May run beside another.
set -u
DP_NAME=rtpengine
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../scripts/lib.sh"
need_root
BUILD=$(realpath "${RAVELIN_BUILD:-$here/../../build}")
. "$here/../../scripts/dataplane.sh"

command -v rtpengine >/dev/null || die "rtpengine is not installed: scripts/install.sh test"
dp_up
ip netns exec "${NS}b" rtpengine --foreground --log-stderr --table=-1 --interface=10.77.2.2 --listen-ng=127.0.0.1:22222 \
	--port-min=30000 --port-max=30999 --num-threads=1 --pidfile="$WORK/rtpengine.pid" --no-log-timestamps >"$WORK/rtpengine.log" 2>&1 &
ENGINE=$!
DP_MORE=$ENGINE
for _ in $(seq 900); do
	ip netns exec "${NS}b" ss -Hlun 'sport = :22222' | grep -q . && break
	kill -0 "$ENGINE" 2>/dev/null || { tail -5 "$WORK/rtpengine.log" >&2; die "rtpengine did not start"; }
	sleep 0.1
done
/usr/bin/python3 "$here/rtpengine.py" "$WORK/run/dataplane.sock" "${NS}a" "${NS}b" 22222 "$WORK"
RC=$?
dp_end
