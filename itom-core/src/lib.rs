//! The vocabulary of the `itom` SDK.
//!
//! **What lives here**: [names](crate::name), [values](Value), [keys](Key), [observations](Observation) and the
//! [batches](Batch) that carry them, [time](Timestamp), [severity](Severity), [errors](Classify), the
//! [`Machine`] shape of everything that decides, and the [ports](port) through which the sibling crates
//! (`itom-collect`, `itom-metrics`, `itom-cmdb`, `itom-alert`) meet without knowing each other.
//!
//! **Deliberately absent**: I/O, an async runtime, random sources, and any reading of the wall clock outside
//! [`SystemClock`]. Ids are derived from content, jitter from names; the same inputs give the same outputs.
//!
//! ```
//! use itom_core::{AttrName, Batch, CiKind, Coverage, Key, Scope, SourceName, Timestamp, attr, kind};
//!
//! let source = SourceName::new("racks@site-a")?;
//! let mut batch = Batch::new(source, Timestamp::from_secs(1_700_000_000));
//! batch.ci("rack-7", kind::HOST)
//!     .key(Key::fqdn("web-1.example.com"))
//!     .attr(attr::HOST_NAME, "web-1");
//! let coverage = Coverage::new().complete(Scope::cis(kind::HOST));
//! assert_eq!(batch.items().len(), 1);
//! assert!(coverage.covers_ci(&CiKind::new("host.linux")?, None));
//! # Ok::<(), itom_core::NameError>(())
//! ```

mod batch;
mod coverage;
mod error;
mod hash;
mod histogram;
mod id;
mod key;
mod labels;
pub mod machine;
pub mod name;
mod observation;
pub mod port;
mod question;
mod secret;
mod selector;
mod severity;
pub mod time;
mod value;
mod value_wire;

pub use batch::{Batch, BatchLimits, Fault};
pub use coverage::{Coverage, PartialScope, Scope, ScopeTarget};
pub use error::{BoxError, Classify, ErrorChain, ErrorKind, Retry};
pub use hash::{StableHash, StableHasher};
pub use histogram::{
    Bucket, Buckets, CounterReset, CustomBounds, Histogram, HistogramError, Layout, STALE_NAN_BITS, Schema,
    Span, is_stale_nan,
};
pub use id::{AlertId, CiId, IncidentId, RunId, TicketId};
pub use key::{Key, KeyError, Strength};
pub use labels::{Labels, LabelsBuilder};
pub use machine::{Deadline, Machine};
pub use name::{
    AttrName, CiKind, KeyKind, LabelName, MetricName, NameError, Realm, RelationKind, SourceName, Text, attr,
    event, key_kind, kind, relation,
};
pub use observation::{
    CiObservation, EventObservation, Observation, RelationObservation, Retraction, SampleKind,
    SampleObservation, Statement, Subject,
};
pub use port::{
    Annotations, ChangeKind, ChangeSource, CiChange, CiSummary, EvaluateError, Evaluator, Expression,
    ExpressionError, Finding, Findings, Inventory, Reading, RefusedSample, RuleEvaluation, RuleExpression,
    RuleLanguage, RuleSample, RuleSink, SampleSource, SampleValue, SeriesData, Topology, WrittenSample,
};
pub use question::Question;
pub use secret::Secret;
pub use selector::{MatchOp, Matcher, Selector};
pub use severity::{ParseSeverityError, Severity};
#[cfg(not(target_family = "wasm"))]
pub use time::SystemClock;
pub use time::{Clock, Interval, Timestamp, VirtualClock};
pub use value::Value;
