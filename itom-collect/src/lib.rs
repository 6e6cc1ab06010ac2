//! Getting observations in.
//!
//! **What lives here**: the [`Collector`] and its push twin, the [`Listener`]; the [`scheduler`] that decides when
//! which collector runs; [`run_collector`], which drives one run; and the collectors that come with the SDK.
//!
//! **Deliberately absent**: a loop, a clock, retries inside collectors. The engine (crate `itom`) runs collectors; the
//! scheduler machine decides when.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use itom_collect::{Descriptor, RunSpec, collector_fn, run_collector};
//! use itom_core::{Clock as _, Coverage, Scope, Timestamp, VirtualClock, attr, kind};
//!
//! let racks = collector_fn(Descriptor::new("racks"), |cx, batch| {
//!     Box::pin(async move {
//!         cx.checkpoint().await?;
//!         batch.ci("web-1", kind::HOST).attr(attr::HOST_NAME, "web-1");
//!         Ok(Coverage::new().complete(Scope::cis(kind::HOST)))
//!     })
//! });
//! # use itom_collect::Collector as _;
//! let clock = VirtualClock::new(Timestamp::from_secs(100));
//! let source = racks.descriptor().source_name()?;
//! let spec = RunSpec::new(source, Arc::new(clock.clone()), clock.now() + Duration::from_secs(30));
//! let report = futures::executor::block_on(run_collector(&racks, spec));
//! assert_eq!(report.batch.items().len(), 1);
//! assert!(report.batch.coverage().covers_ci(&kind::HOST, None));
//! # Ok::<(), itom_core::NameError>(())
//! ```

mod cancel;
mod closure;
mod collector;
mod context;
mod descriptor;
mod error;
#[cfg(all(feature = "host", target_os = "linux"))]
pub mod linux;
pub mod listener;
mod run;
pub mod scheduler;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;

pub use cancel::Cancel;
pub use closure::{CollectFuture, collector_fn};
pub use collector::Collector;
pub use context::CollectContext;
pub use descriptor::Descriptor;
pub use error::CollectError;
pub use listener::{BatchSink, Listener, Offer};
pub use run::{RunReport, RunSpec, run_collector};
pub use scheduler::{Outcome, Schedule, Scheduler, SchedulerConfig};
