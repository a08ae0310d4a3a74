#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Real kernel XFRM in a machine (qemu under emulation, Debian's linux-image-*-cloud-amd64, fetched by apt into BUILD/power-cut once): two charons with
# the kernel's own ESP, transport mode, protocol 50, extended sequence numbers; then tunnel mode with AES-CBC and HMAC. What that kernel says of it over
# NETLINK_XFRM is read by the controlplane's parser (xfrmtell): each SA with its algorithm, mode, window, numbers; nothing refused.
# Needs no root and no KVM. usage: ike-kernel.sh [BUILD]
# May run beside another.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:-${RAVELIN_BUILD:-$top/build}}" && pwd)
boot_s=${BOOT_S:-180}
tell=$build/tests/scenario/xfrmtell
dir=$(mktemp -d "${TMPDIR:-/tmp}/ravelin-ikek.XXXXXX")
at=$dir
pid=
bad=0
cleanup() {
	[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
fail() {
	echo "ike-kernel: $*" >&2
	[ ! -s "$at/console" ] || tail -15 "$at/console" >&2
	[ ! -s "$at/out" ] || tail -60 "$at/out" >&2
	exit 1
}
[ -x "$tell" ] || fail "no $tell: build the tests first"

MACHINE_CACHE=$build/power-cut
. "$top/scripts/machine.sh"
machine_kernel
root=$dir/root
# In the order in which they need each other.
machine_root "$root" veth udp_tunnel ip6_udp_tunnel xfrm_algo xfrm_user gf128mul ghash-generic gcm seqiv echainiv authenc ctr cbc sha512_generic \
	ecdh_generic jitterentropy_rng drbg crypto_null authencesn tunnel4 xfrm4_tunnel esp4 ccm
machine_put "$root" "$tell" /bin/xfrmtell
machine_put "$root" /sbin/ip /usr/sbin/ip
machine_put "$root" /usr/lib/ipsec/charon /usr/lib/ipsec/charon
machine_put "$root" /usr/sbin/swanctl /usr/sbin/swanctl
for p in random drbg nonce aes sha1 sha2 hmac kdf gcm openssl curve25519 x509 constraints pubkey pkcs1 pkcs8 pem kernel-netlink socket-default vici; do
	machine_put "$root" "/usr/lib/ipsec/plugins/libstrongswan-$p.so" "/usr/lib/ipsec/plugins/libstrongswan-$p.so"
done
for l in /lib/x86_64-linux-gnu/libgcc_s.so.1; do machine_put "$root" "$l" "$l"; done
mkdir -p "$root/etc" "$root/var/run" "$root/tmp" "$root/a" "$root/b"
printf 'root:x:0:0:root:/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
for n in a b; do
	me=10.77.0.$([ $n = a ] && echo 1 || echo 2) peer=10.77.0.$([ $n = a ] && echo 2 || echo 1)
	cat >"$root/$n/strongswan.conf" <<-CONF
		swanctl { load = random openssl x509 pem pkcs1 }
		charon {
		  load = random drbg nonce aes sha1 sha2 hmac kdf gcm openssl curve25519 x509 constraints pubkey pkcs1 pkcs8 pem kernel-netlink socket-default vici
		  replay_window = 128
		  plugins { vici { socket = unix:///$n/vici } }
		  filelog { stderr { default = 0
		    knl = 1
		    ike = 1 } }
		}
	CONF
	for c in transport tunnel; do
		esp=aes128gcm16-x25519-esn
		[ $c = transport ] || esp=aes256-sha256-x25519-noesn
		cat >>"$root/$n/swanctl.conf" <<-CONF
			connections {
			$c {
			  version = 2
			  local_addrs = $me
			  remote_addrs = $peer
			  proposals = aes128-sha256-x25519
			  local { auth = psk
			    id = $n-$c }
			  remote { auth = psk
			    id = $([ $n = a ] && echo b || echo a)-$c }
			  children { $c { mode = $c
			      esp_proposals = $esp } }
			} }
		CONF
	done
	printf 'secrets {\n ike-1 {\n secret = "one of the tests own"\n }\n}\n' >>"$root/$n/swanctl.conf"
done
echo "$MACHINE_INIT" >"$root/init"
cat >>"$root/init" <<'INIT'
ip=/usr/sbin/ip # busybox has one of its own
export PATH=/usr/sbin:/bin LSAN_OPTIONS=detect_leaks=0
exec >/dev/hvc0 2>&1
for a in mkdir mount sh sleep ping grep cat; do $b ln -sf /bin/busybox /bin/$a; done
mkdir -p /var/run/netns /run
for n in a b; do
	$ip netns add $n
	$ip -n $n link set lo up
done
$ip link add v0 netns a type veth peer name v1 netns b
$ip -n a addr add 10.77.0.1/24 dev v0
$ip -n b addr add 10.77.0.2/24 dev v1
$ip -n a link set v0 up
$ip -n b link set v1 up
for n in a b; do
	$ip netns exec $n sh -c "mount -t tmpfs none /run; mount -t tmpfs none /var/run; STRONGSWAN_CONF=/$n/strongswan.conf exec /usr/lib/ipsec/charon" >/$n/log 2>&1 &
done
i=0
while [ ! -S /a/vici -o ! -S /b/vici ] && [ $i -lt 300 ]; do sleep 0.1; i=$((i + 1)); done
swan() {
	n=$1
	shift
	STRONGSWAN_CONF=/$n/strongswan.conf swanctl "$@" --uri unix:///$n/vici >/$n/said 2>&1 || { echo "SWAN $n $* failed"; cat /$n/said; cat /$n/log; }
}
for n in a b; do swan $n --load-all --file /$n/swanctl.conf; done
$ip netns exec a xfrmtell 40 &
for c in transport tunnel; do
	echo "BEGIN $c"
	swan a --initiate --child $c
	$ip netns exec a ping -q -c 3 -W 3 10.77.0.2
	swan a --rekey --child $c
	sleep 1
	$ip netns exec a ping -q -c 3 -W 3 10.77.0.2
	$ip -n a -s xfrm state | grep -E 'proto|mode|flag|[0-9]+\(bytes\)'
	echo "AGAIN $c"
	$ip netns exec a xfrmtell 3
	swan a --terminate --ike $c
	sleep 6
	echo "END $c"
done
echo ALL
sleep 1000
INIT
machine_pack "$root" "$dir/initrd"
machine_disk "$dir/disk.img" 8
MACHINE_MB=1024 machine_boot "$dir/initrd" "$dir/disk.img" "" -nic none
machine_wait '^ALL' "$boot_s" "two charons over the kernel's XFRM"
tr -d '\r' <"$at/out" >"$dir/said"
[ "${KEEP_OUT:-0}" = 0 ] || cp "$dir/said" "$KEEP_OUT"

part() { sed -n "/^BEGIN $1/,/^END $1/p" "$dir/said"; }
ok() { # TEXT COMMAND...
	local text=$1
	shift
	if "$@" >/dev/null 2>&1; then echo "ok    $text"; else
		echo "FAIL  $text"
		bad=1
	fi
}
sa='(NEWSA|UPDSA)'
ok "charons had no complaint" eval "! grep '^SWAN' '$dir/said'"
ok "nothing that the kernel said was refused" eval "! grep 'refused=' '$dir/said'"
for c in transport tunnel; do
	if [ $c = transport ]; then want='alg=aes-gcm-128 mode=transport esn=1 window=(128|[01]) proto=50'; else want='alg=aes-cbc-256-sha256 mode=tunnel esn=0 window=(128|[01]) proto=50'; fi
	part $c >"$dir/$c"
	ok "$c: ping over it, before and after a re-key" test "$(grep -c '3 packets received' "$dir/$c")" = 2
	ok "$c: new SAs as they were negotiated" test "$(grep -cE "^TELL new $sa $want" "$dir/$c")" -ge 4
	# Outbound the window means nothing: charon says 0 or 1 there.
	ok "$c: no others" eval "! grep -E '^TELL (new|there) $sa alg=[a-z]' '$dir/$c' | grep -vE '$want'"
	ok "$c: protocol 50, no UDP" eval "! grep -E '^TELL .* $sa .*:4500' '$dir/$c'"
	ok "$c: those that are there, in a dump" test "$(grep -cE "^TELL there NEWSA $want" "$dir/$c")" -ge 2
	ok "$c: the outbound policy names the SPI that sends" eval "grep -E '^TELL new (NEW|UPD)POLICY dir=1 block=0 templates=1 reqid=[0-9]+ spi=[0-9a-f]*[1-9a-f]' '$dir/$c'"
	ok "$c: their end" test "$(grep -c '^TELL new DELSA' "$dir/$c")" -ge 2
done
exit $bad
