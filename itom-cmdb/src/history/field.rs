//! The past of one attribute of one item.

use itom_core::{AttrName, RunId, SourceName, Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::fact::{Fact, FactBody, FactLog, Head, Resolution};
use crate::identity::Object;

/// One value that one source gave an attribute, from a time on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FieldVersion {
    /// Since when it was said (valid time).
    pub observed: Timestamp,
    /// When that was learned (recorded time of the run).
    pub recorded: Timestamp,
    /// Who said so.
    pub source: SourceName,
    /// In which run.
    pub run: RunId,
    /// The value; `None` when the source stopped saying anything about it.
    pub value: Option<Value>,
}

/// Every change of what these objects' sources said about an attribute, by time.
pub(crate) fn field_history(log: &FactLog, objects: &[Object], attribute: &AttrName) -> Vec<FieldVersion> {
    let mut versions = Vec::new();
    for object in objects {
        let mut current: Option<Value> = None;
        let mut head: Option<Head> = None;
        let mut base = None;
        if let Some((until, carried)) = log.checkpoint(&object.source) {
            base = Some(until);
            current = carried.items.iter().find_map(|item| {
                let fact = log.get(item.statement)?;
                let FactBody::Ci(ci) = fact.body() else { return None };
                let value = ci.attributes.get(attribute).filter(|_| ci.subject == object.native)?;
                versions.push(FieldVersion {
                    observed: item.said_since(attribute),
                    recorded: fact.recorded(),
                    source: object.source.clone(),
                    run: fact.run(),
                    value: Some(value.clone()),
                });
                Some(value.clone())
            });
        }
        for (at, ids) in log.rounds(&object.source).filter(|(at, _)| Some(*at) > base) {
            for id in ids {
                let Some(fact) = log.get(*id) else { continue };
                let FactBody::Run(run) = fact.body() else { continue };
                let Resolution::Known(now) = log.resolve(*id, run, head.as_ref()) else { continue };
                let unchanged = head.as_ref().is_some_and(|before| before.anchor == now.anchor);
                head = Some(now.clone());
                if unchanged {
                    continue;
                }
                let mut said =
                    now.members.iter().filter_map(|member| match log.get(*member).map(Fact::body) {
                        Some(FactBody::Ci(ci)) if ci.subject == object.native => Some(ci),
                        _ => None,
                    });
                let Some(ci) = said.next_back() else { continue };
                let value = ci.attributes.get(attribute).cloned();
                if value != current {
                    versions.push(FieldVersion {
                        observed: at,
                        recorded: fact.recorded(),
                        source: object.source.clone(),
                        run: fact.run(),
                        value: value.clone(),
                    });
                    current = value;
                }
            }
        }
    }
    versions.sort();
    versions
}
