// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import {Layout} from "../src/Layout.sol";
import {IRegistry, IVault, IRegistryForJudge} from "../src/Interfaces.sol";
import {HashpitRegistry} from "../src/HashpitRegistry.sol";
import {HashpitVault} from "../src/HashpitVault.sol";
import {HashpitJudge} from "../src/HashpitJudge.sol";

interface Vm {
    function prank(address) external;
    function expectRevert() external;
    function expectRevert(bytes4) external;
    function expectRevert(bytes calldata) external;
    function expectPartialRevert(bytes4) external;
    function sign(uint256, bytes32) external pure returns (uint8, bytes32, bytes32);
    function addr(uint256) external pure returns (address);
    function warp(uint256) external;
    function roll(uint256) external;
    function deal(address, uint256) external;
    function chainId(uint256) external;
    function getNonce(address) external view returns (uint64);
    function computeCreateAddress(address, uint256) external pure returns (address);
}

/// An ERC-20 whose faults can be switched on.
contract Token {
    mapping(address => uint256) public balanceOf;
    uint256 public fee; // wei kept of each transfer
    bool public lies; // answers false and moves nothing
    bool public silent; // answers nothing, as old tokens do
    mapping(address => bool) public blocked;
    HashpitVault public reenter;

    function mint(address to, uint256 n) external {
        balanceOf[to] += n;
    }

    function set(uint256 fee_, bool lies_, bool silent_) external {
        (fee, lies, silent) = (fee_, lies_, silent_);
    }

    function block_(address who, bool on) external {
        blocked[who] = on;
    }

    function attack(HashpitVault v) external {
        reenter = v;
    }

    function transfer(address to, uint256 n) external returns (bool) {
        return _move(msg.sender, to, n);
    }

    function transferFrom(address from, address to, uint256 n) external returns (bool) {
        if (address(reenter) != address(0)) reenter.depositToken(2, n);
        return _move(from, to, n);
    }

    function _move(address from, address to, uint256 n) private returns (bool) {
        require(!blocked[to], "blocked");
        if (lies) return false;
        balanceOf[from] -= n;
        balanceOf[to] += n - fee;
        if (silent) {
            assembly {
                return(0, 0)
            }
        }
        return true;
    }
}

/// Refuses coins until told otherwise; may call the Vault again while it is paid.
contract Receiver {
    bool public open;
    bytes public again;
    address public vault;

    function set(bool on) external {
        open = on;
    }

    function attack(address v, bytes calldata data) external {
        (vault, again, open) = (v, data, true);
    }

    function collectTo(HashpitVault v, uint16 id, address to) external {
        v.collectTo(id, to);
    }

    receive() external payable {
        require(open, "closed");
        if (vault != address(0)) {
            (bool ok,) = vault.call(again);
            require(!ok, "paid twice");
        }
    }
}

/// A tiny exchange: two assets, eight accounts, one contract's positions; its trees are built here a second time,
/// the slow way and on its own, so a mistake in the contracts' hashing shows.
abstract contract Base {
    Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 constant N = 8;
    uint128 constant SCALE = 1e10;
    address constant GUARDIAN = address(0x6001);
    address constant TREASURY = address(0x7EA);
    uint64 constant WINDOW = 1 days;
    uint64 constant BLOCKS = 100;

    HashpitVault v;
    HashpitRegistry r;
    HashpitJudge g;
    Token token;
    uint256[3] pk; // by ascending address

    struct Acc {
        address owner;
        uint64 nonce;
        uint128 avail;
        uint128 locked;
        bool closed;
    }

    Acc[8][2] accs; // asset's place, account
    Layout.Withdrawal[][2] wds;
    uint64 longs = 30;
    uint64 shorts = 30;
    uint64 served;
    uint64 seqNow;
    bytes[] headers; // abi.encode(Header), from anchor 1 at 0
    Layout.Posted[] stamps; // from anchor 0
    bytes tipBytes;
    bytes32[33][10] zero; // tag => height

    function _setup() internal {
        uint256[3] memory k = [uint256(0xA11), 0xB22, 0xC33];
        for (uint256 i; i < 3; ++i) {
            for (uint256 j = i + 1; j < 3; ++j) {
                if (uint160(vm.addr(k[j])) < uint160(vm.addr(k[i]))) (k[i], k[j]) = (k[j], k[i]);
            }
        }
        pk = k;
        vm.warp(1_700_000_000);
        vm.roll(1000);
        token = new Token();
        _deploy(settings(), assetList());
        for (uint256 i; i < 32; ++i) {
            zero[1][i + 1] = sumNode(zero[1][i], 0, zero[1][i], 0, 1);
            zero[3][i + 1] = sumNode(zero[3][i], 0, zero[3][i], 0, 3);
            zero[5][i + 1] = pairNode(zero[5][i], 0, 0, zero[5][i], 0, 0);
            zero[9][i + 1] = keccak256(abi.encodePacked(zero[9][i], zero[9][i], uint8(9)));
        }
        HashpitRegistry.Tip memory none;
        none.totals = new uint128[](2);
        tipBytes = abi.encode(none);
    }

    function settings() internal pure returns (HashpitRegistry.Settings memory s) {
        s.window = HashpitRegistry.Span(WINDOW, BLOCKS);
        s.silence = HashpitRegistry.Span(7 days, 700);
        s.exit = HashpitRegistry.Span(3 days, 300);
        s.rotation = HashpitRegistry.Span(21 days, 2100);
        (s.pauseLength, s.pauseEvery) = (2 days, 14 days);
        (s.exitsPerBlock, s.exitsOpen) = (3, 5);
        (s.exitFee, s.treasury) = (0.01 ether, TREASURY);
    }

    function assetList() internal view returns (HashpitVault.Asset[] memory l) {
        l = new HashpitVault.Asset[](2);
        l[0] = HashpitVault.Asset(1, address(0), SCALE, 1000, 2);
        l[1] = HashpitVault.Asset(2, address(token), 1e12, 1000, 1);
    }

    function signerList() internal view returns (address[] memory s) {
        s = new address[](3);
        for (uint256 i; i < 3; ++i) s[i] = vm.addr(pk[i]);
    }

    function _deploy(HashpitRegistry.Settings memory s, HashpitVault.Asset[] memory l) internal {
        uint64 n = vm.getNonce(address(this));
        v = new HashpitVault(IRegistry(vm.computeCreateAddress(address(this), n + 1)), l, 7 days);
        address judge = vm.computeCreateAddress(address(this), n + 2);
        r = new HashpitRegistry(IVault(address(v)), judge, s, signerList(), 2, GUARDIAN);
        g = new HashpitJudge(IRegistryForJudge(address(r)));
        stamps.push(Layout.Posted(uint64(block.timestamp), uint64(block.number)));
    }

    // ------------------------------------------------------------------------------------------------- trees

    function sumNode(bytes32 a, uint128 sa, bytes32 b, uint128 sb, uint8 tag) internal pure returns (bytes32) {
        return keccak256(bytes.concat(a, bytes16(sa), b, bytes16(sb), bytes1(tag)));
    }

    function pairNode(bytes32 a, uint128 la, uint128 sa, bytes32 b, uint128 lb, uint128 sb)
        internal
        pure
        returns (bytes32)
    {
        bytes memory x = bytes.concat(a, bytes16(la), bytes16(sa));
        return keccak256(bytes.concat(x, b, bytes16(lb), bytes16(sb), bytes1(0x05)));
    }

    function leaf(uint256 k, uint256 i) internal view returns (Layout.Balance memory) {
        Acc memory c = accs[k][i];
        return Layout.Balance(uint32(i), c.owner, c.nonce, c.avail, c.locked, uint16(k + 1), c.closed);
    }

    function leafHash(Layout.Balance memory l) internal pure returns (bytes32) {
        bytes memory x = bytes.concat(bytes4(l.index), bytes20(l.owner), bytes8(l.nonce), bytes16(l.available));
        return keccak256(bytes.concat(x, bytes16(l.locked), bytes2(l.asset), bytes1(l.closed ? 1 : 0), bytes1(0)));
    }

    function wdHash(Layout.Withdrawal memory w) internal pure returns (bytes32) {
        return
            keccak256(bytes.concat(bytes8(w.id), bytes20(w.to), bytes16(w.amount), bytes2(w.asset), bytes1(uint8(2))));
    }

    struct Built {
        Layout.Node[] path;
        bytes32 root;
        uint128 sum;
        HashpitRegistry.Top top;
    }

    function build(bytes32[] memory h, uint128[] memory s, uint256 idx, uint8 tag)
        internal
        view
        returns (Built memory b)
    {
        b.path = new Layout.Node[](32);
        uint256 n = h.length;
        for (uint256 d; d < 32; ++d) {
            if (n == 1) {
                b.path[d] = idx & 1 == 0 ? Layout.Node(zero[tag][d], 0) : Layout.Node(h[0], s[0]);
                if (d == 31) b.top = HashpitRegistry.Top(h[0], s[0], zero[tag][31], 0);
                h[0] = sumNode(h[0], s[0], zero[tag][d], 0, tag);
            } else {
                b.path[d] = Layout.Node(h[idx ^ 1], s[idx ^ 1]);
                for (uint256 j; j < n / 2; ++j) {
                    h[j] = sumNode(h[2 * j], s[2 * j], h[2 * j + 1], s[2 * j + 1], tag);
                    s[j] = s[2 * j] + s[2 * j + 1];
                }
                n /= 2;
            }
            idx >>= 1;
        }
        (b.root, b.sum) = (h[0], s[0]);
    }

    function balances(uint256 k, uint256 i) internal view returns (Built memory) {
        bytes32[] memory h = new bytes32[](N);
        uint128[] memory s = new uint128[](N);
        for (uint256 j; j < N; ++j) {
            Layout.Balance memory l = leaf(k, j);
            if (l.owner != address(0) || l.available != 0) (h[j], s[j]) = (leafHash(l), l.available + l.locked);
        }
        return build(h, s, i, 1);
    }

    function withdrawals(uint256 k, uint256 i) internal view returns (Built memory) {
        uint256 n = 2;
        while (n < wds[k].length || n <= i) n *= 2;
        bytes32[] memory h = new bytes32[](n);
        uint128[] memory s = new uint128[](n);
        for (uint256 j; j < wds[k].length; ++j) (h[j], s[j]) = (wdHash(wds[k][j]), wds[k][j].amount);
        // the empty subtrees of this tag, not of the generic builder's zeros
        return build(h, s, i, 3);
    }

    /// Two positions of contract 7: slot 0 long, slot 1 short.
    function positions() internal view returns (Layout.ContractLeaf memory c, Layout.Pair[2] memory kids) {
        kids[0] = Layout.Pair(positionHash(position(0)), longs, 0);
        kids[1] = Layout.Pair(positionHash(position(1)), 0, shorts);
        bytes32 h = pairNode(kids[0].hash, longs, 0, kids[1].hash, 0, shorts);
        for (uint256 d = 1; d < 32; ++d) h = pairNode(h, longs, shorts, zero[5][d], 0, 0);
        c = Layout.ContractLeaf(7, h, longs, shorts);
    }

    function position(uint32 slot) internal view returns (Layout.Position memory) {
        return Layout.Position(7, slot, slot + 3, slot == 0 ? longs : 0, slot == 0 ? 0 : shorts);
    }

    function positionHash(Layout.Position memory p) internal pure returns (bytes32) {
        bytes memory x = bytes.concat(bytes4(p.contractId), bytes4(p.slot), bytes4(p.account), bytes8(p.long));
        return keccak256(bytes.concat(x, bytes8(p.short), bytes1(0x04)));
    }

    function contractsRoot(Layout.ContractLeaf memory c) internal view returns (bytes32 h, bytes32[] memory path) {
        h = keccak256(bytes.concat(bytes4(c.contractId), c.root, bytes16(c.long), bytes16(c.short), bytes1(0x08)));
        path = new bytes32[](32);
        uint256 idx = c.contractId;
        for (uint256 d; d < 32; ++d) {
            path[d] = zero[9][d];
            h = idx & 1 == 0
                ? keccak256(bytes.concat(h, path[d], bytes1(0x09)))
                : keccak256(bytes.concat(path[d], h, bytes1(0x09)));
            idx >>= 1;
        }
    }

    function pairPath(uint256 from) internal view returns (Layout.Pair[] memory up) {
        up = new Layout.Pair[](32 - from);
        for (uint256 d = from; d < 32; ++d) up[d - from] = Layout.Pair(zero[5][d], 0, 0);
    }

    function opening() internal view returns (Layout.Opening memory o) {
        o.roots = new bytes32[](2);
        for (uint256 k; k < 2; ++k) o.roots[k] = balances(k, 0).root;
        (Layout.ContractLeaf memory c,) = positions();
        (o.positionsRoot,) = contractsRoot(c);
    }

    function stateRoot(Layout.Header memory h, Layout.Opening memory o) internal pure returns (bytes32) {
        bytes memory b = bytes.concat("hashpit/state/v1", bytes2(uint16(h.assets.length)));
        for (uint256 k; k < h.assets.length; ++k) {
            b = bytes.concat(b, bytes2(h.assets[k].asset), o.roots[k], bytes16(h.assets[k].liabilities));
        }
        return keccak256(bytes.concat(b, o.positionsRoot));
    }

    // ----------------------------------------------------------------------------------------------- headers

    function next() internal view returns (Layout.Header memory h, HashpitRegistry.Tops memory t) {
        h.anchor = r.anchor() + 1;
        h.epoch = h.anchor * 10;
        h.seq = seqNow + 10;
        h.time = uint64(block.timestamp) * 1e9;
        h.prev = r.head();
        h.assets = new Layout.AssetLine[](2);
        t.balances = new HashpitRegistry.Top[](2);
        t.withdrawals = new HashpitRegistry.Top[](2);
        for (uint256 k; k < 2; ++k) {
            Built memory b = balances(k, 0);
            Built memory w = withdrawals(k, 0);
            (t.balances[k], t.withdrawals[k]) = (b.top, w.top);
            h.assets[k] = Layout.AssetLine(uint16(k + 1), b.sum, w.sum, w.root);
            h.withdrawCount += uint64(wds[k].length);
        }
        Layout.Opening memory o = opening();
        t.positionsRoot = o.positionsRoot;
        h.stateRoot = stateRoot(h, o);
        h.journalHead = keccak256(abi.encode(h.seq));
        h.fillsRoot = keccak256(abi.encode("fills", h.seq));
        h.depositCount = v.depositCount();
        h.depositAcc = v.depositAcc();
        h.forcedCount = served;
    }

    function hashOf(Layout.Header memory h) internal pure returns (bytes32) {
        return keccak256(abi.encode("hashpit/header/v1", h));
    }

    function sign(bytes32 digest, uint256 mask) internal view returns (bytes memory o) {
        for (uint256 i; i < 3; ++i) {
            if (mask & (1 << i) == 0) continue;
            (uint8 y, bytes32 a, bytes32 b) = vm.sign(pk[i], digest);
            o = bytes.concat(o, a, b, bytes1(y));
        }
    }

    function signed(Layout.Header memory h, uint256 mask) internal view returns (bytes memory) {
        return sign(r.anchorDigest(hashOf(h)), mask);
    }

    function tip() internal view returns (HashpitRegistry.Tip memory) {
        return abi.decode(tipBytes, (HashpitRegistry.Tip));
    }

    function put(Layout.Header memory h, HashpitRegistry.Tops memory t) internal returns (Layout.Posted memory p) {
        r.post(h, t, tip(), signed(h, 3));
        seqNow = h.seq;
        headers.push(abi.encode(h));
        p = Layout.Posted(uint64(block.timestamp), uint64(block.number));
        stamps.push(p);
    }

    function put() internal returns (Layout.Header memory h, Layout.Posted memory p) {
        HashpitRegistry.Tops memory t;
        (h, t) = next();
        p = put(h, t);
    }

    /// Expects `post` to refuse this header although a quorum signed it.
    function refused(bytes4 why, Layout.Header memory h, HashpitRegistry.Tops memory t) internal {
        bytes memory s = signed(h, 3);
        HashpitRegistry.Tip memory last = tip();
        vm.expectPartialRevert(why);
        r.post(h, t, last, s);
    }

    function header(uint256 anchor) internal view returns (Layout.Header memory) {
        return abi.decode(headers[anchor - 1], (Layout.Header));
    }

    function pass(uint256 time, uint256 blocks) internal {
        vm.warp(block.timestamp + time);
        vm.roll(block.number + blocks);
    }

    // ------------------------------------------------------------------------------------------------- users

    function owner(uint256 i) internal pure returns (address) {
        return address(uint160(0x1000 + i));
    }

    function dep(uint256 k, uint256 i, uint128 units) internal {
        address o = owner(i);
        bytes32 was = v.depositAcc();
        if (k == 0) {
            vm.deal(o, uint256(units) * SCALE);
            vm.prank(o);
            v.deposit{value: uint256(units) * SCALE}(1);
        } else {
            token.mint(o, uint256(units) * 1e12);
            vm.prank(o);
            v.depositToken(2, uint256(units) * 1e12);
        }
        remember(was, o, uint16(k + 1), units);
        accs[k][i].owner = o;
        accs[k][i].avail += units;
    }

    function remember(bytes32 was, address o, uint16 id, uint128 units) internal {
        uint128[] memory totals = new uint128[](2);
        (totals[0], totals[1]) = (v.deposited(1), v.deposited(2));
        tipBytes = abi.encode(HashpitRegistry.Tip(was, o, id, units, totals));
    }

    function issue(uint256 k, uint256 i, uint128 units, address to) internal returns (Layout.Withdrawal memory w) {
        accs[k][i].avail -= units;
        w = Layout.Withdrawal(uint64(wds[k].length), to, units, uint16(k + 1));
        wds[k].push(w);
    }

    function claim(uint256 k, uint256 i) internal {
        Layout.Header memory h = header(headers.length);
        v.withdraw(h, stamps[stamps.length - 1], k, wds[k][i], withdrawals(k, i).path);
    }

    function settle() internal {
        uint256 n = headers.length;
        r.settleEpoch(header(n), stamps[n], 0, Layout.Posted(0, 0));
    }

    /// Final and frozen, and settled on the newest header.
    function freezeAndSettle() internal {
        pass(WINDOW, BLOCKS);
        vm.prank(GUARDIAN);
        r.guardianFreeze();
        settle();
    }

    function eq(uint256 a, uint256 b, string memory what) internal pure {
        require(a == b, what);
    }
}
