//! A closure as a collector.

use std::fmt;

use async_trait::async_trait;
use futures::future::BoxFuture;
use itom_core::{Batch, Coverage};

use crate::{CollectContext, CollectError, Collector, Descriptor};

/// What a run made from a closure gives back.
pub type CollectFuture<'a> = BoxFuture<'a, Result<Coverage, CollectError>>;

/// A collector from a closure, for sources that need no type of their own.
///
/// ```
/// use itom_collect::{Descriptor, collector_fn};
/// use itom_core::{Coverage, Scope, attr, kind};
///
/// let racks = collector_fn(Descriptor::new("racks").emits(kind::HOST), |cx, batch| {
///     Box::pin(async move {
///         for name in ["web-1", "web-2"] {
///             cx.checkpoint().await?;
///             batch.ci(name, kind::HOST).attr(attr::HOST_NAME, name);
///         }
///         Ok(Coverage::new().complete(Scope::cis(kind::HOST)))
///     })
/// });
/// # let _: Box<dyn itom_collect::Collector> = Box::new(racks);
/// ```
pub fn collector_fn<F>(descriptor: Descriptor, collect: F) -> impl Collector
where
    F: for<'a> Fn(&'a CollectContext, &'a mut Batch) -> CollectFuture<'a> + Send + Sync + 'static,
{
    CollectorFn { descriptor, collect }
}

struct CollectorFn<F> {
    descriptor: Descriptor,
    collect: F,
}

impl<F> fmt::Debug for CollectorFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectorFn").field("descriptor", &self.descriptor).finish_non_exhaustive()
    }
}

#[async_trait]
impl<F> Collector for CollectorFn<F>
where
    F: for<'a> Fn(&'a CollectContext, &'a mut Batch) -> CollectFuture<'a> + Send + Sync + 'static,
{
    fn descriptor(&self) -> Descriptor {
        self.descriptor.clone()
    }

    async fn collect(&self, cx: &CollectContext, batch: &mut Batch) -> Result<Coverage, CollectError> {
        (self.collect)(cx, batch).await
    }
}
