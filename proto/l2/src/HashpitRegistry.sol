// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import {Layout} from "./Layout.sol";
import {IVault} from "./Interfaces.sol";

/// @title Anchoring: which roots count
/// @notice Takes headers signed by k of n root signers, one at a time, each linked to the one before; decides which
/// are final; lets anybody freeze the exchange on silence, an unserved or falsely served exit, two headers for one
/// number, or (through the Judge) a sum that does not add up. Moves no customer's coins: the Vault asks it what is payable. A freeze is
/// one-way. No owner, no proxy. "Passed" always means in seconds AND in blocks.
contract HashpitRegistry {
    /// A waiting time. Both must have passed: a chain that stood still has no blocks, a fast one no seconds.
    struct Span {
        uint64 time; // seconds
        uint64 blocks;
    }

    struct Settings {
        Span window; // a header is final after it
        Span silence; // without a header for so long, anyone freezes
        Span exit; // to serve an exit request, or to answer a dispute
        Span rotation; // between a rotation's proposal and its effect; longer than exit + window + pause
        uint64 pauseLength; // seconds the guardian may hold payments up
        uint64 pauseEvery; // seconds between two pauses, at least three times as long
        uint64 exitsPerBlock;
        uint64 exitsOpen;
        uint128 exitFee; // wei per request; kept, but returned for open requests after a freeze
        address treasury; // receives the fees
    }

    struct Top {
        bytes32 leftHash;
        uint128 leftSum;
        bytes32 rightHash;
        uint128 rightSum;
    }

    /// The two children of each root: a root's hash commits to their sums, not to its own.
    struct Tops {
        Top[] balances;
        Top[] withdrawals;
        bytes32 positionsRoot;
    }

    /// The last credited deposit; `totals` tie the credits per asset to the chain.
    struct Tip {
        bytes32 prevAcc;
        address owner;
        uint16 asset;
        uint128 amount;
        uint128[] totals;
    }

    bytes32 public constant ANCHOR_TYPEHASH = keccak256("Anchor(bytes32 header,uint64 signerSet)");
    bytes32 public constant ROTATION_TYPEHASH =
        keccak256("Rotation(address[] signers,uint256 threshold,address guardian,uint64 signerSet)");
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    uint256 public constant MAX_SIGNERS = 16;
    /// A header's clock may run ahead of the chain's by this much (seconds). There is no lower bound but the header
    /// before: one that waited out a dead chain must still fit, since nobody may sign another for its number.
    uint64 public constant MAX_AHEAD = 600;

    IVault public immutable vault;
    address public immutable judge; // can do one thing: freeze
    uint64 public immutable windowTime;
    uint64 public immutable windowBlocks;
    uint64 public immutable silenceTime;
    uint64 public immutable silenceBlocks;
    uint64 public immutable exitTime;
    uint64 public immutable exitBlocks;
    uint64 public immutable rotationTime;
    uint64 public immutable rotationBlocks;
    uint64 public immutable pauseLength;
    uint64 public immutable pauseEvery;
    uint64 public immutable exitsPerBlock;
    uint64 public immutable exitsOpen;
    uint128 public immutable exitFee;
    address public immutable treasury;
    uint256 private immutable assetWord; // number of assets, then ids, 16 bits each from the lowest

    // what `post` reads and writes, packed
    uint64 public anchor;
    uint64 public lastPostTime;
    uint64 public lastPostBlock;
    uint64 public epoch;
    uint64 public seq;
    uint64 public headerTime;
    uint64 public depositsCredited;
    uint64 public exitsServed;
    uint64 public withdrawCount;
    uint64 public exitsRequested;
    uint64 public signerSet; // numbers the signers; grows with each rotation, so older signatures are void
    uint64 public pausedUntil;
    bytes32 public head;

    bool public frozen;
    bool public settled;
    uint64 public frozenAt;
    uint64 public frozenBlock;
    uint64 public settledAnchor;
    uint64 public settledDeposits;

    address public guardian;
    uint64 public lastPause;
    uint32 public threshold;
    address[] internal signerList;
    mapping(address => uint64) public signerIn; // set number + 1 in which the address signs
    mapping(uint16 => uint128) public withdrawTotal; // of the newest header
    /// Not a ring buffer, which would save 17k gas a post: rotation and settlement need old ones, and how many
    /// headers fit a window is the operator's choice, not this contract's.
    mapping(uint64 => bytes32) public committed;
    mapping(uint64 => bytes32) public exits; // id => keccak(Exit)
    mapping(uint64 => bool) public feeReturned;
    uint64 private exitsBlock;
    uint64 private exitsInBlock;
    bytes32 public pendingRotation; // keccak(signers, threshold, guardian, proposed stamp)
    uint64 public feesSwept; // request ids below it went to the treasury

    event Anchored(uint64 indexed anchor, uint64 indexed epoch, bytes32 header, uint64 time, uint64 number);
    event ExitRequested(uint64 indexed id, uint32 indexed account, address indexed owner, uint64 time, uint64 number);
    event Frozen(string why);
    event Settled(uint64 anchor, uint64 deposits);
    event PausedUntil(uint64 time);
    event RotationProposed(address[] signers, uint256 threshold, address guardian, uint64 time, uint64 number);
    event RotationWithdrawn();
    event Rotated(uint64 signerSet, uint64 anchor);

    error BadSettings(string what);
    error BadSigner(uint256 place);
    error NotThisRegistry(address named);
    error IsFrozen();
    error NotFrozen();
    error WrongAnchor(uint64 got, uint64 want);
    error WrongPrev(bytes32 got, bytes32 want);
    error Backwards(string field, uint256 got, uint256 last);
    error Beyond(string field, uint256 got, uint256 limit);
    error WrongAssets(uint256 place);
    error WrongDepositAcc(bytes32 got, bytes32 want);
    error WrongTip();
    error NotConserved(uint16 asset, uint256 owedAndIssued, uint256 credited);
    error WrongTotal(uint16 asset, uint256 inTree, uint256 stated);
    error WrongRoot(bytes32 got, bytes32 want);
    error SignatureLength(uint256 length, uint256 threshold);
    error HighS(uint256 place);
    error WrongSigner(uint256 place, address recovered);
    error UnknownHeader(uint64 anchor);
    error NotFinal(uint64 anchor);
    error Dropped(uint64 anchor);
    error NotNewestFinal(uint64 anchor);
    error Paused(uint64 until);
    error AlreadySettled();
    error NotGuardian();
    error NotJudge();
    error NotYet();
    error WrongFee(uint256 got, uint256 want);
    error TooManyExits();
    error WrongExit(uint64 id);
    error ExitServed(uint64 id);
    error NotContradicting();
    error NoRotation();
    error PayFailed();

    /// @param vault_ must name this very address as its Registry: it was deployed first.
    /// @param judge_ where the Judge WILL be: deployed next, it checks that it is the one named here.
    constructor(IVault vault_, address judge_, Settings memory s, address[] memory signers, uint256 k, address guardian_) {
        if (address(vault_.registry()) != address(this)) revert NotThisRegistry(address(vault_.registry()));
        if (judge_ == address(0)) revert BadSettings("judge");
        vault = vault_;
        judge = judge_;
        _needSpan(s.window, "window");
        _needSpan(s.silence, "silence");
        _needSpan(s.exit, "exit");
        // whoever distrusts the next signers can still leave through the present ones
        uint256 least = uint256(s.exit.time) + s.window.time + s.pauseLength;
        if (s.rotation.time <= least || s.rotation.time > 365 days) revert BadSettings("rotation.time");
        if (s.rotation.blocks <= uint256(s.exit.blocks) + s.window.blocks || s.rotation.blocks > type(uint32).max) {
            revert BadSettings("rotation.blocks");
        }
        if (s.silence.time < s.window.time) revert BadSettings("silence.time");
        if (s.pauseLength == 0 || s.pauseLength > s.exit.time) revert BadSettings("pauseLength");
        if (s.pauseEvery < 3 * uint256(s.pauseLength) || s.pauseEvery > 365 days) revert BadSettings("pauseEvery");
        if (s.exitsPerBlock == 0 || s.exitsOpen < s.exitsPerBlock) revert BadSettings("exits");
        if (s.exitsOpen > type(uint32).max) revert BadSettings("exits");
        if (s.treasury == address(0)) revert BadSettings("treasury");
        windowTime = s.window.time;
        windowBlocks = s.window.blocks;
        silenceTime = s.silence.time;
        silenceBlocks = s.silence.blocks;
        exitTime = s.exit.time;
        exitBlocks = s.exit.blocks;
        rotationTime = s.rotation.time;
        rotationBlocks = s.rotation.blocks;
        pauseLength = s.pauseLength;
        pauseEvery = s.pauseEvery;
        exitsPerBlock = s.exitsPerBlock;
        exitsOpen = s.exitsOpen;
        exitFee = s.exitFee;
        treasury = s.treasury;
        uint16[] memory ids = vault_.assetIds();
        uint256 word = ids.length;
        for (uint256 i; i < ids.length; ++i) {
            word |= uint256(ids[i]) << (16 * (i + 1));
        }
        assetWord = word;
        _checkSigners(signers, k, guardian_);
        _seat(signers, k, guardian_);
        (lastPostTime, lastPostBlock) = (uint64(block.timestamp), uint64(block.number));
        committed[0] = Layout.commitment(0, _now()); // the empty state, final from the start
    }

    // ------------------------------------------------------------------------------------------------- anchoring

    /// @notice Takes the next header. Anyone may send it; the signatures decide.
    /// @param tops the children of every root, checked against the header's totals.
    /// @param tip the last credited deposit; ignored while none is credited.
    function post(Layout.Header calldata h, Tops calldata tops, Tip calldata tip, bytes calldata signatures) external {
        if (frozen) revert IsFrozen();
        if (h.anchor != anchor + 1) revert WrongAnchor(h.anchor, anchor + 1);
        if (h.prev != head) revert WrongPrev(h.prev, head);
        if (h.epoch <= epoch) revert Backwards("epoch", h.epoch, epoch);
        if (h.seq < seq) revert Backwards("seq", h.seq, seq);
        if (h.time < headerTime) revert Backwards("time", h.time, headerTime);
        uint256 latest = (block.timestamp + MAX_AHEAD) * 1e9;
        if (h.time > latest) revert Beyond("time", h.time, latest);
        if (h.forcedCount < exitsServed) revert Backwards("forcedCount", h.forcedCount, exitsServed);
        if (h.forcedCount > exitsRequested) revert Beyond("forcedCount", h.forcedCount, exitsRequested);
        if (h.withdrawCount < withdrawCount) revert Backwards("withdrawCount", h.withdrawCount, withdrawCount);
        _checkMoney(h, tops, _credits(h, tip));
        bytes32 hash = Layout.headerHash(h);
        _checkQuorum(_anchorDigest(hash), signatures);
        _become(h, hash);
        (lastPostTime, lastPostBlock) = (uint64(block.timestamp), uint64(block.number));
        committed[h.anchor] = Layout.commitment(hash, _now());
        emit Anchored(h.anchor, h.epoch, hash, uint64(block.timestamp), uint64(block.number));
    }

    /// What was credited per asset, from the deposit chain itself.
    function _credits(Layout.Header calldata h, Tip calldata tip) private view returns (uint128[] memory totals) {
        if (h.depositCount < depositsCredited) revert Backwards("depositCount", h.depositCount, depositsCredited);
        uint64 count = vault.depositCount();
        if (h.depositCount > count) revert Beyond("depositCount", h.depositCount, count);
        bytes32 acc = vault.depositAccAt(h.depositCount);
        if (h.depositAcc != acc) revert WrongDepositAcc(h.depositAcc, acc);
        totals = new uint128[](assetCount());
        if (h.depositCount != 0) {
            totals = tip.totals;
            if (Layout.depositLink(tip.prevAcc, h.depositCount - 1, tip.owner, tip.asset, tip.amount, totals) != acc) {
                revert WrongTip();
            }
        }
    }

    /// Every unit credited is owed to an account or issued as a withdrawal (equal, not "at most": fees and insurance
    /// are accounts too), and the trees hold what the header says.
    function _checkMoney(Layout.Header calldata h, Tops calldata tops, uint128[] memory credited) private view {
        uint256 n = assetCount();
        if (h.assets.length != n || tops.balances.length != n || tops.withdrawals.length != n) revert WrongAssets(n);
        bytes32[] memory roots = new bytes32[](n);
        for (uint256 i; i < n; ++i) {
            Layout.AssetLine calldata a = h.assets[i];
            if (a.asset != uint16(assetWord >> (16 * (i + 1)))) revert WrongAssets(i);
            uint256 out = uint256(a.liabilities) + a.withdrawTotal;
            if (out != credited[i]) revert NotConserved(a.asset, out, credited[i]);
            if (a.withdrawTotal < withdrawTotal[a.asset]) {
                revert Backwards("withdrawTotal", a.withdrawTotal, withdrawTotal[a.asset]);
            }
            roots[i] = _top(tops.balances[i], Layout.BALANCE_NODE, a.asset, a.liabilities);
            bytes32 w = _top(tops.withdrawals[i], Layout.WITHDRAWAL_NODE, a.asset, a.withdrawTotal);
            if (w != a.withdrawRoot) revert WrongRoot(w, a.withdrawRoot);
        }
        bytes32 state = Layout.stateRoot(h.assets, roots, tops.positionsRoot);
        if (state != h.stateRoot) revert WrongRoot(state, h.stateRoot);
    }

    function _top(Top calldata t, uint8 tag, uint16 asset, uint128 stated) private pure returns (bytes32) {
        uint256 sum = uint256(t.leftSum) + t.rightSum;
        if (sum != stated) revert WrongTotal(asset, sum, stated);
        return Layout.node(t.leftHash, t.leftSum, t.rightHash, t.rightSum, tag);
    }

    /// Takes a header's counters as the newest.
    function _become(Layout.Header calldata h, bytes32 hash) private {
        anchor = h.anchor;
        epoch = h.epoch;
        seq = h.seq;
        headerTime = h.time;
        depositsCredited = h.depositCount;
        exitsServed = h.forcedCount;
        withdrawCount = h.withdrawCount;
        head = hash;
        for (uint256 i; i < h.assets.length; ++i) {
            Layout.AssetLine calldata a = h.assets[i];
            if (withdrawTotal[a.asset] != a.withdrawTotal) withdrawTotal[a.asset] = a.withdrawTotal;
        }
    }

    /// @notice Reverts unless withdrawals may be paid from this header: final, or settled after a freeze.
    function requirePayable(uint64 number, bytes32 header, Layout.Posted calldata stamp) external view {
        _needCommitted(number, header, stamp);
        if (frozen) {
            if (!settled) revert NotFrozen();
            if (number > settledAnchor) revert Dropped(number);
            return;
        }
        if (block.timestamp < pausedUntil) revert Paused(pausedUntil);
        if (!_passed(stamp, windowTime, windowBlocks, _now())) revert NotFinal(number);
    }

    // ------------------------------------------------------------------------------------------ forced exit

    /// @notice Asks to be paid out and closed. Whose the account is, is judged when it matters.
    function requestExit(uint32 account) external payable {
        if (frozen) revert IsFrozen();
        if (msg.value != exitFee) revert WrongFee(msg.value, exitFee);
        if (exitsBlock != block.number) (exitsBlock, exitsInBlock) = (uint64(block.number), 0);
        if (++exitsInBlock > exitsPerBlock || exitsRequested - exitsServed >= exitsOpen) revert TooManyExits();
        uint64 id = exitsRequested++;
        exits[id] = keccak256(abi.encode(Layout.Exit(account, msg.sender, _now())));
        emit ExitRequested(id, account, msg.sender, uint64(block.timestamp), uint64(block.number));
    }

    /// @notice After a freeze, the fee of a request that was still open.
    function returnFee(uint64 id, Layout.Exit calldata r) external {
        if (!frozen) revert NotFrozen();
        _needExit(id, r);
        if (id < exitsServed || id < feesSwept || feeReturned[id]) revert ExitServed(id);
        feeReturned[id] = true;
        (bool ok,) = r.owner.call{value: exitFee}("");
        if (!ok) revert PayFailed();
    }

    /// @notice Fees of served requests, to the treasury.
    function sweepFees() external {
        uint64 upTo = exitsServed;
        // rotation may have dropped the header that served some; those fees are gone already
        if (upTo <= feesSwept) return;
        uint256 amount = uint256(upTo - feesSwept) * exitFee;
        feesSwept = upTo;
        (bool ok,) = treasury.call{value: amount}("");
        if (!ok) revert PayFailed();
    }

    // ---------------------------------------------------------------------------------------------- freezes

    /// @notice No header for too long.
    function freezeSilence() external {
        if (!_passed(Layout.Posted(lastPostTime, lastPostBlock), silenceTime, silenceBlocks, _now())) revert NotYet();
        _freeze("silence");
    }

    /// @notice A request past its deadline that no header claims to have served.
    function freezeUnserved(uint64 id, Layout.Exit calldata r) external {
        _needExit(id, r);
        if (id < exitsServed) revert ExitServed(id);
        if (!_passed(r.filed, exitTime, exitBlocks, _now())) revert NotYet();
        _freeze("unserved exit");
    }

    /// @notice Two headers for one number, both signed by a quorum of the present signers. Only headers whose
    /// deposits are on this chain count: after broken finality an unpostable header may be replaced.
    function freezeEquivocation(
        Layout.Header calldata a,
        bytes calldata signaturesA,
        Layout.Header calldata b,
        bytes calldata signaturesB
    ) external {
        bytes32 ha = Layout.headerHash(a);
        bytes32 hb = Layout.headerHash(b);
        if (a.anchor != b.anchor || ha == hb) revert NotContradicting();
        if (!_depositsAreHere(a) || !_depositsAreHere(b)) revert NotContradicting();
        _checkQuorum(_anchorDigest(ha), signaturesA);
        _checkQuorum(_anchorDigest(hb), signaturesB);
        _freeze("equivocation");
    }

    /// @notice The Judge was shown a lie in a committed header, or an exit served falsely.
    function judgeFreeze(string calldata why) external {
        if (msg.sender != judge) revert NotJudge();
        _freeze(why);
    }

    /// @notice The guardian saw by replay what the chain cannot see.
    function guardianFreeze() external {
        if (msg.sender != guardian) revert NotGuardian();
        _freeze("guardian");
    }

    /// @notice Holds payments up while somebody looks. Headers go on, so no deadline has to move.
    function guardianPause() external {
        if (msg.sender != guardian) revert NotGuardian();
        if (frozen) revert IsFrozen();
        if (lastPause != 0 && block.timestamp < uint256(lastPause) + pauseEvery) revert NotYet();
        lastPause = uint64(block.timestamp);
        pausedUntil = uint64(block.timestamp) + pauseLength;
        emit PausedUntil(pausedUntil);
    }

    function _freeze(string memory why) private {
        if (frozen) revert IsFrozen();
        frozen = true;
        (frozenAt, frozenBlock) = (uint64(block.timestamp), uint64(block.number));
        emit Frozen(why);
    }

    /// @notice After a freeze: fixes the newest header that was final when it happened; later ones are dropped.
    /// @param next the hash of the header after it and `nextAt` when it was posted; ignored if there is none.
    function settleEpoch(
        Layout.Header calldata h,
        Layout.Posted calldata stamp,
        bytes32 next,
        Layout.Posted calldata nextAt
    ) external {
        if (!frozen) revert NotFrozen();
        if (settled) revert AlreadySettled();
        _needNewestFinal(h, stamp, next, nextAt, Layout.Posted(frozenAt, frozenBlock));
        settled = true;
        settledAnchor = h.anchor;
        settledDeposits = h.anchor == 0 ? 0 : h.depositCount;
        emit Settled(h.anchor, settledDeposits);
    }

    // --------------------------------------------------------------------------------------------- rotation

    /// @notice The present signers name the next ones and the next guardian. A second proposal replaces the first.
    function proposeRotation(address[] calldata signers, uint256 k, address guardian_, bytes calldata signatures)
        external
    {
        if (frozen) revert IsFrozen();
        _checkSigners(signers, k, guardian_);
        _checkQuorum(rotationDigest(signers, k, guardian_), signatures);
        pendingRotation = keccak256(abi.encode(signers, k, guardian_, _now()));
        emit RotationProposed(signers, k, guardian_, uint64(block.timestamp), uint64(block.number));
    }

    /// @notice The guardian stops a proposal it does not trust; freezing is its only other way.
    function withdrawRotation() external {
        if (msg.sender != guardian) revert NotGuardian();
        if (pendingRotation == 0) revert NoRotation();
        pendingRotation = 0;
        emit RotationWithdrawn();
    }

    /// @notice Carries out a proposal after its delay. Headers that are not final yet were signed by the old keys
    /// and are dropped: the newest final one becomes the head again. A header is cumulative, so nothing is lost.
    function rotate(
        address[] calldata signers,
        uint256 k,
        address guardian_,
        Layout.Posted calldata proposed,
        Layout.Header calldata h,
        Layout.Posted calldata stamp,
        bytes32 next,
        Layout.Posted calldata nextAt
    ) external {
        if (frozen) revert IsFrozen();
        if (pendingRotation == 0 || pendingRotation != keccak256(abi.encode(signers, k, guardian_, proposed))) {
            revert NoRotation();
        }
        if (!_passed(proposed, rotationTime, rotationBlocks, _now())) revert NotYet();
        _needNewestFinal(h, stamp, next, nextAt, _now());
        pendingRotation = 0;
        for (uint64 n = h.anchor + 1; n <= anchor; ++n) delete committed[n];
        if (h.anchor != anchor) {
            if (h.anchor == 0) _becomeNothing();
            else _become(h, Layout.headerHash(h));
        }
        ++signerSet;
        _seat(signers, k, guardian_);
        emit Rotated(signerSet, h.anchor);
    }

    function _becomeNothing() private {
        (anchor, epoch, seq, headerTime, head) = (0, 0, 0, 0, 0);
        (depositsCredited, exitsServed, withdrawCount) = (0, 0, 0);
        for (uint256 i; i < assetCount(); ++i) {
            withdrawTotal[uint16(assetWord >> (16 * (i + 1)))] = 0;
        }
    }

    function _checkSigners(address[] memory signers, uint256 k, address guardian_) private pure {
        if (k == 0 || k > signers.length || signers.length > MAX_SIGNERS) revert BadSettings("threshold");
        if (guardian_ == address(0)) revert BadSettings("guardian");
        for (uint256 i; i < signers.length; ++i) {
            // ascending, so that none is there twice; keys with different duties are different keys
            if (signers[i] == address(0) || signers[i] == guardian_) revert BadSigner(i);
            if (i != 0 && signers[i] <= signers[i - 1]) revert BadSigner(i);
        }
    }

    function _seat(address[] memory signers, uint256 k, address guardian_) private {
        for (uint256 i; i < signers.length; ++i) {
            signerIn[signers[i]] = signerSet + 1;
        }
        signerList = signers;
        threshold = uint32(k);
        guardian = guardian_;
    }

    // ---------------------------------------------------------------------------------------------- reading

    function signers_() external view returns (address[] memory) {
        return signerList;
    }

    function assetCount() public view returns (uint256) {
        return assetWord & 0xffff;
    }

    function headerHash(Layout.Header calldata h) external pure returns (bytes32) {
        return Layout.headerHash(h);
    }

    function anchorDigest(bytes32 header) external view returns (bytes32) {
        return _anchorDigest(header);
    }

    function rotationDigest(address[] calldata signers, uint256 k, address guardian_) public view returns (bytes32) {
        bytes32 list = keccak256(abi.encodePacked(signers)); // an array's elements are padded to words
        return _digest(keccak256(abi.encode(ROTATION_TYPEHASH, list, k, guardian_, signerSet)));
    }

    /// The chain's id is read each time: after a fork of the chain, signatures count on one side only.
    function domainSeparator() public view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("Hashpit Registry"), keccak256("1"), block.chainid, address(this))
        );
    }

    // --------------------------------------------------------------------------------------------- checking

    function _anchorDigest(bytes32 header) private view returns (bytes32) {
        return _digest(keccak256(abi.encode(ANCHOR_TYPEHASH, header, signerSet)));
    }

    function _digest(bytes32 content) private view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(), content));
    }

    /// r, s, v of each signer, 65 bytes, by ascending address; more than the threshold is welcome.
    function _checkQuorum(bytes32 digest, bytes calldata signatures) private view {
        uint256 n = signatures.length / 65;
        if (n < threshold || signatures.length != n * 65) revert SignatureLength(signatures.length, threshold);
        address last;
        for (uint256 i; i < n; ++i) {
            bytes calldata one = signatures[i * 65:(i + 1) * 65];
            bytes32 s = bytes32(one[32:64]);
            if (uint256(s) > HALF_ORDER) revert HighS(i);
            address signer = ecrecover(digest, uint8(one[64]), bytes32(one[:32]), s);
            // zero, out of order, doubled, or not of this set
            if (signer <= last || signerIn[signer] != signerSet + 1) revert WrongSigner(i, signer);
            last = signer;
        }
    }

    function _needCommitted(uint64 number, bytes32 header, Layout.Posted calldata stamp) private view {
        if (committed[number] != Layout.commitment(header, stamp)) revert UnknownHeader(number);
    }

    function _needNewestFinal(
        Layout.Header calldata h,
        Layout.Posted calldata stamp,
        bytes32 next,
        Layout.Posted calldata nextAt,
        Layout.Posted memory when
    ) private view {
        // anchor 0 is no header: its hash is zero and it is final from the start
        _needCommitted(h.anchor, h.anchor == 0 ? bytes32(0) : Layout.headerHash(h), stamp);
        if (h.anchor != 0 && !_passed(stamp, windowTime, windowBlocks, when)) revert NotFinal(h.anchor);
        if (h.anchor == anchor) return;
        _needCommitted(h.anchor + 1, next, nextAt);
        if (_passed(nextAt, windowTime, windowBlocks, when)) revert NotNewestFinal(h.anchor);
    }

    function _needExit(uint64 id, Layout.Exit calldata r) private view {
        if (exits[id] != keccak256(abi.encode(r))) revert WrongExit(id);
    }

    function _depositsAreHere(Layout.Header calldata h) private view returns (bool) {
        return h.depositCount <= vault.depositCount() && h.depositAcc == vault.depositAccAt(h.depositCount);
    }

    function _needSpan(Span memory s, string memory what) private pure {
        bool tooShort = s.time == 0 || s.blocks == 0;
        if (tooShort || s.time > 90 days || s.blocks > type(uint32).max / 4) revert BadSettings(what);
    }

    function _now() private view returns (Layout.Posted memory) {
        return Layout.Posted(uint64(block.timestamp), uint64(block.number));
    }

    function _passed(Layout.Posted memory since, uint64 time, uint64 blocks, Layout.Posted memory when)
        private
        pure
        returns (bool)
    {
        return when.time >= uint256(since.time) + time && when.number >= uint256(since.number) + blocks;
    }
}
