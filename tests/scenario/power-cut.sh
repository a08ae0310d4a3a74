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
# May run beside another.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:-${RAVELIN_BUILD:-$top/build}}" && pwd)
cuts=${CUTS:-${RAVELIN_FULL:+20}}
cuts=${cuts:-3}
boot_s=${BOOT_S:-120} # a boot under emulation takes 4 s; a loaded machine, a sanitizer
load=$build/tests/scenario/storeload
cache=$build/power-cut
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

if [ ! -s "$cache/vmlinuz" ]; then
	mkdir -p "$cache" "$dir/deb"
	package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
		sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
	[ -n "$package" ] || fail "apt knows no linux-image-cloud-amd64: apt-get update"
	(cd "$dir/deb" && apt-get download -q "$package" >../apt 2>&1 && dpkg -x ./*.deb .) ||
		fail "cannot fetch $package: $(tail -2 "$dir/apt")"
	rm -rf "$cache/modules"
	mv "$dir"/deb/lib/modules "$cache/modules"
	mv "$dir"/deb/boot/vmlinuz-* "$cache/vmlinuz" # last: the mark that all is there
fi

root=$dir/root
mkdir -p "$root"/{proc,sys,dev,mnt,bin,modules}
cp /bin/busybox "$root/bin/busybox"
file -L /bin/busybox 2>/dev/null | grep -q 'dynamically' && fail "busybox is not the static one"
for m in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk virtio_console; do
	find "$cache/modules" -name "$m.ko" -exec cp {} "$root/modules/" \;
done
# the program with all it is linked with, at the same places
ldd "$load" | awk '$2 == "=>" && $3 ~ /^\// {print $3} $1 ~ /^\// {print $1}' | while read -r lib; do
	mkdir -p "$root$(dirname "$lib")"
	cp -L "$lib" "$root$lib"
done
cp "$load" "$root/bin/storeload"
strip -g "$root/bin/storeload" 2>/dev/null || true
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for m in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk virtio_console; do
	[ ! -e /modules/$m.ko ] || $b insmod /modules/$m.ko
done
ledger=0 first=1 nosync=
for a in $($b cat /proc/cmdline); do
	case $a in
	rv_ledger=*) ledger=${a#*=} ;;
	rv_first=*) first=${a#*=} ;;
	rv_nosync) nosync=nosync ;;
	esac
done
$b stty raw -echo </dev/hvc0
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
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$dir/initrd.gz"

new_disk() { # NAME: an empty file system
	truncate -s 256M "$at/$1"
	mkfs.ext4 -q -F "$at/$1" || fail "no mkfs.ext4"
}

stop() {
	kill -9 "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
	pid=
}

boots=0
boot() { # DISK LEDGER APPEND...: starts the machine; what it says is $dir/out
	local disk=$1 ledger=$2 len
	shift 2
	boots=$((boots + 1))
	len=$(stat -c %s "$ledger")
	cp "$ledger" "$at/ledger.img"
	truncate -s %4096 "$at/ledger.img"
	[ "$len" -gt 0 ] || truncate -s 4096 "$at/ledger.img"
	: >"$at/out"
	qemu-system-x86_64 -accel tcg -cpu max -m 768 -nodefaults -display none -no-reboot -nic none \
		-kernel "$cache/vmlinuz" -initrd "$dir/initrd.gz" \
		-append "console=ttyS0 quiet panic=1 rdinit=/init rv_ledger=$len rv_first=$((boots * 10000000)) $*" \
		-drive file="$disk",format=raw,if=virtio,cache=none \
		-drive file="$at/ledger.img",format=raw,if=virtio,readonly=on \
		-device virtio-serial-pci -chardev file,id=says,path="$at/out" -device virtconsole,chardev=says \
		-serial file:"$at/console" -monitor none >"$at/qemu" 2>&1 &
	pid=$!
	disown # bash is not to tell that it was killed
}

wait_line() { # PATTERN SECONDS WHAT
	local i
	for ((i = 0; i < $2 * 20; i++)); do
		if grep -q "$1" "$at/out"; then return 0; fi
		kill -0 "$pid" 2>/dev/null || fail "qemu ended: $(cat "$at/qemu")"
		sleep 0.05
	done
	fail "$3 took more than $2 s: $(tail -3 "$at/out")"
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
	stop
}

# Without sync the same must show. On a machine beside the others: most of the time each waits for its own emulation.
(
	at=$dir/nosync
	mkdir "$at"
	trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true' EXIT
	trap 'exit 1' TERM
	new_disk nosync.img
	: >"$at/ledger"
	boot "$at/nosync.img" "$at/ledger" rv_nosync
	wait_line '^WRITE' "$boot_s" "the boot"
	cut 500 0
	n=$(acked)
	cp "$at/out" "$at/ledger"
	boot "$at/nosync.img" "$at/ledger"
	wait_line '^WRITE' "$boot_s" "the boot"
	stop
	grep -q '^CHECK 1' "$at/out" || fail "without sync nothing was lost: this test proves nothing"
	lost=$(grep -c '^lost' "$at/out" || true)
	[ "$lost" -gt 0 ] || fail "without sync: $(head -3 "$at/out")"
	echo "without sync: acknowledged=$n, $lost keys lost: the cut is real"
) >"$dir/nosync.said" &
other=$!

new_disk disk.img
: >"$at/ledger"
total=0
for ((c = 0; c <= cuts; c++)); do
	boot "$at/disk.img" "$at/ledger"
	wait_line '^WRITE' "$boot_s" "the boot"
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
stop

wait "$other" || exit 1 # it said why
other=
cat "$dir/nosync.said"
echo "power-cut: $cuts cuts, $total changes acknowledged, 0 lost"
