# SPDX-License-Identifier: BSD-3-Clause
# A machine of scripts/machine.sh as the other end of a wire whose near end is an interface of this namespace: the wire itself, on which a
# test can look at frames, change, hold back and repeat them; and a shell in the machine (its init runs one on the port named "shell").
import os
import select
import socket
import threading
import time


class Wire(threading.Thread):
    """Between qemu's "-netdev dgram" (a pair of UNIX sockets) and an interface. 'see': called with ("out" to the machine or "in" from it,
    frame) for each; what it returns goes on, a list of frames, in place of the one."""

    def __init__(self, interface, ours, theirs):
        super().__init__(daemon=True)
        self.near = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
        self.near.bind((interface, 3))
        self.far = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.far.bind(ours)
        self.theirs = theirs
        self.see = None
        self.frames = {"in": 0, "out": 0}
        self.lost = 0

    def send(self, way, frame):
        self.frames[way] += 1
        if way == "in":
            self.near.send(frame)
            return
        for _ in range(200):
            try:
                self.far.sendto(frame, socket.MSG_DONTWAIT, self.theirs)
                return
            except BlockingIOError:  # the emulated machine is slow
                time.sleep(0.005)
            except (FileNotFoundError, ConnectionRefusedError):
                break
        self.lost += 1

    def run(self):
        while True:
            for s in select.select([self.near, self.far], [], [])[0]:
                frame, addr = s.recvfrom(65536)
                if s is self.near and addr[2] == socket.PACKET_OUTGOING:
                    continue  # what we sent ourselves
                way = "out" if s is self.near else "in"
                see = self.see
                for f in [frame] if see is None else see(way, frame):
                    self.send(way, f)


class Shell:
    def __init__(self, path, seconds):
        end = time.monotonic() + seconds
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.n = 0
        self.sock.connect(path)
        self.sock.settimeout(1)
        while time.monotonic() < end:
            self.sock.send(b"\necho shell''-is-there\n")
            try:
                if b"shell-is-there" in self.sock.recv(65536):
                    break
            except TimeoutError:
                pass
        else:
            raise SystemExit("the machine's shell did not answer")
        self.quiet()

    def quiet(self):
        try:
            while True:
                self.sock.recv(65536)
        except TimeoutError:
            pass

    def run(self, command, seconds=60):
        """What it wrote, after it ended with 0."""
        self.n += 1
        mark = f"@@{self.n} ".encode()
        text = f"{{ {command}\n}} 2>&1 </dev/null; echo \"@@\"\"{self.n} $?\"\n".encode()
        got, end = b"", time.monotonic() + seconds
        self.sock.settimeout(seconds)
        self.sock.sendall(text)
        self.sock.settimeout(1)
        while True:
            at = got.rfind(mark)
            if at >= 0 and got.endswith(b"\n"):
                break
            try:
                part = self.sock.recv(65536)
            except TimeoutError:
                part = b""
            if part == b"" and time.monotonic() > end:
                raise SystemExit(f"the machine took more than {seconds} s for: {command[:200]}\n{got[-500:]}")
            got += part
        if got[at + len(mark):].strip() != b"0":
            raise SystemExit(f"the machine refused: {command[:300]}\n{got[-1500:].decode(errors='replace')}")
        return got[:at].decode(errors="replace").replace("\r", "")

    def batch(self, lines, options=""):
        """Lines of ip(8)."""
        if lines:
            self.run(f"/usr/sbin/ip {options}-batch - <<'END'\n" + "\n".join(lines) + "\nEND")
