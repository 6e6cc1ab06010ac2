//! Less past.

use std::collections::BTreeSet;

use itom_core::Timestamp;

use super::{Applied, Cmdb};
use crate::fact::{Fact, FactId};
use crate::store::{Compaction, Retention};

impl Cmdb {
    /// What can go of its facts under a policy. Changes nothing: let the store apply it
    /// ([`Store::compact`](crate::store::Store::compact)), then [`forget`](Self::forget) the same; or let
    /// [`store::compact`](crate::store::compact) do both.
    #[must_use]
    pub fn plan_compaction(&self, retention: &Retention, now: Timestamp) -> Compaction {
        Compaction::plan(&self.log, &self.config, retention, now)
    }

    /// Takes the facts out that a compaction takes out, and puts their sums in. The present does not change, nor does any
    /// view from [`Compaction::horizon`] on.
    pub fn forget(&mut self, plan: &Compaction) -> Applied {
        let heard = self.heard.forgets(plan, &self.log);
        let gone: BTreeSet<FactId> = plan.dropped().collect();
        self.log.remove(&gone);
        let checkpoints: Vec<Fact> = plan.checkpoints().cloned().collect();
        let now = self.now;
        let applied = self.take(checkpoints, now);
        self.heard = heard.told(&applied);
        applied
    }
}
