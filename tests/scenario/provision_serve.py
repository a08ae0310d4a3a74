#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What no client that exists would send: names that lead out of the tree, noise, slow requests. Used by provision-serve.sh."""
import random
import socket
import struct
import sys
import time

HOST = "10.77.1.1"
ESCAPED = b"ravelin-secret-outside"


def rrq(name, mode=b"octet", opts=b""):
    return b"\0\1" + name + b"\0" + mode + b"\0" + opts


def udp(port=0):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", port))
    s.settimeout(20)
    return s


def tftp(name, sock=None):
    """The whole file in 512-byte blocks, or the ERROR's code."""
    s = sock or udp()
    s.sendto(rrq(name), (HOST, 69))
    got, want = b"", 1
    while True:
        data, peer = s.recvfrom(65536)
        op, block = struct.unpack(">HH", data[:4])
        if op == 5:
            return block
        if op != 3 or block != want & 0xFFFF:
            continue
        got += data[4:]
        s.sendto(struct.pack(">HH", 4, block), peer)
        want += 1
        if len(data) < 516:
            return got


def http(path, sock):
    sock.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        more = sock.recv(65536)
        if not more:
            return head, True
        head += more
    head, body = head.split(b"\r\n\r\n", 1)
    size = int([l for l in head.split(b"\r\n") if l.lower().startswith(b"content-length")][0].split(b":")[1])
    while len(body) < size:
        body += sock.recv(65536)
    return head + body, b"connection: close" in head.lower()


def names(n):
    """Ways out of a directory, put together by chance but always the same."""
    rnd = random.Random(7)
    up = [b"..", b".", b"", b"...", b"%2e%2e", b"..%2f..", b"%252e%252e", b"..%5c", b"\\..", b"..\\..\\", b"%c0%ae%c0%ae", b"\xc0\xae\xc0\xae",
          b"..;", b"~", b"/", b"//", b"..%00", b"..\0", b"%2e%2e%2f", b".%2e", b"%u002e%u002e", b"link", b"dirlink", b"files", b"filesx"]
    down = [b"etc/passwd", b"secret", b"filesx/secret", b"state/secret", b"../secret", b"secret%00.xml", b"secret\0.xml", b"SECRET", b"secret/.",
            b"proc/self/environ", b"dirlink/secret", b"link", b"hard/../../secret", b"up/secret"]
    for _ in range(n):
        sep = rnd.choice([b"/", b"/", b"/", b"\\", b"%2f", b"%5c", b"//"])
        yield sep.join(rnd.choice(up) for _ in range(rnd.randrange(0, 6))) + sep + rnd.choice(down)


def traverse(count):
    s, t, escapes, served, n = udp(), None, 0, 0, 0
    assert isinstance(tftp(b"ring.xml"), bytes)
    for name in names(count // 2):
        plain = name[:480]
        if b"\0" not in plain and plain:
            answer = tftp(plain, s)
            n += 1
            if isinstance(answer, bytes):
                served += 1
                escapes += ESCAPED in answer or b"root:" in answer
    for name in names(count // 2 + 2000):
        if n == count:
            break
        # what cannot stand in a request line at all is sent all the same, now and then
        path = b"/" + name if n % 3 else name
        try:
            if t is None:
                t = socket.create_connection((HOST, 6970), 60)
            answer, close = http(path.replace(b" ", b"%20"), t)
        except (ConnectionError, IndexError):
            answer, close = b"", True
        if close:
            t.close()
            t = None
        n += 1
        served += answer.startswith(b"HTTP/1.1 200")
        escapes += ESCAPED in answer or b"root:" in answer
    print(f"{n} tries, {served} served, {escapes} escapes")
    return 0 if escapes == 0 and n == count else 1


def flood(count):
    rnd = random.Random(3)
    s = udp()
    for i in range(count):
        data = bytearray(rnd.randbytes(rnd.randrange(0, 600)))
        if i % 2 and len(data) > 2:
            data[0:2] = struct.pack(">H", rnd.randrange(0, 8))
        s.sendto(bytes(data), (HOST, 69))
        if i % 50 == 0:
            time.sleep(0.001)
    for i in range(count // 20):
        with socket.create_connection((HOST, (6970, 6971, 6972)[i % 3]), 5) as c:
            c.sendall(rnd.randbytes(rnd.randrange(1, 600)) if i % 2 else b"GET /ring.xml HTTP/1.1\r\nHost: x\r\nRange: " + rnd.randbytes(50))
    return 0


def loris(count):
    """Connections that say a byte a second, and some that say nothing: all must be gone in time, and none served."""
    socks = []
    for i in range(count):
        c = socket.create_connection((HOST, (6970, 6970, 6971, 6972)[i % 4]), 5)
        c.setblocking(False)
        socks.append(c)
    text = b"GET /ring.xml HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"a" * 100
    started, alive = time.time(), list(socks)
    for k in range(200):
        time.sleep(0.5)
        for i, c in enumerate(list(alive)):
            try:
                if i % 4 == 1 and k % 2 == 0:
                    c.send(text[k // 2:k // 2 + 1])
                if c.recv(100) == b"":
                    alive.remove(c)
            except BlockingIOError:
                pass
            except OSError:
                alive.remove(c)
        if not alive:
            break
    took = time.time() - started
    print(f"{count - len(alive)} of {count} cut off, after {took:.1f} s")
    return 0 if not alive and took > 8 else 1


def sip(rate):
    """A reader far below min_rate, and one that takes 60 KB at once and then nothing: cut off, and not before they were due."""
    socks, over, started, got = [], {}, time.time(), 0
    for _ in range(2):
        c = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        c.connect((HOST, 6970))
        c.sendall(b"GET /fw.bin HTTP/1.1\r\nHost: x\r\n\r\n" * 4)  # more than the buffers of both ends hold
        socks.append(c)
    while got < 60000:
        got += len(socks[1].recv(8192))
    for c in socks:
        c.setblocking(False)
    while len(over) < 2 and time.time() - started < 200:
        time.sleep(0.5)
        for i, c in enumerate(socks):
            # TCP_CLOSE, by a reset: reading would give what is in the buffer first
            if i not in over and c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 7:
                over[i] = time.time() - started
        try:
            socks[0].recv(rate // 2)
        except OSError:
            pass
    print(", ".join(f"{s:.1f} s" for s in over.values()))
    return 0 if len(over) == 2 and min(over.values()) > 8 else 1


def idle():
    """A connection that has got its files and asks for no other."""
    c = socket.create_connection((HOST, 6970), 60)
    for _ in range(3):
        http(b"/ring.xml", c)
        time.sleep(1)
    started = time.time()
    c.settimeout(90)
    end = c.recv(1)
    print(f"closed after {time.time() - started + 1:.1f} s")
    return 0 if end == b"" and time.time() - started < 60 else 1


def forged():
    """Datagrams to a source that never answers; every transfer has a port of its own; strangers are told so."""
    s, got = udp(), []
    s.settimeout(0.2)
    end = time.time() + 6
    k = 0
    while time.time() < end:
        if k % 5 == 0:
            s.sendto(rrq(b"fw.bin", opts=b"blksize\0001428\0"), (HOST, 69))
        k += 1
        try:
            got.append(s.recvfrom(65536))
        except socket.timeout:
            pass
    print(f"{len(got)} datagrams")
    return 0 if 3 <= len(got) <= 6 and all(p[1] != 69 for _, p in got) else 1


def stranger():
    a, b = udp(), udp()
    a.sendto(rrq(b"fw.bin"), (HOST, 69))
    data, peer = a.recvfrom(65536)
    b.sendto(struct.pack(">HH", 4, 1), peer)
    err = b.recvfrom(65536)[0]
    a.sendto(struct.pack(">HH", 4, 1), peer)
    more = a.recvfrom(65536)[0]
    a.sendto(b"\0\5\0\0bye\0", peer)
    b.sendto(b"\0\2x\0octet\0", (HOST, 69))
    wrq = b.recvfrom(65536)[0]
    return 0 if err[:4] == b"\0\5\0\5" and more[:4] == b"\0\3\0\2" and wrq[:4] == b"\0\5\0\2" and data[:4] == b"\0\3\0\1" else 1


def hold(count, host=HOST):
    """Connections kept open beyond a source's limit: the rest is turned away."""
    socks, refused = [], 0
    for _ in range(count):
        c = socket.create_connection((host, 6970), 60)
        c.sendall(b"GET /ring.xml HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            refused += c.recv(12) != b"HTTP/1.1 200"
        except ConnectionError:
            refused += 1
        socks.append(c)
    print(f"{refused} of {count} turned away")
    return 0 if 0 < refused < count else 1


if __name__ == "__main__":
    sys.exit({"traverse": traverse, "flood": flood, "loris": loris, "hold": hold, "forged": forged, "stranger": stranger,
              "sip": sip, "idle": idle}[sys.argv[1]](*(int(a) if a.isdigit() else a for a in sys.argv[2:])))
