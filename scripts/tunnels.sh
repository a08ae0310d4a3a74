# SPDX-License-Identifier: BSD-3-Clause
# An appliance with a charon of its own, and one strongSwan as $N gateways at 10.128.0.1 and on, for the scenario and the bench of tunnels:
# sourced after ike.sh.

TUNNELS_ME=10.77.2.2
tunnels_address() { printf '10.128.%d.%d' $(($1 >> 8)) $(($1 & 255)); }

# tunnels_addresses NAMESPACE DEVICE: the gateways'.
tunnels_addresses() {
	local i
	for i in $(seq "$N"); do printf 'addr add %s/32 dev %s\n' "$(tunnels_address "$i")" "$2"; done >"$WORK/addresses"
	ip -n "$1" -batch "$WORK/addresses"
}

# tunnels_appliance: configured and started. All gateways are behind one router: the kernel's table of neighbours, which all namespaces
# of a machine share, holds 1,024.
tunnels_appliance() {
	appliance_config || return 1
	sed -i -e '/^ipsec:/,$d' -e "s|^      addresses: \[10.77.2.2/24.*|&\n      gateway: 10.77.2.10\n      punt: ikep|" \
		-e "s|^  max_legs:.*|&\n  max_sas: $((4 * N + 64))\n  max_gateways: $((N + 64))|" "$WORK/ravelin.yaml"
	printf 'ike: {enable: true, source: socket, vici: %s/ours/vici}\n%s\n' "$WORK" "$*" >>"$WORK/ravelin.yaml"
	appliance_start && tunnels_punt && wait_for 10 test -S "$WORK/run/xfrm.sock"
}

# tunnels_punt: once a dataplane has started.
tunnels_punt() {
	ike_punt ikep $TUNNELS_ME && ip -n "$NS_APP" route replace 10.128.0.0/16 via 10.77.2.10 dev ikep src $TUNNELS_ME onlink
}

tunnels_ours() {
	IKE_MANY=1 ike_charon ours "$NS_APP" kernel LD_PRELOAD="$BUILD/controlplane/ike/libravelin-xfrm.so" RAVELIN_XFRM="$WORK/run/xfrm.sock"
}

# tunnels_peer: one connection is all gateways: whoever we call, it is. The route into the tunnels goes by our address, which they have in
# common: charon would take it away with the first tunnel that ends, so that it is not charon's.
tunnels_peer() {
	IKE_MANY=1 ike_charon peer "$NS_GW" libipsec && in_gw ip route replace $TUNNELS_ME dev ipsec0 table 220 || return 1
	cat >"$WORK/peer/swanctl.conf" <<-CONF
		connections { all {
			version = 2
			mobike = no
			local_addrs = 10.128.0.0/16
			remote_addrs = $TUNNELS_ME
			proposals = aes128gcm16-prfsha256-x25519
			local {
				auth = psk
			}
			remote {
				auth = psk
				id = $TUNNELS_ME
			}
			children { all {
				local_ts = dynamic[udp/2427]
				remote_ts = $TUNNELS_ME/32[udp/2727]
				esp_proposals = aes128gcm16
			} }
		} }
		secrets { ike-all {
			secret = "one of a thousand"
		} }
	CONF
	swan peer --load-all --file "$WORK/peer/swanctl.conf" >"$WORK/peer-load.log" 2>&1
}

# tunnels_records FILE: the gateways', for 'ravelinctl import'.
tunnels_records() {
	local i
	for i in $(seq "$N"); do tunnels_address "$i" && echo; done | jq -R -s -c '{gateways: [split("\n")[:-1] | to_entries[] | {name: "gw\(.key + 1).farm", address: .value,
		endpoints: ["aaln/1"], ike: "2", ike_psk: "one of a thousand", ike_mode: "tunnel", ike_proposals: ["aes-gcm-128-sha256/x25519"],
		ike_esp: ["aes-gcm-128"]}]}' >"$1"
}

# tunnels_delete: all of them, on one connection: a process each takes longer than what it asks for.
tunnels_delete() {
	python3 - "$WORK/run/admin.sock" "$N" <<-'PY'
		import json, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		f = s.makefile("rw")
		for i in range(1, int(sys.argv[2]) + 1):
		    f.write(json.dumps({"cmd": "gateway.del", "args": {"name": f"gw{i}.farm"}}) + "\n")
		    f.flush()
		    answer = f.readline()
		    if not json.loads(answer)["ok"]:
		        sys.exit(answer)
	PY
}
