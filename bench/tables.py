#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# The tables of bench/README.md from ravelin-bench's JSON lines: tables.py FILE... [--update README.md]. Printed as Markdown,
# or put between the file's <!-- table NAME --> and <!-- end --> lines (a table without rows is left as it is).
import json
import re
import sys

STAGES = ("rx", "parse", "lookup", "unprotect", "protect", "rewrite", "tx", "other")
SHORT = {"RTP": "RTP", "AES_CM_128_HMAC_SHA1_80": "CM-128 _80", "AES_CM_128_HMAC_SHA1_32": "CM-128 _32",
         "AES_192_CM_HMAC_SHA1_80": "CM-192 _80", "AES_192_CM_HMAC_SHA1_32": "CM-192 _32",
         "AES_256_CM_HMAC_SHA1_80": "CM-256 _80", "AES_256_CM_HMAC_SHA1_32": "CM-256 _32",
         "AEAD_AES_128_GCM": "GCM-128", "AEAD_AES_256_GCM": "GCM-256", "NULL_HMAC_SHA1_80": "NULL _80",
         "NULL_HMAC_SHA1_32": "NULL _32"}


def num(v, digits=0):
    return "–" if v is None else "{:,.{}f}".format(v, digits)


def percent(v):
    return "–" if v is None else "%.0f %%" % (100 * v)


def table(head, align, rows):
    if not rows:
        return ""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("--:" if a == "r" else "---" for a in align) + "|"]
    return "\n".join(lines + ["| " + " | ".join(r) + " |" for r in rows]) + "\n"


def cases(rows, bench):
    """One entry per case, in order: (case, its first row, rows by peer)."""
    out = {}
    for r in rows:
        if r.get("bench") == bench and "case" in r:
            out.setdefault(json.dumps(r["case"], sort_keys=True), []).append(r)
    return [(v[0]["case"], v[0], {r.get("peer"): r for r in v}) for v in out.values()]


def against(peers, name, cycles=True):
    r = peers.get(name)
    if r is None:
        return "–"
    text = num(r["ratio"], 2 if r["ratio"] < 10 else 0)
    return text + " (%s)" % num(r["peer_cycles"]) if cycles and "peer_cycles" in r else text


def payload(case):
    return case["payload"] if isinstance(case["payload"], str) else num(case["payload"])


def srtp(rows):
    out = [[SHORT[k["suite"]], k["op"], payload(k), num(k["streams"]), num(r["value"] / 1e6, 2), num(r["cycles"]),
            percent(r["spread"]), against(p, "openssl"), against(p, "ipsec-mb"), num(r.get("over_raw")),
            against(p, "libsrtp2", False)] for k, r, p in cases(rows, "srtp") if "burst" not in k]
    return table(["suite", "op", "payload", "streams", "Mpps", "cycles", "spread", "× openssl", "× ipsec-mb", "over raw",
                  "× libsrtp2"], "llrrrrrrrrr", out)


def bursts(rows):
    grid, sizes = {}, set()
    for k, r, p in cases(rows, "srtp"):
        if k["payload"] != 160 or k["streams"] != 1000:
            continue
        n = k.get("burst", 32)
        sizes.add(n)
        mb, ssl = p.get("ipsec-mb"), p.get("openssl")
        grid.setdefault((k["suite"], k["op"]), {})[n] = (r["cycles"], ssl and ssl["peer_cycles"], mb and mb["peer_cycles"])
    sizes = sorted(sizes)
    if len(sizes) < 2:
        return ""
    out = [[SHORT[s], op, who] + [num(v[n][i]) if n in v else "–" for n in sizes]
           for (s, op), v in grid.items() for i, who in enumerate(("ours", "openssl", "raw ipsec-mb"))]
    return table(["suite", "op", ""] + ["%d" % n for n in sizes], "lll" + "r" * len(sizes), out)


def media(rows):
    out = [[SHORT[k["from"]], SHORT[k["to"]], k.get("ip", "4"), num(k["payload"]), num(k["legs"]), num(r["value"] / 1e6, 2),
            num(r["cycles"])] + [num(r["stage_cycles"].get(s)) for s in STAGES] + [percent(r["spread"])]
           for k, r, _ in cases(rows, "media") if "stage_cycles" in r]
    return table(["from", "to", "IP", "payload", "legs", "Mpps", "cycles"] + list(STAGES) + ["spread"], "ll" + "r" * 14, out)


def rtpengine(rows):
    out = [[k["path"], num(k["legs"] // 2), num(r["value"] / 1e6, 3), num(r["peer_value"] / 1e6, 3), num(r["ratio"], 2),
            r["peer_path"], num(r["testpmd_mac"] / 1e6, 2) if r.get("testpmd_mac") else "–",
            "yes" if r.get("sender_limited") else "no", "%d" % r["runs"], percent(r["spread"])]
           for k, r, _ in cases(rows, "media") if r.get("peer") == "rtpengine"]
    return table(["our path", "calls", "ours Mpps", "rtpengine Mpps", "ratio", "its path", "testpmd mac Mpps", "limited by the sender",
                  "runs", "spread"], "lrrrrlrrrr", out)


def overload(rows):
    out = [[SHORT[k["from"]], SHORT[k["to"]], num(k["legs"]), num(r["peak"] / 1e6, 2), num(r["offered_times"], 2),
            num(r["value"] / 1e6, 2), "%.1f %%" % (100 * r["share"]), percent(r["rx_missed"] / r["offered"]),
            ", ".join("%s %s" % (n, num(v)) for n, v in r["drops"].items()) or "none", percent(r["spread"])]
           for k, r, _ in cases(rows, "overload")]
    return table(["from", "to", "legs", "peak Mpps", "offered ×", "delivered Mpps", "share", "missed at the ring", "drops", "spread"],
                 "llrrrrrrlr", out)


def latency(rows):
    out = [[SHORT[k["from"]], SHORT[k["to"]], num(k["legs"]), num(r["rate"] / 1e6, 2), num(r["p50_us"], 1), num(r["p99_us"], 1),
            num(r["p999_us"], 1), num(r["max_us"], 0), percent(r["spread"])] for k, r, _ in cases(rows, "latency")]
    return table(["from", "to", "legs", "Mpps", "p50 us", "p99 us", "p99.9 us", "max us", "spread of p99"], "llrrrrrrr", out)


def scaling(rows):
    out = [[SHORT[k["from"]], SHORT[k["to"]], num(k["legs"]), num(k["workers"]), num(r["value"] / 1e6, 2), num(r["total"] / 1e6, 2),
            num(r["cycles"]), percent(r["spread"])] for k, r, _ in cases(rows, "scaling")]
    return table(["from", "to", "legs", "workers", "Mpps each", "Mpps in all", "cycles", "spread"], "llrrrrrr", out)


def esp(rows):
    out = [[k["suite"], k["op"], num(k["size"]), num(k["sas"]), num(r["value"] / 1e6, 2), num(r["cycles"]), percent(r["spread"]),
            against(p, "openssl", False), against(p, "ipsec-mb", False), num(r.get("over_raw")), against(p, "librte_ipsec"),
            against(p, "librte_ipsec-cpu")] for k, r, p in cases(rows, "esp") if "feeder" not in k]
    return table(["suite", "op", "size", "SAs", "Mpps", "cycles", "spread", "× openssl", "× ipsec-mb", "over raw", "× librte_ipsec",
                  "× librte_ipsec, CPU"], "llrrrrrrrrrr", out)


def esp_worker(rows):
    out = [[num(k["size"]), num(k["sas"]), k["feeder"], num(r["value"] / 1e6, 2), num(r["gbit_s"], 1), num(r["cycles"]), percent(r["spread"])]
           for k, r, _ in cases(rows, "esp") if "feeder" in k]
    return table(["size", "SAs", "packets written by", "Mpps", "Gbit/s", "cycles", "spread"], "rrlrrrr", out)


def mgcp(rows):
    out = [[num(k["gateways"]), num(r["value"]), num(r["cycles"]), num(r["ratio"], 2), percent(r["spread"])]
           for k, r, _ in cases(rows, "mgcp") if k["esp"] == "none"]
    return table(["gateways", "commands/s/core", "cycles", "× kernel-udp", "spread"], "rrrrr", out)


def mgcp_worker(rows):
    out = [["controlplane to controlplane" if k.get("end_to_end") else "worker", num(k["gateways"]), num(r["value"]), num(r["cycles"]),
            ", ".join("%s %s" % (name, num(c)) for name, c in r["stage_cycles"].items()), against(p, "kernel-agent"),
            against(p, "kernel-agent-openssl"), percent(r["spread"])] for k, r, p in cases(rows, "mgcp") if k["esp"] != "none"]
    return table(["what", "gateways", "deliveries/s/core", "cycles", "of them", "× kernel agent", "× kernel agent, AES-GCM", "spread"],
                 "lrrrlrrr", out)


def farm(rows):
    out = []
    for k, r, _ in cases(rows, "farm"):
        more = {"up": lambda: "import %s s, SAs %s s (%s a second)" % (num(r["import_s"], 2), num(r["sas_s"], 1), num(r["sas_per_s"])),
                "memory": lambda: "controlplane %s MB, dataplane %s MB; a gateway %s and %s bytes, an SA %s and %s; the simulator %s MB" % (
                    num(r["controlplane_mb"]), num(r["dataplane_mb"]), num(r["gateway_cp_bytes"]), num(r["gateway_dp_bytes"]),
                    num(r["sa_cp_bytes"]), num(r["sa_dp_bytes"]), num(r["gateways_mb"])),
                "idle": lambda: "controlplane %s, dataplane %s" % (num(r["controlplane"], 1), num(r["dataplane"], 1))}
        out.append([k["what"], num(k["gateways"]), num(k["endpoints"]), num(r["value"], 1) + " " + r["unit"], more.get(k["what"], lambda: "")()])
    return table(["what", "gateways", "endpoints", "figure", "of it"], "lrrrl", out)


def tunnels(rows):
    what = {"records": "1,000 records imported, charon running", "charon": "charon started, records known"}
    out = [[what[k["what"]], num(k["tunnels"]), num(r["value"], 1) + " s", num(r["per_s"]), num(r["peer_value"], 1) + " s", num(r["ratio"], 2),
            "charon %s, its peer %s, controlplane %s, dataplane %s; of the two alone %s and %s" % tuple(
                num(r[m], 1) for m in ("charon_cpu_s", "gateways_cpu_s", "controlplane_cpu_s", "dataplane_cpu_s", "peer_charon_cpu_s", "peer_gateways_cpu_s")),
            "charon %s (alone %s), controlplane %s, dataplane %s" % tuple(num(r[m]) for m in ("charon_mb", "peer_charon_mb", "controlplane_mb", "dataplane_mb")),
            percent(r["spread"])] for k, r, _ in cases(rows, "tunnels")]
    return table(["from", "tunnels", "until all are up", "a second", "two strongSwans", "ratio", "CPU seconds", "MB", "spread"], "lrrrrrllr", out)


def store(rows):
    out = [["yes" if k["sync"] else "no", num(k["in_flight"]), num(k["batch"]), num(r["value"]), num(r["peer_value"]),
            num(r["ratio"], 1), percent(r["spread"])] for k, r, _ in cases(rows, "store") if k["op"] == "put"]
    return table(["sync", "in_flight", "batch", "put/s", "rocksdb put/s", "ratio", "spread"], "lrrrrrr", out)


def store_more(rows):
    out = []
    for k, r, _ in cases(rows, "store"):
        if k["op"] == "ack-p99":
            out.append(["acknowledgement, p99 of %d outstanding" % k["in_flight"], num(r["value"]) + " us",
                        "%s of fdatasync, %s us (its p99 %s)" % (num(r["ratio"], 1), num(r["peer_value"]), num(r["fdatasync_p99_us"])),
                        percent(r["spread"])])
        elif k["op"] == "import":
            out.append(["import of %s phones" % num(k["devices"]), num(r["value"], 1) + " s",
                        "loop held up %s ms at most, %s of its own doing" % (num(r["longest_stall_ms"]), num(r["longest_stall_cpu_ms"])), percent(r["spread"])])
        elif k["op"] == "reopen":
            out.append(["opening the store with them", num(r["value"], 2) + " s", "%s s of CPU" % num(r["cpu_s"], 2), percent(r["spread"])])
        elif k["op"] == "reopen-killed":
            out.append(["the same after a kill", num(r["value"], 2) + " s", "%s s of CPU" % num(r["cpu_s"], 2), percent(r["spread"])])
    return table(["what", "figure", "beside", "spread"], "lrlr", out)


def dial(rows):
    out = []
    for k, r, p in cases(rows, "dial"):
        out.append([num(k["patterns"]), "%.2f us" % (1e6 / r["value"]), "%.2f us" % r["p99_us"]] +
                   [f(p[n]) for n in ("regexec", "every pattern") for f in (lambda v: num(1e6 / v["peer_value"], 1) + " us", lambda v: num(v["ratio"], 1))] +
                   ["%.0f ms" % (1e3 * r["load_s"]), num(r["bytes_per_pattern"]), percent(r["spread"])])
    return table(["patterns", "a look-up", "p99", "regexec on each", "ratio", "cp_pat_match on each", "ratio", "loading the plan",
                  "bytes per pattern", "spread"], "rrrrrrrrrr", out)


def of(rows, bench, *whats):
    return [c for c in cases(rows, bench) if c[0].get("what") in whats]


def register(rows):
    out = [[k["key"], num(k["phones"]), num(r["value"]), num(r["ratio"], 2), num(r["registrations_per_s"]), "%.0f ms" % r["p50_ms"],
            "%.0f ms" % r["p99_ms"], num(r["bytes_per_phone"])] for k, r, _ in of(rows, "register", "registration")]
    return table(["key", "phones", "registrations/s/core", "× openssl", "registrations/s seen", "p50", "p99", "bytes per phone"],
                 "lrrrrrrr", out)


def listener(rows):
    out = [[k["key"], "yes" if k["resumed"] else "no", num(r["value"]), num(r["peer_value"]), num(r["ratio"], 2), num(r["wall_per_s"]),
            percent(r["spread"])] for k, r, _ in of(rows, "register", "handshake")]
    return table(["key", "resumed", "handshakes/s/core", "openssl/s/core", "ratio", "handshakes/s seen", "spread"], "llrrrrr", out)


def storm(rows):
    idle = {k["phones"]: r for k, r, _ in of(rows, "register", "idle")}
    out = []
    for k, r, _ in of(rows, "register", "return"):
        i = idle.get(k["phones"], {})
        out.append([num(k["phones"]), num(i["bytes_per_phone"]) if i else "–", "%.2f %%" % i["value"] if i else "–", num(r["seconds"], 1) + " s",
                    num(r["p99_s"], 1) + " s", num(r["bound_s"], 1) + " s", num(r["of_bound"], 2), num(r["value"]), num(r["ratio"], 2)])
    return table(["phones", "bytes per phone", "idle, of a core", "all back after", "99 % after", "openssl alone, all cores", "of that bound",
                  "registrations/s/core", "× openssl"], "rrrrrrrrr", out)


def call(rows):
    out = [[k["media"], num(r["phones"]), num(r["value"]), num(r["wall_per_s"]), "%.1f ms" % r["half_post_dial_p50_ms"],
            "%.1f ms" % r["half_post_dial_p99_ms"], "%.1f ms" % r["half_set_up_p99_ms"], percent(r["spread"])] for k, r, _ in cases(rows, "call")]
    return table(["media", "phones", "calls/s/core", "calls/s seen", "post-dial p50 at half of it", "p99", "media both ways, p99", "spread"],
                 "lrrrrrrr", out)


def moh(rows):
    out = [[num(k["legs"]), num(r["value"] / 1e6, 2), num(r["cycles"]), num(r["peer_value"] / 1e6, 3), num(r["ratio"]), percent(r["spread"]),
            num(r["value"] / 50) if k["legs"] >= 50000 else "–"] for k, r, _ in cases(rows, "moh")]
    return table(["legs", "Mpps", "cycles", "libsrtp2 Mpps", "ratio", "spread", "legs a core"], "rrrrrrr", out)


def enrol(rows):
    out = [[k["key"], num(k["phones"]), num(r["value"]), num(r["peer_value"]), num(r["ratio"], 2), num(p["openssl-key"]["peer_value"]),
            num(p["openssl-key"]["ratio"], 2), num(r["wall_per_s"]), num(r["grown_per_lsc"]) if r["grown_per_lsc"] else "–",
            percent(r["spread"])] for k, r, p in cases(rows, "enrol")]
    return table(["key", "phones", "LSC/s/core", "openssl/s/core", "ratio", "and the key read/s/core", "ratio", "LSC/s seen",
                  "bytes kept per LSC", "spread"], "lrrrrrrrrr", out)


def tvs(rows):
    out = [[k["key"], "for each question" if k["connection"] == "each" else "stays", "%d" % k["at_once"], num(r["value"]),
            num(r["peer_value"]), num(r["ratio"], 2 if r["ratio"] < 10 else 0), num(r["wall_per_s"]), percent(r["spread"])]
           for k, r, _ in cases(rows, "tvs")]
    return table(["server's key", "connection", "questions at once", "answers/s/core", "openssl handshakes/s/core", "ratio", "answers/s seen",
                  "spread"], "llrrrrrr", out)


def sign(rows):
    def beside(p, name):
        return [num(p[name]["peer_value"]), num(p[name]["ratio"], 2)] if name in p else ["–", "–"]
    out = [[k["file"], k["key"], k["digest"], num(r["value"])] + beside(p, "openssl") + beside(p, "openssl-encrypt") +
           [num(r["per_s"]), percent(r["spread"])] for k, r, p in cases(rows, "sign")]
    return table(["file", "key", "digest", "files/s/core", "openssl signs/s/core", "ratio", "openssl signs and encrypts/s/core", "ratio",
                  "files/s seen", "spread"], "lllrrrrrrr", out)


def drill(rows):
    out = [[k["what"], num(k["phones"]), k.get("change", ""), num(r["value"], 0 if k["what"] in ("boot", "ask") else 2) + " " + r["unit"],
            "%.2f ms" % r["held_ms"] if "held_ms" in r else "", "%.2f ms" % r["held_max_ms"] if "held_max_ms" in r else "",
            percent(r["spread"])] for k, r, _ in cases(rows, "drill")]
    return table(["what", "phones", "change", "median", "loop held, median", "longest", "spread"], "lrlrrrr", out)


def served(rows, bench, peers, column, word):
    out = []
    for k, r, p in cases(rows, bench):
        row = [num(k["clients"]), word(k[column]), num(r["value"]), num(r["per_s"]), "%.1f ms" % r["p99_ms"], percent(r["spread"])]
        for name in peers:
            row.append("–" if name not in p else "%s (%s)" % (num(p[name]["ratio"], 2), num(p[name]["peer_value"])))
        out.append(row)
    return out


def tftp(rows):
    return table(["clients", "blksize", "transfers/s/core", "seen", "p99", "spread", "× dnsmasq", "× tftpd-hpa"], "rrrrrrrr",
                 served(rows, "tftp", ["dnsmasq", "tftpd-hpa"], "blksize", num))


def http(rows):
    return table(["clients", "keep-alive", "requests/s/core", "seen", "p99", "spread", "× nginx"], "rlrrrrr",
                 served(rows, "http", ["nginx"], "keep_alive", lambda v: "yes" if v else "no"))


def boot(rows):
    def line(who, k, r, pre, core, ratio):
        get = lambda name: r.get(pre + name)
        return [who, k["via"], "yes" if k["warm"] else "no", num(get("phones") if pre else k["phones"]), num(get("seconds"), 1),
                num(get("per_s")), num(core), ratio, "%.1f ms" % get("p50_ms"), "%.1f ms" % get("p99_ms"),
                "%.2f s" % (get("phone_p99_ms") / 1e3), num(get("repeats")), num(get("rss_mb"))]
    out = []
    for k, r, p in cases(rows, "boot"):
        core = next((v["value"] for v in p.values() if v["by"] == "cpu"), None)
        out.append(line("**ravelin**", k, r, "", core, ""))
        for name, v in p.items():
            if name is not None:
                out.append(line(name, k, v, "peer_", v["peer_value"] if v["by"] == "cpu" else None,
                                "%s (%s)" % (num(v["ratio"], 2), v["by"])))
    return table(["server", "via", "signed before", "phones", "seconds", "files/s", "files/s/core", "ours to it (by)", "p50 of a file",
                  "p99 of a file", "p99 of a phone", "repetitions", "MB"], "lllrrrrrrrrrr", out)


TABLES = {"srtp": srtp, "bursts": bursts, "media": media, "rtpengine": rtpengine, "overload": overload, "latency": latency,
          "scaling": scaling, "esp": esp, "esp-worker": esp_worker, "mgcp": mgcp, "mgcp-worker": mgcp_worker, "farm": farm, "tunnels": tunnels, "store": store, "store-more": store_more, "dial": dial,
          "register": register, "listener": listener, "storm": storm, "call": call, "moh": moh, "enrol": enrol, "tvs": tvs, "sign": sign, "drill": drill,
          "tftp": tftp, "http": http, "boot": boot}


def main():
    args, update, rows = sys.argv[1:], None, []
    if "--update" in args:
        update = args[args.index("--update") + 1]
        del args[args.index("--update"):args.index("--update") + 2]
    for name in args:
        with open(name) as f:
            rows += [json.loads(line) for line in f if line.startswith("{")]
    made = {name: make(rows) for name, make in TABLES.items()}
    if update is None:
        for name, text in made.items():
            if text:
                print("<!-- table %s -->\n%s<!-- end -->\n" % (name, text))
        return
    with open(update) as f:
        page = f.read()
    for name, text in made.items():
        if text:
            page, n = re.subn(r"(<!-- table %s -->\n).*?(<!-- end -->)" % name, lambda m: m.group(1) + text + m.group(2), page,
                              flags=re.S)
            if n != 1:
                sys.exit("%s: no place for table %s" % (update, name))
    with open(update, "w") as f:
        f.write(page)


if __name__ == "__main__":
    main()
