//! Tiny stories computed by hand.
