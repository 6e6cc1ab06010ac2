//! Samples sent to another store: Prometheus's remote write, [1.0](https://prometheus.io/docs/specs/prw/remote_write_spec/)
//! and [2.0](https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/), as Prometheus, Mimir, Thanos and
//! VictoriaMetrics receive it.
//!
//! Three parts: a [`Queue`] on disk, bounded, that acknowledges what a crash cannot take; a [`Sender`], the state
//! machine that decides when to send, wait and give up; a [`RemoteWriter`] that puts both on a network and a clock.
//! Delivery is at least once, one batch after the other, so that the samples of a series keep their order. Not sent:
//! exemplars, metadata, start times.

mod machine;
mod message;
mod queue;
mod record;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;

use itom_core::{Histogram, SampleValue};

pub use machine::{Backoff, Sender, SenderInput, SenderOutput, Verdict};
pub use queue::{Position, Queue, QueueConfig, QueueError};
pub use writer::{RemoteWriter, WriteConfig, WriteStats};

use crate::LabelSet;

/// The versions of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// 1.0: every receiver knows it.
    V1,
    /// 2.0: smaller. A receiver that does not know it (HTTP 415) is sent 1.0 from then on.
    V2,
}

/// A sample to be sent.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a series, a time and a value")]
pub struct WriteSample {
    /// The labels, the metric's name among them.
    pub labels: LabelSet,
    /// When, in milliseconds since the epoch.
    pub at: i64,
    /// The value; [`SampleValue::STALE`] says that the series ended.
    pub value: SampleValue,
}

impl WriteSample {
    /// A number.
    #[must_use]
    pub const fn float(labels: LabelSet, at: i64, value: f64) -> Self {
        Self { labels, at, value: SampleValue::Float(value) }
    }

    /// A native histogram.
    #[must_use]
    pub const fn histogram(labels: LabelSet, at: i64, value: Arc<Histogram>) -> Self {
        Self { labels, at, value: SampleValue::Histogram(value) }
    }
}
