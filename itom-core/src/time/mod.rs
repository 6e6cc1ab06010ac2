//! Time: points, intervals, durations as people write them, and the clock that only drivers hold.

mod clock;
mod duration;
mod interval;
#[cfg(not(target_family = "wasm"))]
mod system;
mod timestamp;

pub use clock::{Clock, VirtualClock};
pub use duration::{DurationError, format_duration, parse_duration, serde_duration};
pub use interval::Interval;
#[cfg(not(target_family = "wasm"))]
pub use system::SystemClock;
pub use timestamp::{Timestamp, TimestampError};
