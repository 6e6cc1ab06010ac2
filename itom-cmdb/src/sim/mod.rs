//! Seeded estates with ground truth, and a scorer: what the engine's own figures run on, and what a rule set can be
//! tried on.
//!
//! An [`Estate`] is sites with racks, switches and routers; hypervisors, virtual machines, cluster nodes with pods, cloud
//! instances, laptops; what runs on them and what uses what; applications, business services and teams. It lives for
//! some rounds: machines come and go, move, are renamed, replaced, restored. Sources look at it, each in its own way:
//! agents, managers of hypervisors, clouds, clusters, network discovery, a poller that reads tables of
//! interfaces, the asset spreadsheet, monitoring, flow records,
//! a catalogue of applications. They misbehave as real ones do, each [`Hazard`] at a rate of its own.
//!
//! What everything really is, is known: each [`Delivery`] carries the [`Meaning`] of its observations, and a [`Truth`]
//! collects them. [`score`] compares it with an answer.
//!
//! Nothing is kept in memory: what happens to a thing follows from the seed and the thing alone, so that estates of
//! millions of items stream.
//!
//! ```
//! use itom_cmdb::sim::{Difficulty, Estate, Size, score};
//! use itom_cmdb::{Cmdb, CmdbConfig};
//!
//! let estate = Estate::new(7, &Size::new(300).rounds_of(2), &Difficulty::default());
//! let mut cmdb = Cmdb::new(CmdbConfig::default());
//! let mut truth = estate.truth();
//! for delivery in estate.batches() {
//!     truth.take(&delivery);
//!     let facts = cmdb.plan(&delivery.batch, delivery.learned_at);
//!     cmdb.ingest(facts);
//! }
//! let score = score::of_view(&truth, &cmdb.view());
//! assert!(score.identity.pairwise.precision > 0.9, "{score}");
//! ```

mod delivery;
mod dice;
mod difficulty;
mod entity;
#[cfg(test)]
mod laws;
pub mod score;
mod source;
#[cfg(test)]
mod tests;
mod truth;
mod world;

use itom_core::Timestamp;

pub use delivery::{Batches, Delivery, Meaning};
pub use difficulty::{Difficulty, Hazard, Hazards, UnknownHazard};
pub use entity::{Class, Entity};
pub use truth::{SeenObject, Truth};
use world::World;

/// When the first round begins.
const START: i64 = 1_750_000_000;

/// When a round begins.
const fn time_of(round: u32) -> Timestamp {
    Timestamp::from_micros(START * 1_000_000 + round as i64 * delivery::ROUND_MICROS)
}

/// How large an estate is and how long it lives.
///
/// ```
/// use itom_cmdb::sim::Size;
/// let size = Size::new(100_000).relations_per_ci(5.0).rounds_of(4);
/// assert_eq!(size.rounds(), 4);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Size {
    cis: u64,
    fan_out: u64,
    rounds: u32,
}

/// Items of an estate for each machine, about.
const CIS_A_MACHINE: f64 = 11.0;

impl Size {
    /// About this many items (at least some two hundred, so that each kind of thing is there), with about two relations
    /// for each, for twelve rounds of half an hour.
    #[must_use]
    pub const fn new(cis: u64) -> Self {
        Self { cis, fan_out: 4, rounds: 12 }
    }

    /// Other than about two relations for each item: connections between services are added or left out. Not below
    /// about 1.3, which the items need to hang together.
    #[must_use]
    pub fn relations_per_ci(self, relations: f64) -> Self {
        // An item has 1.25 relations of other kinds; there are 0.14 services for each, and `fan_out` is a mean.
        let fan_out = ((relations - 1.25) / 0.17).clamp(0.0, 1_000.0);
        Self { fan_out: fan_out as u64, ..self }
    }

    /// Other than twelve rounds; at least one.
    #[must_use]
    pub const fn rounds_of(self, rounds: u32) -> Self {
        let rounds = if rounds == 0 { 1 } else { rounds };
        Self { rounds, ..self }
    }

    /// For how many rounds it lives.
    #[must_use]
    pub const fn rounds(&self) -> u32 {
        self.rounds
    }

    const fn machines(&self) -> u64 {
        (self.cis as f64 / CIS_A_MACHINE) as u64
    }

    const fn fan_out(&self) -> u64 {
        self.fan_out
    }
}

/// An estate. See the [module](self).
#[derive(Debug, Clone)]
pub struct Estate {
    world: World,
}

impl Estate {
    /// The estate of a seed: equal seeds, sizes and difficulties give equal estates.
    #[must_use]
    pub fn new(seed: u64, size: &Size, difficulty: &Difficulty) -> Self {
        Self { world: World::new(seed, size, difficulty) }
    }

    /// Everything that arrives, in the order of arrival.
    #[must_use]
    pub fn batches(&self) -> Batches<'_> {
        Batches::new(&self.world)
    }

    /// The truth, with nothing said yet: let it [`take`](Truth::take) what was delivered.
    #[must_use]
    pub fn truth(&self) -> Truth<'_> {
        Truth::new(&self.world)
    }

    /// When the last round has ended and everything late has arrived.
    #[must_use]
    pub const fn end(&self) -> Timestamp {
        time_of(self.world.rounds + 4)
    }

    /// The hazards that concern something in the time of the estate.
    #[must_use]
    pub fn hazards(&self, entity: Entity) -> Hazards {
        self.world.hazards(entity)
    }
}
