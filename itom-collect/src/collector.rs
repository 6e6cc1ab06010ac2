//! The collector trait.

use std::fmt;

use async_trait::async_trait;
use itom_core::{Batch, Coverage};

use crate::{CollectContext, CollectError, Descriptor};

/// Something that reads one source and pushes what it sees into a [`Batch`].
///
/// # Contract
/// * Runs of one collector never overlap; the scheduler sees to it.
/// * `collect` is cancel-safe: dropping it at any await leaves nothing broken, and the next run works.
/// * What was pushed counts even when the run then fails, times out or is dropped.
/// * [`Coverage::complete`] only when absence from the batch means absence from the source.
/// * No retries and no sleeping inside: an error says whether a retry can help
///   ([`Classify`](itom_core::Classify)), the scheduler does it.
/// * A collector that works for long without awaiting calls [`CollectContext::checkpoint`] between steps.
///
/// ```
/// use itom_collect::{CollectContext, CollectError, Collector, Descriptor};
/// use itom_core::{Batch, Coverage, Scope, attr, kind};
///
/// #[derive(Debug)]
/// struct Racks;
///
/// #[async_trait::async_trait]
/// impl Collector for Racks {
///     fn descriptor(&self) -> Descriptor {
///         Descriptor::new("racks")
///     }
///
///     async fn collect(&self, cx: &CollectContext, batch: &mut Batch) -> Result<Coverage, CollectError> {
///         for name in ["web-1", "web-2"] {
///             cx.checkpoint().await?;
///             batch.ci(name, kind::HOST).attr(attr::HOST_NAME, name);
///         }
///         Ok(Coverage::new().complete(Scope::cis(kind::HOST)))
///     }
/// }
/// ```
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a collector",
    note = "implement `Collector` with `#[async_trait]`, or wrap a closure with `collector_fn`"
)]
pub trait Collector: Send + Sync + fmt::Debug + 'static {
    /// What it is called, what it emits, how often it should run. Read once, when the collector is added.
    fn descriptor(&self) -> Descriptor;

    /// One run.
    ///
    /// # Errors
    /// [`CollectError`] when the run as a whole failed. What could not be read of an otherwise good run is a
    /// [`fault`](Batch::fault) and a partial scope, not an error.
    async fn collect(&self, cx: &CollectContext, batch: &mut Batch) -> Result<Coverage, CollectError>;
}

const _: Option<&dyn Collector> = None;
