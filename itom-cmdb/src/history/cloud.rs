//! Changes in the envelope that event routers read.

use serde::{Deserialize, Serialize};

use super::{Delivery, FeedChange, FeedCursor, FeedEvent, Mark};

/// One event in the JSON format of CloudEvents 1.0 (<https://github.com/cloudevents/spec>, structured mode).
///
/// `id` is made of the states before and after and of the event's place in the delivery: one that is repeated after a
/// crash repeats its ids, so that `(source, id)` finds duplicates as the specification wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CloudEvent {
    /// The version of the specification: `1.0`.
    pub specversion: String,
    /// Unique within `source`.
    pub id: String,
    /// Who tells: a URI reference that names the engine.
    pub source: String,
    /// What happened: `itom.cmdb.ci.` and the change, such as `itom.cmdb.ci.retired`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The id of the item.
    pub subject: String,
    /// When it was learned, RFC 3339.
    pub time: String,
    /// `application/json`.
    pub datacontenttype: String,
    /// The event itself.
    pub data: FeedEvent,
}

impl CloudEvent {
    /// The event at place `index` of the delivery that led from cursor `since` to cursor `until`, told by `source`.
    #[must_use]
    pub fn new(source: &str, since: &FeedCursor, until: &FeedCursor, index: usize, event: FeedEvent) -> Self {
        let (from, to) = (since.from(), until.to());
        let place = |mark: Mark| format!("{}.{}", mark.position, mark.at.as_micros());
        Self {
            specversion: "1.0".into(),
            id: format!("{}-{}-{}.{index}", place(from), place(to), since.told()),
            source: source.into(),
            kind: format!("itom.cmdb.ci.{}", event.what.name()),
            subject: event.ci.to_string(),
            time: event.at.to_string(),
            datacontenttype: "application/json".into(),
            data: event,
        }
    }
}

impl Delivery {
    /// The events in their envelopes. `since` is the cursor before this delivery.
    pub fn cloud_events(&self, source: &str, since: &FeedCursor) -> impl Iterator<Item = CloudEvent> {
        let events = self.events.iter().cloned().enumerate();
        events.map(move |(index, event)| CloudEvent::new(source, since, &self.cursor, index, event))
    }
}

impl FeedChange {
    /// The name of the change, as in the type of its CloudEvent.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Appeared { .. } => "appeared",
            Self::Merged { .. } => "merged",
            Self::Split { .. } => "split",
            Self::Redirected { .. } => "redirected",
            Self::Removed => "removed",
            Self::Returned => "returned",
            Self::Retired { .. } => "retired",
            Self::Kind { .. } => "kind",
            Self::Name { .. } => "name",
            Self::Attribute { .. } => "attribute",
            Self::Related { .. } => "related",
            Self::Unrelated { .. } => "unrelated",
            Self::Life { .. } => "life",
        }
    }
}
