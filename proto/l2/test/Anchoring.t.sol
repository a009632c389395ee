// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import "./Base.sol";

/// The Registry: which headers it takes, and from whom.
contract Anchoring is Base {
    function setUp() public {
        _setup();
        dep(0, 0, 1000);
        dep(1, 1, 500);
    }

    function test_headers_are_linked_and_final_after_both_clocks() public {
        (Layout.Header memory h, Layout.Posted memory p) = put();
        eq(r.anchor(), 1, "anchor");
        eq(r.epoch(), 10, "epoch");
        require(r.head() == hashOf(h) && r.headerHash(h) == hashOf(h), "head");
        require(r.committed(1) == keccak256(abi.encode(hashOf(h), p.time, p.number)), "commitment");
        bytes32 hash = hashOf(h);
        pass(WINDOW, BLOCKS - 1);
        vm.expectPartialRevert(HashpitRegistry.NotFinal.selector);
        r.requirePayable(1, hash, p);
        vm.roll(block.number + 1);
        vm.warp(block.timestamp - 1);
        vm.expectPartialRevert(HashpitRegistry.NotFinal.selector);
        r.requirePayable(1, hash, p);
        vm.warp(block.timestamp + 1);
        r.requirePayable(1, hash, p);
        vm.expectPartialRevert(HashpitRegistry.UnknownHeader.selector);
        r.requirePayable(2, 0, p);
    }

    function test_order_link_and_counters() public {
        put();
        Layout.Header memory h;
        HashpitRegistry.Tops memory t;
        (h, t) = next();
        h.anchor = 3;
        refused(HashpitRegistry.WrongAnchor.selector, h, t);
        h.anchor = 1;
        refused(HashpitRegistry.WrongAnchor.selector, h, t);
        (h, t) = next();
        h.prev = bytes32(uint256(1));
        refused(HashpitRegistry.WrongPrev.selector, h, t);
        (h, t) = next();
        h.epoch = 10;
        refused(HashpitRegistry.Backwards.selector, h, t);
        (h, t) = next();
        h.seq = 9;
        refused(HashpitRegistry.Backwards.selector, h, t);
        (h, t) = next();
        h.time -= 1;
        refused(HashpitRegistry.Backwards.selector, h, t);
        h.time += 1 + 601e9;
        refused(HashpitRegistry.Beyond.selector, h, t);
        (h, t) = next();
        h.forcedCount = 1;
        refused(HashpitRegistry.Beyond.selector, h, t);
        (h, t) = next();
        h.time += 600e9;
        h.epoch = 4711; // epochs may be skipped: they are covered
        put(h, t);
    }

    function test_counters_never_fall() public {
        vm.deal(address(this), 1 ether);
        r.requestExit{value: 0.01 ether}(5);
        served = 1;
        issue(0, 0, 10, owner(0));
        put();
        Layout.Header memory h;
        HashpitRegistry.Tops memory t;
        (h, t) = next();
        h.forcedCount = 0;
        refused(HashpitRegistry.Backwards.selector, h, t);
        (h, t) = next();
        h.withdrawCount = 0;
        refused(HashpitRegistry.Backwards.selector, h, t);
        // the withdrawal is taken back: conservation holds, the total falls
        wds[0].pop();
        accs[0][0].avail += 10;
        (h, t) = next();
        h.withdrawCount = 1;
        refused(HashpitRegistry.Backwards.selector, h, t);
    }

    function test_deposits_are_tied_to_the_chain() public {
        Layout.Header memory h;
        HashpitRegistry.Tops memory t;
        (h, t) = next();
        h.depositAcc = bytes32(uint256(1));
        refused(HashpitRegistry.WrongDepositAcc.selector, h, t);
        (h, t) = next();
        h.depositCount = 3;
        refused(HashpitRegistry.Beyond.selector, h, t);
        (h, t) = next();
        h.depositCount = 3; // the chain's default is zero there
        h.depositAcc = 0;
        refused(HashpitRegistry.Beyond.selector, h, t);
        // a tip that claims more was credited
        bytes memory good = tipBytes;
        HashpitRegistry.Tip memory x = tip();
        x.totals[0] += 1;
        tipBytes = abi.encode(x);
        accs[0][0].avail += 1;
        (h, t) = next();
        refused(HashpitRegistry.WrongTip.selector, h, t);
        tipBytes = good;
        refused(HashpitRegistry.NotConserved.selector, h, t);
        accs[0][0].avail -= 1;
        put();
        (h, t) = next();
        h.depositCount = 1;
        refused(HashpitRegistry.Backwards.selector, h, t);
    }

    function test_an_older_deposit_count_is_enough() public {
        bytes memory before = tipBytes;
        Layout.Header memory h;
        HashpitRegistry.Tops memory t;
        (h, t) = next();
        dep(0, 2, 77); // between sealing and posting
        tipBytes = before;
        put(h, t);
    }

    function testFuzz_conservation_per_asset(uint128 x, uint8 k) public {
        k %= 2;
        if (x == accs[k][k].avail || x > type(uint128).max / 2) return;
        accs[k][k].avail = x;
        (Layout.Header memory h, HashpitRegistry.Tops memory t) = next();
        refused(HashpitRegistry.NotConserved.selector, h, t);
    }

    function test_one_asset_does_not_cover_another() public {
        (accs[0][0].avail, accs[1][1].avail) = (900, 600);
        (Layout.Header memory h, HashpitRegistry.Tops memory t) = next();
        refused(HashpitRegistry.NotConserved.selector, h, t);
    }

    /// Gap 9: a root whose total is not the header's is refused when posted.
    function test_root_total_is_checked() public {
        Layout.Header memory h;
        HashpitRegistry.Tops memory t;
        (h, t) = next();
        h.assets[0].liabilities -= 10;
        h.assets[0].withdrawTotal += 10;
        refused(HashpitRegistry.WrongTotal.selector, h, t);
        (h, t) = next();
        t.balances[0].leftSum += 1;
        refused(HashpitRegistry.WrongTotal.selector, h, t);
        (h, t) = next();
        (t.balances[0].leftSum, t.balances[0].rightSum) = (t.balances[0].leftSum - 1, 1);
        refused(HashpitRegistry.WrongRoot.selector, h, t);
        (h, t) = next();
        t.withdrawals[0].leftSum = 1;
        refused(HashpitRegistry.WrongTotal.selector, h, t);
        (h, t) = next();
        t.withdrawals[1].leftHash = bytes32(uint256(1));
        refused(HashpitRegistry.WrongRoot.selector, h, t);
        (h, t) = next();
        h.stateRoot = 0;
        refused(HashpitRegistry.WrongRoot.selector, h, t);
        (h, t) = next();
        h.assets[1].asset = 1;
        refused(HashpitRegistry.WrongAssets.selector, h, t);
        (h, t) = next();
        t.balances = new HashpitRegistry.Top[](1);
        refused(HashpitRegistry.WrongAssets.selector, h, t);
    }

    function test_quorum() public {
        (Layout.Header memory h, HashpitRegistry.Tops memory t) = next();
        HashpitRegistry.Tip memory last = tip();
        bytes memory a = signed(h, 1);
        bytes memory b = signed(h, 2);
        _refusedSignature(HashpitRegistry.SignatureLength.selector, h, t, a);
        _refusedSignature(HashpitRegistry.SignatureLength.selector, h, t, bytes.concat(a, b, hex"00"));
        _refusedSignature(HashpitRegistry.WrongSigner.selector, h, t, bytes.concat(a, a));
        _refusedSignature(HashpitRegistry.WrongSigner.selector, h, t, bytes.concat(b, a));
        (uint8 y, bytes32 x, bytes32 s) = vm.sign(0xBAD, r.anchorDigest(hashOf(h)));
        bytes memory stranger = bytes.concat(x, s, bytes1(y));
        bytes memory two = vm.addr(0xBAD) < vm.addr(pk[0]) ? bytes.concat(stranger, a) : bytes.concat(a, stranger);
        _refusedSignature(HashpitRegistry.WrongSigner.selector, h, t, two);
        _refusedSignature(HashpitRegistry.WrongSigner.selector, h, t, bytes.concat(new bytes(65), a)); // recovers zero
        // the twin of a signature, with the high s
        (y, x, s) = vm.sign(pk[0], r.anchorDigest(hashOf(h)));
        s = bytes32(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - uint256(s));
        _refusedSignature(HashpitRegistry.HighS.selector, h, t, bytes.concat(x, s, bytes1(y == 27 ? 28 : 27), b));
        bytes memory other = signed(h, 3);
        vm.chainId(5);
        _refusedSignature(HashpitRegistry.WrongSigner.selector, h, t, other);
        vm.chainId(31337);
        bytes memory all = signed(h, 7);
        r.post(h, t, last, all);
    }

    function _refusedSignature(
        bytes4 why,
        Layout.Header memory h,
        HashpitRegistry.Tops memory t,
        bytes memory signatures
    ) internal {
        HashpitRegistry.Tip memory last = tip();
        vm.expectPartialRevert(why);
        r.post(h, t, last, signatures);
    }

    function test_digest_is_eip712() public view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Hashpit Registry"),
                keccak256("1"),
                block.chainid,
                address(r)
            )
        );
        bytes32 content = keccak256(
            abi.encode(keccak256("Anchor(bytes32 header,uint64 signerSet)"), bytes32(uint256(5)), uint256(0))
        );
        require(
            r.anchorDigest(bytes32(uint256(5))) == keccak256(bytes.concat(hex"1901", domain, content)), "digest"
        );
    }

    // ------------------------------------------------------------------------------------------ rotation

    function _rotation() internal pure returns (address[] memory s) {
        s = new address[](2);
        (s[0], s[1]) = (vm.addr(0x1), vm.addr(0x2));
        if (s[1] < s[0]) (s[0], s[1]) = (s[1], s[0]);
    }

    Layout.Posted proposed;

    function _propose(uint256 k) internal {
        address[] memory s = _rotation();
        r.proposeRotation(s, k, address(0x77), sign(r.rotationDigest(s, k, address(0x77)), 5));
        proposed = Layout.Posted(uint64(block.timestamp), uint64(block.number));
    }

    /// Rotates back to this anchor, of those that were posted.
    function _rotate(uint256 k, uint256 to, bytes4 why) internal {
        Layout.Header memory h;
        if (to != 0) h = header(to);
        bytes32 after_ = headers.length > to ? hashOf(header(to + 1)) : bytes32(0);
        Layout.Posted memory afterAt = stamps[headers.length > to ? to + 1 : to];
        address[] memory s = _rotation();
        Layout.Posted memory p = proposed;
        Layout.Posted memory p2 = stamps[to];
        if (why != 0) vm.expectPartialRevert(why);
        r.rotate(s, k, address(0x77), p, h, p2, after_, afterAt);
    }

    function test_a_rotation_needs_the_present_quorum() public {
        address[] memory s = _rotation();
        bytes memory sig = sign(r.rotationDigest(s, 2, address(0x77)), 5);
        bytes memory few = sign(r.rotationDigest(s, 2, address(0x77)), 1);
        vm.expectPartialRevert(HashpitRegistry.SignatureLength.selector);
        r.proposeRotation(s, 2, address(0x77), few);
        vm.expectPartialRevert(HashpitRegistry.WrongSigner.selector);
        r.proposeRotation(s, 1, address(0x77), sig);
        r.proposeRotation(s, 2, address(0x77), sig);
    }

    function test_rotation_waits_drops_what_is_pending_and_voids_signatures() public {
        put();
        _propose(2);
        pass(21 days, 2099);
        issue(0, 0, 10, owner(0));
        put();
        _rotate(2, 1, HashpitRegistry.NotYet.selector);
        pass(0, 1);
        vm.warp(block.timestamp - 1);
        _rotate(2, 1, HashpitRegistry.NotYet.selector);
        vm.warp(block.timestamp + 1);
        _rotate(2, 2, HashpitRegistry.NotFinal.selector);
        _rotate(2, 0, HashpitRegistry.NotNewestFinal.selector);
        _rotate(1, 1, HashpitRegistry.NoRotation.selector);
        _rotate(2, 1, 0);
        eq(r.anchor(), 1, "rewound");
        require(r.head() == hashOf(header(1)) && r.committed(2) == 0, "dropped");
        eq(r.withdrawTotal(1), 0, "total");
        eq(r.signerSet(), 1, "set");
        require(r.guardian() == address(0x77), "guardian");
        Layout.Header memory h;
        HashpitRegistry.Tops memory t;
        (h, t) = next();
        refused(HashpitRegistry.WrongSigner.selector, h, t); // the old ones
        (pk[0], pk[1]) = vm.addr(1) < vm.addr(2) ? (uint256(1), uint256(2)) : (uint256(2), uint256(1));
        put(h, t);
        _rotate(2, 1, HashpitRegistry.NoRotation.selector);
    }

    function test_rotation_back_to_an_empty_state() public {
        _propose(1);
        pass(22 days, 2200);
        put();
        _rotate(1, 0, 0);
        eq(r.anchor() + r.epoch() + r.seq() + r.headerTime() + r.depositsCredited(), 0, "nothing");
        require(r.head() == 0, "head");
    }

    function test_the_guardian_withdraws_a_rotation() public {
        address[] memory s = _rotation();
        r.proposeRotation(s, 1, address(0x77), sign(r.rotationDigest(s, 1, address(0x77)), 3));
        vm.expectRevert(HashpitRegistry.NotGuardian.selector);
        r.withdrawRotation();
        vm.prank(GUARDIAN);
        r.withdrawRotation();
        require(r.pendingRotation() == 0, "gone");
        (s[0], s[1]) = (s[1], s[0]);
        bytes memory sig = sign(r.rotationDigest(s, 1, address(0x77)), 3);
        vm.expectPartialRevert(HashpitRegistry.BadSigner.selector);
        r.proposeRotation(s, 1, address(0x77), sig);
    }

    // --------------------------------------------------------------------------------------- deployment

    function test_settings_out_of_range() public {
        HashpitRegistry.Settings memory s = settings();
        s.rotation.time = 6 days; // exit + window + pause
        _bad(s);
        s = settings();
        s.rotation.blocks = 400;
        _bad(s);
        s = settings();
        s.pauseEvery = 5 days;
        _bad(s);
        s = settings();
        s.window.blocks = 0;
        _bad(s);
        s = settings();
        s.silence.time = 1;
        _bad(s);
        s = settings();
        s.treasury = address(0);
        _bad(s);
        s = settings();
        s.exitsPerBlock = 0;
        _bad(s);
        s = settings();
        s.pauseLength = 4 days;
        _bad(s);
    }

    function _bad(HashpitRegistry.Settings memory s) internal {
        address[] memory list = signerList();
        uint64 n = vm.getNonce(address(this));
        HashpitVault w =
            new HashpitVault(IRegistry(vm.computeCreateAddress(address(this), n + 1)), assetList(), 7 days);
        vm.expectPartialRevert(HashpitRegistry.BadSettings.selector);
        new HashpitRegistry(IVault(address(w)), address(1), s, list, 2, GUARDIAN);
    }

    function test_the_three_know_each_other() public {
        address[] memory list = signerList();
        HashpitRegistry.Settings memory s = settings();
        vm.expectPartialRevert(HashpitRegistry.NotThisRegistry.selector);
        new HashpitRegistry(IVault(address(v)), address(g), s, list, 2, GUARDIAN);
        vm.expectPartialRevert(HashpitJudge.NotThisJudge.selector);
        new HashpitJudge(IRegistryForJudge(address(r)));
        vm.expectRevert(HashpitRegistry.NotJudge.selector);
        r.judgeFreeze("me");
    }

    function test_assets_are_checked() public {
        HashpitVault.Asset[] memory l = assetList();
        l[1].id = 1;
        _badAssets(l);
        l = assetList();
        l[1].token = address(0);
        _badAssets(l);
        l = assetList();
        l[1].token = address(0x1234); // no code
        _badAssets(l);
        l = assetList();
        l[0].dayCap = 0;
        _badAssets(l);
        _badAssets(new HashpitVault.Asset[](0));
    }

    function _badAssets(HashpitVault.Asset[] memory l) internal {
        vm.expectPartialRevert(HashpitVault.BadAssets.selector);
        new HashpitVault(IRegistry(address(1)), l, 7 days);
    }
}
