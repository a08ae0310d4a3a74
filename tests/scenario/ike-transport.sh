#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# IKE with gateways whose ESP is the kernel's: an appliance with a charon of its own, and in a machine (qemu under emulation, Debian's
# linux-image-*-cloud-amd64, fetched by apt into BUILD/power-cut once) an unmodified strongSwan with kernel-netlink and Linux's XFRM. Transport mode in protocol 50
# with and without extended sequence numbers, IKEv1, tunnels, ESP in UDP, IPv6; MGCP in each both ways, what both ends counted of it; keys renewed by either end
# under load without a lost packet; the gateways' charon killed; nothing of MGCP in clear on the wire. ike_transport.py has the cases.
# RAVELIN_BUILD: build directory. As root; exit 0 or 1.
# Rows: 001:P1-013; 004a:GW-01.
set -u
SC_NAME=iketransport
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
. "$RAVELIN_TOP/scripts/ike.sh"
peer=$BUILD/tests/scenario/gwpeer
[ -x "$peer" ] || die "no $peer: build the tests first"

at=$WORK
pid=
fail() {
	say "ike-transport: $*"
	[ ! -s "$at/console" ] || tail -15 "$at/console"
	[ ! -s "$at/out" ] || tail -30 "$at/out"
	exit 1
}
MACHINE_CACHE=$BUILD/power-cut
. "$RAVELIN_TOP/scripts/machine.sh"
machine_kernel
root=$WORK/root
# In the order in which they need each other.
machine_root "$root" failover net_failover virtio_net udp_tunnel ip6_udp_tunnel xfrm_algo xfrm_user gf128mul ghash-generic gcm seqiv echainiv \
	authenc ctr cbc sha512_generic ecdh_generic jitterentropy_rng drbg crypto_null authencesn tunnel4 tunnel6 xfrm4_tunnel xfrm6_tunnel esp4 esp6
cp "$peer" "$root/bin/gwpeer"
machine_put "$root" /sbin/ip /usr/sbin/ip
machine_put "$root" /usr/lib/ipsec/charon /usr/lib/ipsec/charon
PLUGINS="random drbg nonce aes sha1 sha2 hmac kdf gcm openssl curve25519 x509 constraints pubkey pkcs1 pkcs8 pem kernel-netlink socket-default vici"
for p in $PLUGINS; do
	machine_put "$root" "/usr/lib/ipsec/plugins/libstrongswan-$p.so" "/usr/lib/ipsec/plugins/libstrongswan-$p.so"
done
machine_put "$root" /lib/x86_64-linux-gnu/libgcc_s.so.1 /lib/x86_64-linux-gnu/libgcc_s.so.1
mkdir -p "$root/etc" "$root/run" "$root/var/run" "$root/tmp"
printf 'root:x:0:0:root:/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
printf 'udp 17 UDP\n' >"$root/etc/protocols" # charon reads it for "udp/PORT"
cat >"$root/etc/strongswan.conf" <<CONF
charon {
	load = $PLUGINS
	replay_window = 128
	install_routes = no
	make_before_break = yes
	retransmit_timeout = 2
	interfaces_ignore = eth1
	plugins { vici { socket = tcp://10.0.2.15:4502 } }
	filelog { stderr { default = 1
		time_format = %H:%M:%S } }
}
CONF
echo "$MACHINE_INIT" >"$root/init"
cat >>"$root/init" <<'INIT'
export PATH=/usr/sbin:/bin
for a in mkdir mkfifo mount sh sleep ping grep cat sed ls echo kill rm tail sysctl true; do $b ln -sf /bin/busybox /bin/$a; done
exec >/dev/hvc0 2>&1
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv4.ip_forward=0 net.core.xfrm_acq_expires=5
ip=/usr/sbin/ip # busybox has one of its own
$ip link set lo up
$ip link set eth0 up
$ip link set eth1 up # by which it is steered, and nothing else goes: VICI
$ip addr add 10.0.2.15/24 dev eth1
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

# The machine is in the gateways' place: its wire is the interface that the dataplane has.
ns_up || die "network namespaces could not be made"
ip -n "$NS_GW" link del gw0 && ip -n "$NS_APP" tuntap add dev app1 mode tap && in_app sysctl -qw net.ipv6.conf.app1.disable_ipv6=1 &&
	ip -n "$NS_APP" link set app1 up || die "the wire"
# shellcheck disable=SC2034
MACHINE_MB=256 MACHINE_IN="ip netns exec $NS_APP"
machine_boot "$WORK/initrd" "$WORK/disk.img" "" -netdev tap,id=n,ifname=app1,script=no,downscript=no,vhost=off,vnet_hdr=off \
	-device virtio-net-pci,netdev=n,mac=52:54:00:77:02:0a,csum=off,guest_csum=off,gso=off,mrg_rxbuf=on \
	-netdev "user,id=v,restrict=on,hostfwd=tcp:127.0.0.1:4502-10.0.2.15:4502" -device virtio-net-pci,netdev=v \
	-object "filter-dump,id=d,netdev=n,file=$WORK/wire.pcap,maxlen=4096" \
	-chardev "socket,id=sh,path=$WORK/shell,server=on,wait=off" -device virtserialport,chardev=sh,name=shell

appliance_config || die "configuration"
sed -i '/^ipsec:/,$d; s|^      addresses: \[10.77.2.2/24.*|&\n      punt: ikep|' "$WORK/ravelin.yaml"
printf 'ike: {enable: true, source: socket, vici: %s/ours/vici}\n' "$WORK" >>"$WORK/ravelin.yaml"
punted() {
	ike_punt ikep 10.77.2.2 && ip -n "$NS_APP" addr replace 2001:db8:2::2/128 dev ikep nodad noprefixroute &&
		ip -n "$NS_APP" -6 route replace 2001:db8:2::/64 dev ikep src 2001:db8:2::2 && wait_for 10 test -S "$WORK/run/xfrm.sock"
}
appliance_start && punted || die "the appliance did not come up"
# Emulated, on a machine that others use, the gateways may take seconds to answer: nobody is to give them up for that.
IKE_TRIES=4 IKE_AGAIN_S=2 ike_charon ours "$NS_APP" kernel LD_PRELOAD="$BUILD/controlplane/ike/libravelin-xfrm.so" RAVELIN_XFRM="$WORK/run/xfrm.sock" || die "our charon did not start"
machine_wait '^UP' "${BOOT_S:-180}" "the machine's start"
at=$WORK/none # what it says from here on is not why something failed
cases() { # 4 or 6
	/usr/bin/python3 "$RAVELIN_TOP/tests/scenario/ike_transport.py" "$WORK" "$BUILD" "$NS_APP" "$1" 2>&1 | tee "$WORK/python$1.log"
	[ "${PIPESTATUS[0]}" = 0 ] || bad "the cases of IPv$1 came to their end"
	grep -E '^(ok|FAIL) ' "$WORK/python$1.log" >>"$WORK/results"
}
cases 4

step "MGCP over IPv6"
appliance_stop || bad "the appliance stops cleanly"
sed -i 's|^  local: 10.77.2.2:2727|  local: "[2001:db8:2::2]:2727"|' "$WORK/ravelin.yaml"
appliance_start && punted || die "the appliance did not come up with IPv6"
cases 6
machine_stop
ike_stop ours TERM
check "the appliance stops cleanly" appliance_stop
check "every mbuf returned" grep -q 'event=stopped.*mbufs_leaked=0' "$WORK/dataplane.log"
sc_end
