//! What the benchmarks share: peers written by hand for one question, measured in the same run.

pub mod fleet;
pub mod peer;
pub mod process;

use std::collections::BTreeMap;

use itom::cmdb::graph::{Flow, RelationModel, RelationSpec};
use itom::cmdb::testing::estate::Estate;
use itom::core::CiId;

/// Frozen compressed rows of who feels whose failure: what one would write by hand for reachability and nothing else.
#[derive(Debug)]
pub struct Rows {
    starts: Vec<u32>,
    targets: Vec<u32>,
    seen: Vec<u64>,
    queue: Vec<u32>,
}

impl Rows {
    /// The rows of an estate under the default model without its gates, and the number of each item in them.
    #[must_use]
    pub fn new(estate: &Estate) -> (Self, BTreeMap<CiId, u32>) {
        let numbers: BTreeMap<CiId, u32> =
            estate.cis.iter().zip(0..).map(|((id, _, _), at)| (*id, at)).collect();
        let model = RelationModel::default();
        let mut arcs = Vec::new();
        for (kind, from, to) in &estate.relations {
            let (from, to) = (numbers[from], numbers[to]);
            match model.spec(kind).flow {
                Flow::ToFrom => arcs.push((to, from)),
                Flow::FromTo => arcs.push((from, to)),
                _ => {}
            }
        }
        arcs.sort_unstable();
        arcs.dedup();
        let mut starts = vec![0_u32; estate.cis.len() + 1];
        for (from, _) in &arcs {
            starts[*from as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let targets = arcs.iter().map(|(_, to)| *to).collect();
        let rows = Self { starts, targets, seen: vec![0; estate.cis.len().div_ceil(64)], queue: Vec::new() };
        (rows, numbers)
    }

    /// How many items the failure of this number reaches, the failed one not counted.
    pub fn search(&mut self, seed: u32) -> usize {
        for node in &self.queue {
            self.seen[*node as usize / 64] = 0;
        }
        self.queue.clear();
        self.queue.push(seed);
        self.seen[seed as usize / 64] |= 1 << (seed % 64);
        let mut head = 0;
        while head < self.queue.len() {
            let node = self.queue[head] as usize;
            head += 1;
            for target in &self.targets[self.starts[node] as usize..self.starts[node + 1] as usize] {
                let (word, bit) = (&mut self.seen[*target as usize / 64], 1_u64 << (target % 64));
                if *word & bit == 0 {
                    *word |= bit;
                    self.queue.push(*target);
                }
            }
        }
        self.queue.len() - 1
    }
}

/// The default model with every gate open: each relation passes failure on, as in the search by hand.
#[must_use]
pub fn ungated() -> RelationModel {
    RelationModel::default().iter().fold(RelationModel::empty(), |model, (kind, spec)| {
        model.with(kind.clone(), RelationSpec::flowing(spec.flow))
    })
}

/// A size from the environment, or the default.
#[must_use]
pub fn size(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
