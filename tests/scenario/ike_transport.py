# SPDX-License-Identifier: BSD-3-Clause
"""IKE between our charon and one in a machine whose ESP is its kernel's: ike-transport.sh has both ends up. PARTS: only these functions.
ike_transport.py WORK BUILD NAMESPACE 4|6: MGCP's address is of that IP version."""
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time

from vm_wire import Shell

work, build, space, family = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
US = {4: "10.77.2.2", 6: "2001:db8:2::2"}
SECRET = "correct horse battery"
PATIENCE = 120  # seconds for what takes a moment
failed = 0


def check(text, ok, detail=""):
    global failed
    failed += not ok
    print(f"{'ok   ' if ok else 'FAIL '} {text}{'' if ok else f' ({str(detail)[:600]})'}", flush=True)
    return ok


def soon(what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.2)
    return what()


def run(*args):
    return subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=120, check=False)


def ctl(*args):
    p = run(f"{build}/controlplane/ctl/ravelinctl", "-s", f"{work}/run/admin.sock", "-j", *args)
    return json.loads(p.stdout) if p.returncode == 0 and p.stdout.strip() else None


def swan(*args):
    """Our charon's."""
    return run("timeout", 60, "swanctl", *args, "--uri", f"unix://{work}/ours/vici")


class Gw:
    """A gateway of ours and a connection of the machine's."""
    made = []

    def __init__(self, name, ike_proposal, esp, version=2, mode="transport", opts=(), outer=None, udp=False, esn=False, alg="", begin="now"):
        self.n = len(Gw.made)
        Gw.made.append(self)
        self.name, self.version, self.mode, self.udp, self.esn, self.alg, self.begin = name, version, mode, udp, esn, alg, begin
        self.outer = outer or family
        host = 11 + self.n + (0 if family == 4 else 100)
        self.at = {4: f"10.77.2.{host}", 6: f"2001:db8:2::{host:x}"}
        self.ike, self.esp, self.opts = ike_proposal, esp, list(opts)
        if self.outer != family:
            self.opts += ["--ike-local", US[self.outer], "--ike-remote", self.at[self.outer]]

    def add(self):
        p = run(f"{build}/controlplane/ctl/ravelinctl", "-s", f"{work}/run/admin.sock", "gateway", "add", self.name, "--address", self.at[family],
                *[w for i in range(8) for w in ("--endpoint", f"aaln/{i + 1}")], "--ike", self.version, "--ike-psk-file", f"{work}/psk", "--ike-mode", self.mode,
                "--ike-dpd-s", 3, *(["--ike-esn"] if self.esn else []), *(["--ike-encap"] if self.udp else []),
                "--ike-begin", self.begin, *self.opts)
        if p.returncode != 0:
            check(f"{self.name}: its record", False, p.stderr)

    def conn(self):
        bits = {4: 32, 6: 128}[family]
        return f"""connections {{ {self.name} {{
  version = {self.version}
  mobike = no
  local_addrs = {self.at[self.outer]}
  remote_addrs = {US[self.outer]}
  proposals = {self.ike}
  dpd_delay = 300s
  local {{ auth = psk
  }}
  remote {{ auth = psk
    id = {US[self.outer]}
  }}
  children {{ {self.name} {{
    mode = {self.mode}
    local_ts = {self.at[family]}/{bits}[udp/2427]
    remote_ts = {US[family]}/{bits}[udp/2727]
    esp_proposals = {self.esp}
    rekey_time = 8h
    start_action = {"trap" if self.begin == "trap" else "none"}
  }} }}
}} }}
secrets {{ ike-{self.name} {{ id = {self.at[self.outer]}
  secret = "{SECRET}"
}} }}
"""


class Vm:
    def __init__(self):
        self.sh = Shell(work + "/shell", 60)
        self.peers = 0

    def run(self, command, seconds=60):
        return self.sh.run(command, seconds)

    def charon(self):
        self.run("/usr/lib/ipsec/charon >>/run/charon.log 2>&1 </dev/null & echo $! >/run/charon.mine")
        check("the gateways' charon is there", soon(lambda: self.swan("--stats").returncode == 0), self.run("tail -5 /run/charon.log"))

    def conf(self, gws):
        with open(work + "/gateways.conf", "w", encoding="ascii") as f:
            f.write("".join(g.conn() for g in gws))

    def never_clear(self):
        """As docs/gateways.md has it: behind charon's policies one that stops what none of them is for."""
        self.sh.batch([f"xfrm policy add dst {US[family]} proto udp sport 2427 dir out action block priority 1000000"])

    def load(self):
        p = self.swan("--load-all", "--file", f"{work}/gateways.conf")
        check("and has its connections", p.returncode == 0, p.stderr)

    def kill(self):
        self.run("kill -9 $(cat /run/charon.mine); while kill -0 $(cat /run/charon.mine) 2>/dev/null; do sleep 0.1; done; /usr/sbin/ip xfrm state flush")

    def swan(self, *args):
        return run("ip", "netns", "exec", space, "timeout", 60, "swanctl", *args, "--uri", "tcp://127.0.0.1:4502")

    def installed(self):
        """{name: SPIs of its CHILD_SAs that are in use}, as charon there has them."""
        out, name, state = {}, "", ""
        for word, value in re.findall(r"\b(name|state|spi-in|spi-out)=(\w+)", self.swan("--list-sas", "--raw").stdout):
            if word == "name":
                name = value
            elif word == "state":
                state = value
            elif state == "INSTALLED":
                out[name] = sorted(out.get(name, []) + ["0x" + value])
        return out

    def states(self):
        """{spi: {"packets", "bytes", "failed", "replayed", "mode", "esn", "udp", "window"}} of the kernel's SAs"""
        out = {}
        text = self.run("/usr/sbin/ip -s xfrm state | grep -vE '(enc|aead|auth|auth-trunc) (cbc|rfc|hmac|.*0x)' || true", 120)
        for part in re.split(r"^(?=src )", text, flags=re.M)[1:]:
            spi = re.search(r"spi 0x([0-9a-f]+)", part)
            count = re.search(r"lifetime current:\s+(\d+)\(bytes\), (\d+)\(packets\)", part)
            stats = re.search(r"replay-window (\d+) replay (\d+) failed (\d+)", part)
            if not spi or not count or not stats or "lifetime config" not in part or spi.group(1) == "00000000":
                continue  # one that is only promised, or asked for
            out[int(spi.group(1), 16)] = {
                "bytes": int(count.group(1)), "packets": int(count.group(2)), "replayed": int(stats.group(2)), "failed": int(stats.group(3)),
                "mode": re.search(r"mode (\w+)", part).group(1), "esn": "esn" in re.search(r"flag ?([^\n]*)", part).group(1) if "flag " in part else False,
                "udp": "encap type espinudp" in part}
        return out

    def stat(self):
        return {a: int(b) for a, b in (x.split() for x in self.run("cat /proc/net/xfrm_stat").splitlines())}

    def addresses(self, gws):
        for g in gws:
            self.run(f"/usr/sbin/ip addr replace {g.at[4]}/24 dev eth0; /usr/sbin/ip addr replace {g.at[6]}/64 dev eth0 nodad")

    def peer(self, gws):
        """A process that is these gateways; its number."""
        n = f"{family}{self.peers}"
        self.peers += 1
        names = "\n".join(f"{g.at[family]} {US[family]} {g.name}" for g in gws)
        self.run(f"cat >/run/p{n} <<'END'\n{names}\nEND")
        self.run(f"mkfifo /run/in{n}; gwpeer /run/p{n} ike <>/run/in{n} >>/run/out{n} 2>&1 & until grep -q READY /run/out{n}; do sleep 0.1; done")
        return n

    def tell(self, peer, gws, count, size):
        """So many keep-alives; those gateways of which not all were answered."""
        text = self.run(f": >/run/out{peer}; echo send 0 {len(gws) - 1} {count} {size} 0 >/run/in{peer}\n"
                        f"until grep -q DONE /run/out{peer}; do sleep 0.1; done; cat /run/out{peer}", 240)
        said = re.findall(r"^GW (\d+) answered (\d+) of (\d+) said \d+ refused (\d+)", text, re.M)
        bad = {gws[int(n)].name: (a, c, r) for n, a, c, r in said if a != c or r != "0"}
        return bad if len(said) == len(gws) else {"all": text[-300:]}

    def flow(self, peer, first, last, rate):
        self.run(f": >/run/out{peer}; echo flow {first} {last} {rate} >/run/in{peer}")

    def enough(self, peer):
        """[(sent, answered, refused)]"""
        text = self.run(f"echo enough >/run/in{peer}; until grep -q DONE /run/out{peer}; do sleep 0.1; done; cat /run/out{peer}", 120)
        return [tuple(map(int, x)) for x in re.findall(r"^FLOW \d+ sent (\d+) answered (\d+) refused (\d+)", text, re.M)]

    def control(self):
        """MGCP in clear: without the policy that stops it, from an address that no other is for."""
        self.run(f"/usr/sbin/ip xfrm policy del dst {US[4]} proto udp sport 2427 dir out\n"
                 f"/usr/sbin/ip addr replace 10.77.2.9/24 dev eth0; echo 10.77.2.9 {US[4]} clear >/run/clear; mkfifo /run/inclear\n"
                 "gwpeer /run/clear ike <>/run/inclear >>/run/outclear 2>&1 & until grep -q READY /run/outclear; do sleep 0.1; done\n"
                 "echo send 0 0 1 60 0 >/run/inclear")


def ikes():
    return {g["gateway"]: g for g in ctl("show", "ike") or []}


def child(i):
    """The one CHILD_SA that is in use. IKEv1 keeps the old ones (REKEYED) to their end."""
    some = [c for c in i.get("children", []) if c["state"] == "INSTALLED"]
    return some[0] if len(some) == 1 else {}


def pairs(gws, now=None):
    """{name: (SA in, SA out)} of the dataplane's, of those whose CHILD_SA is in use."""
    have = {(s["direction"], s["spi"]): s for s in ctl("show", "sas") or [] if s["state"] == "live"}
    out = {}
    for name, i in (now or ikes()).items():
        c = child(i)
        two = have.get(("in", c.get("spi_in"))), have.get(("out", c.get("spi_out")))
        if i["state"] == "up" and None not in two:
            out[name] = two
    return {g.name: out[g.name] for g in gws if g.name in out}


def up(gws):
    return len(pairs(gws)) == len(gws)


def drops():
    out = {}
    for w in (ctl("show", "counters") or {}).get("workers", []):
        for k, v in w["drops"].items():
            if k.startswith("esp_") or k in ("policy", "policy_sealed", "mgcp_malformed"):
                out[k] = out.get(k, 0) + v
    return out


def changed(before, after):
    return {k: after[k] - before.get(k, 0) for k in after if after[k] != before.get(k, 0)}


early = {}


def uneven(vm, gws):
    """
    Those of whose SAs the two ends do not count the same, or one refused something. But for the first packets of an IKE SA: who is the last to hear
    that there are SAs has not got them when the other end's first packet comes ('early': so many).
    """
    ours, theirs, out = pairs(gws), vm.states(), {}
    for g in gws:
        for s in ours.get(g.name, ({}, {})):
            t = theirs.get(int(s.get("spi", "0"), 16), {})
            if not s or not t or s["packets"] == 0 or s["packets"] != t["packets"] + early.get(s["spi"], 0) or \
                    s["auth_failed"] + s["replayed"] + t["failed"] + t["replayed"] != 0:
                out[g.name] = out.get(g.name, []) + [(s, t)]
    return out


def unheard(vm, gws, ret):
    """ret: {SPI: packets of ours that the gateways' kernel has not counted}, of each while none of it was on its way. Are all there?"""
    def counts():
        return {s["spi"]: s["packets"] for two in pairs(gws).values() for s in two if s["direction"] == "out"}

    ours, there = counts(), vm.states()
    then = counts()
    ret.update({spi: n - there.get(int(spi, 16), {}).get("packets", 0) for spi, n in ours.items() if then.get(spi) == n})
    return len(ours) == len(gws) and set(ours) <= set(ret)


def even(vm, gws):
    end = time.monotonic() + PATIENCE
    while (differ := uneven(vm, gws)) and time.monotonic() < end:
        time.sleep(0.5)
    return differ


def all_up(vm, gws):
    """Once they are, or there is no patience left."""
    def some():
        now = ikes()
        for g in gws:
            if g.begin == "wait" and now[g.name]["loaded"] and now[g.name]["state"] == "down":
                vm.swan("--initiate", "--child", g.name, "--timeout", 60)
        return up(gws)

    return soon(some, 2 * PATIENCE)


def bring_up(vm, gws):
    for g in gws + quiet:
        g.add()
    if not all_up(vm, gws):
        print(vm.run("tail -60 /run/charon.log"))
    now, theirs = ikes(), vm.states()
    ours = pairs(gws, now)
    for g in gws:
        i, two = now[g.name], ours.get(g.name, ())
        c = child(i)
        there = [theirs.get(int(s["spi"], 16), {}) for s in two]
        want = {"mode": g.mode, "esn": g.esn, "udp": g.udp}
        as_is = f"IKEv{g.version}, {g.mode}, {g.alg}, {'UDP' if g.udp else 'protocol 50'}{', ESN' if g.esn else ''}{', IPv6' if g.outer == 6 else ''}"
        check(f"{g.name}: up: {as_is} at both ends",
              i.get("version") == g.version and c.get("mode") == g.mode.upper() and c.get("algorithm") == g.alg and c.get("in_udp") == g.udp and
              c.get("esn") == g.esn and i.get("initiator") == (g.begin == "now") and len(there) == 2 and
              all({k: t.get(k) for k in want} == want for t in there) and
              all(s["mode"] == g.mode and s["esn"] == g.esn and s["remote"].lstrip("[").split("]")[0].startswith(g.at[g.outer]) for s in two), [i, two, there])


def carry(vm, gws, peer):
    """MGCP both ways, and what both ends counted of it."""
    answered = {g.name for g in gws}
    check("their endpoints were asked, and answered", soon(lambda: answered <= {w["name"] for w in ctl("show", "gateways") or [] if w["state"] == "up" and
          w["endpoints_in_service"] == 8}), [w for w in ctl("show", "gateways") or [] if w["state"] != "up"][:2])
    early.clear()
    seen = soon(lambda: unheard(vm, gws, early))
    check(f"packets that came before the gateways' end had SAs: {sum(early.values())} of {len(early)} gateways", seen and all(0 <= n < 50 for n in early.values()), early)
    before, stat = drops(), vm.stat()
    bad = {}
    for size in (60, 900):
        bad.update(vm.tell(peer, gws, 10, size))
    check("20 keep-alives of each are answered", not bad, bad)
    differ, two = even(vm, gws), pairs(gws)
    for g in gws:
        check(f"{g.name}: both ends counted the same, 20 packets each way at least", g.name not in differ and
              g.name in two and all(s["packets"] >= 20 for s in two[g.name]), differ.get(g.name))
    check("nothing was dropped here", not changed(before, drops()), changed(before, drops()))
    check("nothing was dropped there", not changed(stat, vm.stat()), changed(stat, vm.stat()))


def renew(vm, gws, peer):
    """
    New keys while MGCP goes both ways. With IKEv1 some packets are lost: who began sends under the new SAs before the other end has read its
    third message, without which that one has none.
    """
    for version in (2, 1):
        renew_of(vm, [g for g in gws if g.version == version], version, peer, [g.version for g in gws].index(version))


def renew_of(vm, gws, version, peer, first):
    before, stat, counted = drops(), vm.stat(), {n: i["child_rekeys"] for n, i in ikes().items()}
    vm.flow(peer, first, first + len(gws) - 1, 40)
    for what, begin in (("by us", lambda g: swan("--rekey", "--child", g.name)), ("by the gateways", lambda g: vm.swan("--rekey", "--child", g.name)),
                        ("of IKE by us", lambda g: swan("--rekey", "--ike", g.name)), ("of IKE by the gateways", lambda g: vm.swan("--rekey", "--ike", g.name))):
        of_ike = what.startswith("of IKE")
        if of_ike and version == 1:
            continue

        def marks():
            now = ikes()
            if len(pairs(gws, now)) < len(gws):
                return {}
            return {g.name: now[g.name]["rekeys"] if of_ike else child(now[g.name])["spi_in"] for g in gws}

        def both():
            ours, theirs = pairs(gws), vm.installed()
            return {g.name: (sorted(x["spi"] for x in ours.get(g.name, ())), theirs.get(g.name)) for g in gws}

        was = soon(marks)
        for g in gws:
            begin(g)
        check(f"IKEv{version}: renewed {what}", was and soon(lambda: (now := marks()) and all(now[n] != was[n] for n in was)), [was, marks(), ikes()])
        check("both ends have the same SAs", soon(lambda: all(a == b for a, b in both().values())), both())
    got = vm.enough(peer)
    sent, answered, refused = (sum(x[i] for x in got) for i in range(3))
    there = changed(stat, vm.stat())
    racing = there.pop("XfrmOutStateInvalid", 0)  # packets that Linux itself had on the way through a state when charon deleted it
    check(f"IKEv{version}: {sent} packets each way meanwhile, {answered} answered, {refused} refused, {racing} never sent: {'0' if version == 2 else 'few'} lost",
          len(got) == len(gws) and sent > 10 * len(gws) and refused == 0 and racing <= 2 * len(gws) and
          (sent == answered + racing if version == 2 else answered > sent / 2), got)
    now = ikes()
    check("counted by show ike", all(now[g.name]["child_rekeys"] >= counted[g.name] + 2 for g in gws), [counted, now])
    if version == 1:
        return
    differ = even(vm, gws)
    check("both ends counted the same of the last SAs", not differ, differ)
    check("nothing was dropped here", not changed(before, drops()), changed(before, drops()))
    check("nothing else was dropped there", not there, there)


def trap(vm, gws, peer):
    """A gateway that is silent until it has something to say: its kernel asks charon for an SA then. Once others have been up for a while."""
    g = quiet[0]
    alone = vm.peer([g])
    i = ikes()[g.name]
    check("trap: loaded, nobody has begun, and no alarm", i["loaded"] and i["state"] == "down" and not [a for a in ctl("show", "alarms") if a["id"] == "ike-down"], i)
    policies = vm.run("/usr/sbin/ip xfrm policy")
    check("trap: the gateway's kernel has its policies", f"src {g.at[family]}/" in policies, policies)
    bad = vm.tell(alone, [g], 3, 100)
    check("trap: its first packet begins, and is answered when it is said again", not bad, bad)
    i = ikes()[g.name]
    check("trap: it was the gateway's", i["state"] == "up" and i["initiator"] is False and i["begin"] == "trap" and up([g]), i)
    gws.append(g)


def restart(vm, gws, peer):
    """The gateways' charon dies and another one comes."""
    gws = [g for g in gws if g not in quiet]
    was = {n: i["ike_sa"] for n, i in ikes().items()}
    vm.kill()
    check("the gateways' charon is killed: silence is seen", soon(lambda: all(i["state"] != "up" for i in ikes().values()), 300), {n: i["state"] for n, i in ikes().items()})
    check("and an alarm of each", soon(lambda: {g.name for g in gws} <= {a["subject"] for a in ctl("show", "alarms") if a["id"] == "ike-down"}), ctl("show", "alarms"))
    vm.charon()
    vm.load()
    check("another one comes: all are up, by other IKE SAs", all_up(vm, gws) and (now := ikes()) and all(now[g.name]["ike_sa"] != was[g.name] for g in gws), ikes())
    carry(vm, gws, peer)


def gone(vm, gws):
    """Records are deleted: so are SAs, at both ends."""
    for g in gws:
        run(f"{build}/controlplane/ctl/ravelinctl", "-s", f"{work}/run/admin.sock", "gateway", "del", g.name)
    check("gateways deleted: no SA is left here", soon(lambda: ctl("show", "sas") == []), ctl("show", "sas"))
    check("nor there", soon(lambda: not vm.states()), vm.states())


def wire(vm, gws):
    """What was on the machine's wire."""
    def now():
        with open(work + "/wire.pcap", "rb") as f:
            return f.read()

    data = now()
    texts = (rb"MGCP", rb"NTFY ", rb"AUEP ", rb"RQNT ", rb"aaln/", rb"\b[1-5]\d\d \d{1,9} OK")
    seen = {str(t): n for t in texts if (n := len(re.findall(t, data)))}
    check(f"{len(data)} bytes of the wire, nothing of MGCP in them", len(data) > 100000 and not seen, seen)
    kinds = frames(data)
    for g in gws:
        mine = {k: v for k, v in kinds.items() if g.at[g.outer] in k[1:3]}
        fifty, udp, rest = (sum(v for k, v in mine.items() if k[0] == kind) for kind in ("esp", "udp-esp", "other"))
        check(f"{g.name}: {udp if g.udp else fifty} packets of ESP in {'UDP' if g.udp else 'protocol 50'}, and none otherwise",
              (udp if g.udp else fifty) > 15 and (fifty if g.udp else udp) == 0 and rest == 0, mine)
    if family == 6:  # the last of all
        vm.control()
        check("control: MGCP in clear would have been found", soon(lambda: b"NTFY " in now()))


def frames(data):
    """{(kind, source, destination): how many} of a capture's IP packets; kinds: esp, udp-esp, ike, icmp, other."""
    out, at = {}, 24
    while at + 16 <= len(data):
        n = struct.unpack_from("<I", data, at + 8)[0]
        f = data[at + 16:at + 16 + n]
        at += 16 + n
        if f[12:14] == b"\x08\x00":
            proto, ends, body = f[23], (f[26:30], f[30:34]), f[14 + (f[14] & 15) * 4:]
        elif f[12:14] == b"\x86\xdd":
            proto, ends, body = f[20], (f[22:38], f[38:54]), f[54:]
        else:
            continue
        ports = struct.unpack_from("!HH", body) if proto == 17 else ()
        kind = "esp" if proto == 50 else "icmp" if proto in (1, 58) else "ike" if 500 in ports else "other"
        if 4500 in ports:
            kind = "ike" if body[8:12] == bytes(4) or body[8:] == b"\xff" else "udp-esp"
        key = (kind, *(socket.inet_ntop(socket.AF_INET if len(e) == 4 else socket.AF_INET6, e) for e in ends))
        out[key] = out.get(key, 0) + 1
    return out


quiet = []
GCM, CBC = "AES_GCM_16-128", "AES_CBC-128/HMAC_SHA2_256_128"


def main():
    vm = Vm()
    if family == 4:
        gws = [
            Gw("gcm", "default", "aes128gcm16-noesn", alg=GCM, opts=["--ike-esp", "aes-gcm-128"]),
            Gw("esn", "default", "aes128gcm16-esn", alg=GCM, esn=True, opts=["--ike-esp", "aes-gcm-128"]),
            Gw("cbc", "default", "aes128-sha256", alg=CBC, opts=["--ike-esp", "aes-cbc-128-sha256"]),
            Gw("tun", "default", "aes128gcm16", mode="tunnel", alg=GCM, opts=["--ike-esp", "aes-gcm-128"]),
            Gw("udp", "default", "aes128gcm16", udp=True, alg=GCM, opts=["--ike-esp", "aes-gcm-128"]),
            Gw("udptun", "default", "aes128-sha256-esn", mode="tunnel", udp=True, esn=True, alg=CBC, begin="wait", opts=["--ike-esp", "aes-cbc-128-sha256"]),
            Gw("out6", "default", "aes128gcm16-esn", mode="tunnel", outer=6, esn=True, alg=GCM, opts=["--ike-esp", "aes-gcm-128"]),
            Gw("v1", "aes128-sha1-modp2048", "aes128-sha1", 1, alg="AES_CBC-128/HMAC_SHA1_96",
               opts=["--ike-proposal", "aes-cbc-128-sha1/modp2048", "--ike-esp", "aes-cbc-128-sha1"]),
            Gw("theirs", "aes256-sha256-ecp256", "aes256-sha256", 1, alg="AES_CBC-256/HMAC_SHA2_256_128", begin="wait",
               opts=["--ike-proposal", "aes-cbc-256-sha256/ecp256", "--ike-esp", "aes-cbc-256-sha256"]),
        ]
    else:
        gws = [
            Gw("six", "default", "aes128gcm16-esn", esn=True, alg=GCM, opts=["--ike-esp", "aes-gcm-128"]),
            Gw("sixtun", "default", "aes128-sha256", mode="tunnel", alg=CBC, begin="wait", opts=["--ike-esp", "aes-cbc-128-sha256"]),
            Gw("sixudp", "default", "aes128gcm16", udp=True, alg=GCM, opts=["--ike-esp", "aes-gcm-128"]),
            Gw("out4", "default", "aes128gcm16", mode="tunnel", outer=4, alg=GCM, opts=["--ike-esp", "aes-gcm-128"]),
            Gw("six1", "aes128-sha1-modp2048", "aes128-sha1", 1, alg="AES_CBC-128/HMAC_SHA1_96",
               opts=["--ike-proposal", "aes-cbc-128-sha1/modp2048", "--ike-esp", "aes-cbc-128-sha1"]),
        ]
    if family == 4:
        quiet.append(Gw("trap", "default", "aes128gcm16-esn", alg=GCM, esn=True, begin="trap", opts=["--ike-esp", "aes-gcm-128"]))
    vm.addresses(gws + quiet)
    vm.conf(gws + quiet)
    vm.never_clear()
    if family == 4:
        vm.charon()
    vm.load()
    peer = vm.peer(gws)
    wanted = os.environ.get("PARTS", "").split()
    for part, args in ((bring_up, ()), (carry, (peer,)), (renew, (peer,)), (trap, (peer,)), (restart, (peer,)), (gone, ()), (wire, ())):
        if part in (restart, trap) and family == 6 or wanted and part is not bring_up and part.__name__ not in wanted:
            continue
        print(f"== {part.__name__}", flush=True)
        start = time.monotonic()
        part(vm, gws, *args)
        print(f"     {time.monotonic() - start:.0f} s", flush=True)
    return 1 if failed else 0


with open(work + "/psk", "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as f:
    f.write(SECRET + "\n")
sys.exit(main())
