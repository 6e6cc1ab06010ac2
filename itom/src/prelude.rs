//! What a small program needs: `use itom::prelude::*;`.

pub use async_trait::async_trait;
pub use itom_alert::notify::Notifier;
pub use itom_alert::rule::Rule;
pub use itom_cmdb::store::Store;
pub use itom_collect::{CollectContext, CollectError, Collector, Descriptor, collector_fn};
pub use itom_core::{
    AttrName, Batch, CiKind, Clock as _, Coverage, Key, Labels, MetricName, RelationKind, Scope, Severity,
    SourceName, Timestamp, Value, attr, kind, relation,
};

pub use crate::{Engine, EngineHandle};
