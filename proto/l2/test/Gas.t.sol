// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import "./Base.sol";

interface Cool {
    function cool(address) external;
}

/// Gas of a whole transaction: 21,000, calldata, execution with every slot cold. `npm run gas` prints it.
contract Gas is Base {
    event Used(string call, uint256 gas, uint256 bytes_);

    function setUp() public {
        _setup();
        dep(0, 0, 900);
        dep(0, 1, 800);
        dep(1, 1, 500);
    }

    function _measure(string memory name, address from, address to, uint256 value, bytes memory data) internal {
        uint256 cost = 21_000;
        for (uint256 i; i < data.length; ++i) cost += data[i] == 0 ? 4 : 16;
        Cool(address(vm)).cool(address(v));
        Cool(address(vm)).cool(address(r));
        Cool(address(vm)).cool(address(g));
        vm.prank(from);
        uint256 before = gasleft();
        (bool ok,) = to.call{value: value}(data);
        uint256 used = before - gasleft();
        require(ok, name);
        emit Used(name, cost + used, data.length);
    }

    function _post(string memory name, uint256 mask) internal {
        (Layout.Header memory h, HashpitRegistry.Tops memory t) = next();
        _measure(name, address(this), address(r), 0, abi.encodeCall(r.post, (h, t, tip(), signed(h, mask))));
        seqNow = h.seq;
        headers.push(abi.encode(h));
        stamps.push(Layout.Posted(uint64(block.timestamp), uint64(block.number)));
    }

    function _claim(string memory name, uint256 k, uint256 i) internal {
        Layout.Header memory h = header(headers.length);
        bytes memory data = abi.encodeCall(v.withdraw, (h, stamps[headers.length], k, wds[k][i], withdrawals(k, i).path));
        _measure(name, address(this), address(v), 0, data);
    }

    function test_gas() public {
        vm.deal(owner(3), 1 ether);
        _measure("deposit", owner(3), address(v), 50 * SCALE, abi.encodeCall(v.deposit, (1)));
        _remember(3, 0, 50);
        token.mint(owner(3), 50e12);
        _remember(3, 1, 50);
        _post("post, first, 2 assets, 2 signatures", 3);
        issue(0, 0, 50, address(0xB1));
        issue(0, 0, 51, address(0xB2));
        issue(1, 1, 51, address(0xB3));
        pass(600, 100);
        _post("post, 2 assets, 2 signatures", 3);
        pass(600, 100);
        _post("post, 3 signatures", 7);
        vm.deal(owner(0), 1 ether);
        _measure("requestExit", owner(0), address(r), 0.01 ether, abi.encodeCall(r.requestExit, (0)));
        pass(WINDOW, BLOCKS);
        _claim("withdraw, native, first", 0, 0);
        _claim("withdraw, native", 0, 1);
        _claim("withdraw, ERC-20, first", 1, 0);
        pass(8 days, 800);
        _measure("freezeSilence", address(this), address(r), 0, abi.encodeCall(r.freezeSilence, ()));
        uint256 n = headers.length;
        bytes memory data = abi.encodeCall(r.settleEpoch, (header(n), stamps[n], bytes32(0), stamps[n]));
        _measure("settleEpoch", address(this), address(r), 0, data);
        data = abi.encodeCall(v.escape, (header(n), stamps[n], 0, opening(), leaf(0, 0), balances(0, 0).path));
        _measure("escape, first", address(this), address(v), 0, data);
        data = abi.encodeCall(v.escape, (header(n), stamps[n], 0, opening(), leaf(0, 1), balances(0, 1).path));
        _measure("escape", address(this), address(v), 0, data);
    }

    function _remember(uint256 i, uint256 k, uint128 units) internal {
        bytes32 was;
        if (k == 1) {
            was = v.depositAcc();
            _measure("depositToken", owner(i), address(v), 0, abi.encodeCall(v.depositToken, (2, units * 1e12)));
            remember(was, owner(i), 2, units);
        }
        accs[k][i].owner = owner(i);
        accs[k][i].avail += units;
    }
}
