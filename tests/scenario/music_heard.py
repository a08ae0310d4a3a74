#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Music on hold, as it was heard. make FILE.wav: a source of 2 s in which no two packets of 20 ms are alike. heard FILE.wav RECORDED.wav REST.wav:
# which packets of a recording (G.711 u-law, as received) are packets of the source, octet by octet: JSON with their number, in how many
# runs they are, how often one is not the next of the one before it within a run, how many were left out there at most, and how many other packets are behind the last one.
# Those are REST.wav.
import audioop
import json
import random
import struct
import sys
import wave

FRAME = 160


def make(path):
    rnd = random.Random(7)
    # Multiples of 4: audioop makes u-law of 14 bits.
    pcm = struct.pack('<16000h', *(4 * rnd.randrange(-3000, 3000) for _ in range(16000)))
    with wave.open(path, 'wb') as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(8000)
        w.writeframes(pcm)


def data_of(path):
    """The data chunk of a WAV file of any format."""
    with open(path, 'rb') as f:
        b = f.read()
    at = 12
    while at + 8 <= len(b):
        n = struct.unpack('<I', b[at + 4:at + 8])[0]
        if b[at:at + 4] == b'data':
            return b[at + 8:at + 8 + n]
        at += 8 + n + n % 2
    sys.exit(path + ': no data')


def save(path, data):
    with open(path, 'wb') as f:
        f.write(b'RIFF' + struct.pack('<I', 38 + len(data)) + b'WAVEfmt ' + struct.pack('<IHHIIHHH', 18, 7, 1, 8000, 8000, 1, 8, 0) +
                b'data' + struct.pack('<I', len(data)) + data)


def main():
    if sys.argv[1] == 'make':
        make(sys.argv[2])
        return
    source = audioop.lin2ulaw(data_of(sys.argv[2]), 2)
    place = {source[i:i + FRAME]: i // FRAME for i in range(0, len(source), FRAME)}
    got = data_of(sys.argv[3])
    frames = [place.get(got[i:i + FRAME]) for i in range(0, len(got) - FRAME + 1, FRAME)]
    music = [i for i, p in enumerate(frames) if p is not None]
    runs = sum(1 for k, i in enumerate(music) if k == 0 or music[k - 1] != i - 1)
    wrong = sum(1 for k, i in enumerate(music) if k > 0 and music[k - 1] == i - 1 and frames[i] != (frames[i - 1] + 1) % len(place))
    skip = max([(frames[i] - frames[i - 1] - 1) % len(place) for k, i in enumerate(music) if k > 0 and music[k - 1] == i - 1], default=0)
    save(sys.argv[4], got[(music[-1] + 1) * FRAME if music else 0:])
    print(json.dumps({'music': len(music), 'runs': runs, 'wrong': wrong, 'skip': skip, 'behind': len(frames) - 1 - music[-1] if music else len(frames)}))


main()
