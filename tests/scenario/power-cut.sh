#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The store when the power goes: a machine (qemu, its own kernel) with an ext4 on a raw disk writes to the store and says
# what was acknowledged on a console that is as synchronous as a wire; qemu is killed with SIGKILL at a random moment, so
# that what the machine had only in its page cache is gone; it is started again and judges itself. Nothing
# acknowledged may be lost, no batch half there, and the store opens without help. At the end the same without sync,
# which must lose something: else this could not fail.
#   CUTS (3): how many; RAVELIN_FULL: 20.
# What it cannot show: a disk that lies about its own cache. The kernel is Debian's linux-image-*-cloud-amd64, fetched by
# apt into BUILD/power-cut once. Needs no root and no KVM. usage: power-cut.sh [BUILD]
# May run beside another; takes long.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:-${RAVELIN_BUILD:-$top/build}}" && pwd)
cuts=${CUTS:-${RAVELIN_FULL:+20}}
cuts=${cuts:-3}
boot_s=${BOOT_S:-120} # a boot under emulation takes 4 s; a loaded machine, a sanitizer
load=$build/tests/scenario/storeload
dir=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-power.XXXXXX")
at=$dir # what belongs to one machine is here; the one without sync has a folder of its own
pid=
other=
cleanup() {
	[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
	[ -z "$other" ] || { kill "$other" && wait "$other"; } 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
fail() {
	echo "power-cut: $*" >&2
	[ ! -s "$at/console" ] || tail -15 "$at/console" >&2
	exit 1
}
[ -x "$load" ] || fail "no $load: build the tests first"

# --- the machine ---

MACHINE_CACHE=$build/power-cut
. "$top/scripts/machine.sh"
machine_kernel
root=$dir/root
machine_root "$root"
machine_put "$root" "$load" /bin/storeload
echo "$MACHINE_INIT" >"$root/init"
cat >>"$root/init" <<'INIT'
ledger=0 first=1 nosync=
for a in $($b cat /proc/cmdline); do
	case $a in
	rv_ledger=*) ledger=${a#*=} ;;
	rv_first=*) first=${a#*=} ;;
	rv_nosync) nosync=nosync ;;
	esac
done
$b mount -t ext4 /dev/vda /mnt || echo "NO DISK" >/dev/hvc0
export LSAN_OPTIONS=detect_leaks=0
if [ "$ledger" -gt 0 ]; then
	$b head -c "$ledger" /dev/vdb >/ledger
	/bin/storeload check /mnt/store /ledger >/dev/hvc0
	echo "CHECK $?" >/dev/hvc0
fi
echo WRITE >/dev/hvc0
/bin/storeload write /mnt/store "$first" 0 $nosync >/dev/hvc0
echo "ENDED $?" >/dev/hvc0
$b sleep 1000
INIT
machine_pack "$root" "$dir/initrd"

boots=0
boot() { # DISK LEDGER APPEND...: starts the machine; what it says is $dir/out
	local disk=$1 ledger=$2 len
	shift 2
	boots=$((boots + 1))
	len=$(stat -c %s "$ledger")
	cp "$ledger" "$at/ledger.img"
	truncate -s %4096 "$at/ledger.img"
	[ "$len" -gt 0 ] || truncate -s 4096 "$at/ledger.img"
	machine_boot "$dir/initrd" "$disk" "rv_ledger=$len rv_first=$((boots * 10000000)) $*" -nic none \
		-drive file="$at/ledger.img",format=raw,if=virtio,readonly=on
}

acked() { sed -n '/^WRITE/,$p' "$at/out" | grep -c '^A' || true; }

cut() { # ACKNOWLEDGED AFTER-MS: the power goes that many milliseconds after so many changes were acknowledged
	local i
	for ((i = 0; i < boot_s * 20; i++)); do
		[ "$(acked)" -lt "$1" ] || break
		if grep -q '^ENDED' "$at/out"; then fail "the writer ended"; fi
		[ $((i + 1)) -lt $((boot_s * 20)) ] || fail "fewer than $1 changes acknowledged in $boot_s s"
		sleep 0.05
	done
	sleep "$(printf '%d.%03d' $(($2 / 1000)) $(($2 % 1000)))"
	machine_stop
}

# Without sync the same must show. On a machine beside the others: most of the time each waits for its own emulation.
(
	at=$dir/nosync
	mkdir "$at"
	trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true' EXIT
	trap 'exit 1' TERM
	machine_disk "$at/nosync.img" 256
	: >"$at/ledger"
	boot "$at/nosync.img" "$at/ledger" rv_nosync
	machine_wait '^WRITE' "$boot_s" "the boot"
	cut 500 0
	n=$(acked)
	cp "$at/out" "$at/ledger"
	boot "$at/nosync.img" "$at/ledger"
	machine_wait '^WRITE' "$boot_s" "the boot"
	machine_stop
	grep -q '^CHECK 1' "$at/out" || fail "without sync nothing was lost: this test proves nothing"
	lost=$(grep -c '^lost' "$at/out" || true)
	[ "$lost" -gt 0 ] || fail "without sync: $(head -3 "$at/out")"
	echo "without sync: acknowledged=$n, $lost keys lost: the cut is real"
) >"$dir/nosync.said" &
other=$!

machine_disk "$at/disk.img" 256
: >"$at/ledger"
total=0
for ((c = 0; c <= cuts; c++)); do
	boot "$at/disk.img" "$at/ledger"
	machine_wait '^WRITE' "$boot_s" "the boot"
	if [ $c -gt 0 ]; then
		grep -q '^CHECK 0' "$at/out" || fail "cut $c: $(sed '/^T /,$d' "$at/out" | head -5)"
		echo "cut $c: acknowledged=$n $(grep '^checked' "$at/out")"
		total=$((total + n))
	fi
	[ $c -lt "$cuts" ] || break
	cut $((200 + RANDOM % 1500)) $((RANDOM % 700))
	n=$(acked)
	cp "$at/out" "$at/ledger"
done
machine_stop

wait "$other" || exit 1 # it said why
other=
cat "$dir/nosync.said"
echo "power-cut: $cuts cuts, $total changes acknowledged, 0 lost"
