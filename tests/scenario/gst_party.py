#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""GStreamer as an SRTP party: srtpenc and srtpdec (on libsrtp2) for the scenarios.

gst_party.py send IP PORT TO FILE --cipher C --auth A --key HEX [--mki HEX] [--rekey N,KEY[,MKI]]... [--speed X]
    G.711 in 160-byte packets to ADDRESS:PORT; after N packets another key
gst_party.py receive IP PORT FILE --cipher C --auth A --key HEX [--mki HEX] [--key2 HEX --mki2 HEX] [--roc N]
    payloads to FILE in order of arrival, until SIGTERM; what was refused is in srtpdec's statistics, printed at the end

C: aes-128-icm aes-256-icm aes-128-gcm aes-256-gcm. A: null hmac-sha1-32 hmac-sha1-80. SRTCP's tag has 80 bits.
KEY: master key and salt.
"""
import argparse
import signal
import sys
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, GObject, Gst  # noqa: E402

FRAME = 160


def buffer(text):
    return Gst.Buffer.new_wrapped(bytes.fromhex(text))


def rtcp_auth(args):
    return args.auth if args.auth == "null" else "hmac-sha1-80"


def fail(msg):
    print("gst_party: " + msg, file=sys.stderr)
    sys.exit(1)


def on_error(bus, loop, errors):
    def error(_, msg):
        errors.append(msg.parse_error())
        loop.quit()
    bus.add_signal_watch()
    bus.connect("message::error", error)


def send(args):
    host, port = args.to.rsplit(":", 1)
    pipe = Gst.parse_launch(
        "appsrc name=src format=time caps=audio/x-mulaw,rate=8000,channels=1 ! "
        "rtppcmupay min-ptime=20000000 max-ptime=20000000 ssrc=%u ! srtpenc name=enc rtp-cipher=%s rtp-auth=%s rtcp-cipher=%s "
        "rtcp-auth=%s ! udpsink host=%s port=%s bind-address=%s bind-port=%d sync=false async=false" %
        (args.ssrc, args.cipher, args.auth, args.cipher, rtcp_auth(args), host.strip("[]"), port, args.ip, args.port))
    enc, src = pipe.get_by_name("enc"), pipe.get_by_name("src")
    enc.set_property("key", buffer(args.key))
    if args.mki:
        enc.set_property("mki", buffer(args.mki))
    rekeys = {}
    for spec in args.rekey:
        n, key, mki = (spec.split(",") + [None])[:3]
        rekeys[int(n)] = (key, mki)
    with open(args.file, "rb") as f:
        audio = f.read()
    pipe.set_state(Gst.State.PLAYING)
    bus = pipe.get_bus()
    start = time.monotonic()
    for n, at in enumerate(range(0, len(audio) - FRAME + 1, FRAME)):
        left = start + n * 0.02 / args.speed - time.monotonic()
        if left > 0:
            time.sleep(left)
        if n in rekeys:
            time.sleep(0.05)  # what was pushed before has left by then
            key, mki = rekeys[n]
            if mki:
                enc.set_property("mki", buffer(mki))
            enc.set_property("key", buffer(key))
        buf = Gst.Buffer.new_wrapped(audio[at:at + FRAME])
        buf.pts = n * 20 * Gst.MSECOND
        buf.duration = 20 * Gst.MSECOND
        if src.emit("push-buffer", buf) != Gst.FlowReturn.OK:
            break
    src.emit("end-of-stream")
    msg = bus.timed_pop_filtered(10 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    pipe.set_state(Gst.State.NULL)
    if msg is None or msg.type == Gst.MessageType.ERROR:
        fail("send: %s" % (msg.parse_error().gerror if msg else "no end"))


def receive(args):
    out = open(args.file, "wb", buffering=0)
    pipe = Gst.parse_launch(
        "udpsrc name=src address=%s port=%d buffer-size=1048576 caps=application/x-srtp,media=audio,clock-rate=8000,"
        "encoding-name=PCMU,payload=0 ! srtpdec name=dec ! appsink name=sink emit-signals=true sync=false" % (args.ip, args.port))
    dec, sink = pipe.get_by_name("dec"), pipe.get_by_name("sink")

    def request_key(_, ssrc):
        caps = Gst.Caps.new_empty_simple("application/x-srtp")
        s = caps.get_structure(0).copy()
        s.set_value("srtp-key", buffer(args.key))
        for name, value in (("srtp-cipher", args.cipher), ("srtp-auth", args.auth), ("srtcp-cipher", args.cipher),
                            ("srtcp-auth", rtcp_auth(args))):
            s.set_value(name, value)
        if args.mki:
            s.set_value("mki", buffer(args.mki))
        if args.key2:
            s.set_value("srtp-key2", buffer(args.key2))
            s.set_value("mki2", buffer(args.mki2))
        if args.roc:
            s.set_value("roc", GObject.Value(GObject.TYPE_UINT, args.roc))
        caps = Gst.Caps.new_empty()
        caps.append_structure(s)
        return caps

    def sample(el):
        buf = el.emit("pull-sample").get_buffer()
        ok, m = buf.map(Gst.MapFlags.READ)
        if ok:
            data = bytes(m.data)
            out.write(data[12 + 4 * (data[0] & 15):])
            buf.unmap(m)
        return Gst.FlowReturn.OK

    dec.connect("request-key", request_key)
    sink.connect("new-sample", sample)
    loop, errors = GLib.MainLoop(), []
    on_error(pipe.get_bus(), loop, errors)
    # Stays: timeout(1) says it twice, and the second one must not find the default.
    GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGTERM, lambda: loop.quit() or True)
    pipe.set_state(Gst.State.PLAYING)
    loop.run()
    stats = dec.get_property("stats")
    print("recv=%s dropped=%s" % (stats.get_value("recv-count"), stats.get_value("recv-drop-count")))
    pipe.set_state(Gst.State.NULL)
    if errors:
        fail("receive: %s" % errors)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("what", choices=("send", "receive"))
    p.add_argument("ip")
    p.add_argument("port", type=int)
    p.add_argument("to", nargs="?")
    p.add_argument("file")
    p.add_argument("--cipher", default="aes-128-icm")
    p.add_argument("--auth", default="hmac-sha1-80")
    p.add_argument("--key", required=True)
    p.add_argument("--mki")
    p.add_argument("--key2")
    p.add_argument("--mki2")
    p.add_argument("--rekey", action="append", default=[])
    p.add_argument("--roc", type=int)
    p.add_argument("--ssrc", type=int, default=0x1234)
    p.add_argument("--speed", type=float, default=1)
    args = p.parse_args()
    Gst.init(None)
    (send if args.what == "send" else receive)(args)


main()
