// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
import {Layout} from "./Layout.sol";

/// What the Vault asks of the Registry.
interface IRegistry {
    function frozen() external view returns (bool);
    function frozenAt() external view returns (uint64);
    function pausedUntil() external view returns (uint64);
    function settled() external view returns (bool);
    function settledAnchor() external view returns (uint64);
    function settledDeposits() external view returns (uint64);
    function requirePayable(uint64 anchor, bytes32 header, Layout.Posted calldata stamp) external view;
}

/// What the Registry asks of the Vault.
interface IVault {
    function registry() external view returns (IRegistry);
    function assetIds() external view returns (uint16[] memory);
    function depositCount() external view returns (uint64);
    function depositAccAt(uint64 count) external view returns (bytes32);
}

/// What the Judge asks of the Registry, and the one thing it does.
interface IRegistryForJudge {
    function judge() external view returns (address);
    function frozen() external view returns (bool);
    function exitTime() external view returns (uint64);
    function exitBlocks() external view returns (uint64);
    function committed(uint64 anchor) external view returns (bytes32);
    function exits(uint64 id) external view returns (bytes32);
    function judgeFreeze(string calldata why) external;
}
