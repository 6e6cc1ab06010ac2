//! Configuration items for the `itom` SDK: from facts to identity, a view, its history, and what a failure breaks.
//!
//! **What lives here**: an immutable, content-addressed [fact log](fact); [identity] as a pure function of it, with
//! proofs; the [view] of items and relations with every claim and why it won or lost; [history] on two time axes; the
//! [graph] of what depends on what and the [impact] of a failure; [maps](export) handed out; durable [stores](store);
//! and [`Cmdb`], which keeps all of it current at the cost of what changed.
//!
//! **Deliberately absent**: collecting, clocks, threads (but for the store that needs one), and rules about what to do
//! when something changes.
//!
//! ```
//! use itom_cmdb::{Cmdb, CmdbConfig};
//! use itom_core::{Batch, Coverage, Key, Scope, SourceName, Timestamp, attr, kind};
//!
//! let mut cmdb = Cmdb::new(CmdbConfig::default());
//! let now = Timestamp::from_secs(1_700_000_000);
//! let mut agent = Batch::new(SourceName::literal("linux@web-1"), now);
//! agent.ci("host", kind::HOST_LINUX)
//!     .key(Key::machine_id("0123456789abcdef0123456789abcdef")?)
//!     .attr(attr::HOST_NAME, "web-1");
//! let mut cloud = Batch::new(SourceName::literal("cloud"), now);
//! cloud.ci("i-7", kind::HOST).key(Key::machine_id("01234567-89ab-cdef-0123-456789abcdef")?);
//! cloud.finish(Coverage::new().complete(Scope::cis(kind::HOST)));
//!
//! for batch in [agent, cloud] {
//!     let facts = cmdb.plan(&batch, now);
//!     cmdb.ingest(facts);
//! }
//! let view = cmdb.view();
//! assert_eq!(view.len(), 1, "two sources, one host");
//! let host = view.by_kind(&kind::HOST)[0];
//! assert_eq!(host.name().as_str(), "web-1");
//! assert_eq!(cmdb.explain(host.id()).map(|why| why.merges.len()), Some(1));
//! # Ok::<(), itom_core::KeyError>(())
//! ```

pub mod addresses;
pub mod branch;
mod cmdb;
mod config;
pub mod drift;
pub mod export;
#[cfg(feature = "cel")]
pub mod expr;
pub mod fact;
pub mod graph;
pub mod health;
pub mod history;
pub mod identity;
pub mod impact;
#[cfg(feature = "import")]
pub mod import;
pub mod laboratory;
mod lock;
#[cfg(feature = "policy")]
pub mod policy;
pub mod risk;
pub mod ruleset;
pub mod servicemap;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;
pub mod temporal;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod traverse;
pub mod view;

pub use cmdb::{Applied, Cmdb, Explanation, GraphDelta, PairExplanation, Redirect, Split};
pub use config::{CmdbConfig, Precedence};
pub use lock::{ContestedLock, Lock};
pub use view::View;

// Snapshots cross threads; so does whoever holds the facade.
const fn crosses_threads<T: Send + Sync + Clone + 'static>() {}
const _: () = {
    crosses_threads::<View>();
    crosses_threads::<Cmdb>();
    crosses_threads::<history::ChangeFeed>();
};
