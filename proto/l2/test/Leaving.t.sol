// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import "./Base.sol";

/// Forced exits, freezes and what works after one, without the operator.
contract Leaving is Base {
    Layout.Exit asked;

    function setUp() public {
        _setup();
        dep(0, 0, 900);
        dep(0, 1, 800);
        dep(1, 1, 500);
    }

    function _ask(uint256 i) internal {
        vm.deal(owner(i), 0.01 ether);
        vm.prank(owner(i));
        r.requestExit{value: 0.01 ether}(uint32(i));
        asked = Layout.Exit(uint32(i), owner(i), Layout.Posted(uint64(block.timestamp), uint64(block.number)));
    }

    function _falsely(uint256 id, uint256 before, uint256 claimed, uint256 k, uint256 i, bytes4 why) internal {
        Layout.Balance memory l = leaf(k, i);
        Layout.Node[] memory path = balances(k, i).path;
        bytes memory x =
            abi.encode(asked, header(before), header(claimed), stamps[claimed], k, opening(), l, path);
        _call(abi.encodePacked(g.freezeFalselyServed.selector), id, x, why);
    }

    /// Calls the Judge with an id and eight more arguments, which are too many for the stack otherwise. In
    /// `abi.encode` all offsets count from the first argument; one more word before them moves each by 32.
    function _call(bytes memory selector, uint256 id, bytes memory x, bytes4 why) internal {
        // places of the dynamic arguments among the eight: both headers, opening, path; Exit takes four words
        // (account, owner, filed), so the heads are: 4, 1, 1, 2, 1, 1, 7, 1
        uint256[4] memory heads = [uint256(4), 5, 9, 17];
        for (uint256 n; n < 4; ++n) {
            uint256 at_ = 32 + heads[n] * 32;
            assembly {
                let p := add(x, at_)
                mstore(p, add(mload(p), 32))
            }
        }
        (bool ok, bytes memory out) = address(g).call(bytes.concat(selector, bytes32(id), x));
        require(ok == (why == 0), "what was expected");
        if (!ok) require(bytes4(out) == why, "another reason");
    }

    function _dispute(uint256 before, bytes memory shown, address who, bytes4 why) internal {
        (Layout.Opening memory o, Layout.Balance memory l, Layout.Node[] memory path) =
            abi.decode(shown, (Layout.Opening, Layout.Balance, Layout.Node[]));
        bytes memory x = abi.encode(
            asked, header(before), header(before + 1), stamps[before + 1], uint256(l.asset - 1), o, l, path
        );
        vm.prank(who);
        _call(abi.encodePacked(g.disputeExit.selector), 0, x, why);
    }

    function _shown(uint256 k, uint256 i) internal view returns (bytes memory) {
        return abi.encode(opening(), leaf(k, i), balances(k, i).path);
    }

    // ----------------------------------------------------------------------------------------- forced exit

    function test_an_unserved_exit_freezes_after_both_clocks() public {
        put();
        _ask(0);
        Layout.Exit memory e = asked;
        pass(3 days, 299);
        vm.expectRevert(HashpitRegistry.NotYet.selector);
        r.freezeUnserved(0, e);
        pass(0, 1);
        vm.warp(block.timestamp - 1);
        vm.expectRevert(HashpitRegistry.NotYet.selector);
        r.freezeUnserved(0, e);
        pass(1, 0);
        e.account = 1;
        vm.expectPartialRevert(HashpitRegistry.WrongExit.selector);
        r.freezeUnserved(0, e);
        e.account = 0;
        r.freezeUnserved(0, e);
        require(r.frozen(), "frozen");
        r.returnFee(0, e);
        eq(owner(0).balance, 0.01 ether, "fee is back");
        vm.expectPartialRevert(HashpitRegistry.ExitServed.selector);
        r.returnFee(0, e);
    }

    function test_a_served_exit_does_not_freeze_and_its_fee_stays() public {
        put();
        _ask(0);
        Layout.Exit memory e = asked;
        issue(0, 0, 900, owner(0));
        accs[0][0].closed = true;
        served = 1;
        put();
        pass(4 days, 400);
        vm.expectPartialRevert(HashpitRegistry.ExitServed.selector);
        r.freezeUnserved(0, e);
        _falsely(0, 1, 2, 0, 0, HashpitJudge.NothingWrong.selector);
        r.sweepFees();
        r.sweepFees();
        eq(TREASURY.balance, 0.01 ether, "treasury, once");
        vm.prank(GUARDIAN);
        r.guardianFreeze();
        vm.expectPartialRevert(HashpitRegistry.ExitServed.selector);
        r.returnFee(0, e);
    }

    function test_exit_requests_are_limited_and_cost() public {
        vm.deal(address(this), 1 ether);
        vm.expectPartialRevert(HashpitRegistry.WrongFee.selector);
        r.requestExit{value: 1}(0);
        for (uint32 i; i < 3; ++i) r.requestExit{value: 0.01 ether}(i);
        vm.expectRevert(HashpitRegistry.TooManyExits.selector);
        r.requestExit{value: 0.01 ether}(3);
        pass(0, 1);
        r.requestExit{value: 0.01 ether}(3);
        r.requestExit{value: 0.01 ether}(4);
        pass(0, 1);
        vm.expectRevert(HashpitRegistry.TooManyExits.selector);
        r.requestExit{value: 0.01 ether}(5);
    }

    function test_falsely_served_freezes() public {
        put();
        _ask(1);
        accs[1][1].closed = true; // closed, with coins in it
        served = 1;
        put();
        accs[1][1].closed = true;
        _falsely(0, 1, 2, 1, 1, 0);
        require(r.frozen(), "frozen");
    }

    function test_open_and_empty_is_falsely_served() public {
        put();
        _ask(0);
        issue(0, 0, 900, owner(0));
        served = 1;
        put();
        _falsely(0, 1, 2, 0, 0, 0);
        require(r.frozen(), "frozen");
    }

    function test_a_stranger_cannot_say_that_an_exit_was_false() public {
        put();
        _ask(2); // asks for an account that is another's
        asked.account = 2;
        served = 1;
        put();
        _falsely(0, 1, 2, 0, 0, HashpitJudge.NotTheOwner.selector);
        vm.deal(owner(2), 0.01 ether);
        vm.prank(owner(2));
        r.requestExit{value: 0.01 ether}(0);
        asked = Layout.Exit(0, owner(2), Layout.Posted(uint64(block.timestamp), uint64(block.number)));
        served = 2;
        put();
        _falsely(1, 2, 3, 0, 0, HashpitJudge.NotTheOwner.selector);
    }

    /// Gap 3: only the first header that claims an exit is judged; a later account is no lie.
    function test_an_account_that_comes_back_is_no_lie() public {
        put();
        _ask(0);
        issue(0, 0, 900, owner(0));
        accs[0][0].closed = true;
        served = 1;
        put();
        dep(0, 0, 10);
        accs[0][0].closed = false;
        put();
        _falsely(0, 2, 3, 0, 0, HashpitJudge.NotFirstClaim.selector);
        _falsely(0, 1, 3, 0, 0, HashpitJudge.NotFirstClaim.selector);
        _falsely(0, 1, 1, 0, 0, HashpitJudge.NotFirstClaim.selector);
    }

    /// Gap 4: an exit whose coins went to somebody else freezes when nobody can show a withdrawal to the owner.
    function test_an_exit_that_paid_somebody_else() public {
        put();
        _ask(0);
        bytes memory shown = _shown(0, 0);
        issue(0, 0, 900, owner(5));
        accs[0][0].closed = true;
        served = 1;
        put();
        _dispute(1, shown, owner(5), HashpitJudge.NotTheOwner.selector);
        _dispute(1, shown, owner(0), 0);
        _dispute(1, shown, owner(0), HashpitJudge.NothingWrong.selector);
        HashpitJudge.Dispute memory d = _content();
        Layout.Withdrawal memory w = wds[0][0];
        Layout.Node[] memory path = withdrawals(0, 0).path;
        vm.expectRevert(HashpitJudge.NotTheOwner.selector);
        g.answerDispute(d, w, path, path);
        w.to = owner(0);
        vm.expectPartialRevert(HashpitJudge.WrongRoot.selector);
        g.answerDispute(d, w, path, path);
        pass(3 days, 299);
        vm.expectRevert(HashpitJudge.NotYet.selector);
        g.freezeUnanswered(d);
        pass(0, 1);
        vm.warp(block.timestamp - 1);
        vm.expectRevert(HashpitJudge.NotYet.selector);
        g.freezeUnanswered(d);
        pass(1, 0);
        g.freezeUnanswered(d);
        require(r.frozen(), "frozen");
    }

    function _content() internal view returns (HashpitJudge.Dispute memory d) {
        d = HashpitJudge.Dispute(
            0,
            1,
            owner(0),
            header(1).assets[0].withdrawRoot,
            header(2).assets[0].withdrawRoot,
            Layout.Posted(uint64(block.timestamp), uint64(block.number))
        );
        require(g.disputes(keccak256(abi.encode(d))), "no such dispute");
    }

    function test_an_honest_operator_answers_a_dispute() public {
        issue(0, 0, 100, owner(0)); // an older one: it must not count
        put();
        _ask(0);
        bytes memory shown = _shown(0, 0);
        Layout.Node[] memory beforeOld = withdrawals(0, 0).path;
        Layout.Node[] memory beforeNew = withdrawals(0, 1).path;
        issue(0, 0, 800, owner(0));
        accs[0][0].closed = true;
        served = 1;
        put();
        _dispute(1, shown, owner(0), 0);
        HashpitJudge.Dispute memory d = _content();
        Layout.Withdrawal memory w = wds[0][0];
        Layout.Node[] memory path = withdrawals(0, 0).path;
        vm.expectPartialRevert(HashpitJudge.WrongRoot.selector);
        g.answerDispute(d, w, path, beforeOld);
        w = wds[0][1];
        path = withdrawals(0, 1).path;
        g.answerDispute(d, w, path, beforeNew);
        pass(4 days, 400);
        vm.expectRevert(HashpitJudge.NoSuchDispute.selector);
        g.freezeUnanswered(d);
    }

    function test_no_dispute_about_an_account_that_was_empty() public {
        issue(0, 0, 900, owner(0));
        put();
        _ask(0);
        bytes memory shown = _shown(0, 0);
        accs[0][0].closed = true;
        served = 1;
        put();
        _dispute(1, shown, owner(0), HashpitJudge.NothingWrong.selector);
    }

    // --------------------------------------------------------------------------------------------- freezes

    /// Gap 6: a chain that stands still is not the operator's silence.
    function test_silence_needs_time_and_blocks() public {
        put();
        pass(8 days, 1);
        vm.expectRevert(HashpitRegistry.NotYet.selector);
        r.freezeSilence();
        pass(0, 698);
        vm.expectRevert(HashpitRegistry.NotYet.selector);
        r.freezeSilence();
        pass(0, 1);
        vm.warp(block.timestamp - 1 days - 1);
        vm.expectRevert(HashpitRegistry.NotYet.selector);
        r.freezeSilence();
        pass(1, 0);
        r.freezeSilence();
        require(r.frozen(), "frozen");
        vm.expectRevert(HashpitRegistry.IsFrozen.selector);
        r.freezeSilence();
        Layout.Header memory h;
        HashpitRegistry.Tops memory t;
        (h, t) = next();
        refused(HashpitRegistry.IsFrozen.selector, h, t);
        vm.deal(address(this), 1 ether);
        vm.expectRevert(HashpitRegistry.IsFrozen.selector);
        r.requestExit{value: 0.01 ether}(0);
    }

    /// Gap 5: a pause takes nothing from the operator's time, since headers go on.
    function test_exits_are_served_during_a_pause() public {
        put();
        _ask(0);
        vm.prank(GUARDIAN);
        r.guardianPause();
        issue(0, 0, 900, owner(0));
        accs[0][0].closed = true;
        served = 1;
        put();
        Layout.Exit memory e = asked;
        pass(4 days, 400);
        vm.expectPartialRevert(HashpitRegistry.ExitServed.selector);
        r.freezeUnserved(0, e);
    }

    function test_equivocation() public {
        put();
        (Layout.Header memory a,) = next();
        Layout.Header memory b = abi.decode(abi.encode(a), (Layout.Header));
        b.seq += 1;
        bytes memory sa = signed(a, 3);
        bytes memory sb = signed(b, 6);
        bytes memory one = signed(b, 4);
        vm.expectRevert(HashpitRegistry.NotContradicting.selector);
        r.freezeEquivocation(a, sa, a, sa);
        vm.expectPartialRevert(HashpitRegistry.SignatureLength.selector);
        r.freezeEquivocation(a, sa, b, one);
        vm.expectPartialRevert(HashpitRegistry.WrongSigner.selector);
        r.freezeEquivocation(a, sb, b, sb);
        b.anchor += 1;
        bytes memory later = signed(b, 3);
        vm.expectRevert(HashpitRegistry.NotContradicting.selector);
        r.freezeEquivocation(a, sa, b, later);
        b.anchor -= 1;
        // a header whose deposits a broken finality took away may be replaced
        b.depositAcc = bytes32(uint256(1));
        bytes memory lost = signed(b, 3);
        vm.expectRevert(HashpitRegistry.NotContradicting.selector);
        r.freezeEquivocation(a, sa, b, lost);
        vm.expectRevert(HashpitRegistry.NotContradicting.selector);
        r.freezeEquivocation(b, lost, a, sa);
        (b.depositAcc, b.depositCount) = (0, 99);
        lost = signed(b, 3);
        vm.expectRevert(HashpitRegistry.NotContradicting.selector);
        r.freezeEquivocation(a, sa, b, lost);
        (b.depositAcc, b.depositCount) = (a.depositAcc, a.depositCount);
        r.freezeEquivocation(a, sa, b, sb);
        require(r.frozen(), "frozen");
    }

    function test_only_the_guardian_is_the_guardian() public {
        vm.expectRevert(HashpitRegistry.NotGuardian.selector);
        r.guardianFreeze();
        vm.expectRevert(HashpitRegistry.NotJudge.selector);
        r.judgeFreeze("a passer-by says so");
        require(!r.frozen(), "nobody else freezes");
    }

    // ----------------------------------------------------------------------------------- sums that are lies

    /// Posts a header whose balances of asset 0 hide a lie at height `height` of account 0's path.
    function _lie(uint256 height, uint128 less) internal {
        Built memory b = balances(0, 0);
        bytes32 x = leafHash(leaf(0, 0));
        uint128 s = accs[0][0].avail;
        for (uint256 d; d < 32; ++d) {
            if (d == height) s -= less;
            if (d == 31) b.top = HashpitRegistry.Top(x, s, b.path[d].hash, b.path[d].sum);
            x = sumNode(x, s, b.path[d].hash, b.path[d].sum, 1);
            s += b.path[d].sum;
        }
        accs[0][1].avail -= less; // the total goes down by as much and is "withdrawn"
        wds[0].push(Layout.Withdrawal(0, owner(7), less, 1));
        (Layout.Header memory h, HashpitRegistry.Tops memory t) = next();
        accs[0][1].avail += less;
        require(h.assets[0].liabilities == s, "total");
        Layout.Opening memory o = opening();
        o.roots[0] = x;
        t.balances[0] = b.top;
        h.stateRoot = stateRoot(h, o);
        put(h, t);
        lied = abi.encode(o);
    }

    bytes lied;

    function _tail(Layout.Node[] memory path, uint256 from) internal pure returns (Layout.Node[] memory up) {
        up = new Layout.Node[](path.length - from);
        for (uint256 i; i < up.length; ++i) up[i] = path[i + from];
    }

    /// Gap 2: a leaf whose parent understates it.
    function test_an_understated_leaf_freezes() public {
        _lie(0, 100);
        Layout.Header memory h = header(1);
        Layout.Posted memory p = stamps[1];
        Layout.Opening memory o = abi.decode(lied, (Layout.Opening));
        Layout.Balance memory l = leaf(0, 0);
        Layout.Node[] memory path = balances(0, 0).path;
        vm.expectRevert(HashpitJudge.NothingWrong.selector);
        g.freezeBadBalance(h, p, 0, o, l, 900, path);
        vm.expectPartialRevert(HashpitJudge.WrongRoot.selector);
        g.freezeBadBalance(h, p, 0, o, l, 801, path);
        Layout.Node[] memory up = _tail(path, 1);
        vm.expectPartialRevert(Layout.WrongDepth.selector);
        g.freezeBadBalance(h, p, 0, o, l, 800, up);
        g.freezeBadBalance(h, p, 0, o, l, 800, path);
        require(r.frozen(), "frozen");
    }

    function test_an_understated_node_freezes() public {
        _lie(3, 100);
        Layout.Node[] memory path = balances(0, 0).path;
        Layout.Node[2] memory kids;
        bytes32 x = leafHash(leaf(0, 0));
        uint128 s = 900;
        for (uint256 d; d < 2; ++d) {
            x = sumNode(x, s, path[d].hash, path[d].sum, 1);
            s += path[d].sum;
        }
        (kids[0], kids[1]) = (Layout.Node(x, s), path[2]);
        s += path[2].sum;
        Layout.Node[] memory up = _tail(path, 3);
        _badNode(false, kids, s, up, HashpitJudge.NothingWrong.selector);
        _badNode(true, kids, s - 100, up, HashpitJudge.WrongRoot.selector);
        _badNode(false, kids, s - 100, new Layout.Node[](0), Layout.WrongDepth.selector);
        _badNode(false, kids, s - 100, path, Layout.WrongDepth.selector);
        stamps[1].time += 1;
        _badNode(false, kids, s - 100, up, HashpitJudge.UnknownHeader.selector);
        stamps[1].time -= 1;
        _badNode(false, kids, s - 100, up, 0);
        require(r.frozen(), "frozen");
    }

    function _badNode(
        bool inWithdrawals,
        Layout.Node[2] memory kids,
        uint128 stated,
        Layout.Node[] memory up,
        bytes4 why
    ) internal {
        Layout.Header memory h = header(1);
        Layout.Posted memory p = stamps[1];
        Layout.Opening memory o = abi.decode(lied, (Layout.Opening));
        if (why != 0) vm.expectPartialRevert(why);
        g.freezeBadNode(h, p, 0, o, inWithdrawals, kids, stated, 0, up);
    }

    function test_longs_that_are_not_shorts_freeze() public {
        put();
        Layout.ContractLeaf memory c;
        (c,) = positions();
        bytes32[] memory path;
        (, path) = contractsRoot(c);
        Layout.Opening memory o = opening();
        Layout.Header memory h = header(1);
        Layout.Posted memory p = stamps[1];
        vm.expectRevert(HashpitJudge.NothingWrong.selector);
        g.freezeUnbalanced(h, p, o, c, path);
        c.long = 31;
        vm.expectPartialRevert(HashpitJudge.WrongRoot.selector);
        g.freezeUnbalanced(h, p, o, c, path);
        longs = 31;
        put();
        h = header(2);
        p = stamps[2];
        o = opening();
        (c,) = positions();
        g.freezeUnbalanced(h, p, o, c, path);
        require(r.frozen(), "frozen");
    }

    /// A contract's leaf states equal longs and shorts, the tree below it does not.
    function _hide(bool inTheLeaf) internal returns (Layout.ContractLeaf memory c) {
        if (inTheLeaf) {
            bytes32 x = pairNode(positionHash(position(0)), longs - 1, 0, positionHash(position(1)), 0, shorts);
            for (uint256 d = 1; d < 32; ++d) x = pairNode(x, longs - 1, shorts, zero[5][d], 0, 0);
            c = Layout.ContractLeaf(7, x, longs - 1, shorts);
        } else {
            (c,) = positions();
            c.long -= 1;
        }
        Layout.Header memory h;
        HashpitRegistry.Tops memory t;
        (h, t) = next();
        Layout.Opening memory o = opening();
        (o.positionsRoot,) = contractsRoot(c);
        t.positionsRoot = o.positionsRoot;
        h.stateRoot = stateRoot(h, o);
        put(h, t);
        lied = abi.encode(o);
    }

    function test_a_contract_that_hides_longs_freezes() public {
        longs = 31;
        Layout.ContractLeaf memory c = _hide(false);
        (, bytes32[] memory path) = contractsRoot(c);
        (, Layout.Pair[2] memory kids) = positions();
        bytes32 x = pairNode(kids[0].hash, 31, 0, kids[1].hash, 0, 30);
        for (uint256 d = 1; d < 31; ++d) x = pairNode(x, 31, 30, zero[5][d], 0, 0);
        kids[0] = Layout.Pair(x, 31, 30);
        kids[1] = Layout.Pair(zero[5][31], 0, 0);
        _badPair(c, path, kids, [uint128(31), 30], HashpitJudge.NothingWrong.selector);
        _badPair(c, path, kids, [uint128(29), 30], HashpitJudge.WrongLots.selector);
        _badPair(c, path, kids, [uint128(30), 30], 0);
        require(r.frozen(), "frozen");
    }

    function _badPair(
        Layout.ContractLeaf memory c,
        bytes32[] memory path,
        Layout.Pair[2] memory kids,
        uint128[2] memory stated,
        bytes4 why
    ) internal {
        Layout.Header memory h = header(1);
        Layout.Posted memory p = stamps[1];
        Layout.Opening memory o = abi.decode(lied, (Layout.Opening));
        Layout.Pair[] memory up = new Layout.Pair[](0);
        if (why != 0) vm.expectPartialRevert(why);
        g.freezeBadPairNode(h, p, o, c, path, kids, stated, 0, up);
    }

    function test_a_position_that_is_understated_freezes() public {
        longs = 31;
        Layout.ContractLeaf memory c = _hide(true);
        (, bytes32[] memory path) = contractsRoot(c);
        Layout.Header memory h = header(1);
        Layout.Posted memory p = stamps[1];
        Layout.Opening memory o = abi.decode(lied, (Layout.Opening));
        Layout.Position memory q = position(0);
        Layout.Pair[] memory up = pairPath(0);
        up[0] = Layout.Pair(positionHash(position(1)), 0, 30);
        vm.expectRevert(HashpitJudge.NothingWrong.selector);
        g.freezeBadPosition(h, p, o, c, path, q, [uint128(31), 0], up);
        g.freezeBadPosition(h, p, o, c, path, q, [uint128(30), 0], up);
        require(r.frozen(), "frozen");
    }

    // ------------------------------------------------------------------------------------- after a freeze

    function _escape(uint256 n, uint256 k, uint256 i, bytes4 why) internal {
        Layout.Header memory h = header(n);
        Layout.Posted memory p = stamps[n];
        Layout.Opening memory o = opening();
        Layout.Balance memory l = leaf(k, i);
        Layout.Node[] memory path = balances(k, i).path;
        if (why != 0) vm.expectPartialRevert(why);
        v.escape(h, p, k, o, l, path);
    }

    function test_everybody_leaves_without_the_operator() public {
        issue(0, 0, 50, address(0xBEEF));
        accs[0][0].avail -= 100;
        accs[0][0].locked += 100;
        put();
        _escape(1, 0, 0, HashpitVault.NotSettled.selector);
        dep(0, 6, 500); // never credited
        HashpitRegistry.Tip memory late = tip();
        accs[0][6].owner = address(0);
        accs[0][6].avail = 0;
        freezeAndSettle();
        uint256 rest = address(v).balance;
        claim(0, 0);
        _escape(1, 0, 0, 0);
        _escape(1, 0, 0, HashpitVault.AlreadyPaid.selector);
        _escape(1, 1, 1, 0);
        eq(owner(0).balance, 850 * uint256(SCALE), "available and locked");
        eq(token.balanceOf(owner(1)), 500e12, "the other asset");
        HashpitVault.Deposit memory d =
            HashpitVault.Deposit(late.prevAcc, late.owner, late.asset, late.amount, late.totals);
        vm.expectPartialRevert(HashpitVault.DepositCredited.selector);
        v.refund(2, d);
        d.amount += 1;
        vm.expectPartialRevert(HashpitVault.WrongDeposit.selector);
        v.refund(3, d);
        d.amount -= 1;
        vm.expectPartialRevert(HashpitVault.WrongDeposit.selector);
        v.refund(4, d);
        v.refund(3, d);
        vm.expectPartialRevert(HashpitVault.AlreadyPaid.selector);
        v.refund(3, d);
        eq(owner(6).balance, 500 * uint256(SCALE), "refunded");
        pass(7 days, 0);
        _escape(1, 0, 1, 0);
        eq(rest - address(v).balance, (50 + 850 + 800 + 500) * uint256(SCALE), "nothing stays");
        eq(address(v).balance, 0, "empty");
    }

    function test_a_freeze_before_the_first_final_header_refunds_all() public {
        put();
        vm.prank(GUARDIAN);
        r.guardianFreeze();
        Layout.Header memory none;
        Layout.Posted memory p0 = stamps[0];
        Layout.Posted memory p1 = stamps[1];
        bytes32 h1 = hashOf(header(1));
        r.settleEpoch(none, p0, h1, p1);
        HashpitRegistry.Tip memory t = tip();
        v.refund(2, HashpitVault.Deposit(t.prevAcc, t.owner, t.asset, t.amount, t.totals));
        eq(token.balanceOf(owner(1)), 500e12, "back");
        _escape(1, 0, 0, HashpitVault.NotSettledHeader.selector);
        vm.expectPartialRevert(HashpitRegistry.Dropped.selector);
        r.requirePayable(1, h1, p1);
    }

    function test_settlement_takes_the_newest_that_was_final_when_frozen() public {
        put();
        pass(1 hours, 10);
        put();
        pass(WINDOW - 1 hours, BLOCKS);
        put();
        _settle(1, 1, 2, 2, HashpitRegistry.NotFrozen.selector);
        vm.prank(GUARDIAN);
        r.guardianFreeze();
        pass(10 days, 1000); // what passes after the freeze does not count
        _settle(2, 2, 3, 3, HashpitRegistry.NotFinal.selector);
        _settle(0, 0, 1, 1, HashpitRegistry.NotNewestFinal.selector);
        _settle(1, 2, 2, 2, HashpitRegistry.UnknownHeader.selector);
        _settle(1, 1, 3, 3, HashpitRegistry.UnknownHeader.selector);
        _payable(1, HashpitRegistry.NotFrozen.selector);
        _settle(1, 1, 2, 2, 0);
        eq(r.settledAnchor(), 1, "anchor");
        eq(r.settledDeposits(), 3, "deposits");
        _payable(2, HashpitRegistry.Dropped.selector);
        _settle(1, 1, 2, 2, HashpitRegistry.AlreadySettled.selector);
        _escape(2, 0, 0, HashpitVault.NotSettledHeader.selector);
        _escape(1, 0, 0, 0);
    }

    function _settle(uint256 n, uint256 at_, uint256 m, uint256 mAt, bytes4 why) internal {
        Layout.Header memory h;
        if (n != 0) h = header(n);
        bytes32 x = hashOf(header(m));
        Layout.Posted memory p = stamps[at_];
        Layout.Posted memory q = stamps[mAt];
        if (why != 0) vm.expectPartialRevert(why);
        r.settleEpoch(h, p, x, q);
    }

    function _payable(uint256 n, bytes4 why) internal {
        bytes32 x = hashOf(header(n));
        Layout.Posted memory p = stamps[n];
        vm.expectPartialRevert(why);
        r.requirePayable(uint64(n), x, p);
    }

    /// Gap 8: an account without an address is not burned.
    function test_an_account_without_owner_is_not_burned() public {
        accs[0][1].owner = address(0);
        put();
        freezeAndSettle();
        _escape(1, 0, 1, HashpitVault.ZeroAddress.selector);
    }

    function test_escapes_that_are_refused() public {
        put();
        freezeAndSettle();
        Layout.Header memory h = header(1);
        Layout.Posted memory p = stamps[1];
        Layout.Opening memory o = opening();
        Layout.Balance memory l = leaf(0, 0);
        Layout.Node[] memory path = balances(0, 0).path;
        l.available += 1;
        vm.expectPartialRevert(HashpitVault.WrongRoot.selector);
        v.escape(h, p, 0, o, l, path);
        l.available -= 1;
        l.index = 2;
        vm.expectPartialRevert(HashpitVault.WrongRoot.selector);
        v.escape(h, p, 0, o, l, path);
        l.index = 0;
        o.roots[0] = 0;
        vm.expectPartialRevert(HashpitVault.WrongRoot.selector);
        v.escape(h, p, 0, o, l, path);
        o = opening();
        Layout.Node[] memory up = _tail(path, 1);
        vm.expectPartialRevert(Layout.WrongDepth.selector);
        v.escape(h, p, 0, o, l, up);
        h.seq += 1;
        vm.expectPartialRevert(HashpitRegistry.UnknownHeader.selector);
        v.escape(h, p, 0, o, l, path);
    }

    /// A tree of one's own, in which everything adds up, opens no state that was posted.
    function test_an_opening_of_another_state_is_refused() public {
        put();
        freezeAndSettle();
        Layout.Header memory h = header(1);
        Layout.Opening memory o = opening();
        Layout.Balance memory l = leaf(0, 0);
        Layout.Node[] memory path = balances(0, 0).path;
        l.owner = address(0xBAD);
        bytes32 x = leafHash(l);
        uint128 s = l.available + l.locked;
        for (uint256 d; d < 32; ++d) {
            x = sumNode(x, s, path[d].hash, path[d].sum, 1);
            s += path[d].sum;
        }
        require(s == h.assets[0].liabilities, "the total is right");
        o.roots[0] = x;
        vm.expectPartialRevert(HashpitVault.WrongRoot.selector);
        v.escape(h, stamps[1], 0, o, l, path);
    }
}
