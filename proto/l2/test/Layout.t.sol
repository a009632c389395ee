// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import "./Base.sol";

/// The vectors of README.md; the engine's tests may assert the same.
contract LayoutVectors is Base {
    event V(string name, bytes32 value);
    function setUp() public {
        _setup();
        for (uint256 k; k < 2; ++k) {
            for (uint256 i; i < 5; ++i) {
                accs[k][i] = Acc(owner(i), uint64(i * 7), uint128((i + 1) * 1000), uint128(i * 100), i == 3);
            }
        }
        for (uint64 i; i < 3; ++i) wds[0].push(Layout.Withdrawal(i, address(uint160(0xA0 + i)), 5 + i, 1));
    }

    function test_print() public {
        emit V("LEAF", leafHash(leaf(0, 4)));
        emit V("BALANCES", balances(0, 0).root);
        emit V("WITHDRAWAL", wdHash(wds[0][2]));
        emit V("WITHDRAWALS", withdrawals(0, 0).root);
        emit V("EMPTY_BALANCES", zero[1][32]);
        emit V("EMPTY_WITHDRAWALS", zero[3][32]);
        emit V("POSITION", positionHash(position(1)));
        (Layout.ContractLeaf memory c,) = positions();
        emit V("CONTRACT_ROOT", c.root);
        emit V("POSITIONS", opening().positionsRoot);
        (Layout.Header memory h,) = next();
        emit V("STATE", h.stateRoot);
        h.time = 1; h.depositCount = 4; h.depositAcc = bytes32(uint256(9)); h.forcedCount = 2;
        emit V("HEADER", hashOf(h));
    }
}
