// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import {Layout} from "./Layout.sol";
import {IRegistryForJudge} from "./Interfaces.sol";

/// @title Proofs of lies
/// @notice Reads what anybody shows it about committed headers; the only thing it can do is freeze the Registry. A
/// contract of its own because the checks are long (the Registry would be above the size limit) and because a fault
/// in them can then stop the exchange, which lets everybody leave, but cannot move a coin.
/// Each proof is one path of fixed depth. Among several lies on one path, show the highest: above it all adds up.
contract HashpitJudge {
    struct Dispute {
        uint64 exit;
        uint16 asset;
        address owner;
        bytes32 beforeRoot; // withdrawals before the claim
        bytes32 claimRoot; // and with it
        Layout.Posted filed;
    }

    IRegistryForJudge public immutable registry;
    mapping(bytes32 => bool) public disputes; // keccak(Dispute) => open
    mapping(bytes32 => bool) public disputed; // keccak(exit, asset): one dispute each

    event ExitDisputed(bytes32 indexed dispute, Dispute content);
    event DisputeAnswered(bytes32 indexed dispute);

    error NotThisJudge(address named);
    error IsFrozen();
    error UnknownHeader(uint64 anchor);
    error WrongExit(uint64 id);
    error WrongAsset(uint256 place, uint16 asset);
    error WrongRoot(bytes32 got, bytes32 want);
    error WrongLots(uint128 long, uint128 short);
    error NotFirstClaim(uint64 id);
    error NotTheOwner();
    error NothingWrong();
    error NoSuchDispute();
    error NotYet();

    /// @param registry_ must name this very address as its Judge: it was deployed before.
    constructor(IRegistryForJudge registry_) {
        if (registry_.judge() != address(this)) revert NotThisJudge(registry_.judge());
        registry = registry_;
    }

    // ------------------------------------------------------------------------------------------ served exits

    /// @notice The first header that claims the request served still has the owner's account open or with coins.
    /// Only the first: an account that comes back later is no lie.
    function freezeFalselyServed(
        uint64 id,
        Layout.Exit calldata r,
        Layout.Header calldata before,
        Layout.Header calldata claim,
        Layout.Posted calldata stamp,
        uint256 place,
        Layout.Opening calldata open,
        Layout.Balance calldata l,
        Layout.Node[] calldata path
    ) external {
        _needExit(id, r);
        _needFirstClaim(id, before, claim, stamp);
        if (l.index != r.account || l.owner != r.owner) revert NotTheOwner();
        if (l.closed && uint256(l.available) + l.locked == 0) revert NothingWrong();
        _needBalance(claim, place, open, l, path);
        _freeze("falsely served exit");
    }

    /// @notice The owner doubts that a served exit paid him: the header before the claim still showed coins of his
    /// in this asset. Somebody must then show a withdrawal to him that is new in the claiming header.
    /// How much it had to be, the chain cannot know: that is proven by replay.
    function disputeExit(
        uint64 id,
        Layout.Exit calldata r,
        Layout.Header calldata before,
        Layout.Header calldata claim,
        Layout.Posted calldata stamp,
        uint256 place,
        Layout.Opening calldata open,
        Layout.Balance calldata l,
        Layout.Node[] calldata path
    ) external {
        if (registry.frozen()) revert IsFrozen();
        if (msg.sender != r.owner) revert NotTheOwner();
        _needExit(id, r);
        _needFirstClaim(id, before, claim, stamp);
        if (l.index != r.account || l.owner != r.owner) revert NotTheOwner();
        if (uint256(l.available) + l.locked == 0) revert NothingWrong();
        _needBalance(before, place, open, l, path);
        bytes32 once = keccak256(abi.encode(id, l.asset));
        if (disputed[once]) revert NothingWrong();
        disputed[once] = true;
        bytes32 was = before.assets[place].withdrawRoot;
        bytes32 becomes = claim.assets[place].withdrawRoot;
        Dispute memory d = Dispute(id, l.asset, r.owner, was, becomes, Layout.Posted(uint64(block.timestamp), uint64(block.number)));
        bytes32 key = keccak256(abi.encode(d));
        disputes[key] = true;
        emit ExitDisputed(key, d);
    }

    /// @notice Shows the withdrawal: in the tree with the claim, its place still empty in the tree before.
    function answerDispute(
        Dispute calldata d,
        Layout.Withdrawal calldata w,
        Layout.Node[] calldata path,
        Layout.Node[] calldata pathBefore
    ) external {
        bytes32 key = keccak256(abi.encode(d));
        if (!disputes[key]) revert NoSuchDispute();
        if (w.to != d.owner || w.asset != d.asset || w.amount == 0) revert NotTheOwner();
        Layout.needDepth(path.length);
        Layout.needDepth(pathBefore.length);
        (bytes32 root,) = Layout.climb(Layout.withdrawalHash(w), w.amount, w.id, path, Layout.WITHDRAWAL_NODE);
        if (root != d.claimRoot) revert WrongRoot(root, d.claimRoot);
        (root,) = Layout.climb(0, 0, w.id, pathBefore, Layout.WITHDRAWAL_NODE);
        if (root != d.beforeRoot) revert WrongRoot(root, d.beforeRoot);
        delete disputes[key];
        emit DisputeAnswered(key);
    }

    /// @notice A dispute that nobody answered in time.
    function freezeUnanswered(Dispute calldata d) external {
        if (!disputes[keccak256(abi.encode(d))]) revert NoSuchDispute();
        bool time = block.timestamp >= uint256(d.filed.time) + registry.exitTime();
        if (!time || block.number < uint256(d.filed.number) + registry.exitBlocks()) revert NotYet();
        _freeze("unanswered dispute");
    }

    // ------------------------------------------------------------------------------------------ broken sums

    /// @notice A node of a committed balances' or withdrawals' tree states another sum than its children add up to.
    /// @param kids its children; `stated` its sum as its sibling level has it; `up` the path from it to the root.
    function freezeBadNode(
        Layout.Header calldata h,
        Layout.Posted calldata stamp,
        uint256 place,
        Layout.Opening calldata open,
        bool withdrawals,
        Layout.Node[2] calldata kids,
        uint128 stated,
        uint256 index,
        Layout.Node[] calldata up
    ) external {
        uint8 tag = withdrawals ? Layout.WITHDRAWAL_NODE : Layout.BALANCE_NODE;
        // up.length == 0 is the root, which `post` has checked: not a case here
        if (up.length == 0 || up.length >= Layout.DEPTH) revert Layout.WrongDepth(up.length);
        if (uint256(kids[0].sum) + kids[1].sum == stated) revert NothingWrong();
        bytes32 hash = Layout.node(kids[0].hash, kids[0].sum, kids[1].hash, kids[1].sum, tag);
        (bytes32 root,) = Layout.climb(hash, stated, index, up, tag);
        _needRoot(h, stamp, place, open, withdrawals, root);
        _freeze("bad sum");
    }

    /// @notice A balance whose parent states another sum for it.
    function freezeBadBalance(
        Layout.Header calldata h,
        Layout.Posted calldata stamp,
        uint256 place,
        Layout.Opening calldata open,
        Layout.Balance calldata l,
        uint128 stated,
        Layout.Node[] calldata path
    ) external {
        Layout.needDepth(path.length);
        if (uint256(l.available) + l.locked == stated) revert NothingWrong();
        (bytes32 root,) = Layout.climb(Layout.balanceHash(l), stated, l.index, path, Layout.BALANCE_NODE);
        _needRoot(h, stamp, place, open, false, root);
        _freeze("bad balance");
    }

    /// @notice A withdrawal whose parent states another sum for it.
    function freezeBadWithdrawal(
        Layout.Header calldata h,
        Layout.Posted calldata stamp,
        uint256 place,
        Layout.Withdrawal calldata w,
        uint128 stated,
        Layout.Node[] calldata path
    ) external {
        Layout.needDepth(path.length);
        if (w.amount == stated) revert NothingWrong();
        (bytes32 root,) = Layout.climb(Layout.withdrawalHash(w), stated, w.id, path, Layout.WITHDRAWAL_NODE);
        _needCommitted(h.anchor, Layout.headerHash(h), stamp);
        if (root != h.assets[place].withdrawRoot) revert WrongRoot(root, h.assets[place].withdrawRoot);
        _freeze("bad withdrawal");
    }

    /// @notice A contract in which longs and shorts differ.
    function freezeUnbalanced(
        Layout.Header calldata h,
        Layout.Posted calldata stamp,
        Layout.Opening calldata open,
        Layout.ContractLeaf calldata c,
        bytes32[] calldata path
    ) external {
        if (c.long == c.short) revert NothingWrong();
        _needContract(h, stamp, open, c, path);
        _freeze("longs and shorts differ");
    }

    /// @notice A node of a contract's positions states other longs or shorts than its children add up to.
    /// With an empty `up` the node is the root and the contract's leaf is what it states.
    function freezeBadPairNode(
        Layout.Header calldata h,
        Layout.Posted calldata stamp,
        Layout.Opening calldata open,
        Layout.ContractLeaf calldata c,
        bytes32[] calldata path,
        Layout.Pair[2] calldata kids,
        uint128[2] calldata stated,
        uint256 index,
        Layout.Pair[] calldata up
    ) external {
        if (up.length >= Layout.DEPTH) revert Layout.WrongDepth(up.length);
        bool fits = uint256(kids[0].long) + kids[1].long == stated[0];
        if (fits && uint256(kids[0].short) + kids[1].short == stated[1]) revert NothingWrong();
        bytes32 hash = Layout.pairNode(
            kids[0].hash, kids[0].long, kids[0].short, kids[1].hash, kids[1].long, kids[1].short
        );
        _needPair(c, Layout.climbPair(Layout.Pair(hash, stated[0], stated[1]), index, up));
        _needContract(h, stamp, open, c, path);
        _freeze("bad positions");
    }

    /// @notice A position whose parent states other lots, or that lies in another contract's tree.
    function freezeBadPosition(
        Layout.Header calldata h,
        Layout.Posted calldata stamp,
        Layout.Opening calldata open,
        Layout.ContractLeaf calldata c,
        bytes32[] calldata path,
        Layout.Position calldata p,
        uint128[2] calldata stated,
        Layout.Pair[] calldata up
    ) external {
        Layout.needDepth(up.length);
        bool fits = p.long == stated[0] && p.short == stated[1] && p.contractId == c.contractId;
        if (fits) revert NothingWrong();
        _needPair(c, Layout.climbPair(Layout.Pair(Layout.positionHash(p), stated[0], stated[1]), p.slot, up));
        _needContract(h, stamp, open, c, path);
        _freeze("bad position");
    }

    // ----------------------------------------------------------------------------------------------- checking

    function _freeze(string memory why) private {
        registry.judgeFreeze(why);
    }

    function _needCommitted(uint64 number, bytes32 header, Layout.Posted calldata stamp) private view {
        if (registry.committed(number) != Layout.commitment(header, stamp)) revert UnknownHeader(number);
    }

    function _needExit(uint64 id, Layout.Exit calldata r) private view {
        if (registry.exits(id) != keccak256(abi.encode(r))) revert WrongExit(id);
    }

    function _needFirstClaim(
        uint64 id,
        Layout.Header calldata before,
        Layout.Header calldata claim,
        Layout.Posted calldata stamp
    ) private view {
        _needCommitted(claim.anchor, Layout.headerHash(claim), stamp);
        if (claim.forcedCount <= id) revert NotFirstClaim(id);
        // the first header of all has nothing before it
        if (claim.prev == 0) return;
        if (claim.prev != Layout.headerHash(before) || before.forcedCount > id) revert NotFirstClaim(id);
    }

    function _needBalance(
        Layout.Header calldata h,
        uint256 place,
        Layout.Opening calldata open,
        Layout.Balance calldata l,
        Layout.Node[] calldata path
    ) private pure {
        Layout.needDepth(path.length);
        uint128 sum = l.available + l.locked;
        (bytes32 root,) = Layout.climb(Layout.balanceHash(l), sum, l.index, path, Layout.BALANCE_NODE);
        _needOpening(h, open);
        if (h.assets[place].asset != l.asset) revert WrongAsset(place, l.asset);
        if (root != open.roots[place]) revert WrongRoot(root, open.roots[place]);
    }

    function _needRoot(
        Layout.Header calldata h,
        Layout.Posted calldata stamp,
        uint256 place,
        Layout.Opening calldata open,
        bool withdrawals,
        bytes32 root
    ) private view {
        _needCommitted(h.anchor, Layout.headerHash(h), stamp);
        if (!withdrawals) _needOpening(h, open);
        bytes32 want = withdrawals ? h.assets[place].withdrawRoot : open.roots[place];
        if (root != want) revert WrongRoot(root, want);
    }

    function _needOpening(Layout.Header calldata h, Layout.Opening calldata open) private pure {
        bytes32 state = Layout.stateRoot(h.assets, open.roots, open.positionsRoot);
        if (state != h.stateRoot) revert WrongRoot(state, h.stateRoot);
    }

    function _needPair(Layout.ContractLeaf calldata c, Layout.Pair memory top) private pure {
        if (top.hash != c.root) revert WrongRoot(top.hash, c.root);
        // what the root states is in the contract's leaf only: without this, anyone could state anything of it
        if (top.long != c.long || top.short != c.short) revert WrongLots(top.long, top.short);
    }

    function _needContract(
        Layout.Header calldata h,
        Layout.Posted calldata stamp,
        Layout.Opening calldata open,
        Layout.ContractLeaf calldata c,
        bytes32[] calldata path
    ) private view {
        _needCommitted(h.anchor, Layout.headerHash(h), stamp);
        _needOpening(h, open);
        bytes32 root = Layout.climbContracts(c, path);
        if (root != open.positionsRoot) revert WrongRoot(root, open.positionsRoot);
    }
}
