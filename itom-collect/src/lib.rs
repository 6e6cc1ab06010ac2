//! Getting observations in.
//!
//! **What lives here**: the [`Collector`] and its contract, and the collectors that come with the SDK.
//!
//! **Deliberately absent**: a loop, a clock, retries. The engine (crate `itom`) runs collectors; the scheduler machine
//! decides when.

mod collector;
mod context;
mod descriptor;
mod error;
#[cfg(all(feature = "host", target_os = "linux"))]
pub mod linux;

pub use collector::Collector;
pub use context::{Cancel, CollectContext};
pub use descriptor::Descriptor;
pub use error::CollectError;
