#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Our dataplane and a kernel's XFRM, ESP packets of each in the other: a machine (qemu under emulation, Debian's linux-image-*-cloud-amd64,
# fetched by apt into BUILD/power-cut once) has the gateways behind its kernel's SAs, keyed by hand on both ends. kernel_esp.py has the cases.
# A command or a keep-alive in each is MGCP; echo is not answered inside SAs.
# Every algorithm once; AES-GCM-128 and AES-CBC-256 with SHA-256 in each mode, family and encapsulation, with and without ESN.
# RAVELIN_FULL: all of them in all of that. As root; exit 0 or 1.
# May run beside another.
# Rows: 004a:GW-01.
set -u
DP_NAME=kernel-esp
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need_root
BUILD=$(cd "${RAVELIN_BUILD:-$RAVELIN_TOP/build}" && pwd) || die "no build directory: build first, or set RAVELIN_BUILD"
. "$RAVELIN_TOP/scripts/dataplane.sh"
peer=$BUILD/tests/scenario/gwpeer
[ -x "$peer" ] || die "no $peer: build the tests first"
at=$WORK
pid=
fail() {
	say "kernel-esp: $*"
	[ ! -s "$at/console" ] || tail -15 "$at/console"
	[ ! -s "$at/out" ] || tail -30 "$at/out"
	exit 1
}
MACHINE_CACHE=$BUILD/power-cut
. "$RAVELIN_TOP/scripts/machine.sh"
machine_kernel
root=$WORK/root
# In the order in which they need each other.
machine_root "$root" failover net_failover virtio_net veth udp_tunnel ip6_udp_tunnel xfrm_algo xfrm_user gf128mul ghash-generic gcm seqiv echainiv \
	authenc ctr cbc sha512_generic jitterentropy_rng drbg libdes des_generic crypto_null authencesn tunnel4 tunnel6 xfrm4_tunnel xfrm6_tunnel esp4 esp6
cp "$peer" "$root/bin/gwpeer"
machine_put "$root" /sbin/ip /usr/sbin/ip
mkdir -p "$root/run" "$root/var/run" "$root/tmp"
echo "$MACHINE_INIT" >"$root/init"
cat >>"$root/init" <<'INIT'
export PATH=/usr/sbin:/bin
for a in mkdir mkfifo mount sh sleep ping grep cat sed ls echo kill rm insmod sysctl; do $b ln -sf /bin/busybox /bin/$a; done
exec >/dev/hvc0 2>&1
mkdir -p /run/netns
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv4.ip_forward=0
ip=/usr/sbin/ip # busybox has one of its own
$ip link set lo up
$ip link set eth0 up
$ip addr add 10.78.0.2/24 dev eth0
$ip addr add fd00:78::2/64 dev eth0 nodad
port=
for a in /sys/class/virtio-ports/*; do
	[ "$(cat $a/name)" != shell ] || port=/dev/${a##*/}
done
echo "UP $port"
while :; do
	sh <>$port >&0 2>&1 # it can be opened once
	sleep 0.2
done
INIT
machine_pack "$root" "$WORK/initrd"
machine_disk "$WORK/disk.img" 8

ip netns add "${NS}d" && ip -n "${NS}d" link set lo up && ip netns exec "${NS}d" sysctl -qw net.ipv6.conf.default.disable_ipv6=1 || die "network namespace"
cat >"$WORK/ravelin.yaml" <<CFG
paths: {state: $WORK/state, run: $WORK/run}
dataplane:
  huge_pages: never
  memory_mb: 128
  mbufs: 8192
  max_legs: 64
  max_sas: 2048
  max_gateways: 1024
  fragments: reassemble
  ports:
    - {device: "tap:vm0", addresses: [10.78.0.1/24, "fd00:78::1/64"], gateway: 10.78.0.2, gateway6: "fd00:78::2"}
ipsec: {old_algorithms: allow}
CFG
ip netns exec "${NS}d" "$BUILD/dataplane/ravelin-dataplane" -c "$WORK/ravelin.yaml" 2>"$WORK/log" &
DP_PID=$!
# shellcheck disable=SC2034
MACHINE_MB=256
machine_boot "$WORK/initrd" "$WORK/disk.img" "" -netdev "dgram,id=n,local.type=unix,local.path=$WORK/vm.net,remote.type=unix,remote.path=$WORK/near.net" \
	-device virtio-net-pci,netdev=n,mac=52:54:00:78:00:02,csum=off,guest_csum=off,gso=off,mrg_rxbuf=on \
	-chardev "socket,id=sh,path=$WORK/shell,server=on,wait=off" -device virtserialport,chardev=sh,name=shell
DP_MORE=$pid
for _ in $(seq 300); do
	grep -q event=ready "$WORK/log" && break
	kill -0 "$DP_PID" 2>/dev/null || break
	sleep 0.1
done
grep -q event=ready "$WORK/log" || die "the dataplane did not start: $(tail -3 "$WORK/log")"
machine_wait '^UP' "${BOOT_S:-180}" "the machine's start"
ip netns exec "${NS}d" /usr/bin/python3 "$RAVELIN_TOP/tests/scenario/kernel_esp.py" "$WORK" ${RAVELIN_FULL:+full} && RC=0
kill -9 "$pid"
DP_MORE=
dp_end
