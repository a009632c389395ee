//! What becomes of contracts and their positions: quarters cascade into months, the days of a window
//! settle one after the other, and what is left of a contract at the end is nothing.

mod cascade;
mod settlement;
