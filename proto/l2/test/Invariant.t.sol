// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import "./Base.sol";

/// A random operator, users, clock and freeze. Every total is counted here, per call, outside the contracts:
/// comparing the contracts with themselves would let a double payment through.
contract Handler is Base {
    uint256 public paidIn; // minor units of asset 1
    uint256 public paidOut;
    uint256 public frozenAnchors; // anchors posted after a freeze
    bytes[] snapshots; // accounts and withdrawals of anchor n + 1
    mapping(uint256 => bool) public seen; // withdrawal ids that were claimed
    mapping(uint256 => bool) public left;
    uint256 public doubles;

    constructor() {
        _setup();
        dep(0, 0, 500);
        paidIn = 500;
        put_();
    }

    function put_() public {
        if (r.frozen()) return;
        put();
        snapshots.push(abi.encode(accs[0], wds[0]));
    }

    function deposit(uint8 i, uint16 x) external {
        if (r.frozen() || x < 2) return;
        dep(0, i % N, x);
        paidIn += x;
    }

    function withdrawal(uint8 i, uint16 x) external {
        uint128 amount = x;
        if (amount > accs[0][i % N].avail || amount == 0 || r.frozen()) return;
        issue(0, i % N, amount, address(uint160(0xD000 + wds[0].length)));
    }

    function trade(uint8 i, uint8 j, uint16 x) external {
        if (accs[0][i % N].avail < x || r.frozen() || accs[0][j % N].owner == address(0)) return;
        accs[0][i % N].avail -= x;
        accs[0][j % N].avail += x;
    }

    function time(uint24 s) external {
        pass(s, s / 600 + 1);
    }

    function _load(uint256 n) private {
        Layout.Withdrawal[] memory w;
        Acc[8] memory a;
        (a, w) = abi.decode(snapshots[n - 1], (Acc[8], Layout.Withdrawal[]));
        for (uint256 i; i < 8; ++i) accs[0][i] = a[i];
        delete wds[0];
        for (uint256 i; i < w.length; ++i) wds[0].push(w[i]);
    }

    /// Claims some withdrawal with some anchor, twice in a row.
    function claimSome(uint8 n_, uint8 i_) external {
        uint256 n = uint256(n_) % headers.length + 1;
        bytes memory now_ = abi.encode(accs[0], wds[0]);
        _load(n);
        if (wds[0].length != 0) {
            uint256 i = uint256(i_) % wds[0].length;
            for (uint256 k; k < 2; ++k) {
                try v.withdraw(header(n), stamps[n], 0, wds[0][i], withdrawals(0, i).path) {
                    if (seen[i]) ++doubles;
                    seen[i] = true;
                } catch {}
            }
        }
        snapshots.push(now_);
        _load(snapshots.length);
        snapshots.pop();
    }

    function releaseSome(uint8 i) external {
        if (v.dueCount() == 0) return;
        try v.release(uint64(i) % v.dueCount()) {} catch {}
    }

    function freeze(uint8 x) external {
        if (x > 20 || headers.length < 4) return;
        vm.prank(GUARDIAN);
        try r.guardianFreeze() {} catch {}
    }

    function settleSome(uint8 n_) external {
        uint256 n = uint256(n_) % headers.length + 1;
        bytes32 x = n < headers.length ? hashOf(header(n + 1)) : bytes32(0);
        try r.settleEpoch(header(n), stamps[n], x, stamps[n < headers.length ? n + 1 : n]) {} catch {}
    }

    function leave(uint8 i_) external {
        if (!r.settled() || r.settledAnchor() == 0) return;
        uint256 n = r.settledAnchor();
        uint256 i = i_ % N;
        bytes memory now_ = abi.encode(accs[0], wds[0]);
        _load(n);
        for (uint256 k; k < 2; ++k) {
            try v.escape(header(n), stamps[n], 0, opening(), leaf(0, i), balances(0, i).path) {
                if (left[i]) ++doubles;
                left[i] = true;
            } catch {}
        }
        snapshots.push(now_);
        _load(snapshots.length);
        snapshots.pop();
    }

    function vault() external view returns (HashpitVault) {
        return v;
    }

    function registry() external view returns (HashpitRegistry) {
        return r;
    }

    /// What the Vault still owes by what it has promised: due and owed.
    function promised() external view returns (uint256 sum) {
        for (uint64 i; i < v.dueCount(); ++i) {
            (,,, uint128 amount) = v.due(i);
            sum += amount;
        }
    }

    /// Coins that reached receivers of withdrawals and accounts' owners, counted at their addresses.
    function arrived() external view returns (uint256 sum) {
        for (uint256 i; i < 300; ++i) sum += address(uint160(0xD000 + i)).balance;
        for (uint256 i; i < N; ++i) sum += owner(i).balance;
        sum /= SCALE;
    }
}

contract Conservation {
    Handler h;

    function setUp() public {
        h = new Handler();
    }

    function targetContracts() public view returns (address[] memory t) {
        t = new address[](1);
        t[0] = address(h);
    }

    function invariant_every_coin_is_here_or_with_its_owner() public view {
        HashpitVault v = h.vault();
        require(address(v).balance / 1e10 + h.arrived() == h.paidIn(), "a coin is missing or doubled");
        require(h.promised() <= address(v).balance / 1e10, "promised more than there is");
        require(h.doubles() == 0, "paid twice");
        require(v.deposited(1) == h.paidIn(), "deposits");
    }
}
