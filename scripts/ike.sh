# SPDX-License-Identifier: BSD-3-Clause
# strongSwan for the IKE scenarios: sourced after scenario.sh. Charons are Debian's, unmodified; each has a folder of $WORK, a private
# /run (its pid file's place is compiled in) and a vici socket there.

# Ours: as docs/gateways.md has it.
IKE_PLUGINS="random drbg nonce aes sha1 sha2 hmac kdf gcm openssl x509 revocation constraints pubkey pkcs1 pkcs8 pem"

# ike_charon NAME NAMESPACE BACKEND [ENV=VALUE...]: BACKEND is libipsec (the peer, in user space), or kernel (ours, maybe with the shim).
# IKE_TRIES, IKE_AGAIN_S: retransmissions, and the first one after so many seconds.
# IKE_MANY: for a thousand connections (docs/gateways.md, "A thousand gateways").
ike_charon() {
	local name=$1 ns=$2 backend=$3 dir=$WORK/$1 load
	shift 3
	mkdir -p "$dir"
	load="$IKE_PLUGINS kernel-netlink socket-default vici"
	[ "$backend" = kernel ] || load="$IKE_PLUGINS curve25519 kernel-libipsec kernel-netlink socket-default vici updown counters"
	cat >"$dir/strongswan.conf" <<-CONF
		charon {
		  load = $load
		  install_routes = $([ "$backend" = kernel ] && echo no || echo "${IKE_ROUTES:-yes}")
		  install_virtual_ip = no
		  make_before_break = yes
		  retransmit_tries = ${IKE_TRIES:-2}
		  ${IKE_AGAIN_S:+retransmit_timeout = $IKE_AGAIN_S}
		  ${IKE_MANY:+ikesa_table_size = 4096
		  ikesa_table_segments = 16
		  init_limit_half_open = 0
		  dos_protection = no
		  reuse_ikesa = no}
		  plugins {
		    vici { socket = unix://$dir/vici }
		    $([ "$backend" = kernel ] || printf '%s\n' 'kernel-netlink { fwmark = !0x42 }' 'socket-default { fwmark = 0x42 }' 'kernel-libipsec { allow_peer_ts = yes }')
		  }
		  filelog { stderr { default = 1
		    time_format = %H:%M:%S
		    knl = ${IKE_KNL:-1} } }
		}
	CONF
	ip netns exec "$ns" unshare -m env "$@" STRONGSWAN_CONF="$dir/strongswan.conf" \
		sh -c 'mount -t tmpfs none /run; exec /usr/lib/ipsec/charon' >>"$dir.charon" 2>&1 &
	printf '%s' $! >"$dir.pid"
	wait_for 10 test -S "$dir/vici"
}

# ike_conn NAME VERSION LOCAL REMOTE IKE-PROPOSAL ESP-PROPOSAL [CHILD OPTION...]: connection "gw" with one child "c" of the two hosts.
ike_conn() {
	local name=$1 version=$2 here=$3 there=$4 ike=$5 esp=$6
	shift 6
	cat >"$WORK/$name/swanctl.conf" <<-CONF
		connections {
		  gw {
		    version = $version
		    local_addrs = $here
		    remote_addrs = $there
		    proposals = $ike
		    local {
		      auth = psk
		      id = $here
		    }
		    remote {
		      auth = psk
		      id = $there
		    }
		    children {
		      c {
		        local_ts = $here/32
		        remote_ts = $there/32
		        esp_proposals = $esp
		        mode = ${IKE_MODE:-tunnel}
		        $(printf '%s\n' "$@")
		      }
		    }
		  }
		}
		secrets {
		  ike-1 {
		    secret = "one of the tests' own"
		  }
		}
	CONF
	swan "$name" --load-all --file "$WORK/$name/swanctl.conf" >>"$WORK/$name.swanctl" 2>&1
}

# swan NAME swanctl's words...
swan() {
	local name=$1
	shift
	timeout 20 swanctl "$@" --uri "unix://$WORK/$name/vici"
}

# ike_children NAME: its CHILD_SAs, a line each: state, SPI in, SPI out. DELETED: what the peer may still send is taken for 5 s.
ike_children() {
	swan "$1" --list-sas --raw 2>/dev/null | grep -oE '\b(state|spi-in|spi-out)=[0-9A-Za-z_]+' |
		awk -F= '$1 == "state" { s = $2 } $1 == "spi-in" { i = $2 } $1 == "spi-out" { print s, i, $2 }'
}

# ike_settled NAME NAME: both have the same one CHILD_SA, and no other is on its way in or out. It is said as its SPI, IN of the former.
ike_settled() {
	local a b
	a=$(ike_children "$1" | grep -v '^DELETED ')
	b=$(ike_children "$2" | grep -v '^DELETED ')
	[[ $a =~ ^INSTALLED\ ([0-9a-f]+)\ ([0-9a-f]+)$ ]] && [ "$b" = "INSTALLED ${BASH_REMATCH[2]} ${BASH_REMATCH[1]}" ] && echo "${BASH_REMATCH[1]}"
}

# ike_renewed NAME NAME SPI: settled, and it is another one than SPI.
ike_renewed() {
	local spi
	spi=$(ike_settled "$1" "$2") && [ "$spi" != "$3" ]
}

# ike_mirrored NAME: IKE's SAs in our dataplane are those that this charon of ours lists, as many as they are.
ike_mirrored() {
	local theirs ours
	theirs=$(ike_children "$1" | awk '{ print "in", $2 } $1 != "DELETED" { print "out", $3 }' | sort)
	ours=$(ctl -j show sas | jq -r '.[] | select(.source == "ike") | "\(.direction) \(.spi[2:])"' | sort)
	[ "$theirs" = "$ours" ] && [ -n "$ours" ]
}

# ike_stop NAME SIGNAL [SECONDS]: fails if it did not end within a minute, or so long, and was killed. charon 5.9.8 can lock itself up when a request
# reaches its VICI in the instant in which it is told to end; and to delete a thousand SAs takes it more than a minute on a machine that does other things.
ike_stop() {
	local pid rc=0 i
	pid=$(cat "$WORK/$1.pid")
	kill "-$2" "$pid" 2>/dev/null
	for i in $(seq "${3:-60}0"); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	! kill -KILL "$pid" 2>/dev/null || rc=1
	wait "$(cat "$WORK/$1.pid")" 2>/dev/null
	rm -f "$WORK/$1/vici"
	return $rc
}

# ike_punt DEVICE ADDRESS: the kernel's side of a dataplane's address, for IKE. The kernel sees the port's frames, too (af_packet does not take
# them away from it): those it must not answer, or charon would get every packet twice.
ike_punt() {
	wait_for 10 ip -n "$NS_APP" link set "$1" up && ip -n "$NS_APP" addr replace "$2/32" dev "$1" noprefixroute &&
		ip -n "$NS_APP" route replace "${2%.*}.0/24" dev "$1" src "$2" && ip netns exec "$NS_APP" sysctl -qw net.ipv4.conf.app1.rp_filter=1
}
