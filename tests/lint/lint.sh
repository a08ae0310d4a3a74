#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What the style guide forbids and a grep can see: include directions, licence lines, headers that do not
# compile alone, words that promise less than they should. Prints each finding; exit 1 if there was one.
set -u
cd "$(dirname "$0")/../.." || exit 2
bad=0
finding() {
	printf 'lint: %s\n' "$*"
	bad=$((bad + 1))
}
files() { git ls-files -co --exclude-standard "$@"; }

src=$(files '*.c' '*.h')

# 1. licence line first
for f in $src; do
	head -1 "$f" | grep -q '^/\* SPDX-License-Identifier: BSD-3-Clause \*/$' || finding "$f: no SPDX line"
done
for f in $(files '*.sh' quickstart check '*.py' .ci/run); do
	head -3 "$f" | grep -q 'SPDX-License-Identifier: BSD-3-Clause' || finding "$f: no SPDX line"
done

# 2. who may include whom: files, pattern of what an #include of theirs must not begin with, the rule
no_include() {
	local list=$1 pattern=$2 why=$3 hits
	[ -n "$list" ] || finding "rule without files: $why"
	hits=$(printf '%s\n' $list | xargs -r grep -nE "^#include +[\"<]($pattern)" 2>/dev/null)
	[ -z "$hits" ] || finding "$why:
$hits"
}
ch() { files "$1/*" | grep '\.[ch]$'; }
no_include "$(ch config)" 'rte_|intel-ipsec|openssl/|event2/|rocksdb|jansson|pki|controlplane|dataplane|dp_|cp_' \
	'config includes libc and libcyaml only'
no_include "$(ch pki)" 'rte_|event2/|rocksdb/|jansson|controlplane|dataplane|dp_|cp_|store/|sccp/|call/|net/' \
	'pki includes libc and OpenSSL only'
no_include "$(ch pki | grep -v '^pki/signer/')" '(config|log)\.h' 'pki outside pki/signer does not include config'
no_include "$(ch dataplane)" 'openssl/|event2/|rocksdb/|jansson|CUnit|srtp2|controlplane|pki|cp_' \
	'dataplane includes neither controlplane nor pki nor their libraries'
no_include "$(ch dataplane/api)" 'rte_|intel|config|log|sys/|netinet/|string|stdlib' \
	'dataplane/api includes stdint.h and assert.h only'
no_include "$(ch controlplane)" 'rte_|intel-ipsec' 'controlplane includes no DPDK or ipsec-mb header'
no_include "$(ch dataplane/mgcp | grep -E '/(msg|sdp|txn)\.')" 'rte_|worker|port\.h|leg\.h|ipsec/' \
	'the MGCP library knows no DPDK and no ESP'
no_include "$(ch dataplane/quality)" 'rte_|worker|port\.h|leg\.h|objs' 'what counters mean is for both processes: no DPDK, no worker'
no_include "$(ch controlplane | grep -v '^controlplane/store/')" 'rocksdb/' 'only controlplane/store includes rocksdb'
no_include "$(ch bench/sim)" 'dp_|api/|dataplane|controlplane|pki|store/|mgcp/|cp_|config\.h|log\.h' \
	'the simulators share no code with what they test'
no_include "$(ch config; ch dataplane; ch pki; ch controlplane)" '(tests|bench)/' 'nothing includes tests or bench'

# 3. the hot path: no allocation, lock, log or system call in the stages
hits=$(files dataplane/srtp/srtp.c dataplane/srtp/srtcp.c dataplane/ipsec/esp.c dataplane/replay.c |
	xargs -r grep -nE '\b(malloc|calloc|realloc|free|printf|cfg_log[a-z_]*|pthread_mutex_lock|getrandom|clock_gettime)\(')
[ -z "$hits" ] || finding "stages allocate, lock and log nothing:
$hits"

# 4. words
hits=$(grep -nE '\b(TODO|FIXME|XXX|HACK)\b|[Nn]ot implemented|[Pp]laceholder' $src quickstart check scripts/*.sh 2>/dev/null)
[ -z "$hits" ] || finding "unfinished:
$hits"
hits=$(files | grep -vE '^tests/(vectors|fuzz/corpus|lint)/' | xargs -r grep -nIE '(^|[^a-z}])/(home|root|work)/[a-z]' 2>/dev/null)
[ -z "$hits" ] || finding "paths of one machine:
$hits"

# 5. docs/media-plane.md names tests that there are
for f in $(grep -o '`[a-z][a-z0-9_/-]*\.\(c\|h\|sh\)`' docs/media-plane.md | tr -d '`' | sort -u); do
	case $f in
	*/*) [ -e "$f" ] ;;
	*.sh) [ -e "tests/scenario/$f" ] ;;
	*) [ -e "tests/unit/$f" ] ;;
	esac || finding "docs/media-plane.md: there is no $f"
done

# 6. every requirement row has a test that cites it or a named limit (docs/requirements.csv), and the checker finds what lacks one
for arg in --self-test ''; do
	hits=$(/usr/bin/python3 tests/lint/requirements.py $arg 2>&1) || finding "requirement rows:
$hits"
	[ -n "$arg" ] || printf '%s\n' "$hits" | tail -1
done

# 7. ./check fails when something fails
hits=$(tests/lint/tally-selftest.sh 2>&1) || finding "what check counts:
$hits"

# 8. every header compiles alone
cflags="-std=gnu17 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Werror -Wno-unused"
inc="-I. -Iconfig -Idataplane -Idataplane/api -Icontrolplane -Ipki -Ibench -Ibench/sim"
inc="$inc $(pkg-config --cflags libdpdk jansson libevent libcrypto | sed 's/-I/-isystem /g; s/-march=corei7//') -march=native"
err=$(mktemp)
for h in $(printf '%s\n' $src | grep '\.h$' | grep -v '^tests/'); do
	printf '#include "%s"\n' "$h" | gcc $cflags $inc -I"$(dirname "$h")" -x c - 2>"$err" ||
		finding "$h does not compile alone: $(grep -m2 error "$err")"
done
rm -f "$err"

[ $bad = 0 ] && echo "lint: clean"
exit $((bad > 0))
