// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import "./Base.sol";

/// The vectors of README.md. The builder in Base.sol hashes on its own; the contracts agree with it in the other
/// tests, because they pay and freeze by its paths.
contract LayoutVectors is Base {
    bytes32 constant LEAF = 0x513a48a0c8f7741a6954311ad988271a72a8a5d7dc91dae594e9895fb83bf864;
    bytes32 constant BALANCES = 0xa376139d5f489542c02e78c9a676faefd8a235cfaf37881ca840f7846f3cfa8b;
    bytes32 constant WITHDRAWAL = 0x26fbc62f8122402a7ead61951e5d243fce5b9a077c00f3703822a300a13a8963;
    bytes32 constant WITHDRAWALS = 0xd17ecdd447e8c4bbbcd07f8250d9f908c2d822ec1e5d3f81f0e3b6bafb509fe6;
    bytes32 constant EMPTY_BALANCES = 0x5755919afadf3183e406cb5216b75cb57513e648efbe939b737281558b106968;
    bytes32 constant EMPTY_WITHDRAWALS = 0x725e1b8d0a3de3e6595ecc9400200989a8569c3e4ea277e421f7a23322036963;
    bytes32 constant POSITION = 0xa852a5522a905d2afc074183c667d4c8577600b0e4a203194454d55b6386d7a0;
    bytes32 constant CONTRACT_ROOT = 0x8d9e0f4d8abb396f37095bf8f05b653186ba6dbc9970e0adf9605997dc65fb3f;
    bytes32 constant POSITIONS = 0x549ce0d47ccea7263859b02ab65a3571c5d2107b8dd29e952df983929ba72988;
    bytes32 constant STATE = 0x0f9a8a0839dd8f014225f37df6b99a06ad78e71433a89ded2cf2a4e8606f9c72;
    bytes32 constant HEADER = 0x277345230e6b2d1fddabe77876b76b8efecc6b7e56ad82a838d1ace365454c41;

    function setUp() public {
        _setup();
        for (uint256 k; k < 2; ++k) {
            for (uint256 i; i < 5; ++i) {
                accs[k][i] = Acc(owner(i), uint64(i * 7), uint128((i + 1) * 1000), uint128(i * 100), i == 3);
            }
        }
        for (uint64 i; i < 3; ++i) wds[0].push(Layout.Withdrawal(i, address(uint160(0xA0 + i)), 5 + i, 1));
    }

    function test_vectors() public view {
        require(leafHash(leaf(0, 4)) == LEAF, "leaf");
        for (uint256 i; i < 5; ++i) require(balances(0, i).root == BALANCES, "balances");
        eq(balances(0, 0).sum, 16_000, "sum");
        require(wdHash(wds[0][2]) == WITHDRAWAL, "withdrawal");
        require(withdrawals(0, 0).root == WITHDRAWALS, "withdrawals");
        eq(withdrawals(0, 0).sum, 18, "withdrawn");
        require(zero[1][32] == EMPTY_BALANCES && zero[3][32] == EMPTY_WITHDRAWALS, "empty");
        require(positionHash(position(1)) == POSITION, "position");
        (Layout.ContractLeaf memory c,) = positions();
        require(c.root == CONTRACT_ROOT, "contract");
        require(opening().positionsRoot == POSITIONS, "positions");
        (Layout.Header memory h,) = next();
        require(h.stateRoot == STATE, "state");
        (h.time, h.depositCount, h.depositAcc, h.forcedCount) = (1, 4, bytes32(uint256(9)), 2);
        require(hashOf(h) == HEADER && r.headerHash(h) == HEADER, "header");
    }
}
