// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import "./Base.sol";

/// The Vault: what comes in, what goes out, and how often.
contract Custody is Base {
    function setUp() public {
        _setup();
        dep(0, 0, 5000);
        dep(0, 1, 5000);
        dep(1, 1, 500);
    }

    function test_deposits_in_both_assets() public view {
        eq(address(v).balance, 10_000 * uint256(SCALE), "wei");
        eq(token.balanceOf(address(v)), 500e12, "token");
        eq(v.deposited(1), 10_000, "minor units");
        HashpitRegistry.Tip memory t = tip();
        require(
            v.depositAcc()
                == keccak256(
                    abi.encode("hashpit/deposit/v1", t.prevAcc, uint64(2), t.owner, t.asset, t.amount, t.totals)
                ),
            "acc"
        );
        eq(v.assetIds().length, 2, "assets");
    }

    function test_deposits_that_are_refused() public {
        vm.deal(address(this), 100 ether);
        vm.expectPartialRevert(HashpitVault.NotMultipleOfScale.selector);
        v.deposit{value: SCALE * 5 + 1}(1);
        vm.expectPartialRevert(HashpitVault.AmountOutOfRange.selector);
        v.deposit{value: SCALE}(1);
        vm.expectPartialRevert(HashpitVault.UnknownAsset.selector);
        v.deposit{value: SCALE * 5}(9);
        vm.expectPartialRevert(HashpitVault.WrongCoin.selector);
        v.deposit{value: SCALE * 5}(2);
        vm.expectPartialRevert(HashpitVault.WrongCoin.selector);
        v.depositToken(1, 5);
        token.mint(address(this), 1000e12);
        token.set(1, false, false);
        vm.expectPartialRevert(HashpitVault.TokenTookFee.selector);
        v.depositToken(2, 5e12);
        token.set(0, true, false);
        vm.expectPartialRevert(HashpitVault.TokenCallFailed.selector);
        v.depositToken(2, 5e12);
        token.set(0, false, true); // a token that answers nothing is fine
        v.depositToken(2, 5e12);
        token.attack(v);
        vm.expectPartialRevert(HashpitVault.TokenCallFailed.selector);
        v.depositToken(2, 5e12);
        vm.prank(GUARDIAN);
        r.guardianFreeze();
        vm.expectRevert(HashpitVault.Frozen.selector);
        v.deposit{value: SCALE * 5}(1);
    }

    function test_withdraw_once_by_proof() public {
        issue(0, 0, 300, address(0xBEEF));
        issue(1, 1, 70, address(0xBEEF));
        (Layout.Header memory h, Layout.Posted memory p) = put();
        Layout.Node[] memory path = withdrawals(0, 0).path;
        Layout.Withdrawal memory w = wds[0][0];
        vm.expectPartialRevert(HashpitRegistry.NotFinal.selector);
        v.withdraw(h, p, 0, w, path);
        pass(WINDOW, BLOCKS);
        claim(0, 0);
        eq(address(0xBEEF).balance, 300 * uint256(SCALE), "paid");
        vm.expectPartialRevert(HashpitVault.AlreadyPaid.selector);
        v.withdraw(h, p, 0, w, path);
        claim(1, 0); // the same id in another asset
        eq(token.balanceOf(address(0xBEEF)), 70e12, "token");
    }

    function test_withdrawals_that_are_refused() public {
        issue(0, 0, 300, address(0xBEEF));
        issue(0, 0, 200, address(0));
        (Layout.Header memory h, Layout.Posted memory p) = put();
        pass(WINDOW, BLOCKS);
        Layout.Node[] memory path = withdrawals(0, 0).path;
        Layout.Withdrawal memory w = wds[0][0];
        w.amount = 301;
        vm.expectPartialRevert(HashpitVault.WrongRoot.selector);
        v.withdraw(h, p, 0, w, path);
        w.amount = 300;
        w.asset = 2;
        vm.expectPartialRevert(HashpitVault.AssetNotInHeader.selector);
        v.withdraw(h, p, 0, w, path);
        w.asset = 1;
        vm.expectPartialRevert(HashpitVault.AssetNotInHeader.selector);
        v.withdraw(h, p, 2, w, path);
        w.id = 2;
        vm.expectPartialRevert(HashpitVault.NotIssued.selector);
        v.withdraw(h, p, 0, w, path);
        w.id = 0;
        Layout.Node[] memory short = new Layout.Node[](31);
        vm.expectPartialRevert(Layout.WrongDepth.selector);
        v.withdraw(h, p, 0, w, short);
        h.seq += 1;
        vm.expectPartialRevert(HashpitRegistry.UnknownHeader.selector);
        v.withdraw(h, p, 0, w, path);
        h.seq -= 1;
        w = wds[0][1];
        path = withdrawals(0, 1).path;
        vm.expectRevert(HashpitVault.ZeroAddress.selector);
        v.withdraw(h, p, 0, w, path);
    }

    function test_an_id_beyond_the_tree_is_refused() public {
        issue(0, 0, 300, address(0xBEEF));
        Layout.Header memory h;
        HashpitRegistry.Tops memory t;
        (h, t) = next();
        h.withdrawCount = type(uint64).max;
        // a leaf with id 2^32 at place 0: its path would do, its index does not
        wds[0][0].id = 1 << 32;
        Built memory b = withdrawals(0, 0);
        (t.withdrawals[0], h.assets[0].withdrawRoot) = (b.top, b.root);
        Layout.Posted memory p = put(h, t);
        pass(WINDOW, BLOCKS);
        Layout.Withdrawal memory w = wds[0][0];
        vm.expectPartialRevert(Layout.IndexTooLarge.selector);
        v.withdraw(h, p, 0, w, b.path);
    }

    /// Gap 1: a leaf that exceeds what the header says was issued is not paid, and freezes.
    function test_a_withdrawal_above_what_was_issued() public {
        issue(0, 0, 100, address(0xBEEF));
        Layout.Header memory h;
        HashpitRegistry.Tops memory t;
        (h, t) = next();
        Layout.Withdrawal memory w = wds[0][0];
        w.amount = 4000;
        bytes32 x = sumNode(wdHash(w), 100, 0, 0, 3); // the parent says 100
        for (uint256 d = 1; d < 31; ++d) x = sumNode(x, 100, zero[3][d], 0, 3);
        t.withdrawals[0] = HashpitRegistry.Top(x, 100, zero[3][31], 0);
        h.assets[0].withdrawRoot = sumNode(x, 100, zero[3][31], 0, 3);
        Layout.Posted memory p = put(h, t);
        pass(WINDOW, BLOCKS);
        Layout.Node[] memory path = withdrawals(0, 1).path;
        path[0] = Layout.Node(0, 0);
        vm.expectPartialRevert(HashpitVault.WrongRoot.selector);
        v.withdraw(h, p, 0, w, path);
        vm.expectRevert(HashpitJudge.NothingWrong.selector);
        g.freezeBadWithdrawal(h, p, 0, w, 4000, path);
        g.freezeBadWithdrawal(h, p, 0, w, 100, path);
        require(r.frozen(), "frozen");
    }

    /// Two headers rewrite one another's withdrawals: together they pay no more than the larger total.
    function test_headers_that_rewrite_withdrawals_do_not_add_up() public {
        Layout.Withdrawal memory w0 = issue(0, 0, 900, address(0xB0));
        Built memory b0 = withdrawals(0, 0);
        (Layout.Header memory h1, Layout.Posted memory p1) = put();
        wds[0].pop();
        wds[0].push(Layout.Withdrawal(0, address(0xB0), 0, 1));
        Layout.Withdrawal memory w1 = Layout.Withdrawal(1, address(0xB1), 900, 1);
        wds[0].push(w1);
        (Layout.Header memory h2, Layout.Posted memory p2) = put();
        pass(WINDOW, BLOCKS);
        v.withdraw(h1, p1, 0, w0, b0.path);
        Layout.Node[] memory path = withdrawals(0, 1).path;
        vm.expectPartialRevert(HashpitVault.MoreThanIssued.selector);
        v.withdraw(h2, p2, 0, w1, path);
    }

    function test_an_older_final_header_still_pays() public {
        Layout.Withdrawal memory w0 = issue(0, 0, 100, address(0xB0));
        Built memory b0 = withdrawals(0, 0);
        (Layout.Header memory h1, Layout.Posted memory p1) = put();
        issue(0, 0, 200, address(0xB1));
        put();
        pass(WINDOW, BLOCKS);
        claim(0, 1);
        v.withdraw(h1, p1, 0, w0, b0.path);
        (uint128 claimed, uint128 issued) = v.account(1);
        eq(claimed, 300, "claimed");
        eq(issued, 300, "issued");
    }

    /// Gap 7: a withdrawal above the day cap waits for a known time; it is not stuck.
    function test_the_day_cap_queues() public {
        issue(0, 0, 2500, address(0xB0));
        issue(0, 0, 500, address(0xB1));
        put();
        pass(WINDOW, BLOCKS);
        uint256 start = block.timestamp;
        claim(0, 0); // 2.5 days' worth: leaves after a day and a half
        eq(address(0xB0).balance, 0, "waits");
        (address to, uint64 when,, uint128 amount) = v.due(0);
        require(to == address(0xB0) && amount == 2500, "due");
        eq(when, start + 1.5 days, "when");
        claim(0, 1);
        eq(address(0xB1).balance, 0, "behind it");
        vm.warp(start + 1.5 days - 1);
        vm.expectPartialRevert(HashpitVault.NotYet.selector);
        v.release(0);
        vm.warp(start + 1.5 days);
        v.release(0);
        eq(address(0xB0).balance, 2500 * uint256(SCALE), "paid");
        vm.expectPartialRevert(HashpitVault.NothingDue.selector);
        v.release(0);
        vm.warp(start + 2 days);
        v.release(1);
        eq(address(0xB1).balance, 500 * uint256(SCALE), "paid too");
    }

    /// Gap 10: thieves cannot lift the cap by a freeze; after the tail nothing waits any more.
    function test_the_day_cap_outlives_a_freeze() public {
        issue(0, 0, 4000, address(0xB0));
        issue(0, 1, 1000, address(0xB1));
        put();
        freezeAndSettle();
        uint256 start = block.timestamp;
        claim(0, 0);
        eq(address(0xB0).balance, 0, "waits");
        vm.warp(start + 3 days - 1);
        vm.expectPartialRevert(HashpitVault.NotYet.selector);
        v.release(0);
        vm.warp(start + 7 days);
        v.release(0);
        claim(0, 1);
        eq(address(0xB1).balance, 1000 * uint256(SCALE), "free");
    }

    function test_after_the_tail_a_long_queue_is_free() public {
        issue(0, 0, 4000, address(0xB0));
        issue(0, 1, 5000, address(0xB1));
        put();
        pass(WINDOW, BLOCKS);
        claim(0, 0);
        claim(0, 1); // eight days
        vm.prank(GUARDIAN);
        r.guardianFreeze();
        settle();
        pass(7 days - 1, 0);
        vm.expectPartialRevert(HashpitVault.NotYet.selector);
        v.release(1);
        pass(1, 0);
        v.release(1);
        eq(address(0xB1).balance, 5000 * uint256(SCALE), "paid");
    }

    function testFuzz_cap(uint16[8] memory amounts, uint16[8] memory waits) public {
        uint256 issued;
        for (uint256 i; i < 8; ++i) {
            uint128 x = uint128(amounts[i]) % 1200 + 1;
            issue(0, i % 2, x, address(uint160(0xC000 + i)));
            issued += x;
        }
        put();
        pass(WINDOW, BLOCKS);
        uint256 start = block.timestamp;
        uint256 paid0 = address(v).balance;
        for (uint256 i; i < 8; ++i) {
            claim(0, i);
            vm.warp(block.timestamp + waits[i]);
            uint256 paid = (paid0 - address(v).balance) / SCALE;
            require(paid <= 1000 + ((block.timestamp - start) * 1000) / 1 days, "above the cap");
        }
        vm.warp(start + 20 days);
        for (uint64 i; i < v.dueCount(); ++i) v.release(i);
        eq((paid0 - address(v).balance) / SCALE, issued, "all paid");
    }

    function test_a_pause_holds_payments_up_and_ends() public {
        issue(0, 0, 300, address(0xB0));
        issue(0, 0, 2000, address(0xB1));
        (Layout.Header memory h, Layout.Posted memory p) = put();
        pass(WINDOW, BLOCKS);
        claim(0, 1); // queued
        pass(1 days + 8 hours, 0);
        vm.expectRevert(HashpitRegistry.NotGuardian.selector);
        r.guardianPause();
        vm.prank(GUARDIAN);
        r.guardianPause();
        Layout.Withdrawal memory w = wds[0][0];
        Layout.Node[] memory path = withdrawals(0, 0).path;
        vm.expectPartialRevert(HashpitRegistry.Paused.selector);
        v.withdraw(h, p, 0, w, path);
        vm.expectPartialRevert(HashpitVault.Paused.selector);
        v.release(0);
        put(); // headers go on
        pass(2 days, 0);
        v.release(0);
        v.withdraw(h, p, 0, w, path);
        vm.prank(GUARDIAN);
        vm.expectRevert(HashpitRegistry.NotYet.selector);
        r.guardianPause();
        pass(12 days, 0);
        vm.prank(GUARDIAN);
        r.guardianPause();
    }

    function test_a_receiver_that_refuses_pulls() public {
        Receiver x = new Receiver();
        issue(0, 0, 300, address(x));
        put();
        pass(WINDOW, BLOCKS);
        claim(0, 0);
        eq(v.owed(1, address(x)), 300, "owed");
        vm.expectPartialRevert(HashpitVault.ReceiverRefused.selector);
        v.collect(1, address(x));
        vm.expectRevert(HashpitVault.NothingOwed.selector);
        v.collectTo(1, address(0xB7));
        x.collectTo(v, 1, address(0xB7));
        eq(address(0xB7).balance, 300 * uint256(SCALE), "pulled");
        vm.expectRevert(HashpitVault.NothingOwed.selector);
        v.collect(1, address(x));
    }

    function test_a_blocked_token_receiver_is_tried_again() public {
        issue(1, 1, 70, address(0xB0));
        put();
        pass(WINDOW, BLOCKS);
        token.block_(address(0xB0), true);
        claim(1, 0);
        eq(v.owed(2, address(0xB0)), 70, "owed");
        token.block_(address(0xB0), false);
        token.set(0, true, false);
        vm.expectPartialRevert(HashpitVault.ReceiverRefused.selector);
        v.collect(2, address(0xB0));
        token.set(0, false, true);
        v.collect(2, address(0xB0));
        eq(token.balanceOf(address(0xB0)), 70e12, "paid");
    }

    function test_a_receiver_cannot_be_paid_twice_in_one_call() public {
        Receiver x = new Receiver();
        issue(0, 0, 300, address(x));
        issue(0, 0, 400, address(x));
        (Layout.Header memory h, Layout.Posted memory p) = put();
        pass(WINDOW, BLOCKS);
        bytes memory other = abi.encodeCall(v.withdraw, (h, p, 0, wds[0][1], withdrawals(0, 1).path));
        x.attack(address(v), other); // its own second withdrawal: refused by the lock
        claim(0, 0);
        eq(address(x).balance, 300 * uint256(SCALE), "once");
        bytes memory same = abi.encodeCall(v.withdraw, (h, p, 0, wds[0][1], withdrawals(0, 1).path));
        x.attack(address(v), same);
        claim(0, 1);
        eq(address(x).balance, 700 * uint256(SCALE), "both");
    }
}
