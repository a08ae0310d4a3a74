# SPDX-License-Identifier: BSD-3-Clause
# An appliance in $NS_APP with state in $WORK: sourced after lib.sh and netns.sh by quickstart and scenarios.
# BUILD is the build folder.

rand_hex() { od -An -tx1 -N"$1" /dev/urandom | tr -d ' \n'; }

# appliance_config [EXTRA YAML for the end]: writes $WORK/ravelin.yaml; ESP keys are drawn anew.
appliance_config() {
	SA_IN_KEY=$(rand_hex 20)
	SA_OUT_KEY=$(rand_hex 20)
	mkdir -p "$WORK/state" "$WORK/run"
	chmod 700 "$WORK/state" "$WORK/run"
	umask 077
	cat >"$WORK/ravelin.yaml" <<-YAML
		paths:
		  state: $WORK/state
		  run: $WORK/run
		dataplane:
		  main_lcore: ${MAIN_LCORE:-0}
		  worker_lcores: [${WORKER_LCORES:-1}]
		  huge_pages: ${HUGE:-auto}
		  memory_mb: ${DP_MB:-128}
		  max_legs: 1024
		  mbufs: 8192
		  ports:
		    - device: af_packet:app0
		      addresses: [10.77.1.2/24, "2001:db8:1::2/64"]
		    - device: af_packet:app1
		      addresses: [10.77.2.2/24, "2001:db8:2::2/64"]
		media:
		  addresses:
		    - {address: 10.77.1.2, region: phones}
		    - {address: 10.77.2.2, region: gateways}
		sccp:
		  listen: 10.77.1.1
		mgcp:
		  local: 10.77.2.2:2727
		ipsec:
		  sas:
		    - {gateway: gw1.example, direction: in, spi: 4097, mode: transport, algorithm: aes-gcm-128, key: $SA_IN_KEY, local: 10.77.2.2, remote: 10.77.2.10}
		    - {gateway: gw1.example, direction: out, spi: 8193, mode: transport, algorithm: aes-gcm-128, key: $SA_OUT_KEY, local: 10.77.2.2, remote: 10.77.2.10}
	YAML
	[ $# = 0 ] || printf '%s\n' "$1" >>"$WORK/ravelin.yaml"
}

# daemon NAME: start ravelin-NAME in the appliance's namespace; its log is $WORK/NAME.log.
daemon() {
	local bin
	case $1 in
	signer) bin=$BUILD/pki/signer/ravelin-signer ;;
	*) bin=$BUILD/$1/ravelin-$1 ;;
	esac
	ip netns exec "$NS_APP" "$bin" -c "$WORK/ravelin.yaml" >>"$WORK/$1.log" 2>&1 &
	printf '%s' $! >"$WORK/$1.pid"
}

daemon_pid() { cat "$WORK/$1.pid"; }
daemon_alive() { kill -0 "$(daemon_pid "$1")" 2>/dev/null; }
ctl() { "$BUILD/controlplane/ctl/ravelinctl" -s "$WORK/run/admin.sock" "$@"; }

# ctl_holds COMMAND FILTER: ravelinctl answered, and the filter says true of it. (jq -e alone passes on nothing.)
ctl_holds() {
	local out
	out=$(ctl -j $1) && [ "$(jq "$2" <<<"$out")" = true ]
}
dataplane_up() { ctl_holds status .dataplane.up; }

# appliance_start: all daemons, in mixed mode; CLUSTER=nonsecure leaves it as installed.
appliance_start() {
	daemon signer
	daemon controlplane
	daemon dataplane
	wait_for 60 dataplane_up || {
		tail -n 5 "$WORK"/*.log >&2
		return 1
	}
	# As after any installation the cluster is non-secure: devices' security modes count for nothing until there is a CTL.
	[ "${CLUSTER:-mixed}" = nonsecure ] || ctl utils ctl set-cluster mixed-mode >/dev/null
}

# appliance_stop: SIGTERM to all; fails if one does not end cleanly in a minute.
appliance_stop() {
	local d rc=0
	for d in controlplane dataplane signer; do
		[ -f "$WORK/$d.pid" ] || continue
		kill -TERM "$(daemon_pid $d)" 2>/dev/null || continue
		if wait_for 60 eval "! kill -0 $(daemon_pid $d)"; then
			wait "$(daemon_pid $d)" 2>/dev/null || {
				echo "$d ended with $?" >&2
				rc=1
			}
		else
			kill -9 "$(daemon_pid $d)"
			echo "$d did not stop" >&2
			rc=1
		fi
	done
	return $rc
}
