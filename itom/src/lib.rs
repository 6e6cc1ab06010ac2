//! Embeddable IT operations management: collect, relate, watch, explain.
//!
//! This crate is the front door: the [`Engine`] that wires the rooms together, and re-exports of all of them.
//!
//! | module | what lives there |
//! |---|---|
//! | [`core`] | the vocabulary: names, values, keys, observations, time, machines, ports |
//! | [`collect`] | getting observations in: collectors, listeners, their scheduler, the collectors for Linux |
//! | [`metrics`] | samples over time |
//! | [`cmdb`] | configuration items: facts, identity, history, graph, impact, exports |
//! | [`alert`] | rules, alert life cycle, suppression, notification |
//!
//! **Deliberately absent**: decisions. The engine moves data between machines that decide; each of them works without it.
//!
//! # A collector, an engine, a question
//!
//! ```
//! use itom::prelude::*;
//!
//! #[derive(Debug)]
//! struct Racks;
//!
//! #[async_trait]
//! impl Collector for Racks {
//!     fn descriptor(&self) -> Descriptor {
//!         Descriptor::new("racks")
//!     }
//!     async fn collect(&self, _: &CollectContext, batch: &mut Batch) -> Result<Coverage, CollectError> {
//!         batch.ci("db-1", kind::HOST).attr(attr::HOST_NAME, "db-1");
//!         batch.ci("postgres", kind::SERVICE).attr(attr::SERVICE_NAME, "postgres");
//!         batch.ci("shop", kind::SERVICE).attr(attr::SERVICE_NAME, "shop");
//!         batch.relation(relation::RUNS_ON, "postgres", "db-1");
//!         batch.relation(relation::DEPENDS_ON, "shop", "postgres");
//!         Ok(Coverage::new().complete(Scope::cis(kind::SERVICE)))
//!     }
//! }
//!
//! let engine = Engine::builder().collector(Racks).build()?;
//! let handle = engine.handle();
//! futures::executor::block_on(engine.run_once())?;
//!
//! let view = handle.view();
//! let db = view.by_kind(&kind::HOST)[0].id();
//! let breaks = handle.graph().impact(&[db].into());
//! assert_eq!(breaks.down().len(), 2, "postgres, and the shop that needs it");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `host` | collectors for the Linux machine they run on |
//! | `tls` | a collector for the certificates that servers present |
//! | `sqlite` | the embedded durable store of facts |
//! | `postgres` | the shared durable store of facts |
//! | `policy` | policies, rule sets and filters as YAML and CEL |
//! | `import` | importers of bills of materials, catalogues, inventories, tables and entity events |
//! | `durable` | the durable store of series |
//! | `prometheus` | Prometheus rule groups: rule files, templates, unit tests |
//! | `api` | the query API of Prometheus over an engine, as an axum router |
//! | `webhook` | a notifier that posts to an HTTP endpoint |
//! | `sim` | seeded estates with ground truth, and a scorer |
//! | `testing` | the conformance suites of all rooms |

/// The README's program compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

mod engine;
mod journal;
pub mod map;
pub mod prelude;
#[cfg(feature = "prometheus")]
pub mod promql;
#[cfg(feature = "prometheus")]
pub mod ruletest;
mod sim;

pub use itom_alert as alert;
pub use itom_cmdb as cmdb;
pub use itom_collect as collect;
pub use itom_core as core;
pub use itom_metrics as metrics;

pub use engine::{
    BuildError, CollectorStatus, Delivery, Engine, EngineBuilder, EngineEvent, EngineHandle, EngineLimits,
    EngineStatus, EngineSummary, HandleError, RunError, StoreStatus, Subscription,
};
pub use journal::{FileJournal, Journal, JournalError, MemoryJournal};
pub use sim::Simulation;
