//! The push twin of the collector: sources that speak when they like (traps, syslog, flows).

mod queue;

use std::fmt;

use async_trait::async_trait;
use futures::future::BoxFuture;
use itom_core::Batch;

pub use queue::{BatchQueue, BatchReceiver, batch_queue};

use crate::{CollectContext, CollectError, Descriptor};

/// Something that waits for what a source sends and hands it on in batches.
///
/// # Contract
/// * `listen` runs until it fails or is dropped; it returns `Ok` only when the source said that it is done.
/// * It is cancel-safe: dropping it at any await frees what it holds (sockets included), and listening again works.
/// * A batch that has been offered is the sink's; what a full sink refuses is lost and counted, never waited for
///   without bound. A source that can be held back (a TCP stream) awaits [`BatchSink::ready`] first.
/// * The run's deadline is not looked at; its cancellation is.
///
/// ```
/// use itom_collect::listener::batch_queue;
/// use itom_collect::{BatchSink, CollectContext, CollectError, Descriptor, Listener};
/// use itom_core::{Batch, Severity, SourceName, event};
///
/// #[derive(Debug)]
/// struct Doorbell;
///
/// #[async_trait::async_trait]
/// impl Listener for Doorbell {
///     fn descriptor(&self) -> Descriptor {
///         Descriptor::new("doorbell")
///     }
///
///     async fn listen(&self, cx: &CollectContext, sink: &dyn BatchSink) -> Result<(), CollectError> {
///         cx.check()?;
///         let mut batch = Batch::new(SourceName::literal("doorbell"), cx.now());
///         batch.event(event::HOST_BOOTED, Severity::Info, "somebody is at the door");
///         sink.offer(batch);
///         Ok(())
///     }
/// }
/// # let clock = std::sync::Arc::new(itom_core::VirtualClock::new(itom_core::Timestamp::EPOCH));
/// # let cx = CollectContext::new(clock, itom_core::Timestamp::MAX, itom_collect::Cancel::new());
/// let (sink, mut batches) = batch_queue(16);
/// futures::executor::block_on(Doorbell.listen(&cx, &sink))?;
/// assert_eq!(batches.try_next().map(|batch| batch.items().len()), Some(1));
/// # Ok::<(), CollectError>(())
/// ```
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a listener",
    note = "implement `Listener` with `#[async_trait]`"
)]
pub trait Listener: Send + Sync + fmt::Debug + 'static {
    /// What it is called and what it emits. `every` and `timeout` mean nothing here.
    fn descriptor(&self) -> Descriptor;

    /// Listens.
    ///
    /// # Errors
    /// [`CollectError`] when it cannot go on; whether starting it again can help is in its classification.
    async fn listen(&self, cx: &CollectContext, sink: &dyn BatchSink) -> Result<(), CollectError>;
}

/// Where a listener's batches go. Bounded: a full sink refuses and counts.
pub trait BatchSink: Send + Sync + fmt::Debug {
    /// Hands a batch over, without waiting.
    fn offer(&self, batch: Batch) -> Offer;

    /// Completes when there is room or nobody takes batches any more. Room may be gone again by the time of an offer
    /// when several listeners share a sink.
    fn ready(&self) -> BoxFuture<'_, ()>;
}

/// What became of an offered batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Offer {
    /// It will be taken.
    Accepted,
    /// There was no room: it is lost and counted.
    Full,
    /// Nobody takes batches any more: the listener can end.
    Closed,
}

const _: (Option<&dyn Listener>, Option<&dyn BatchSink>) = (None, None);
