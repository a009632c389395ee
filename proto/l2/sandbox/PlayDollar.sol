// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Play dollars of the embedded chain
/// @notice The sandbox's second asset needs a coin of its own in the Vault. Anybody may make as many of these as he
/// likes, so they are worth nothing, and never leave the embedded chain. Compiled into `PlayDollar.hex`:
/// solc 0.8.37, london, optimizer 200 runs, no metadata.
contract PlayDollar {
    string public constant name = "Play Dollar";
    string public constant symbol = "USDC";
    uint8 public constant decimals = 6;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    function mint(uint256 value) external {
        balanceOf[msg.sender] += value;
        emit Transfer(address(0), msg.sender, value);
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        return _move(msg.sender, to, value);
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        allowance[from][msg.sender] -= value;
        return _move(from, to, value);
    }

    function _move(address from, address to, uint256 value) private returns (bool) {
        balanceOf[from] -= value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
        return true;
    }
}
