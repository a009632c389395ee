#!/usr/bin/env python3
"""Checks Hashpit's proofs. Written from engine/ROOTS.md alone: no packages, its own Keccak.

    proof_verifier.py PROOF.json [--root HEX]    checks a proof file; HEX is an epoch's hash from elsewhere
    proof_verifier.py --vectors ROOTS.md         hashes the page's test vectors
    proof_verifier.py --show-vectors             prints them as they should stand there
    proof_verifier.py --chain-vectors README.md  hashes the vectors of proto/l2/README.md
"""

import hashlib
import json
import struct
import sys

DEPTH = 32
MASK = (1 << 64) - 1
ZERO = bytes(32)


def keccak_permute(a):
    lfsr = 1
    for _ in range(24):
        c = [a[x][0] ^ a[x][1] ^ a[x][2] ^ a[x][3] ^ a[x][4] for x in range(5)]
        for x in range(5):
            turned = c[(x + 1) % 5]
            d = c[(x + 4) % 5] ^ ((turned << 1 | turned >> 63) & MASK)
            for y in range(5):
                a[x][y] ^= d
        x, y, current = 1, 0, a[1][0]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            n = (t + 1) * (t + 2) // 2 % 64
            a[x][y], current = (current << n | current >> (64 - n)) & MASK, a[x][y]
        for y in range(5):
            row = [a[x][y] for x in range(5)]
            for x in range(5):
                a[x][y] = row[x] ^ (~row[(x + 1) % 5] & MASK & row[(x + 2) % 5])
        # The round constants are a shift register's bits, FIPS 202 section 3.2.5.
        for j in range(7):
            if lfsr & 1:
                a[0][0] ^= 1 << ((1 << j) - 1)
            lfsr = lfsr << 1 ^ (0x171 if lfsr & 0x80 else 0)


def keccak256(message):
    padded = bytearray(message) + b"\x01"
    padded += bytes(-len(padded) % 136)
    padded[-1] |= 0x80
    a = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), 136):
        for i, word in enumerate(struct.unpack_from("<17Q", padded, start)):
            a[i % 5][i // 5] ^= word
        keccak_permute(a)
    return struct.pack("<4Q", *(a[x][0] for x in range(4)))


class Wrong(Exception):
    """What is wrong with a proof, in words."""


def number(data, start, length):
    return int.from_bytes(data[start : start + length], "big")


# tree: tag of its leaves, of its nodes, length of a leaf, sums of a node, sums of a leaf, place of a leaf
TREES = {
    "balance": (0, 1, 68, 1, lambda b: [number(b, 32, 16) + number(b, 48, 16)], lambda b: number(b, 0, 4)),
    "withdrawal": (2, 3, 47, 1, lambda b: [number(b, 28, 16)], lambda b: number(b, 0, 8)),
    "position": (4, 5, 29, 2, lambda b: [number(b, 12, 8), number(b, 20, 8)], lambda b: number(b, 4, 4)),
    "contract": (8, 9, 69, 0, lambda b: [], lambda b: number(b, 0, 4)),
}


def node(tag, sums, left, right):
    joined = [one + other for one, other in zip(left[1], right[1])]
    if any(total >> 128 for total in joined):
        raise Wrong("a sum does not fit 128 bits")
    message = b"".join(child[0] + b"".join(s.to_bytes(16, "big") for s in child[1]) for child in (left, right))
    return keccak256(message + bytes([tag])), joined


def climb(tag, sums, index, leaf, path):
    if len(path) != DEPTH:
        raise Wrong("%d steps instead of %d" % (len(path), DEPTH))
    here = leaf
    for height, step in enumerate(path):
        step = bytes.fromhex(step)
        if len(step) != 32 + 16 * sums:
            raise Wrong("step %d has %d bytes" % (height, len(step)))
        sibling = step[:32], [number(step, 32 + 16 * n, 16) for n in range(sums)]
        here = node(tag, sums, here, sibling) if index >> height & 1 == 0 else node(tag, sums, sibling, here)
    return here


def reach(tree, proof):
    """The root and sums that a leaf and its path lead to, and the leaf."""
    leaf_tag, node_tag, length, sums, sums_of, place_of = TREES[tree]
    leaf = bytes.fromhex(proof["leaf"])
    if len(leaf) != length or leaf[-1] != leaf_tag:
        raise Wrong("the leaf is no %s" % tree)
    if place_of(leaf) != proof["index"]:
        raise Wrong("the leaf names another place than its path")
    return climb(node_tag, sums, proof["index"], (keccak256(leaf), sums_of(leaf)), proof["path"]), leaf


def page_hash(page, data):
    if len(data) != 2048:
        raise Wrong("a page has 2048 bytes")
    return keccak256(page.to_bytes(8, "big") + hashlib.sha256(data).digest() + b"\x06")


class Header:
    def __init__(self, data):
        if data[:16] != b"hashpit/epoch/v1":
            raise Wrong("no header")
        self.epoch, self.seq, self.time = (number(data, at, 8) for at in (16, 24, 32))
        self.previous, self.state_root, self.journal_head, self.fills_root = (
            data[at : at + 32] for at in (40, 72, 104, 136)
        )
        self.fills, self.deposits = number(data, 168, 8), number(data, 176, 8)
        self.chain_deposits, self.deposit_chain = number(data, 184, 8), data[192:224]
        count, self.assets = number(data, 224, 2), {}
        if len(data) != 226 + 122 * count:
            raise Wrong("the header has %d bytes" % len(data))
        for at in range(226, len(data), 122):
            names = ("liabilities", "deposited", "sandbox", "withdrawn", "by_hand")
            flow = {name: number(data, at + 2 + 16 * n, 16) for n, name in enumerate(names)}
            flow["withdrawals"] = number(data, at + 82, 8)
            flow["withdrawals_root"] = data[at + 90 : at + 122]
            self.assets[number(data, at, 2)] = flow


def state(data):
    count = number(data, 16, 2)
    if data[:16] != b"hashpit/state/v1" or len(data) != 50 + 50 * count:
        raise Wrong("no list of trees")
    assets = {}
    for at in range(18, 18 + 50 * count, 50):
        assets[number(data, at, 2)] = data[at + 2 : at + 34], number(data, at + 34, 16)
    return assets, data[-32:]


def check(proof, root=None):
    """Answers what was proven; raises Wrong."""
    if proof.get("format") != "hashpit/proof/v1":
        raise Wrong("no proof of this format")
    raw_header, raw_state = bytes.fromhex(proof["header"]), bytes.fromhex(proof["state"])
    header = Header(raw_header)
    epoch_hash = keccak256(raw_header)
    if root is not None and root != epoch_hash:
        raise Wrong("the header hashes to %s, not to the root given" % epoch_hash.hex())
    if keccak256(raw_state) != header.state_root:
        raise Wrong("the list of trees does not hash to the header's state root")
    assets, positions_root = state(raw_state)
    found = {"epoch": header.epoch, "seq": header.seq, "hash": epoch_hash.hex(), "state_root": header.state_root.hex()}
    found["uncovered"] = {}
    for asset, flow in header.assets.items():
        if assets.get(asset, (None, None))[1] != flow["liabilities"]:
            raise Wrong("asset %d: the header's liabilities are not its tree's sum" % asset)
        uncovered = flow["liabilities"] + flow["withdrawn"] - flow["deposited"]
        if uncovered < 0:
            raise Wrong("asset %d: less is owed than came in" % asset)
        found["uncovered"][asset] = uncovered
    account = proof["account"]
    for kind in ("balances", "positions", "withdrawals", "fills"):
        found[kind] = 0
    for balance in proof.get("balances", []):
        (hash_, sums), leaf = reach("balance", balance)
        asset = number(leaf, 64, 2)
        if (hash_, sums[0]) != assets.get(asset) or number(leaf, 0, 4) != account:
            raise Wrong("balance in asset %d: another root, sum or account" % asset)
        found["balances"] += 1
    for position in proof.get("positions", []):
        (hash_, sums), leaf = reach("position", position)
        (over, _), contract = reach("contract", position["contract"])
        if (hash_, sums) != (contract[4:36], [number(contract, 36, 16), number(contract, 52, 16)]):
            raise Wrong("position: another root or sums than its contract's")
        if sums[0] != sums[1]:
            raise Wrong("contract %d: longs are not shorts" % number(contract, 0, 4))
        if over != positions_root or number(leaf, 8, 4) != account or leaf[:4] != contract[:4]:
            raise Wrong("position: another root, account or contract")
        found["positions"] += 1
    for withdrawal in proof.get("withdrawals", []):
        (hash_, sums), leaf = reach("withdrawal", withdrawal)
        flow = header.assets.get(number(leaf, 44, 2))
        if flow is None or (hash_, sums[0]) != (flow["withdrawals_root"], flow["withdrawn"]):
            raise Wrong("withdrawal: another root or sum")
        found["withdrawals"] += 1
    for fill in proof.get("fills", []):
        leaf = page_hash(fill["index"], bytes.fromhex(fill["leaf"])), []
        if climb(7, 0, fill["index"], leaf, fill["path"])[0] != header.fills_root:
            raise Wrong("fill: another root")
        found["fills"] += 1
    return found


def vectors():
    """Name and hash of each test vector, made here."""
    owner = bytes(range(1, 21))
    balance = (
        struct.pack(">I", 4) + owner + struct.pack(">Q", 2) + (1000).to_bytes(16, "big")
        + (234).to_bytes(16, "big") + struct.pack(">HB", 1, 0) + b"\x00"
    )
    withdrawal = struct.pack(">Q", 0) + owner + (77).to_bytes(16, "big") + struct.pack(">H", 1) + b"\x02"
    position = struct.pack(">IIIQQ", 3, 1, 4, 12, 0) + b"\x04"
    counter = struct.pack(">IIIQQ", 3, 0, 5, 0, 12) + b"\x04"
    out = [("keccak of nothing", keccak256(b""))]
    for name, leaf in (("balance leaf", balance), ("withdrawal leaf", withdrawal), ("position leaf", position)):
        out.append((name, keccak256(leaf)))
    empty = {}
    for tree, tag, sums in (("balances", 1, 1), ("withdrawals", 3, 1), ("positions", 5, 2), ("fills", 7, 0), ("contracts", 9, 0)):
        here = ZERO, [0] * sums
        levels = [here]
        for _ in range(DEPTH):
            here = node(tag, sums, here, here)
            levels.append(here)
        empty[tree] = levels
        out.append(("no " + tree, here[0]))

    def alone(tree, tag, sums, leaves):
        """Root of a tree with these leaves at their places."""
        level = dict(leaves)
        for height in range(DEPTH):
            places = sorted({place >> 1 for place in level})
            none = empty[tree][height]
            level = {p: node(tag, sums, level.get(2 * p, none), level.get(2 * p + 1, none)) for p in places}
        return level[0]

    balances = alone("balances", 1, 1, {4: (keccak256(balance), [1234])})
    withdrawals = alone("withdrawals", 3, 1, {0: (keccak256(withdrawal), [77])})
    positions = alone("positions", 5, 2, {1: (keccak256(position), [12, 0]), 0: (keccak256(counter), [0, 12])})
    contract = struct.pack(">I", 3) + positions[0] + b"".join(s.to_bytes(16, "big") for s in positions[1]) + b"\x08"
    contracts = alone("contracts", 9, 0, {3: (keccak256(contract), [])})
    entry = struct.pack(">QQqqQqIBB", 9, 4294967297, -350, 5, 41, 1700000000000000000, 3, 1, 0) + bytes(10)
    page = entry + bytes(2048 - 64)
    fills = alone("fills", 7, 0, {0: (page_hash(0, page), [])})
    root = (
        b"hashpit/state/v1" + struct.pack(">H", 1) + struct.pack(">H", 1) + balances[0]
        + (1234).to_bytes(16, "big") + contracts[0]
    )
    header = b"hashpit/epoch/v1" + struct.pack(">QQQ", 1, 42, 1700000000000000000) + ZERO + keccak256(root)
    header += b"\xab" * 32 + fills[0] + struct.pack(">QQQ", 1, 1, 0) + ZERO + struct.pack(">HH", 1, 1)
    for amount in (1234, 1311, 1311, 77, 77):
        header += amount.to_bytes(16, "big")
    header += struct.pack(">Q", 1) + withdrawals[0]
    out += [
        ("one balance", balances[0]),
        ("one withdrawal", withdrawals[0]),
        ("two positions", positions[0]),
        ("contract leaf", keccak256(contract)),
        ("one contract", contracts[0]),
        ("page of fills", page_hash(0, page)),
        ("one page", fills[0]),
        ("state root", keccak256(root)),
        ("epoch", keccak256(header)),
    ]
    return out


def word(value):
    return value.to_bytes(32, "big")


def chain_header_hash(fields, assets):
    """keccak(abi.encode("hashpit/header/v1", header)): fields in the contract's order but for the assets, which are
    (id, liabilities, withdrawn, root)."""
    head = [word(0x40), word(0x80), word(17), b"hashpit/header/v1".ljust(32, b"\0")]
    raw = [field if isinstance(field, bytes) else word(field) for field in fields]
    tail = [word(len(assets))]
    for asset, owed, out, root in assets:
        tail += [word(asset), word(owed), word(out), root]
    return keccak256(b"".join(head + raw[:6] + [word(13 * 32)] + raw[6:] + tail))


def chain_vectors():
    """The table of vectors in proto/l2/README.md."""

    def tree(tag, sums, leaves):
        none = [(ZERO, [0] * sums)]
        for _ in range(DEPTH):
            none.append(node(tag, sums, none[-1], none[-1]))
        level = dict(leaves)
        for height in range(DEPTH):
            level = {
                place: node(tag, sums, level.get(2 * place, none[height]), level.get(2 * place + 1, none[height]))
                for place in sorted({place >> 1 for place in level})
            }
        return level.get(0, none[DEPTH])

    def balance(asset, i):
        leaf = struct.pack(">I", i) + (0x1000 + i).to_bytes(20, "big") + struct.pack(">Q", 7 * i)
        leaf += (1000 * (i + 1)).to_bytes(16, "big") + (100 * i).to_bytes(16, "big")
        return leaf + struct.pack(">HB", asset, i == 3) + b"\x00"

    def withdrawal(i):
        return struct.pack(">Q", i) + (0xA0 + i).to_bytes(20, "big") + (5 + i).to_bytes(16, "big") + b"\x00\x01\x02"

    balances = {
        asset: tree(1, 1, {i: (keccak256(balance(asset, i)), [1000 * (i + 1) + 100 * i]) for i in range(5)})
        for asset in (1, 2)
    }
    out = tree(3, 1, {i: (keccak256(withdrawal(i)), [5 + i]) for i in range(3)})
    position = struct.pack(">IIIQQ", 7, 1, 4, 0, 30) + b"\x04"
    long = struct.pack(">IIIQQ", 7, 0, 3, 30, 0) + b"\x04"
    contract = tree(5, 2, {0: (keccak256(long), [30, 0]), 1: (keccak256(position), [0, 30])})
    over = struct.pack(">I", 7) + contract[0] + b"".join(s.to_bytes(16, "big") for s in contract[1]) + b"\x08"
    positions = tree(9, 0, {7: (keccak256(over), [])})[0]
    root = b"hashpit/state/v1" + struct.pack(">H", 2)
    for asset, (hash_, (total,)) in balances.items():
        root += struct.pack(">H", asset) + hash_ + total.to_bytes(16, "big")
    root = keccak256(root + positions)
    fills = keccak256(word(0x40) + word(10) + word(5) + b"fills".ljust(32, b"\0"))
    fields = [10, 10, 1, 1, 0, root, keccak256(word(10)), fills, 4, 9, 2, 3]
    none = tree(3, 1, {})[0]
    lines = [(1, balances[1][1][0], out[1][0], out[0]), (2, balances[2][1][0], 0, none)]
    return [
        ("leaf of account 4, asset 1", keccak256(balance(1, 4))),
        ("balances of asset 1, sum 16,000", balances[1][0]),
        ("leaf of withdrawal 2", keccak256(withdrawal(2))),
        ("withdrawals of asset 1, sum 18", out[0]),
        ("no balances", tree(1, 1, {})[0]),
        ("no withdrawals", none),
        ("leaf of position 1", keccak256(position)),
        ("positions of contract 7", contract[0]),
        ("positions root", positions),
        ("state root", root),
        ("header", chain_header_hash(fields, lines)),
    ]


def shown(list_of_vectors):
    return "".join("%-20s%s\n" % (name, hash_.hex()) for name, hash_ in list_of_vectors)


def main():
    arguments = sys.argv[1:]
    if arguments == ["--show-vectors"]:
        print(shown(vectors()), end="")
        return 0
    if len(arguments) == 2 and arguments[0] == "--vectors":
        with open(arguments[1], encoding="utf-8") as page:
            text = page.read()
        wrong = [line for line in shown(vectors()).splitlines() if line not in text]
        print(json.dumps({"vectors": len(vectors()), "wrong": wrong}))
        return 1 if wrong else 0
    if len(arguments) == 2 and arguments[0] == "--chain-vectors":
        with open(arguments[1], encoding="utf-8") as page:
            text = page.read()
        wrong = [name for name, hash_ in chain_vectors() if hash_.hex() not in text]
        print(json.dumps({"vectors": len(chain_vectors()), "wrong": wrong}))
        return 1 if wrong else 0
    if len(arguments) not in (1, 3) or len(arguments) == 3 and arguments[1] != "--root":
        print(__doc__, file=sys.stderr)
        return 2
    with open(arguments[0], encoding="utf-8") as file:
        proof = json.load(file)
    try:
        root = bytes.fromhex(arguments[2].removeprefix("0x")) if len(arguments) == 3 else None
        print(json.dumps(check(proof, root)))
    except (Wrong, KeyError, ValueError, IndexError) as error:
        print("not proven: %s" % error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
