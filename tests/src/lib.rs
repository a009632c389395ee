//! A second, slow exchange, what keeps the fast one equal to it, and a real exchange to talk to.

pub mod compare;
pub mod fuzz;
pub mod generator;
pub mod legs;
pub mod market;
pub mod model;
pub mod readings;
pub mod rows;
pub mod scenario;
pub mod sim;
pub mod streams;
pub mod venue;
