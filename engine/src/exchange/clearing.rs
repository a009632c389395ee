//! What becomes of contracts and their positions: quarters cascade into months, the days of a window
//! settle one after the other, and what is left of a contract at the end is nothing. And what becomes of
//! those who cannot pay: a call, a liquidation through the book, an offer to the makers, and the waterfall
//! that pays the winners all the same.

mod cascade;
mod defaults;
mod health;
mod leaving;
mod liquidation;
mod offers;
mod reach;
mod settlement;
mod waterfall;

pub(in crate::exchange) use defaults::Defaults;
pub use offers::{Bid, Offer};
pub(in crate::exchange) use reach::leash;
