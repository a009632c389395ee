//! Anchoring: state roots on an EVM chain.
//!
//! [`header`] is what goes there, [`books`] where it comes from, [`contract`] the contracts as seen from here,
//! [`chain`] any chain: [`embedded`] in this process, [`rpc`] by JSON-RPC, [`agree`] several endpoints that
//! must tell one story. [`decide`] is the process as a function, [`record`] what it writes down, [`process`]
//! the hands, [`run`] its thread; [`health`] what people are told. [`signer`], [`key_file`] and
//! [`root_signer`] are the keys; [`deposits`] the way in for coins, [`exits`] for
//! requests to leave. [`settings`] is the file.

pub mod abi;
pub mod agree;
pub mod books;
pub mod chain;
pub mod contract;
pub mod decide;
pub mod deposits;
pub mod embedded;
pub mod exits;
pub mod header;
pub mod health;
pub mod home;
pub mod key_file;
pub mod onchain;
pub mod process;
pub mod record;
pub mod refusals;
pub mod root_signer;
pub mod rpc;
pub mod run;
pub mod settings;
pub mod signer;
pub mod store;
pub mod transaction;
