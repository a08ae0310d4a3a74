#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Installs what Ravelin needs from Debian 12's own packages. 'build' is enough to build and run; 'test' adds
# the independent peers the tests and the quickstart check against. Does nothing when all is there.
set -euo pipefail

build=(
	meson ninja-build pkg-config gcc libc6-dev
	libdpdk-dev libipsec-mb-dev libssl-dev librocksdb-dev
	libevent-dev libmnl-dev libjansson-dev libcyaml-dev libxml2-dev libcunit1-dev libsrtp2-dev
	openssl libengine-pkcs11-openssl iproute2 procps util-linux kmod
	strongswan-charon strongswan-swanctl libstrongswan-standard-plugins netbase
)
test=(
	clang libclang-rt-14-dev llvm
	tshark tcpdump ffmpeg espeak-ng sox osmo-mgw jq
	gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gir1.2-gstreamer-1.0 python3-gi
	python3 python3-scapy python3-cryptography
	rtpengine-daemon dpdk-dev
	tftp-hpa tftpd-hpa atftp dnsmasq-base nginx-light wrk curl libxml2-utils scep softhsm2 opensc gdb
	qemu-system-x86 busybox-static cpio e2fsprogs
	libcharon-extra-plugins libstrongswan-extra-plugins
	iptables conntrack strace ethtool iputils-ping iputils-arping clang-format netcat-openbsd xxd systemd git
)

want=("${build[@]}")
[ "${1:-build}" = build ] || want+=("${test[@]}")

missing=()
for p in "${want[@]}"; do
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0
[ "$(id -u)" = 0 ] || {
	echo "error: these packages are missing and only root can install them: ${missing[*]}" >&2
	exit 1
}

# Peers come for their programs, not as services: nothing that is installed here may start.
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	made=1
fi
trap '[ -z "$made" ] || rm -f '"$policy" EXIT

export DEBIAN_FRONTEND=noninteractive
starter=$(dpkg-query -W -f='${db:Status-Status}' strongswan-starter 2>/dev/null || true)
log=$(mktemp)
if ! { apt-get -o Acquire::Retries=3 update && apt-get -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 \
	install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
	tail -30 "$log" >&2
	rm -f "$log"
	exit 1
fi
rm -f "$log"
# It came with charon, which the controlplane steers over VICI: nothing may start another one from ipsec.conf at boot.
[ "$starter" = installed ] || deb-systemd-helper disable strongswan-starter.service >/dev/null 2>&1 || true
