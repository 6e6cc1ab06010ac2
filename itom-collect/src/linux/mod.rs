//! Collectors for the Linux machine they run on.
