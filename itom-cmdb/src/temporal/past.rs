//! Asking an engine about its past.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use itom_core::{AttrName, CiChange, CiId, Interval, Timestamp, Value};

use super::{Chronicle, LineSize};
use crate::Cmdb;
use crate::view::{Ci, View};

/// A question's two times: what was believed at `recorded` about `valid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Point {
    /// When it was so.
    pub valid: Timestamp,
    /// Known by when.
    pub recorded: Timestamp,
}

impl Point {
    /// What was believed at `recorded` about `valid`.
    #[must_use]
    pub const fn new(valid: Timestamp, recorded: Timestamp) -> Self {
        Self { valid, recorded }
    }

    /// What was believed at `recorded` about then.
    #[must_use]
    pub const fn believed(recorded: Timestamp) -> Self {
        Self { valid: Timestamp::MAX, recorded }
    }

    /// How it was at `valid`, as far as is known today.
    #[must_use]
    pub const fn was(valid: Timestamp) -> Self {
        Self { valid, recorded: Timestamp::MAX }
    }
}

/// What an engine remembers of its past, once somebody asked. It holds no knowledge: everything in it follows from the
/// facts, so that it can be dropped and made again at any time.
pub(crate) struct Memo(Mutex<Option<Box<Chronicle>>>);

impl Memo {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The past, if it is fed.
    pub(crate) fn fed(&mut self) -> Option<&mut Chronicle> {
        let own = self.0.get_mut().unwrap_or_else(|poisoned| {
            // Whoever panicked may have left it half-made; it is made again when asked for.
            let own = poisoned.into_inner();
            *own = None;
            own
        });
        own.as_deref_mut()
    }

    fn with<R>(&self, cmdb: &Cmdb, ask: impl FnOnce(&mut Chronicle) -> R) -> R {
        let mut own = self.0.lock().unwrap_or_else(|poisoned| {
            self.0.clear_poison();
            let mut own = poisoned.into_inner();
            *own = None;
            own
        });
        ask(own.get_or_insert_with(|| Box::new(Chronicle::of(cmdb))))
    }
}

impl Clone for Memo {
    /// A clone asks anew: most are made to try something on.
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fed = self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        f.debug_struct("Memo").field("fed", &fed).finish()
    }
}

/// The past of a [`Cmdb`], at speed. See the [module](super) for what it costs and how it works.
///
/// ```
/// use itom_cmdb::temporal::Point;
/// use itom_cmdb::{Cmdb, CmdbConfig};
/// use itom_core::{Batch, SourceName, Timestamp, attr, kind};
///
/// let at = Timestamp::from_secs;
/// let mut cmdb = Cmdb::new(CmdbConfig::default());
/// let mut said = |tick: i64, learned: i64, name: &str| {
///     let mut batch = Batch::new(SourceName::literal("agent"), at(tick));
///     batch.ci("host", kind::HOST).attr(attr::HOST_NAME, name);
///     cmdb.ingest(cmdb.plan(&batch, at(learned)));
/// };
/// said(100, 101, "a");
/// said(300, 301, "c");
/// said(200, 900, "b"); // late
/// let id = cmdb.view().cis().next().map(|ci| ci.id()).ok_or("no item")?;
/// let name = |point| cmdb.past().ci(id, point).map(|ci| ci.name().to_string());
/// assert_eq!(name(Point::was(at(250))).as_deref(), Some("b"), "so it was, as is known today");
/// assert_eq!(name(Point::new(at(250), at(400))).as_deref(), Some("a"), "so it was believed to have been");
/// assert_eq!(name(Point::believed(at(400))).as_deref(), Some("c"));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    cmdb: &'a Cmdb,
    memo: &'a Memo,
}

impl<'a> Past<'a> {
    pub(crate) const fn new(cmdb: &'a Cmdb, memo: &'a Memo) -> Self {
        Self { cmdb, memo }
    }

    fn ask<R>(self, ask: impl FnOnce(&mut Chronicle) -> R) -> R {
        self.memo.with(self.cmdb, ask)
    }

    /// Makes the past ready, so that the first question is not the one that waits. From then on the engine feeds it.
    pub fn prepare(self) {
        self.ask(|_| ());
    }

    /// The whole view at a point: equal to that of [`Cmdb::at`].
    ///
    /// It is handed out at once and made where somebody looks: a look at an item costs the path to it once, a walk over
    /// everything what changed since. What the engine takes in later does not touch it. The first questions about valid
    /// times are replayed; when there are more, a line is made for them, which takes as long as a few replays.
    #[must_use]
    pub fn view(self, point: Point) -> View {
        self.ask(|past| past.view(self.cmdb, point))
    }

    /// One item at a point, found by the id it had then or by one that led to it then.
    #[must_use]
    pub fn ci(self, id: CiId, point: Point) -> Option<Ci> {
        self.ask(|past| past.ci(self.cmdb, id, point))
    }

    /// What is different at `b` against `a`, told at `b`'s recorded time. Between points on one axis the cost follows
    /// what changed between them.
    #[must_use]
    pub fn diff(self, a: Point, b: Point) -> Vec<CiChange> {
        self.ask(|past| past.diff(self.cmdb, a, b))
    }

    /// What was believed about an attribute, by the time at which it was believed.
    #[must_use]
    pub fn believed(self, ci: CiId, attribute: &AttrName) -> Vec<(Interval, Value)> {
        self.ask(|past| past.believed(self.cmdb, ci, attribute))
    }

    /// What an attribute was, by the time at which it was so, as known at `recorded`. `None` when the order of recording
    /// is no guide (a run was recorded before a statement it cites): ask for a [view](Self::view) at each time then.
    #[must_use]
    pub fn was(self, ci: CiId, attribute: &AttrName, recorded: Timestamp) -> Option<Vec<(Interval, Value)>> {
        self.ask(|past| past.was(self.cmdb, ci, attribute, recorded))
    }

    /// How much memory the past takes.
    #[must_use]
    pub fn size(self) -> LineSize {
        self.ask(|past| past.size())
    }

    /// Forgets states before a time, of both axes; questions about them are replayed from the facts, as far as those are
    /// kept. Views at and after it are unchanged.
    pub fn forget(self, before: Timestamp) {
        self.ask(|past| past.forget(before));
    }
}
