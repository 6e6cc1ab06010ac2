//! From a batch to facts, purely.

use itom_core::{Batch, Observation, SourceName, Timestamp};

use super::{Fact, FactBody, FactId, RunFact};

/// The content address of a fact. Statements are addressed without their time, events with it.
pub(super) fn address(source: &SourceName, observed: Timestamp, body: &FactBody) -> FactId {
    let mut material = Vec::with_capacity(512);
    material.extend_from_slice(&(source.as_str().len() as u64).to_le_bytes());
    material.extend_from_slice(source.as_str().as_bytes());
    if !matches!(body, FactBody::Ci(_) | FactBody::Relation(_)) {
        material.extend_from_slice(&observed.as_micros().to_le_bytes());
    }
    // JSON of ordered maps and validated names is canonical: one form for one content.
    if let Err(error) = serde_json::to_writer(&mut material, body) {
        // Only a map key that is no string could fail, and there is none; the address stays one of the content.
        material.extend_from_slice(format!("{error}: {body:?}").as_bytes());
    }
    FactId::of(&material)
}

/// The facts of a batch, as if nothing were known: every statement in full, and a run fact that lists them.
///
/// Samples and events are not facts of configuration. [`Cmdb::plan`](crate::Cmdb::plan) gives the same meaning in fewer
/// bytes, against what is already known.
#[must_use]
pub fn facts_of(batch: &Batch, recorded: Timestamp) -> Vec<Fact> {
    let make = |body| Fact::new(batch.source().clone(), batch.run(), batch.taken_at(), recorded, body);
    let mut facts = Vec::with_capacity(batch.items().len() + 1);
    let mut seen = Vec::with_capacity(batch.items().len());
    for item in batch.items() {
        let body = match item {
            Observation::Ci(ci) => FactBody::Ci(ci.clone()),
            Observation::Relation(relation) => FactBody::Relation(relation.clone()),
            Observation::Retract(retraction) => FactBody::Retract(retraction.clone()),
            Observation::SameAs(statement) => FactBody::SameAs(statement.clone()),
            Observation::NotSame(statement) => FactBody::NotSame(statement.clone()),
            // Samples, events, and whatever else is not a statement about configuration.
            _ => continue,
        };
        let fact = make(body);
        if fact.is_statement() {
            seen.push(fact.id());
        }
        facts.push(fact);
    }
    seen.sort_unstable();
    seen.dedup();
    facts.push(make(FactBody::Run(run_fact(batch, None, Vec::new(), seen))));
    facts
}

/// The run fact of a batch with this coding of its seen set.
pub(crate) fn run_fact(
    batch: &Batch,
    basis: Option<FactId>,
    gone: Vec<FactId>,
    seen: Vec<FactId>,
) -> RunFact {
    let mut complete = batch.coverage().complete_scopes().to_vec();
    complete.sort();
    let mut partial = batch.coverage().partial_scopes().to_vec();
    partial.sort();
    partial.dedup();
    RunFact { complete, partial, basis, gone, seen }
}
