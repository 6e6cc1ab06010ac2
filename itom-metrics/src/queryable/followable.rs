//! Stores of which a reader can ask only what came since it last looked.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::{LabelMatcher, LabelSet, Points, Queryable, QueryableError};

/// A series as its store knows it; means nothing to another store.
#[derive(Clone)]
pub struct SeriesHandle(Arc<dyn Any + Send + Sync>);

impl SeriesHandle {
    /// Around what the store keeps of the series: the same allocation each time, for the same series.
    #[must_use]
    pub fn new<T: Any + Send + Sync>(series: Arc<T>) -> Self {
        Self(series)
    }

    /// What the store keeps, if it is of this type.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }

    /// Whether both are the same series.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for SeriesHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeriesHandle(..)")
    }
}

/// A series that can be followed.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "what every followable store knows of a series")]
pub struct FollowedSeries {
    /// Its labels, the metric's name among them.
    pub labels: LabelSet,
    /// What its store knows it by.
    pub handle: SeriesHandle,
    /// Where its past stood just now: for the first [`Followable::follow`].
    pub revision: u64,
}

/// What happened to a series since a reader last looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a reader must handle all")]
pub enum Followed {
    /// Only newer samples came; they were added.
    Continued,
    /// A sample came that is older than the newest: what the reader has is void, and nothing was added.
    Revised,
    /// Some of the samples are no longer at hand, and nothing was added: they are to be [selected](Queryable::select).
    Elsewhere,
}

/// A store whose series can be followed.
///
/// A reader takes down [`series_generation`](Self::series_generation) and [`past_generation`](Self::past_generation),
/// asks for the series and [selects](Queryable::select) their samples. From then on, as long as neither number
/// changed, [`follow`](Self::follow) gives it what is new.
pub trait Followable: Queryable {
    /// Changes after a series came or went.
    fn series_generation(&self) -> u64;

    /// Changes after something of the past changed otherwise than by a late sample or by the [floor](Self::floor):
    /// samples were deleted, or were lost.
    fn past_generation(&self) -> u64;

    /// Samples before this time, in milliseconds, are gone. It never goes back.
    fn floor(&self) -> i64;

    /// Samples up to this time, in milliseconds, may be of series that [`resolve`](Self::resolve) does not give: those are
    /// only [selected](Queryable::select). Of what is later, each sample is of a series that it gives.
    fn moved_through(&self) -> i64 {
        i64::MIN
    }

    /// The series that fit and may get samples, sorted by labels, whether they have any or not.
    fn resolve(&self, matchers: &[LabelMatcher]) -> Vec<FollowedSeries>;

    /// Adds the samples of a series with `after < t <= through` to `out`, unless its past was revised or some of them are
    /// elsewhere. `revision` is what the last call for the series left there, or what it was resolved with.
    ///
    /// # Errors
    /// [`QueryableError`] when the store cannot be read.
    fn follow(
        &self,
        series: &SeriesHandle,
        after: i64,
        through: i64,
        revision: &mut u64,
        out: &mut Points,
    ) -> Result<Followed, QueryableError>;
}

const _: Option<&dyn Followable> = None;
