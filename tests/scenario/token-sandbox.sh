#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The signer with a PKCS#11 token (SoftHSM, which is files) in the sandbox of its systemd unit, where no systemd runs: an own network,
# every file system read-only but the unit's directories and the token's, a /dev of six files, another user without capabilities, and
# the unit's system call filter (cage.py). It makes its state, signs a CTL by the token's keys, and starts again. Without ReadWritePaths=
# of the token's directory it comes up without the token and says so. Not here: PrivateTmp, PrivateUsers, a token at a USB port.
# Without libseccomp, SoftHSM or systemd-analyze there is nothing to try with: said, and passed. RAVELIN_BUILD: build directory. As root.
# May run beside another.
set -u
SC_NAME=tokbox
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/scenario.sh"
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MOD=$(ls /usr/lib/softhsm/libsofthsm2.so /usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so 2>/dev/null | head -1)
if ! command -v systemd-analyze pkcs11-tool softhsm2-util setpriv >/dev/null || [ -z "$MOD" ] ||
	! /usr/bin/python3 -c 'import ctypes; ctypes.CDLL("libseccomp.so.2")' 2>/dev/null; then
	ok "nothing to try with here: systemd-analyze, SoftHSM, pkcs11-tool or libseccomp is missing"
	sc_end
fi

# A place that the other user reaches; what is installed elsewhere is read-only to him anyway.
T=$WORK/t
mkdir "$T" "$T/state" "$T/run" "$T/hsm" "$T/bin"
cp "$BUILD/pki/signer/ravelin-signer" "$BUILD/controlplane/ravelin-controlplane" "$BUILD/controlplane/ctl/ravelinctl" "$T/bin/"
cp "$HERE/../../config/systemd/ravelin-signer.service" "$HERE/cage.py" "$T/"
printf 'directories.tokendir = %s/hsm\nobjectstore.backend = file\nlog.level = ERROR\n' "$T" >"$T/softhsm2.conf"
printf '1234\n' >"$T/pin"
cat >"$T/ravelin.yaml" <<YAML
paths: {state: $T/state, run: $T/run}
sccp: {listen: 127.0.0.1}
provision: {listen: 127.0.0.1}
signer: {server_key: ec-p256, pkcs11_uri: "pkcs11:token=ravelin", pkcs11_module: $MOD, pkcs11_pin: $T/pin}
YAML
chmod 755 "$WORK" "$T/bin" "$T/bin"/* "$T"
chmod 700 "$T/state" "$T/run" "$T/hsm"
chmod 400 "$T/pin"
chown -R nobody:nogroup "$T"
export SOFTHSM2_CONF=$T/softhsm2.conf
user() { setpriv --reuid nobody --regid nogroup --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"; }
P11="pkcs11-tool --module $MOD --token-label ravelin --login --pin 1234"
user softhsm2-util --init-token --free --label ravelin --pin 1234 --so-pin 5678 >"$WORK/hsm.log" 2>&1 || die "no token: $(tail -2 "$WORK/hsm.log")"
for n in 1 2; do
	user $P11 --keypairgen --key-type rsa:2048 --label SAST$n --id 0$n >>"$WORK/hsm.log" 2>&1 || die "no key: $(tail -2 "$WORK/hsm.log")"
done

# What a sanitizer's runtime calls that a signer does not; the unit's filter is for programs without one.
MORE=
ldd "$T/bin/ravelin-signer" | grep -q libasan && MORE=sched_getaffinity,sched_setaffinity,personality,process_vm_readv
export T ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # the leak check attaches itself as a debugger, which the filter refuses
cat >"$WORK/box.sh" <<'BOX'
	# WRITABLE-PATH... -- COMMAND: inside new mount, network, IPC and host name namespaces
	mount --make-rprivate / || exit 9
	mkdir -p "$T/dev" && mount -t tmpfs -o mode=755 none "$T/dev"
	for f in null zero full random urandom tty; do
		: >"$T/dev/$f" && mount --bind "/dev/$f" "$T/dev/$f"
	done
	while [ "$1" != -- ]; do mount --bind "$1" "$1" || exit 9; keep="$keep $1 "; shift; done
	shift
	findmnt -rn -o TARGET | while read -r m; do
		case "$m" in /proc | /proc/* | /sys | /sys/*) continue ;; esac # as ProtectSystem=strict
		case "$keep" in *" $m "*) ;; *) mount -o remount,bind,ro "$m" 2>/dev/null ;; esac
	done
	mount --rbind "$T/dev" /dev
	exec setpriv --reuid nobody --regid nogroup --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
BOX
box() { # WRITABLE-PATH... -- COMMAND
	unshare -m -n -i -u bash "$WORK/box.sh" "$@"
}
step "the sandbox holds"
cage=(/usr/bin/python3 "$T/cage.py" "$T/ravelin-signer.service" --more "${MORE:-read}" --)
check "a command runs in it" box "$T/state" "$T/run" -- "${cage[@]}" /bin/true
check "it writes where it may" box "$T/state" "$T/run" -- "${cage[@]}" /usr/bin/python3 -c "open('$T/state/x', 'w'); import os; os.unlink('$T/state/x')"
for no in "open('$T/hsm/x', 'w')" "open('/var/lib/x', 'w')" "import socket; socket.socket(socket.AF_INET)" "import os; os.unlink('$T/ravelin.yaml')" \
	"import mmap; mmap.mmap(-1, 4096, prot=7)" "import os; os.nice(-1)" "import ctypes; c = ctypes.CDLL(None); 1 // (c.unshare(0x10000000) == 0)"; do
	check "and not: $no" eval '! box "$T/state" "$T/run" -- "${cage[@]}" /usr/bin/python3 -c "$no"'
done

signer() { # LOG WRITABLE-PATH...: in the background, until it is ready
	local log=$1
	shift
	unshare -m -n -i -u bash "$WORK/box.sh" "$@" -- "${cage[@]}" "$T/bin/ravelin-signer" -c "$T/ravelin.yaml" >"$log" 2>&1 &
	SIGNER=$!
	wait_for 40 grep -q event=ready "$log" || { tail -5 "$log" >&2; return 1; }
}
stop() { kill -TERM "$1" && wait "$1"; }

step "with its token"
check "the signer starts" signer "$WORK/signer1.log" "$T/state" "$T/run" "$T/hsm"
check "as another user, without capabilities, filtered" eval "grep -q '^Seccomp:.*2' /proc/$SIGNER/status && grep -q '^CapBnd:.0*\$' /proc/$SIGNER/status && [ \$(stat -c %U /proc/$SIGNER) = nobody ]"
check "the token is there" eval "! grep -q token-absent '$WORK/signer1.log'"
controlplane() {
	unshare -n bash -c 'ip link set lo up; echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start; exec "$@"' - setpriv --reuid nobody --regid nogroup --clear-groups "$T/bin/ravelin-controlplane" \
		-c "$T/ravelin.yaml" >>"$WORK/cp.log" 2>&1 &
	CP=$!
	trap 'kill -9 $CP $SIGNER 2>/dev/null; sc_cleanup' EXIT
	wait_for 40 eval 'C status >/dev/null 2>&1' || bad "the controlplane comes up" "$(tail -2 "$WORK/cp.log")"
}
C() { user timeout 90 "$T/bin/ravelinctl" -s "$T/run/admin.sock" "$@"; }
controlplane
check "the token's keys sign a CTL" C utils ctl set-cluster mixed-mode
C -j show ctl >"$WORK/ctl.json"
check_json "which names its signer" "$WORK/ctl.json" '.signed_by == "SAST1" or (.signer // "" | test("SAST1"))'
check "a certificate is made anew" C cert regenerate TFTP
check "and a backup" eval "printf 'a good passphrase\n' >'$T/pass'; chown nobody '$T/pass'; C backup create '$T/run/b' --passphrase-file '$T/pass'"
stop $CP || bad "the controlplane stops"
check "the signer stops cleanly" stop $SIGNER
check "it starts again" signer "$WORK/signer2.log" "$T/state" "$T/run" "$T/hsm"
check "with its token" eval "! grep -q token-absent '$WORK/signer2.log'"
check "and stops" stop $SIGNER

step "without ReadWritePaths= of the token's directory"
check "the signer comes up" signer "$WORK/signer3.log" "$T/state" "$T/run"
check "with the token, which it reads" eval "! grep -q token-absent '$WORK/signer3.log'"
controlplane
check "and which signs" C ctl update
stop $CP || bad "the controlplane stops"
check "the signer stops" stop $SIGNER

step "without its directory"
mv "$T/hsm" "$T/away" && mkdir "$T/hsm"
check "the signer comes up all the same" signer "$WORK/signer4.log" "$T/state" "$T/run" "$T/hsm"
check "and says that the token is not there" grep -q token-absent "$WORK/signer4.log"
check "and stops" stop $SIGNER
sc_end
