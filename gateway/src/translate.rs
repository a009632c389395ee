//! s
pub mod account;
pub mod orders;
pub mod reference;
pub mod terms;
