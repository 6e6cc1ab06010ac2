//! One policy on one item, purely.

use itom_core::{Text, Timestamp};

use super::{Known, Policy, PolicyResult, Verdict, WaivedBy};
use crate::expr::{Answer, Scope, Truth};
use crate::graph::RelationGraph;
use crate::view::{Ci, View};

/// What a policy is judged on.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) view: &'a View,
    pub(super) graph: &'a RelationGraph,
    pub(super) known: &'a Known,
    pub(super) now: Timestamp,
}

impl Policy {
    /// The time as this policy sees it: whole spans, so that a verdict changes at a set time and not at any.
    pub(super) fn time(&self, now: Timestamp) -> Timestamp {
        let span = i64::try_from(self.every.as_micros()).unwrap_or(i64::MAX).max(1);
        Timestamp::from_micros(now.as_micros() - now.as_micros().rem_euclid(span))
    }

    /// The verdict on an item; `None` when the policy does not apply to it.
    pub(super) fn judge(&self, ground: Ground<'_>, ci: &Ci) -> Option<PolicyResult> {
        if !ci.kind().is_a(&self.kind) || !ci.state().is_active() || ci.is_loose_end() {
            return None;
        }
        let now = self.time(ground.now);
        let scope = Scope::new(ground.view, ci, now).with_graph(ground.graph);
        let mut result = PolicyResult {
            policy: self.name.clone(),
            ci: ci.id(),
            verdict: Verdict::Unknown,
            severity: self.severity,
            evidence: Vec::new(),
            unknown_because: None,
            waived: None,
            since: ground.now,
        };
        if let Some(when) = &self.when {
            let Answer { truth, read, unknown_because } = when.judge(&scope);
            match truth {
                Truth::False => return None,
                Truth::True => result.evidence = read,
                Truth::Unknown => {
                    result.evidence = read;
                    result.unknown_because = unknown_because;
                    return Some(result);
                }
            }
        }
        let Answer { truth, read, unknown_because } = self.check.judge(&scope);
        result.evidence.extend(read);
        result.evidence.sort();
        result.evidence.dedup();
        match truth {
            Truth::True => result.verdict = Verdict::Pass,
            Truth::Unknown => result.unknown_because = unknown_because,
            Truth::False => match ground.known.lacks(&self.needs) {
                Some(lacking) => result.unknown_because = Some(Text::from(lacking)),
                None => {
                    result.verdict = Verdict::Fail;
                    result.waived = self.waiver(&scope, now);
                }
            },
        }
        Some(result)
    }

    /// The first waiver that covers the item now.
    fn waiver(&self, scope: &Scope<'_>, now: Timestamp) -> Option<WaivedBy> {
        let waiver = self
            .waivers
            .iter()
            .filter(|waiver| waiver.until.is_none_or(|until| now < until))
            .find(|waiver| waiver.items.judge(scope).truth == Truth::True)?;
        Some(WaivedBy { owner: waiver.owner.clone(), reason: waiver.reason.clone(), until: waiver.until })
    }

    /// Whether time alone can change a verdict.
    pub(super) fn reads_time(&self) -> bool {
        self.expressions().any(crate::expr::Expression::reads_time)
            || self.waivers.iter().any(|waiver| waiver.until.is_some())
    }
}
