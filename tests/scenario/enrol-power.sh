#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# CAPF when the power goes: signer and controlplane in a machine (qemu, scripts/machine.sh) with their state on a raw disk, phones with their
# flash outside of it. All phones enrol, four at a time, and the machine is killed at a random moment; it is started again and asked what
# it knows. What a phone was told is done must be so; what a phone has in its flash must be known and not refused; and when those phones
# that were cut off have come again, each phone's idea of its LSC is ours. At the same time the same with a disk that says it has synced
# and has not: there ideas must differ, else this could not fail.
#   CUTS (2): how many; RAVELIN_FULL: 10.
# The daemons are those of BUILD (a sanitizer makes them slower, nothing else). As root, for namespaces. 004b:CAPF-04.
# May run beside another; takes long.
set -u
SC_NAME=epow
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
CUTS=${CUTS:-2} PHONES=8
[ "${RAVELIN_FULL:-0}" = 0 ] || CUTS=10 PHONES=12
BOOT_S=${BOOT_S:-150}
MACHINE_CACHE=$BUILD/power-cut
MACHINE_MB=1024
. "$RAVELIN_TOP/scripts/machine.sh"
at=$WORK pid=
fail() {
	[ ! -s "$at/console" ] || tail -15 "$at/console" >&2
	die "$*"
}
name() { printf 'SEP0000000E%04d' "$1"; }
SET='{"op":"install","auth":"null","key":"ec-p256"}'

step "an appliance"
machine_kernel
ns_up || die "network namespaces could not be made"
appliance_config "signer: {server_key: ec-p256}
enrol: {listen: 10.77.1.1}" || die "configuration"
daemon signer
daemon controlplane
is_up() { ctl_holds status 'has("registered")'; }
wait_for 60 is_up || die "the controlplane did not come up: $(tail -n 3 "$WORK/controlplane.log")"
ctl utils ctl set-cluster mixed-mode >/dev/null || die "mixed mode"
for n in $(seq $((PHONES + PHONES))); do ctl device add "$(name $n)" --mode nonsecure --line $((1000 + n)) >/dev/null || die "device $n"; done
CA=$WORK/state/signer/ca.pem
for d in controlplane signer; do
	kill "$(daemon_pid $d)"
	wait "$(daemon_pid $d)" || die "$d did not stop cleanly"
done

step "a machine for it"
root=$WORK/root
machine_root "$root" failover net_failover virtio_net
machine_put "$root" "$BUILD/pki/signer/ravelin-signer" /bin/signer
machine_put "$root" "$BUILD/controlplane/ravelin-controlplane" /bin/controlplane
machine_put "$root" "$(readlink -f /bin/nc.openbsd)" /bin/nc.openbsd
machine_put "$root" "$BUILD/tests/scenario/libfaultfs.so" /lib/libfaultfs.so
asan=$(ldd "$BUILD/controlplane/ravelin-controlplane" | awk '/libasan/ {print $3}')
sed "s|$WORK/state|/mnt/state|; s|$WORK/run|/run/ravelin|" "$WORK/ravelin.yaml" >"$root/ravelin.yaml"
printf '#!/bin/busybox sh\nexec /bin/nc.openbsd -U /run/ravelin/admin.sock\n' >"$root/bridge"
chmod +x "$root/bridge"
{
	echo "$MACHINE_INIT"
	echo "preload='${asan:+$asan }/lib/libfaultfs.so' UBSAN_OPTIONS='$UBSAN_OPTIONS'"
	cat <<'INIT'
export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 UBSAN_OPTIONS
$b mount -t ext4 /dev/vda /mnt || echo "NO DISK" >/dev/hvc0
$b mkdir -m 700 /run/ravelin
$b ifconfig lo 127.0.0.1
$b ifconfig eth0 10.77.1.1 netmask 255.255.255.0
if $b grep -q rv_lies /proc/cmdline; then
	: >/lies
	export FAULTFS_WHEN=/lies FAULTFS_PATH=/mnt FAULTFS_OP=sync FAULTFS_ERR=LIE FAULTFS_FOR=1000000000
	export LD_PRELOAD="$preload"
fi
/bin/signer -c /ravelin.yaml >/dev/hvc0 2>&1 &
/bin/controlplane -c /ravelin.yaml >/dev/hvc0 2>&1 &
unset LD_PRELOAD
while [ ! -S /run/ravelin/admin.sock ]; do $b sleep 0.1; done
echo UP >/dev/hvc0
$b nc -ll -p 9999 -e /bridge
INIT
} >"$root/init"
machine_pack "$root" "$WORK/initrd"

# A machine: its folder is $at, its network namespace $net, its first phone $first.
tap() { # NAMESPACE
	ip netns add "$1" 2>/dev/null
	ip netns exec "$1" ip tuntap add tap0 mode tap && ip -n "$1" addr add 10.77.1.10/24 dev tap0 && ip -n "$1" link set lo up &&
		ip -n "$1" link set tap0 up || die "no TAP device"
}
boot() { # APPEND: 1: the store does not open
	MACHINE_IN="ip netns exec $net"
	machine_boot "$WORK/initrd" "$at/disk" "$1" -netdev tap,id=n,ifname=tap0,script=no,downscript=no -device virtio-net-pci,netdev=n
	machine_wait '^UP\|event=store-not-opened' "$BOOT_S" "the boot"
	! grep -q event=store-not-opened "$at/out" || return 1
	local i
	for ((i = 0; i < 3 * BOOT_S; i++)); do
		[ "$(ask '{"cmd":"status"}' | jq .ok 2>/dev/null)" != true ] || return 0
		sleep 0.5
	done
	fail "it does not answer: $(tail -3 "$at/out")"
}
ask() { # REQUEST: one line to the admin socket, and the answer
	ip netns exec "$net" timeout 90 bash -c 'exec 5<>/dev/tcp/10.77.1.1/9999 && printf "%s\n" "$1" >&5 && IFS= read -r line <&5 && printf "%s\n" "$line"' \
		ask "$1" 2>>"$at/ask.log"
}
known() { ask "{\"cmd\":\"capf.show\",\"args\":{\"device\":\"$1\"}}"; }
flash() { "$SIM/ravelin-capfsim" --holds --name "$1" --flash "$at/flash"; }
enrols() { # NAME
	ip netns exec "$net" timeout -k 2 90 "$SIM/ravelin-capfsim" --server 10.77.1.1 --ca "$CA" --name "$1" --flash "$at/flash" \
		--timeout-ms 8000 --slow-ms "$2" >"$at/$1.json" 2>>"$at/capfsim.log"
}
# Prints a line for each cut, which is after $least sessions at least (else any number); what differs is in $at/differ. One phone of the four
# takes a second for its key: a cut comes less than that after the third session, so that one is met on a fast machine too. Should the cuts
# meet none all the same, up to four more are made.
campaign() { # APPEND CUTS
	local c n d have slow told=0 cutoff=0 met=0 all=0
	mkdir -p "$at/flash"
	machine_disk "$at/disk" 256 "$WORK/before"
	: >"$at/differ"
	boot "$1" || fail "the store does not open"
	for ((c = 1; c <= $2 || (met == 0 && c <= $2 + ${more:-0}); c++)); do
		set -- "$1" "$2" "${least:-$((RANDOM % 4))}"
		for n in $(seq $first $((first + PHONES - 1))); do
			ask "{\"cmd\":\"capf.set\",\"args\":$(jq -c ".device = \"$(name $n)\"" <<<"$SET")}" >"$at/set"
			jq -e .ok "$at/set" >/dev/null || fail "capf set: $(cat "$at/set")"
			rm -f "$at/$(name $n).json"
		done
		for d in 0 1 2 3; do
			for ((n = first + d; n < first + PHONES; n += 4)); do
				[ ! -e "$at/dark" ] || break
				slow=$((RANDOM % 60))
				[ $d != 0 ] || slow=1000
				enrols "$(name $n)" $slow
			done &
		done
		# the first has begun when the appliance says so; from there on anywhere in what their sessions take
		for ((n = 0; n < 2400; n++)); do
			[ "$(cat "$at"/SEP*.json 2>/dev/null | wc -l)" -lt $3 ] || break
			sleep 0.05
		done
		sleep "0.$(printf %03d $((RANDOM % 800)))"
		machine_stop
		: >"$at/dark"
		wait $(jobs -p | grep -v "^${other:-none}$")
		rm "$at/dark"
		if ! boot "$1"; then
			for n in $(seq $first $((first + PHONES - 1))); do echo "cut $c $(name "$n"): the store does not open" >>"$at/differ"; done
			break
		fi
		told=0 cutoff=0
		for n in $(seq $first $((first + PHONES - 1))); do
			d=$(name $n)
			have=$(flash "$d")
			known "$d" >"$at/known"
			jq -e .ok "$at/known" >/dev/null || fail "capf show: $(cat "$at/known")"
			all=$((all + 1))
			jq -e '.result.status | test("pending|successful")' "$at/known" >/dev/null || echo "cut $c $d lost its operation: $(cat "$at/known")" >>"$at/differ"
			if [ -s "$at/$d.json" ] && jq -e '.reason == 1 and .stored' "$at/$d.json" >/dev/null; then
				told=$((told + 1))
				jq -e ".result | .status == \"Install/Upgrade successful\" and any(.certificates[]; .serial == \"$have\" and .state == \"held\")" \
					"$at/known" >/dev/null || echo "cut $c $d was told that it is done: $have, $(cat "$at/known")" >>"$at/differ"
			elif [ -s "$at/$d.json" ]; then
				cutoff=$((cutoff + 1))
			fi
			[ -z "$have" ] || jq -e ".result | any(.certificates[]; .serial == \"$have\" and (.state | test(\"offered|held|superseded\")))" \
				"$at/known" >/dev/null || echo "cut $c $d has $have: $(cat "$at/known")" >>"$at/differ"
			if jq -e '.result.status == "Install/Upgrade pending"' "$at/known" >/dev/null; then echo "$d"; fi
		done >"$at/pending"
		# they come again, as phones do: then there is one truth
		xargs -P 4 -I{} ip netns exec "$net" timeout -k 2 90 "$SIM/ravelin-capfsim" --server 10.77.1.1 --ca "$CA" --name {} \
			--flash "$at/flash" --timeout-ms 60000 <"$at/pending" >>"$at/again" 2>&1
		for n in $(seq $first $((first + PHONES - 1))); do
			d=$(name $n)
			have=$(flash "$d")
			known "$d" >"$at/known"
			[ "$(jq -r '[.result.certificates[] | select(.state == "held") | .serial] | join(",")' "$at/known")" = "${have:-none}" ] ||
				echo "cut $c $d at the end: has $have, $(cat "$at/known")" >>"$at/differ"
		done
		met=$((met + cutoff))
		echo "cut $c: $told of $PHONES phones were told that it is done, $cutoff were cut off in a session, $(wc -l <"$at/pending") came again"
	done
	machine_stop
}

mkdir "$WORK/before" "$WORK/lies"
mv "$WORK/state" "$WORK/before/state"
CA=$WORK/before/state/signer/ca.pem
ip -n "$NS_PHONE" link del phone0
tap "$NS_PHONE"
tap "$NS_GW"

step "power cuts: $CUTS, and one of a disk that lies"
(
	at=$WORK/lies net=$NS_GW first=$((PHONES + 1)) least=4
	trap '[ -z "$pid" ] || kill -9 "$pid"' EXIT
	trap 'exit 1' TERM
	campaign rv_lies 1
) >"$WORK/lies.said" 2>&1 &
other=$!
net=$NS_PHONE first=1 least= more=4
campaign "" "$CUTS" | tee "$WORK/said"
cuts=$(grep -c '^cut' "$WORK/said")
[ "$cuts" -ge "$CUTS" ] || kill $other 2>/dev/null
check "$cuts cuts were made" test "$cuts" -ge "$CUTS"
check "no phone's idea of its LSC is another than ours" eval '[ ! -s "$at/differ" ] || { cat "$at/differ" >&2; false; }'
cut_off=$(sed -n 's/.* \([0-9]*\) were cut off.*/\1/p' "$WORK/said" | awk '{s += $1} END {print s + 0}')
check "some were met in a session ($cut_off)" test "$cut_off" -gt 0
if wait $other; then
	check "with a disk that lies ideas differ ($(cut -d' ' -f3 "$WORK/lies/differ" | sort -u | wc -l) of $PHONES phones): the cut is real" test -s "$WORK/lies/differ"
else
	bad "the disk that lies" "$(tail -3 "$WORK/lies.said")"
fi
check "no sanitizer spoke in a machine" eval '! grep -q -E "ERROR: AddressSanitizer|runtime error:" "$WORK/out" "$WORK/lies/out"'
sc_end
