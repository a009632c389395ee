#!/usr/bin/env python3
"""Reads a Hashpit journal, knowing nothing but engine/JOURNAL.md.

    python3 journal_reader.py FOLDER

FOLDER is the folder with the segments, 00000001.seg and so on. Checks both checksums and the hash chain of
every block, their sequence and everything else that the page says of their fields, steps over the commands by
their lengths, and counts what they produced. One line of JSON on standard output; on damage one line on
standard error with file, offset and reason, and exit code 65.

Standard library only: CRC32C and BLAKE3 are written here from their specifications. Good for a few megabytes.
"""

import json
import os
import struct
import sys

PAGE = 4096
HEADER = 128
PAYLOAD_MAX = 1048576
IN_FLIGHT = 8
VERSION = 8
DATA, WATERMARK, EPOCH_START = 1, 2, 3
MASK = 0xFFFFFFFF


# CRC32C (Castagnoli): reflected polynomial 0x82f63b78, four bytes at a time.


def _crc_tables():
    first = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        first.append(crc)
    tables = [first]
    for _ in range(3):
        last = tables[-1]
        tables.append([(value >> 8) ^ first[value & 0xFF] for value in last])
    return tables


T0, T1, T2, T3 = _crc_tables()


def crc32c(data):
    crc = MASK
    words = len(data) // 4
    for word in struct.unpack_from("<%dI" % words, data):
        crc ^= word
        crc = T3[crc & 0xFF] ^ T2[(crc >> 8) & 0xFF] ^ T1[(crc >> 16) & 0xFF] ^ T0[crc >> 24]
    for byte in data[words * 4 :]:
        crc = T0[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ MASK


# BLAKE3, hash mode.

IV = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
    0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
COLUMNS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
DIAGONALS = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8


def _schedule():
    """For each mixing step its four state words and its two message words, over all seven rounds."""
    steps, order = [], list(range(16))
    for _ in range(7):
        for place, words in enumerate(COLUMNS + DIAGONALS):
            steps.append(words + (order[2 * place], order[2 * place + 1]))
        order = [order[place] for place in PERMUTATION]
    return steps


STEPS = _schedule()


def compress(chaining, message, counter, length, flags):
    v = list(chaining)
    v += IV[:4]
    v += (counter & MASK, counter >> 32, length, flags)
    for ia, ib, ic, id_, mx, my in STEPS:
        a, b, c, d = v[ia], v[ib], v[ic], v[id_]
        a = (a + b + message[mx]) & MASK
        d ^= a
        d = (d >> 16) | ((d << 16) & MASK)
        c = (c + d) & MASK
        b ^= c
        b = (b >> 12) | ((b << 20) & MASK)
        a = (a + b + message[my]) & MASK
        d ^= a
        d = (d >> 8) | ((d << 24) & MASK)
        c = (c + d) & MASK
        b ^= c
        v[ia], v[ib], v[ic], v[id_] = a, (b >> 7) | ((b << 25) & MASK), c, d
    return [v[place] ^ v[place + 8] for place in range(8)]


def _chunk(data, number, flags):
    """Chaining value of up to 1024 bytes; `flags` is ROOT if they are all there is."""
    value, blocks = IV, max(1, (len(data) + 63) // 64)
    for place in range(blocks):
        part = data[64 * place : 64 * place + 64]
        message = struct.unpack("<16I", part.ljust(64, b"\0"))
        now = CHUNK_START if place == 0 else 0
        if place == blocks - 1:
            now |= CHUNK_END | flags
        value = compress(value, message, number, len(part), now)
    return value


def _tree(data, first, flags):
    if len(data) <= 1024:
        return _chunk(data, first, flags)
    # The left side takes the largest power of two of chunks that leaves something for the right.
    chunks = (len(data) - 1) // 1024
    left = 1 << (chunks.bit_length() - 1)
    sides = _tree(data[: left * 1024], first, 0) + _tree(data[left * 1024 :], first + left, 0)
    return compress(IV, sides, 0, 64, PARENT | flags)


def blake3(data):
    return struct.pack("<8I", *_tree(data, 0, ROOT))


# The journal.


class Damage(Exception):
    """What must not be: a file, a byte in it, a reason."""

    def __init__(self, path, offset, reason):
        super().__init__("%s, byte %d: %s" % (path, offset, reason))


class Block:
    """A block that is sound in itself."""

    def __init__(self, data):
        (
            self.kind,
            self.exchange,
            self.segment,
            self.offset,
            self.epoch,
            self.number,
            self.first,
            self.count,
            self.length,
            self.durable_seq,
            self.previous,
            self.durable_block,
        ) = struct.unpack_from("<HQQQQQQIIQ32sQ", data, 6)
        self.payload = data[HEADER : HEADER + self.length]
        self.header = data[:124]

    def chain(self):
        return blake3(self.header + self.payload)


def sound_block(data, offset):
    """The block at a place in a segment, or why there is none."""
    page = data[offset : offset + PAGE]
    if len(page) < PAGE or not any(page):
        return None, "nothing but zeros where a block should begin"
    if page[:4] != b"HPJL":
        return None, "the block does not begin with the journal's mark"
    if crc32c(page[:124]) != struct.unpack_from("<I", page, 124)[0]:
        return None, "the block header does not agree with its checksum"
    version, kind = struct.unpack_from("<HH", page, 4)
    if version != VERSION:
        return None, "the block has format version %d" % version
    if kind not in (DATA, WATERMARK, EPOCH_START):
        return None, "the block is of unknown kind %d" % kind
    if any(page[112:120]):
        return None, "the reserved bytes of the block header are not zero"
    length = struct.unpack_from("<I", page, 60)[0]
    whole = -(-(HEADER + length) // PAGE) * PAGE
    if length > PAYLOAD_MAX or offset + whole > len(data):
        return None, "the block claims %d bytes of payload, more than can be there" % length
    block = data[offset : offset + whole]
    if crc32c(block[HEADER:]) != struct.unpack_from("<I", block, 120)[0]:
        return None, "the block's payload or padding does not agree with its checksum"
    return Block(block), None


class Reader:
    def __init__(self, folder):
        self.folder = folder
        names = sorted(name for name in os.listdir(folder) if name.endswith(".seg"))
        if not names:
            raise Damage(folder, 0, "holds no journal")
        self.first_segment = int(names[0][:-4])
        for number, name in enumerate(names, self.first_segment):
            if name != "%08d.seg" % number:
                raise Damage(self.path(number), 0, "segment %d is missing" % number)
        self.last_segment = self.first_segment + len(names) - 1
        self.segment_bytes = os.path.getsize(self.path(self.first_segment))
        for number in range(self.first_segment, self.last_segment + 1):
            size = os.path.getsize(self.path(number))
            if size != self.segment_bytes or size % PAGE:
                reason = "segment has %d bytes, the first has %d" % (size, self.segment_bytes)
                raise Damage(self.path(number), 0, reason)
        # What the next block must say. None: the beginning was retired, take the first block's word.
        from_start = self.first_segment == 1
        self.exchange = None
        self.chain = bytes(32) if from_start else None
        self.number = 1 if from_start else None
        self.next_seq = 1 if from_start else None
        self.epoch = 0 if from_start else None
        self.time = None
        self.durable_seq = self.durable_block = 0
        self.found = dict(blocks=0, records=0, fills=0, refusals=0, lots=0)
        self.first_seq = None
        self.torn = None

    def path(self, number):
        return os.path.join(self.folder, "%08d.seg" % number)

    def load(self, number):
        with open(self.path(number), "rb") as file:
            return file.read()

    def in_use_after(self, number):
        return any(any(self.load(later)) for later in range(number + 1, self.last_segment + 1))

    def read(self):
        for number in range(self.first_segment, self.last_segment + 1):
            self.segment, self.data, self.offset = number, self.load(number), 0
            while True:
                block, fault = sound_block(self.data, self.offset)
                if block and self.epoch is not None and block.epoch < self.epoch:
                    block, fault = None, "the block belongs to the abandoned recovery epoch %d" % block.epoch
                if not block:
                    break
                self.accept(block)
            if not self.goes_on(fault):
                break
        answer = dict(
            exchange=self.exchange,
            segments=self.last_segment,
            first_seq=self.first_seq,
            last_seq=(self.next_seq or 1) - 1,
            durable_seq=self.durable_seq,
            epoch=self.epoch,
            chain=(self.chain or b"").hex(),
            torn=self.torn,
        )
        answer.update(self.found)
        return answer

    def refuse(self, reason):
        raise Damage(self.path(self.segment), self.offset, reason)

    def goes_on(self, fault):
        """The table of the page's chapter on recovery. True: in the next segment."""
        rest = self.data[self.offset :]
        later = self.in_use_after(self.segment)
        if not any(rest):
            return later
        if "format version" in fault:
            self.refuse(fault)
        if later:
            self.refuse("had been complete, and is damaged: " + fault)
        for place in range(self.offset + PAGE, len(self.data), PAGE):
            if self.data[place : place + 4] != b"HPJL":
                continue
            block, _ = sound_block(self.data, place)
            if (
                block
                and block.exchange == (self.exchange or block.exchange)
                and (block.segment, block.offset) == (self.segment, place)
                and block.epoch >= (self.epoch or 0)
                and block.durable_block >= (self.number or 1)
            ):
                self.refuse("had been durable, as byte %d proves, and is damaged: %s" % (place, fault))
        self.torn = dict(file=self.path(self.segment), offset=self.offset, reason=fault)
        return False

    def accept(self, block):
        if self.number is None:
            self.exchange, self.number, self.next_seq = block.exchange, block.number, block.first
            self.chain, self.durable_seq = block.previous, block.durable_seq
            self.epoch = block.epoch - (block.kind == EPOCH_START)
            self.durable_block = block.durable_block
        if self.exchange is None:
            self.exchange = block.exchange
        is_data, starts_epoch = block.kind == DATA, block.kind == EPOCH_START
        facts = (
            (block.exchange == self.exchange and block.exchange != 0, "belongs to exchange %d" % block.exchange),
            ((block.segment, block.offset) == (self.segment, self.offset), "was written for another place"),
            (block.number == self.number, "is block %d where %d should be" % (block.number, self.number)),
            (block.previous == self.chain, "does not continue the hash chain"),
            (block.number != 1 or starts_epoch, "is block 1 and no epoch start"),
            (block.first == self.next_seq, "begins with sequence %d, not %d" % (block.first, self.next_seq)),
            (block.epoch == self.epoch + starts_epoch, "is of epoch %d after %d" % (block.epoch, self.epoch)),
            (is_data == (block.count > 0), "has a count that does not suit its kind"),
            (is_data or block.length == 0, "has a payload without records"),
            (block.durable_seq < block.first, "says that its own records were durable before it"),
            (block.durable_seq >= self.durable_seq, "says that the durable sequence went back"),
            (self.durable_block <= block.durable_block < block.number, "has a durable block that does not follow"),
            (block.number - block.durable_block <= IN_FLIGHT, "says that more blocks were in flight than ever are"),
        )
        for holds, what in facts:
            if not holds:
                self.refuse("the block " + what)
        self.records(block)
        self.chain = block.chain()
        self.number += 1
        self.next_seq += block.count
        self.epoch = block.epoch
        self.durable_seq, self.durable_block = block.durable_seq, block.durable_block
        self.found["blocks"] += 1
        self.offset += -(-(HEADER + block.length) // PAGE) * PAGE

    def records(self, block):
        data, at = block.payload, 0
        for place in range(block.count):
            where = "record %d of %d: " % (place, block.count)
            if len(data) - at < 8:
                self.refuse(where + "no room for its two lengths")
            command, results = struct.unpack_from("<II", data, at)
            at += 8
            if command < 20 or results < 24 or command + results > len(data) - at:
                self.refuse(where + "parts of %d and %d bytes, %d are left" % (command, results, len(data) - at))
            seq, time, _kind = struct.unpack_from("<QqI", data, at)
            if seq != block.first + place:
                self.refuse(where + "has sequence %d, not %d" % (seq, block.first + place))
            if self.time is not None and time <= self.time:
                self.refuse(where + "is not later than the one before")
            self.time = time
            if self.first_seq is None:
                self.first_seq = seq
            at += command
            self.results(data[at : at + results], where)
            at += results
            self.found["records"] += 1
        if at != len(data):
            self.refuse("%d bytes behind the last record" % (len(data) - at))

    def results(self, part, where):
        fills = struct.unpack_from("<Q", part, 0)[0]
        if 24 + 48 * fills > len(part):
            self.refuse(where + "%d fills do not fit %d bytes" % (fills, len(part)))
        refusals = struct.unpack_from("<Q", part, 8 + 48 * fills)[0]
        if 24 + 48 * fills + 24 * refusals != len(part):
            self.refuse(where + "%d fills and %d refusals are not %d bytes" % (fills, refusals, len(part)))
        for fill in range(fills):
            fields = struct.unpack_from("<QIQIqqq", part, 8 + 48 * fill)
            self.found["lots"] += fields[5]
        self.found["fills"] += fills
        self.found["refusals"] += refusals


def self_test():
    """The specifications' own examples, so that a mistake here is not taken for damage there."""
    assert crc32c(b"123456789") == 0xE3069283
    assert blake3(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    pattern = bytes(place % 251 for place in range(3073))
    assert blake3(pattern).hex() == "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3"


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 64
    self_test()
    try:
        print(json.dumps(Reader(sys.argv[1]).read()))
    except Damage as damage:
        print(damage, file=sys.stderr)
        return 65
    return 0


if __name__ == "__main__":
    sys.exit(main())
