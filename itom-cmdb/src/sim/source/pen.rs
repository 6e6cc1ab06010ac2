//! Writes a batch together with what each of its observations really means.

use std::fmt::{self, Write as _};

use itom_core::{
    Batch, CiKind, CiObservation, Coverage, ErrorKind, Key, KeyKind, Realm, RelationKind,
    RelationObservation, Scope, SourceName, Strength, Subject, Text, Timestamp,
};

use super::super::delivery::Meaning;
use super::super::dice::mix;
use super::super::entity::Entity;

/// How a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Luck {
    /// Everything is read.
    Good,
    /// Half of the scope of this number is not read.
    Partial(u64),
    /// Nothing is read.
    Failed,
    /// Nothing is seen, and everything is claimed to have been read.
    Broken,
}

#[derive(Debug)]
pub(crate) struct Pen {
    batch: Batch,
    meanings: Vec<Meaning>,
    scratch: String,
    scopes: &'static [Scope],
    lost: Option<&'static Scope>,
    luck: Luck,
    coin: u64,
}

impl Pen {
    pub(crate) fn new(
        source: SourceName,
        taken_at: Timestamp,
        scopes: &'static [Scope],
        luck: Luck,
        roll: u64,
    ) -> Self {
        let lost = match luck {
            Luck::Partial(which) => scopes.get((which % scopes.len().max(1) as u64) as usize),
            _ => None,
        };
        Self {
            batch: Batch::new(source, taken_at),
            meanings: Vec::new(),
            scratch: String::with_capacity(64),
            scopes,
            lost,
            luck,
            coin: roll,
        }
    }

    /// Whether the part of the run that this scope is about fails.
    pub(crate) fn loses(&self, scope: &Scope) -> bool {
        self.lost == Some(scope)
    }

    fn heads(&mut self) -> bool {
        self.coin = mix(self.coin);
        self.coin & 1 == 0
    }

    pub(crate) fn text(&mut self, text: fmt::Arguments<'_>) -> Text {
        self.scratch.clear();
        // Writing to a string does not fail.
        let _ = self.scratch.write_fmt(text);
        Text::from(self.scratch.as_str())
    }

    fn scratch(&mut self, text: fmt::Arguments<'_>) -> &str {
        self.scratch.clear();
        let _ = self.scratch.write_fmt(text);
        &self.scratch
    }

    /// An item, unless it is not read.
    pub(crate) fn ci(
        &mut self,
        native: Text,
        kind: &CiKind,
        means: Entity,
        describe: impl FnOnce(&mut CiObservation),
    ) {
        if self.lost.is_some_and(|lost| lost.covers_ci(kind, None)) && self.heads() {
            return;
        }
        describe(self.batch.ci(native, kind.clone()));
        self.meanings.push(Meaning::Item(means));
    }

    /// An item that is there whenever anything is read.
    pub(crate) fn always(
        &mut self,
        native: Text,
        kind: &CiKind,
        means: Entity,
        describe: &mut dyn FnMut(&mut CiObservation),
    ) {
        describe(self.batch.ci(native, kind.clone()));
        self.meanings.push(Meaning::Item(means));
    }

    /// A relation, unless it is not read.
    pub(crate) fn relation(
        &mut self,
        kind: &RelationKind,
        from: impl Into<Subject>,
        to: impl Into<Subject>,
        means: (Entity, Entity),
    ) -> Option<&mut RelationObservation> {
        if self.lost.is_some_and(|lost| lost.covers_relation(kind, None)) && self.heads() {
            return None;
        }
        self.meanings.push(Meaning::Relation(means.0, means.1));
        Some(self.batch.relation(kind.clone(), from, to))
    }

    pub(crate) fn mac(&mut self, mac: u64) -> Option<Key> {
        let bytes = mac.to_be_bytes();
        let [_, _, a, b, c, d, e, f] = bytes;
        Key::mac(self.scratch(format_args!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"))).ok()
    }

    pub(crate) fn key(
        &mut self,
        kind: KeyKind,
        realm: Realm,
        strength: Strength,
        value: fmt::Arguments<'_>,
    ) -> Option<Key> {
        Key::new(kind, realm, self.scratch(value), strength).ok()
    }

    pub(crate) fn native(&mut self, realm: &Realm, value: fmt::Arguments<'_>) -> Key {
        Key::native(realm.clone(), self.scratch(value))
    }

    pub(crate) fn realm(&mut self, value: fmt::Arguments<'_>) -> Realm {
        Realm::new(self.scratch(value)).unwrap_or_default()
    }

    pub(crate) fn fault(&mut self, what: &'static str, kind: ErrorKind, message: &'static str) {
        self.batch.fault(Text::literal(what), kind, Text::literal(message));
    }

    /// The batch with an honest account of what was read, and the meanings.
    pub(crate) fn finish(mut self) -> (Batch, Vec<Meaning>) {
        let mut coverage = Coverage::new();
        match self.luck {
            Luck::Good | Luck::Broken => {
                for scope in self.scopes {
                    coverage.add_complete(scope.clone());
                }
            }
            Luck::Partial(_) => {
                for scope in self.scopes {
                    if self.lost == Some(scope) {
                        let reason = Text::literal("the answer ended before its end");
                        coverage.add_partial(scope.clone(), ErrorKind::Timeout, reason);
                    } else {
                        coverage.add_complete(scope.clone());
                    }
                }
                self.fault(
                    "a scope",
                    ErrorKind::Timeout,
                    "the answer ended before its end; the next run tries again",
                );
            }
            Luck::Failed => {
                for scope in self.scopes {
                    let reason = Text::literal("no answer");
                    coverage.add_partial(scope.clone(), ErrorKind::Unavailable, reason);
                }
                self.fault("the target", ErrorKind::Unavailable, "no answer; the next run tries again");
            }
        }
        self.batch.finish(coverage);
        (self.batch, self.meanings)
    }
}
