//! Chance as a function: what happens to a thing follows from the seed and the thing, never from what was drawn before.
//!
//! So an estate needs no memory: any item at any time can be worked out alone, and the same seed gives the same estate
//! on every machine.

use super::Hazard;
use super::difficulty::Difficulty;

/// What a roll decides, so that decisions about one thing are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    When,
    MachineId,
    Uuid,
    Clone,
    Image,
    Lot,
    Hypervisor,
    Move,
    Boot,
    Listed,
    Monitored,
    Lag,
    Typo,
    Services,
    Software,
    Package,
    Restart,
    Peer,
    PeerTime,
    Pod,
    Member,
    Team,
    Skew,
    Delay,
    Drop,
    Interfaces,
    Attribute,
}

/// The finalizer of splitmix64.
pub(crate) const fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The rolls of one estate.
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    seed: u64,
    /// Below which a roll of 32 bits means that a hazard strikes.
    limits: [u64; Hazard::ALL.len()],
}

impl Dice {
    pub(crate) fn new(seed: u64, difficulty: &Difficulty) -> Self {
        let mut limits = [0; Hazard::ALL.len()];
        for (limit, hazard) in limits.iter_mut().zip(Hazard::ALL) {
            *limit = (difficulty.rate(*hazard) * 4_294_967_296.0) as u64;
        }
        Self { seed: mix(seed ^ 0x6974_6f6d), limits }
    }

    /// 64 bits about a thing.
    pub(crate) const fn roll(&self, topic: Topic, thing: u64) -> u64 {
        mix(self.seed ^ mix(thing.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ ((topic as u64) << 56)))
    }

    pub(crate) const fn wide(&self, topic: Topic, thing: u64) -> u128 {
        let high = self.roll(topic, thing);
        (high as u128) << 64 | mix(high ^ thing) as u128
    }

    /// A number below `bound`; 0 when there is none.
    pub(crate) const fn below(&self, topic: Topic, thing: u64, bound: u64) -> u64 {
        ((self.roll(topic, thing) as u128 * bound as u128) >> 64) as u64
    }

    /// Whether `share` of all things have it.
    pub(crate) fn share(&self, topic: Topic, thing: u64, share: f64) -> bool {
        ((self.roll(topic, thing) >> 32) as f64) < share * 4_294_967_296.0
    }

    /// Whether a hazard is in this world at all.
    pub(crate) const fn strikes_at_all(&self, hazard: Hazard) -> bool {
        self.limits[hazard as usize] > 0
    }

    /// Whether a hazard strikes a thing.
    pub(crate) fn strikes(&self, hazard: Hazard, thing: u64) -> bool {
        let limit = self.limits[hazard as usize];
        // The topics end long before the hazards begin.
        limit > 0
            && mix(self.seed ^ mix(thing.wrapping_mul(0xa076_1d64_78bd_642f) ^ ((hazard as u64 + 128) << 56)))
                >> 32
                < limit
    }
}

/// Two small numbers as one thing.
pub(crate) const fn pair(a: u64, b: u64) -> u64 {
    a << 20 ^ b
}
