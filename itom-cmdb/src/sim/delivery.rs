//! Batches as they arrive: in no good order, some late, some twice.

use itom_core::{Batch, Timestamp};

use super::dice::Topic;
use super::entity::Entity;
use super::source::{Roster, Source};
use super::world::{World, at};
use super::{Hazard, time_of};

/// What an observation really means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meaning {
    /// It is about this.
    Item(Entity),
    /// It relates these, from and to.
    Relation(Entity, Entity),
}

/// One batch on its arrival, with the truth about it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivery {
    /// What the source says.
    pub batch: Batch,
    /// When it arrives.
    pub learned_at: Timestamp,
    /// The round in which the source looked.
    pub round: u32,
    /// What each observation of the batch really means, in the order of [`Batch::items`].
    pub meanings: Vec<Meaning>,
}

/// Most rounds that a batch is late.
const LATEST: u32 = 3;
/// The length of a round.
pub(crate) const ROUND_MICROS: i64 = 1_800_000_000;

/// The batches of an estate in the order of their arrival. It holds one batch at a time: late ones are written when they
/// arrive, as they were.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    world: &'a World,
    roster: Roster,
    /// Steps through the sources of a round in an order that is none.
    stride: u64,
    round: u32,
    step: u64,
    late: u32,
    again: bool,
}

impl<'a> Batches<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        let roster = Roster::new(world);
        let count = roster.len();
        let mut stride = (count * 5 / 8) | 1;
        while gcd(stride, count) != 1 {
            stride += 2;
        }
        Self { world, roster, stride, round: 0, step: 0, late: 0, again: false }
    }

    /// How many rounds late the batch of a source's run in a round arrives.
    fn delay(&self, number: u64, round: u32) -> u32 {
        let run = at(number, round);
        if self.world.dice.strikes(Hazard::LateDelivery, run) {
            1 + self.world.dice.below(Topic::Delay, run, u64::from(LATEST)) as u32
        } else {
            0
        }
    }
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Iterator for Batches<'_> {
    type Item = Delivery;

    fn next(&mut self) -> Option<Delivery> {
        // After the last round come those that are late.
        while self.round < self.world.rounds + LATEST {
            let count = self.roster.len();
            while self.step < count {
                let number = (self.step * self.stride) % count;
                let source: Source = self.roster.source(number);
                while self.late <= LATEST {
                    let looked = self.round.checked_sub(self.late).filter(|round| *round < self.world.rounds);
                    let arrives = looked.filter(|looked| {
                        self.delay(number, *looked) == self.late && source.runs(self.world, *looked)
                    });
                    let Some(looked) = arrives else {
                        self.late += 1;
                        continue;
                    };
                    let twice = self.world.dice.strikes(Hazard::DuplicateDelivery, at(number, looked));
                    if twice && !self.again {
                        self.again = true;
                    } else {
                        self.again = false;
                        self.late += 1;
                    }
                    let place = ROUND_MICROS * self.step as i64 / count.max(1) as i64;
                    let (batch, meanings) = source.write(self.world, number, looked, place);
                    let learned_at =
                        Timestamp::from_micros(time_of(self.round).as_micros() + place + 2_000_000);
                    return Some(Delivery { batch, learned_at, round: looked, meanings });
                }
                self.late = 0;
                self.step += 1;
            }
            self.step = 0;
            self.round += 1;
        }
        None
    }
}
