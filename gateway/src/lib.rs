//! Everything that touches the outside.

pub mod archive;
pub mod auth;
pub mod bulletin;
pub mod desk;
pub mod hub;
pub mod keys;
pub mod mailbox;
pub mod refusal;
