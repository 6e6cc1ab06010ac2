//! Evaluating PromQL over any [`Queryable`](crate::Queryable), with Prometheus 3's exact numbers, errors and remarks.
//!
//! Range queries slide a window over each series; nothing is read twice.

mod aggregate;
mod annotations;
mod binary;
mod block;
mod calendar;
mod call;
mod classic;
mod derive;
mod edges;
mod engine;
mod error;
mod evaluation;
pub(crate) mod format;
mod info;
pub(crate) mod language;
mod operate;
mod options;
mod over_time;
mod plan;
mod range;
mod rate;
mod relabel;
mod restarts;
mod select;
mod sum;
mod tiered;
mod topk;
mod value;

pub use annotations::{Annotation, Annotations, Level};
pub use engine::Engine;
pub use error::{EvalError, Interruption};
#[cfg(feature = "api")]
pub(crate) use evaluation::matchers_of;
pub use language::PromqlRules;
pub use options::{EngineOptions, TierUse, Watch};
pub use plan::Plan;
#[cfg(feature = "durable")]
pub(crate) use sum::Sum;
pub use value::{Answer, MatrixSeries, QueryValue, VectorSample};
