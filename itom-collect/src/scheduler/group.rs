//! Who may start next: the oldest of those that are due, within the limit of each group.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{SourceName, Text, Timestamp};

/// A target that is due, ordered by how long it is.
type Place = (Timestamp, SourceName);

/// The targets that are due. `heads` holds who may start as far as the groups go: every target without a group, and
/// the oldest of each group that has room. Finding the next one is a look at its first.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadyQueue {
    heads: BTreeSet<Place>,
    groups: BTreeMap<Text, Group>,
    len: usize,
    ungrouped: BTreeSet<Place>,
}

#[derive(Debug, Clone, Default)]
struct Group {
    running: usize,
    ready: BTreeSet<Place>,
    head: Option<Place>,
}

impl ReadyQueue {
    pub(super) const fn new() -> Self {
        Self { heads: BTreeSet::new(), groups: BTreeMap::new(), len: 0, ungrouped: BTreeSet::new() }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Since when the oldest is due, whether or not it may start.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let grouped = self.groups.values().filter_map(|group| group.ready.first());
        grouped.chain(self.ungrouped.first()).map(|(due, _)| *due).min()
    }

    pub(super) fn insert(&mut self, due: Timestamp, name: SourceName, group: Option<&Text>, limit: usize) {
        self.len += 1;
        match group {
            None => {
                self.ungrouped.insert((due, name.clone()));
                self.heads.insert((due, name));
            }
            Some(group) => {
                self.groups.entry(group.clone()).or_default().ready.insert((due, name));
                self.refresh(group, limit);
            }
        }
    }

    pub(super) fn remove(&mut self, due: Timestamp, name: &SourceName, group: Option<&Text>, limit: usize) {
        let place = (due, name.clone());
        let removed = match group {
            None => {
                self.heads.remove(&place);
                self.ungrouped.remove(&place)
            }
            Some(group) => {
                let removed = self.groups.get_mut(group).is_some_and(|state| state.ready.remove(&place));
                self.refresh(group, limit);
                removed
            }
        };
        self.len -= usize::from(removed);
    }

    /// The oldest that may start; it stays until it is [removed](Self::remove).
    pub(super) fn first(&self) -> Option<&SourceName> {
        self.heads.first().map(|(_, name)| name)
    }

    pub(super) fn started(&mut self, group: Option<&Text>, limit: usize) {
        if let Some(group) = group {
            self.groups.entry(group.clone()).or_default().running += 1;
            self.refresh(group, limit);
        }
    }

    pub(super) fn finished(&mut self, group: Option<&Text>, limit: usize) {
        if let Some(group) = group {
            if let Some(state) = self.groups.get_mut(group) {
                state.running = state.running.saturating_sub(1);
            }
            self.refresh(group, limit);
        }
    }

    fn refresh(&mut self, name: &Text, limit: usize) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let head = if group.running < limit { group.ready.first().cloned() } else { None };
        if head != group.head {
            if let Some(before) = &group.head {
                self.heads.remove(before);
            }
            if let Some(head) = &head {
                self.heads.insert(head.clone());
            }
            group.head = head;
        }
        if group.running == 0 && group.ready.is_empty() {
            self.groups.remove(name);
        }
    }
}
