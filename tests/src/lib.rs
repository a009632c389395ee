//! A second, slow exchange, and what keeps the fast one equal to it.

pub mod compare;
pub mod generator;
pub mod model;
pub mod readings;
pub mod rows;
