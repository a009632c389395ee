//! Everything that touches the outside.
//!
//! A call comes in at the [`auth`] doorman, which knows the caller by the key; a service
//! ([`trading`], [`session`], [`marketdata`], [`account`], [`reference`], [`risk`], [`admin`]) turns the
//! message into a command with [`translate`], or into a [`refusal`]; the [`desk`] hands it to the engine. What
//! became durable comes back through the [`hub`]: answers to who waits, mail to sessions, bulletins to
//! streams, rows to the [`archive`] and its [`statements`]. [`server`] puts all of it together; [`commands`] and [`cli`] are
//! the binary; [`demo`] is a market made of ordinary clients.

pub mod account;
pub mod admin;
pub mod anchor;
pub mod archive;
pub mod auth;
pub mod bulletin;
pub mod cli;
pub mod client;
pub mod clock;
pub mod commands;
pub mod core_view;
pub mod delivery;
pub mod demo;
pub mod desk;
pub mod hedge;
pub mod hub;
pub mod keys;
pub mod listing;
pub mod mailbox;
pub mod marketdata;
pub mod meter;
pub mod outbound;
pub mod paging;
pub mod private_events;
pub mod proofs;
pub mod reference;
pub mod refusal;
pub mod rfq;
pub mod risk;
pub mod sandbox;
pub mod server;
pub mod session;
pub mod settings;
pub mod statements;
pub mod trading;
pub mod translate;
