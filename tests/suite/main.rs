//! The integration tests: one binary, one file per question.

mod anchoring;
mod auctions;
mod bug_classes;
mod combinations;
mod fault_disk;
mod fuzz;
mod journal;
mod journal_tools;
mod kill;
mod long_commands;
mod overload;
mod precedence;
mod process;
mod properties;
mod python;
mod quotes;
mod restart;
mod scenarios;
mod sim;
mod snapshots;
mod tidy;
mod wire;
mod wire_combinations;
mod wire_orders;
