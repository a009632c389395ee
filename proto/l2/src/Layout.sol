// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What is hashed, byte for byte
/// @notice Shared by both contracts and, through test vectors, with the engine (`engine/ROOTS.md`).
/// All numbers are big-endian. The tag is the LAST byte, so every field before it starts on a word and the engine
/// can hash many nodes side by side. Tags and lengths differ, so no leaf passes for a node nor for another tree's.
/// Sums are minor units of the asset; positions are lots.
library Layout {
    /// Every tree has this depth: one shape of proof, and no proof of another length.
    uint256 internal constant DEPTH = 32;

    /// Money of one asset in a header. Totals are cumulative since deployment.
    struct AssetLine {
        uint16 asset;
        uint128 liabilities; // what all accounts have
        uint128 withdrawTotal; // all withdrawals ever issued
        bytes32 withdrawRoot; // their tree
    }

    /// What signers sign. Counters never fall; `anchor` counts headers on chain, `epoch` the exchange's roots, of
    /// which most never go on chain.
    struct Header {
        uint64 epoch;
        uint64 seq; // journal position of the epoch's mark
        uint64 time; // Unix nanoseconds, the core's clock
        uint64 anchor;
        bytes32 prev; // hash of the header before; 0 in anchor 1
        bytes32 stateRoot;
        AssetLine[] assets; // in the Vault's order
        bytes32 journalHead;
        bytes32 fillsRoot;
        uint64 depositCount; // deposits credited
        bytes32 depositAcc; // the Vault's chain at that count
        uint64 forcedCount; // exit requests served: ids below it
        uint64 withdrawCount; // withdrawals issued, all assets together
    }

    /// When a header was posted. Waiting times need both clocks: seconds pass while a chain stands still, blocks do not.
    struct Posted {
        uint64 time;
        uint64 number;
    }

    /// A forced exit: who asked for which account, and when.
    struct Exit {
        uint32 account;
        address owner;
        Posted filed;
    }

    /// Account in one asset; index = the engine's account number. 68 bytes hashed.
    struct Balance {
        uint32 index;
        address owner;
        uint64 nonce; // changes of owner
        uint128 available;
        uint128 locked;
        uint16 asset;
        bool closed;
    }

    /// Issued withdrawal; place in its asset's tree = id. 47 bytes hashed.
    struct Withdrawal {
        uint64 id;
        address to;
        uint128 amount;
        uint16 asset;
    }

    /// Place of an account in one contract's tree. 29 bytes hashed.
    struct Position {
        uint32 contractId;
        uint32 slot;
        uint32 account;
        uint64 long;
        uint64 short;
    }

    /// Root of one contract's positions, a leaf of the tree over contracts. 69 bytes hashed.
    struct ContractLeaf {
        uint32 contractId;
        bytes32 root;
        uint128 long;
        uint128 short;
    }

    /// Node of a sum tree.
    struct Node {
        bytes32 hash;
        uint128 sum;
    }

    /// Node of a positions tree.
    struct Pair {
        bytes32 hash;
        uint128 long;
        uint128 short;
    }

    /// Opens a state root: the balances' roots in the header's order (their sums are the header's liabilities).
    struct Opening {
        bytes32[] roots;
        bytes32 positionsRoot;
    }

    uint8 internal constant BALANCE_NODE = 1;
    uint8 internal constant WITHDRAWAL_NODE = 3;

    error WrongDepth(uint256 got);
    error IndexTooLarge(uint256 index);

    function headerHash(Header calldata h) internal pure returns (bytes32) {
        return keccak256(abi.encode("hashpit/header/v1", h));
    }

    /// What the Registry keeps of a header. Never zero, so a mapping's default proves nothing.
    function commitment(bytes32 header, Posted memory stamp) internal pure returns (bytes32) {
        return keccak256(abi.encode(header, stamp.time, stamp.number));
    }

    /// One link of the deposit chain. `totals` are the Vault's credits per asset including this deposit.
    function depositLink(
        bytes32 acc,
        uint64 id,
        address owner,
        uint16 asset,
        uint128 amount,
        uint128[] memory totals
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode("hashpit/deposit/v1", acc, id, owner, asset, amount, totals));
    }

    /// `keccak("hashpit/state/v1", u16 n, n x (u16 asset, root, u128 sum), positionsRoot)`, packed.
    function stateRoot(AssetLine[] calldata lines, bytes32[] memory roots, bytes32 positionsRoot)
        internal
        pure
        returns (bytes32)
    {
        bytes memory b = abi.encodePacked("hashpit/state/v1", uint16(lines.length));
        for (uint256 i; i < lines.length; ++i) {
            b = abi.encodePacked(b, lines[i].asset, roots[i], lines[i].liabilities);
        }
        return keccak256(abi.encodePacked(b, positionsRoot));
    }

    function balanceHash(Balance calldata l) internal pure returns (bytes32) {
        return
            keccak256(
                abi.encodePacked(l.index, l.owner, l.nonce, l.available, l.locked, l.asset, l.closed, uint8(0))
            );
    }

    function withdrawalHash(Withdrawal calldata w) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(w.id, w.to, w.amount, w.asset, uint8(2)));
    }

    function positionHash(Position calldata p) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(p.contractId, p.slot, p.account, p.long, p.short, uint8(4)));
    }

    function contractHash(ContractLeaf calldata c) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(c.contractId, c.root, c.long, c.short, uint8(8)));
    }

    /// 97 bytes: one Keccak block, so both sums cost nothing. A node that hashed only their total could hide debt.
    function node(bytes32 a, uint128 sa, bytes32 b, uint128 sb, uint8 tag) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(a, sa, b, sb, tag));
    }

    function pairNode(bytes32 a, uint128 la, uint128 sa, bytes32 b, uint128 lb, uint128 sb)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(a, la, sa, b, lb, sb, uint8(5)));
    }

    /// Root above a node that states `sum`. Sums add with a check: an overflow is a lie further down, not a proof.
    function climb(bytes32 hash, uint128 sum, uint256 index, Node[] calldata path, uint8 tag)
        internal
        pure
        returns (bytes32, uint128)
    {
        for (uint256 i; i < path.length; ++i) {
            hash = index & 1 == 0
                ? node(hash, sum, path[i].hash, path[i].sum, tag)
                : node(path[i].hash, path[i].sum, hash, sum, tag);
            sum += path[i].sum;
            index >>= 1;
        }
        if (index != 0) revert IndexTooLarge(index);
        return (hash, sum);
    }

    /// The same with longs and shorts.
    function climbPair(Pair memory p, uint256 index, Pair[] calldata path) internal pure returns (Pair memory) {
        for (uint256 i; i < path.length; ++i) {
            Pair calldata s = path[i];
            p.hash = index & 1 == 0
                ? pairNode(p.hash, p.long, p.short, s.hash, s.long, s.short)
                : pairNode(s.hash, s.long, s.short, p.hash, p.long, p.short);
            p.long += s.long;
            p.short += s.short;
            index >>= 1;
        }
        if (index != 0) revert IndexTooLarge(index);
        return p;
    }

    /// The tree over contracts carries no sums: nothing is netted across contracts. 65 bytes a node.
    function climbContracts(ContractLeaf calldata c, bytes32[] calldata path) internal pure returns (bytes32 hash) {
        needDepth(path.length);
        hash = contractHash(c);
        uint256 index = c.contractId;
        for (uint256 i; i < DEPTH; ++i) {
            hash = index & 1 == 0
                ? keccak256(abi.encodePacked(hash, path[i], uint8(9)))
                : keccak256(abi.encodePacked(path[i], hash, uint8(9)));
            index >>= 1;
        }
    }

    function needDepth(uint256 length) internal pure {
        if (length != DEPTH) revert WrongDepth(length);
    }
}
