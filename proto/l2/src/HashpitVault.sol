// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import {Layout} from "./Layout.sol";
import {IRegistry} from "./Interfaces.sol";

/// @title Custody: takes deposits, pays what a final root proves
/// @notice Holds the coins and nothing else: which roots count is the Registry's matter. No owner, no proxy, no way
/// to add an asset or change a number after deployment. Amounts are minor units (u128); `scale` turns them into wei
/// only where coins move, so dust cannot arise.
contract HashpitVault {
    struct Asset {
        uint16 id;
        address token; // 0 = native coin
        uint128 scale; // wei per minor unit
        uint128 dayCap; // minor units per 24 h that leave at once; more waits its turn
        uint128 minDeposit; // minor units
    }

    /// Paid and proven, per asset, one slot.
    struct Account {
        uint128 claimed; // withdrawals proven here
        uint128 issued; // the largest withdrawTotal a final header used here has stated
    }

    /// A payment that waits for the day cap. It is already spent in its bitmap; only time stands before it.
    struct Due {
        address to;
        uint64 payableAt;
        uint16 asset;
        uint128 amount;
    }

    /// Preimage of one link of the deposit chain.
    struct Deposit {
        bytes32 prevAcc;
        address owner;
        uint16 asset;
        uint128 amount;
        uint128[] totals;
    }

    uint256 public constant MAX_ASSETS = 8;
    /// A receiver of native coins may use this much gas; one that needs more pulls with `collect`.
    uint256 public constant PUSH_GAS = 100_000;

    IRegistry public immutable registry;
    /// The day cap outlives a freeze this long (seconds), or thieves would lift it by causing one.
    uint64 public immutable capTail;

    uint16[] internal ids;
    mapping(uint16 => Asset) internal assets;
    mapping(uint16 => uint128) public deposited; // minor units, by asset
    mapping(uint16 => Account) public account;
    mapping(uint16 => uint256) public capClock; // when the cap is free again, Unix seconds

    uint64 public depositCount;
    uint64 public dueCount;
    uint8 private lock = 1;
    /// The deposit chain at every length: an old length stays provable when newer deposits came.
    mapping(uint64 => bytes32) public depositAccAt;
    mapping(uint16 => mapping(uint256 => uint256)) public withdrawn; // asset => word => 256 ids
    mapping(uint16 => mapping(uint256 => uint256)) public escaped; // asset => word => 256 accounts
    mapping(uint256 => uint256) public refunded; // word => 256 deposits
    mapping(uint64 => Due) public due;
    mapping(uint16 => mapping(address => uint128)) public owed; // coins a receiver refused

    event Deposited(
        uint64 indexed id, address indexed owner, uint16 indexed asset, uint128 amount, uint128[] totals, bytes32 acc
    );
    event Withdrawn(uint16 indexed asset, uint64 indexed id, address indexed to, uint128 amount);
    event Escaped(uint16 indexed asset, uint32 indexed account, address indexed owner, uint128 amount);
    event Refunded(uint64 indexed id, address indexed owner, uint16 indexed asset, uint128 amount);
    event Queued(uint64 indexed due, address indexed to, uint16 indexed asset, uint128 amount, uint64 payableAt);
    event Paid(address indexed to, uint16 indexed asset, uint128 amount);
    event Refused(address indexed to, uint16 indexed asset, uint128 amount);

    error Reentered();
    error BadAssets(uint256 index);
    error UnknownAsset(uint16 asset);
    error Frozen();
    error NotSettled();
    error Paused(uint64 until);
    error NotMultipleOfScale(uint256 amount, uint128 scale);
    error AmountOutOfRange(uint256 minorUnits, uint128 minimum);
    error WrongCoin(uint256 value);
    error TokenTookFee(uint256 arrived, uint256 expected);
    error TokenCallFailed(address token);
    error AssetNotInHeader(uint256 place, uint16 asset);
    error NotIssued(uint64 id, uint64 count);
    error WrongRoot(bytes32 got, bytes32 want);
    error WrongSum(uint128 got, uint128 want);
    error ZeroAddress();
    error AlreadyPaid(uint256 id);
    error MoreThanIssued(uint256 claimed, uint128 issued);
    error NotSettledHeader(uint64 anchor, uint64 settled);
    error DepositCredited(uint64 id, uint64 credited);
    error WrongDeposit(uint64 id);
    error NothingDue(uint64 due);
    error NotYet(uint256 payableAt);
    error NothingOwed();
    error ReceiverRefused(address to);

    /// Against tokens that call back. Every function also writes before it calls.
    modifier once() {
        if (lock != 1) revert Reentered();
        lock = 2;
        _;
        lock = 1;
    }

    /// @param registry_ where the Registry WILL be: deployed next, it checks that it is the one named here.
    constructor(IRegistry registry_, Asset[] memory list, uint64 capTail_) {
        if (list.length == 0 || list.length > MAX_ASSETS) revert BadAssets(list.length);
        for (uint256 i; i < list.length; ++i) {
            Asset memory a = list[i];
            bool unordered = i != 0 && a.id <= list[i - 1].id;
            bool empty = a.scale == 0 || a.dayCap == 0 || a.minDeposit == 0;
            if (unordered || empty || (a.token != address(0) && a.token.code.length == 0)) revert BadAssets(i);
            // two assets over one coin would both count the same balance
            for (uint256 j; j < i; ++j) {
                if (list[j].token == a.token) revert BadAssets(i);
            }
            ids.push(a.id);
            assets[a.id] = a;
        }
        registry = registry_;
        capTail = capTail_;
    }

    function assetIds() external view returns (uint16[] memory) {
        return ids;
    }

    function asset(uint16 id) external view returns (Asset memory) {
        return _asset(id);
    }

    function depositAcc() external view returns (bytes32) {
        return depositAccAt[depositCount];
    }

    // ------------------------------------------------------------------------------------------------ deposits

    /// @notice Native coin, a multiple of `scale`. The sender owns the account that is credited.
    function deposit(uint16 id) external payable once {
        Asset memory a = _asset(id);
        if (a.token != address(0)) revert WrongCoin(msg.value);
        _credit(a, msg.value);
    }

    /// @notice ERC-20: approve first. Exactly `amount` wei must arrive: tokens that take a fee are refused. Tokens
    /// that rebase cannot be seen here and must not be listed.
    function depositToken(uint16 id, uint256 amount) external once {
        Asset memory a = _asset(id);
        if (a.token == address(0)) revert WrongCoin(0);
        uint256 before = _balance(a.token);
        if (!_call(a.token, abi.encodeWithSignature("transferFrom(address,address,uint256)", msg.sender, address(this), amount))) {
            revert TokenCallFailed(a.token);
        }
        uint256 arrived = _balance(a.token) - before;
        if (arrived != amount) revert TokenTookFee(arrived, amount);
        _credit(a, amount);
    }

    function _credit(Asset memory a, uint256 coins) private {
        if (registry.frozen()) revert Frozen();
        if (coins % a.scale != 0) revert NotMultipleOfScale(coins, a.scale);
        uint256 units = coins / a.scale;
        // 2^96 minor units of anything: far above any supply, and totals cannot overflow u128
        if (units < a.minDeposit || units > type(uint96).max) revert AmountOutOfRange(units, a.minDeposit);
        uint128 amount = uint128(units);
        deposited[a.id] += amount;
        uint128[] memory totals = new uint128[](ids.length);
        for (uint256 i; i < totals.length; ++i) {
            totals[i] = deposited[ids[i]];
        }
        uint64 id = depositCount;
        bytes32 acc = Layout.depositLink(depositAccAt[id], id, msg.sender, a.id, amount, totals);
        depositCount = id + 1;
        depositAccAt[id + 1] = acc;
        emit Deposited(id, msg.sender, a.id, amount, totals, acc);
    }

    // ------------------------------------------------------------------------------------------------ payments

    /// @notice Pays one issued withdrawal to its receiver; anyone may send it. Works after a freeze too.
    /// Any final header that holds it will do, so a later root cannot rewrite what was issued.
    /// @param place the asset's place in the header.
    function withdraw(
        Layout.Header calldata h,
        Layout.Posted calldata stamp,
        uint256 place,
        Layout.Withdrawal calldata w,
        Layout.Node[] calldata path
    ) external once {
        registry.requirePayable(h.anchor, Layout.headerHash(h), stamp);
        Layout.AssetLine calldata line = _line(h, place, w.asset);
        if (w.id >= h.withdrawCount) revert NotIssued(w.id, h.withdrawCount);
        Layout.needDepth(path.length);
        (bytes32 root, uint128 sum) =
            Layout.climb(Layout.withdrawalHash(w), w.amount, w.id, path, Layout.WITHDRAWAL_NODE);
        if (root != line.withdrawRoot) revert WrongRoot(root, line.withdrawRoot);
        if (sum != line.withdrawTotal) revert WrongSum(sum, line.withdrawTotal);
        _spend(withdrawn[w.asset], w.id);
        Account memory c = account[w.asset];
        if (line.withdrawTotal > c.issued) c.issued = line.withdrawTotal;
        // two headers that disagree about an id must not together pay more than was issued
        if (uint256(c.claimed) + w.amount > c.issued) revert MoreThanIssued(uint256(c.claimed) + w.amount, c.issued);
        c.claimed += w.amount;
        account[w.asset] = c;
        emit Withdrawn(w.asset, w.id, w.to, w.amount);
        _metered(w.to, w.asset, w.amount);
    }

    /// @notice After a freeze: an account's whole balance in one asset, as the settled header has it, to its owner.
    function escape(
        Layout.Header calldata h,
        Layout.Posted calldata stamp,
        uint256 place,
        Layout.Opening calldata open,
        Layout.Balance calldata l,
        Layout.Node[] calldata path
    ) external once {
        if (!registry.settled()) revert NotSettled();
        if (h.anchor != registry.settledAnchor()) revert NotSettledHeader(h.anchor, registry.settledAnchor());
        registry.requirePayable(h.anchor, Layout.headerHash(h), stamp);
        Layout.AssetLine calldata line = _line(h, place, l.asset);
        bytes32 state = Layout.stateRoot(h.assets, open.roots, open.positionsRoot);
        if (state != h.stateRoot) revert WrongRoot(state, h.stateRoot);
        Layout.needDepth(path.length);
        uint128 amount = l.available + l.locked;
        (bytes32 root, uint128 sum) =
            Layout.climb(Layout.balanceHash(l), amount, l.index, path, Layout.BALANCE_NODE);
        if (root != open.roots[place]) revert WrongRoot(root, open.roots[place]);
        if (sum != line.liabilities) revert WrongSum(sum, line.liabilities);
        // the coins of an account without an address must not be burned by a passer-by
        if (l.owner == address(0)) revert ZeroAddress();
        _spend(escaped[l.asset], l.index);
        emit Escaped(l.asset, l.index, l.owner, amount);
        _metered(l.owner, l.asset, amount);
    }

    /// @notice After a freeze: a deposit that the settled header has not credited goes back to its sender.
    /// Not metered: it was never in the books, so nobody can have forged it.
    function refund(uint64 id, Deposit calldata d) external once {
        if (!registry.settled()) revert NotSettled();
        uint64 credited = registry.settledDeposits();
        if (id < credited) revert DepositCredited(id, credited);
        bytes32 link = Layout.depositLink(d.prevAcc, id, d.owner, d.asset, d.amount, d.totals);
        if (id >= depositCount || link != depositAccAt[id + 1]) revert WrongDeposit(id);
        _spend(refunded, id);
        emit Refunded(id, d.owner, d.asset, d.amount);
        _push(d.owner, d.asset, d.amount);
    }

    /// @notice Pays what waited for the day cap, once its time has come.
    function release(uint64 id) external once {
        Due memory d = due[id];
        if (d.to == address(0)) revert NothingDue(id);
        if (registry.frozen()) {
            uint256 tail = uint256(registry.frozenAt()) + capTail;
            if (block.timestamp < d.payableAt && block.timestamp < tail) revert NotYet(d.payableAt < tail ? d.payableAt : tail);
        } else {
            uint64 until = registry.pausedUntil();
            if (block.timestamp < until) revert Paused(until);
            if (block.timestamp < d.payableAt) revert NotYet(d.payableAt);
        }
        delete due[id];
        _push(d.to, d.asset, d.amount);
    }

    /// @notice Coins that could not be delivered, tried again. Anyone may send it.
    function collect(uint16 id, address to) external {
        _collect(id, to, to);
    }

    /// @notice Coins that could not be delivered, to another address of the owner's choice.
    function collectTo(uint16 id, address to) external {
        if (to == address(0)) revert ZeroAddress();
        _collect(id, msg.sender, to);
    }

    function _collect(uint16 id, address who, address to) private once {
        uint128 amount = owed[id][who];
        if (amount == 0) revert NothingOwed();
        owed[id][who] = 0;
        if (!_transfer(to, id, amount, gasleft())) revert ReceiverRefused(to);
        emit Paid(to, id, amount);
    }

    /// The day cap as a clock: every payment moves it by its share of a day. What would move it more than a day
    /// ahead waits until it would not, so a payment of any size has a known time and none waits for ever.
    function _metered(address to, uint16 id, uint128 amount) private {
        if (to == address(0)) revert ZeroAddress();
        if (registry.frozen() && block.timestamp >= uint256(registry.frozenAt()) + capTail) {
            _push(to, id, amount);
            return;
        }
        uint256 cap = assets[id].dayCap;
        uint256 clock = capClock[id];
        if (clock < block.timestamp) clock = block.timestamp;
        clock += (uint256(amount) * 1 days + cap - 1) / cap;
        capClock[id] = clock;
        if (clock <= block.timestamp + 1 days) {
            _push(to, id, amount);
            return;
        }
        uint256 when = clock - 1 days;
        uint64 payableAt = when > type(uint64).max ? type(uint64).max : uint64(when);
        uint64 n = dueCount++;
        due[n] = Due(to, payableAt, id, amount);
        emit Queued(n, to, id, amount, payableAt);
    }

    /// Pushes; what a receiver refuses stays here in its name.
    function _push(address to, uint16 id, uint128 amount) private {
        if (amount == 0) return;
        if (_transfer(to, id, amount, PUSH_GAS)) {
            emit Paid(to, id, amount);
        } else {
            owed[id][to] += amount;
            emit Refused(to, id, amount);
        }
    }

    function _transfer(address to, uint16 id, uint128 amount, uint256 gasLimit) private returns (bool ok) {
        Asset memory a = assets[id];
        uint256 coins = uint256(amount) * a.scale;
        if (a.token != address(0)) return _call(a.token, abi.encodeWithSignature("transfer(address,uint256)", to, coins));
        assembly ("memory-safe") {
            ok := call(gasLimit, to, coins, 0, 0, 0, 0) // copies nothing back
        }
    }

    /// A token call that may return nothing or true, but not false.
    function _call(address token, bytes memory data) private returns (bool) {
        (bool ok, bytes memory out) = token.call(data);
        return ok && token.code.length != 0 && (out.length == 0 || (out.length == 32 && bytes32(out) == bytes32(uint256(1))));
    }

    function _balance(address token) private view returns (uint256) {
        (bool ok, bytes memory out) = token.staticcall(abi.encodeWithSignature("balanceOf(address)", address(this)));
        if (!ok || out.length != 32) revert TokenCallFailed(token);
        return uint256(bytes32(out));
    }

    function _line(Layout.Header calldata h, uint256 place, uint16 id) private pure returns (Layout.AssetLine calldata) {
        if (place >= h.assets.length || h.assets[place].asset != id) revert AssetNotInHeader(place, id);
        return h.assets[place];
    }

    function _spend(mapping(uint256 => uint256) storage bits, uint256 id) private {
        uint256 bit = 1 << (id & 255);
        if (bits[id >> 8] & bit != 0) revert AlreadyPaid(id);
        bits[id >> 8] |= bit;
    }

    function _asset(uint16 id) private view returns (Asset memory a) {
        a = assets[id];
        if (a.scale == 0) revert UnknownAsset(id);
    }
}
