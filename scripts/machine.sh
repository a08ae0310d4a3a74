# SPDX-License-Identifier: BSD-3-Clause
# A machine whose power can go: qemu under emulation (no KVM), a kernel of Debian's, an initrd made here, an ext4 on a raw file. What it says
# on its console is as synchronous as a wire, and SIGKILL to qemu loses what was in its page cache and nothing else; a disk that lies
# about its own cache cannot be shown. Sourced. The caller sets
#   MACHINE_CACHE  folder that keeps the kernel, which apt fetches once: linux-image-*-cloud-amd64
#   at             folder of the machine that is meant: out (what it said), console (its kernel), qemu
#   MACHINE_IN     what starts qemu elsewhere, as "ip netns exec NAME"; not needed
# and defines fail() TEXT. $pid is the running qemu, or empty.
MACHINE_MODULES="virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk virtio_console"

machine_kernel() {
	local package deb
	[ ! -s "$MACHINE_CACHE/vmlinuz" ] || return 0
	mkdir -p "$MACHINE_CACHE"
	deb=$(mktemp -d "$MACHINE_CACHE/deb.XXXXXX")
	package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
	[ -n "$package" ] || fail "apt knows no linux-image-cloud-amd64: apt-get update"
	(cd "$deb" && apt-get download -q "$package" >apt 2>&1 && dpkg -x ./*.deb .) || fail "cannot fetch $package: $(tail -2 "$deb/apt")"
	# two scenarios may come here at once: each has its own, and the last one to be put there stays
	[ -e "$MACHINE_CACHE/modules" ] || mv -T "$deb/lib/modules" "$MACHINE_CACHE/modules" || true
	mv "$deb"/boot/vmlinuz-* "$MACHINE_CACHE/vmlinuz" # last: the mark that all is there
	rm -rf "$deb"
}

# machine_root ROOT [MODULE...]: the folder that becomes the initrd, with busybox and modules; its /init is the caller's, and begins
# with $MACHINE_INIT.
machine_root() {
	local root=$1 m
	shift
	mkdir -p "$root"/{proc,sys,dev,mnt,bin,modules,run}
	cp /bin/busybox "$root/bin/busybox"
	file -L /bin/busybox 2>/dev/null | grep -q 'dynamically' && fail "busybox is not the static one"
	MACHINE_INIT="#!/bin/busybox sh
b=/bin/busybox
\$b mount -t proc proc /proc
\$b mount -t sysfs sys /sys
\$b mount -t devtmpfs dev /dev
for m in $MACHINE_MODULES $*; do
	[ ! -e /modules/\$m.ko ] || \$b insmod /modules/\$m.ko
done
\$b stty raw -echo </dev/hvc0"
	for m in $MACHINE_MODULES "$@"; do
		find "$MACHINE_CACHE/modules" -name "$m.ko" -exec cp {} "$root/modules/" \;
	done
}

# machine_put ROOT FILE WHERE: a program or library, with all that it is linked with at the same places.
machine_put() {
	local root=$1 file=$2 lib
	ldd "$file" | awk '$2 == "=>" && $3 ~ /^\// {print $3} $1 ~ /^\// {print $1}' | while read -r lib; do
		[ ! -e "$root$lib" ] || continue
		mkdir -p "$root$(dirname "$lib")"
		cp -L "$lib" "$root$lib"
	done
	mkdir -p "$root$(dirname "$3")"
	cp -L "$file" "$root$3"
	strip -g "$root$3" 2>/dev/null || true
}

# machine_pack ROOT INITRD
machine_pack() {
	chmod +x "$1/init"
	(cd "$1" && find . | cpio -o -H newc --quiet) >"$2" # not compressed: emulated, that takes longer than it saves
}

# machine_disk FILE MIB [FOLDER]: an ext4, empty or with what is in the folder.
machine_disk() {
	rm -f "$1"
	truncate -s "$2M" "$1"
	mkfs.ext4 -q -F ${3:+-d "$3"} "$1" || fail "no mkfs.ext4"
}

# machine_boot INITRD DISK APPEND [QEMU OPTION...]: starts it. no_timer_check: on a loaded host the emulated timer may come too late for
# the kernel's test of it, which is a panic.
machine_boot() {
	local initrd=$1 disk=$2 append=$3
	shift 3
	: >"$at/out"
	${MACHINE_IN:-} qemu-system-x86_64 -accel tcg -cpu max -m "${MACHINE_MB:-768}" -nodefaults -display none -no-reboot \
		-kernel "$MACHINE_CACHE/vmlinuz" -initrd "$initrd" -append "console=ttyS0 quiet panic=1 no_timer_check rdinit=/init $append" \
		-drive file="$disk",format=raw,if=virtio,cache=none \
		-device virtio-serial-pci -chardev file,id=says,path="$at/out" -device virtconsole,chardev=says \
		-serial file:"$at/console" -monitor none "$@" >"$at/qemu" 2>&1 &
	pid=$!
	disown # bash is not to tell that it was killed
}

# machine_stop: the power goes.
machine_stop() {
	kill -9 "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
	pid=
}

# machine_wait PATTERN SECONDS WHAT: until it says so.
machine_wait() {
	local i
	for ((i = 0; i < $2 * 20; i++)); do
		if grep -q "$1" "$at/out"; then return 0; fi
		kill -0 "$pid" 2>/dev/null || fail "qemu ended: $(cat "$at/qemu")"
		sleep 0.05
	done
	fail "$3 took more than $2 s: $(tail -3 "$at/out")"
}
