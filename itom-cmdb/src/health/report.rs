//! Problems counted.

use std::collections::BTreeSet;
use std::fmt;

use itom_core::{AttrName, CiId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Health;

/// What is wrong with the record of an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Problem {
    /// A required attribute is not known.
    Lacks {
        /// Which.
        attribute: AttrName,
    },
    /// A recommended attribute is not known.
    CouldHave {
        /// Which.
        attribute: AttrName,
    },
    /// It is related to nothing that its kind is related to.
    Orphan,
    /// Nobody saw it in time.
    Stale {
        /// Since when that is too long.
        since: Timestamp,
    },
    /// Others of its kind have its name.
    Duplicate {
        /// Which, ascending.
        of: Vec<CiId>,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lacks { attribute } => write!(f, "lacks {attribute}"),
            Self::CouldHave { attribute } => write!(f, "could have {attribute}"),
            Self::Orphan => f.write_str("is related to nothing"),
            Self::Stale { since } => write!(f, "stale since {since}"),
            Self::Duplicate { of } => write!(f, "has the name of {} other(s)", of.len()),
        }
    }
}

/// One measure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measure {
    /// How many are as they should be: attributes for completeness, items otherwise.
    pub good: usize,
    /// Of how many that were looked at.
    pub of: usize,
    /// The first items that would mend it, by id.
    pub items: Vec<(CiId, Problem)>,
}

impl Measure {
    /// The good share, from 0 to 1; `None` when nothing was looked at.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        (self.of > 0).then(|| self.good as f64 / self.of as f64)
    }

    fn count(&mut self, of: usize, list: usize, problems: impl Iterator<Item = (CiId, Problem)>) {
        self.of += of;
        self.good += of;
        for problem in problems {
            self.good = self.good.saturating_sub(1);
            if self.items.len() < list {
                self.items.push(problem);
            }
        }
    }
}

/// How good the data is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HealthReport {
    /// Required attributes that are known.
    pub completeness: Measure,
    /// Recommended attributes that are known.
    pub richness: Measure,
    /// Items related to what their kind is related to.
    pub relations: Measure,
    /// Items seen in time.
    pub freshness: Measure,
    /// Items whose name is theirs alone.
    pub uniqueness: Measure,
}

impl HealthReport {
    /// The measures with what they say in words, in the order people read them.
    #[must_use]
    pub const fn measures(&self) -> [(&'static str, &Measure); 5] {
        [
            ("required attributes known", &self.completeness),
            ("recommended attributes known", &self.richness),
            ("items related as their kind is", &self.relations),
            ("items seen in time", &self.freshness),
            ("items with a name of their own", &self.uniqueness),
        ]
    }
}

pub(super) fn of(health: &Health, now: Timestamp, list: usize) -> HealthReport {
    let mut report = HealthReport::default();
    for (id, standing) in &health.items {
        let such = |fits: fn(&Problem) -> bool| {
            standing
                .problems
                .iter()
                .filter(move |problem| fits(problem))
                .map(|problem| (*id, problem.clone()))
        };
        let [required, recommended] = standing.asked;
        report.completeness.count(required as usize, list, such(|own| matches!(own, Problem::Lacks { .. })));
        report.richness.count(
            recommended as usize,
            list,
            such(|own| matches!(own, Problem::CouldHave { .. })),
        );
        if standing.wants_relations {
            report.relations.count(1, list, such(|own| *own == Problem::Orphan));
        }
        if let Some(name) = &standing.name {
            let others: BTreeSet<CiId> = health.names.get(name).cloned().unwrap_or_default();
            let of: Vec<CiId> = others.into_iter().filter(|other| other != id).collect();
            let duplicate = (!of.is_empty()).then_some((*id, Problem::Duplicate { of }));
            report.uniqueness.count(1, list, duplicate.into_iter());
        }
    }
    let stale = health.stale.iter().take_while(|(at, _)| *at <= now);
    let mut stale: Vec<(CiId, Problem)> =
        stale.map(|(since, id)| (*id, Problem::Stale { since: *since })).collect();
    stale.sort();
    report.freshness.count(health.stale.len(), list, stale.into_iter());
    report
}
