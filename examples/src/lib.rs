//! What the reference tools share.
