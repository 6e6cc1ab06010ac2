//! What holds, and how it is derived, deleted and derived again.

use std::collections::{BTreeMap, VecDeque};

use crate::graph::{FailureMode, Gate, Link, Modes, Passage, RelationGraph, View};

/// How one item fails, and since which moment in each mode.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    modes: Modes,
    /// The modes that its dependents have been told of; equal to `modes` between calls.
    told: Modes,
    stamps: [u64; FailureMode::ALL.len()],
}

impl State {
    /// Since when it counts as lost for something that counts these modes.
    fn since(&self, counts: Modes) -> Option<u64> {
        self.modes.iter().filter(|mode| counts.contains(*mode)).map(|mode| self.stamps[mode.index()]).min()
    }
}

/// The weight of lost suppliers behind one gate, for one passage. Wide enough for any number of any weights.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    failed: u128,
    total: u128,
}

fn narrow(weight: u128) -> u64 {
    u64::try_from(weight).unwrap_or(u64::MAX)
}

impl Tally {
    fn falls(self, gate: &Gate) -> bool {
        self.failed > 0 && gate.falls(narrow(self.failed), narrow(self.total))
    }
    pub(super) fn failed(self) -> u64 {
        narrow(self.failed)
    }
    pub(super) fn total(self) -> u64 {
        narrow(self.total)
    }
}

/// Modes that are implied: what is down is unreachable and degraded, too.
fn at_least(mode: FailureMode) -> Modes {
    match mode {
        FailureMode::Down | FailureMode::DataLoss => Modes::from(mode),
        FailureMode::Unreachable => Modes::from(mode).with(FailureMode::Down),
        FailureMode::Degraded => Modes::from(mode).with(FailureMode::Unreachable).with(FailureMode::Down),
    }
}

fn weaker(mode: FailureMode) -> &'static [FailureMode] {
    match mode {
        FailureMode::Down => &[FailureMode::Unreachable, FailureMode::Degraded],
        FailureMode::Unreachable => &[FailureMode::Degraded],
        FailureMode::Degraded | FailureMode::DataLoss => &[],
    }
}

/// See [`LiveImpact`](super::LiveImpact). Nodes and kinds are those of its graph.
#[derive(Debug, Clone, Default)]
pub(super) struct Atoms {
    failed: BTreeMap<u32, Modes>,
    states: BTreeMap<u32, State>,
    /// By dependent, kind and passage; only gates that lost something.
    tallies: BTreeMap<(u32, u32, usize), Tally>,
    /// By kind.
    passages: Vec<Vec<Passage>>,
    clock: u64,
    /// How nodes were before this call.
    changed: BTreeMap<u32, Modes>,
}

/// The gate of a dependent for a passage.
fn gate_of<'a>(graph: &'a RelationGraph, passage: &'a Passage, dependent: u32, kind: u32) -> &'a Gate {
    passage.gate.as_ref().unwrap_or_else(|| graph.rule_of(dependent, kind).0)
}

fn weight(graph: &RelationGraph, gate: &Gate, supplier: u32) -> u128 {
    match gate {
        Gate::Weighted { .. } => u128::from(gate.weight(graph.id(supplier))),
        _ => 1,
    }
}

/// Whether one lost supplier is enough and no tally is kept.
fn opens(link: Link, passage: &Passage) -> bool {
    link.tag.is_plain() && passage.gate.is_none()
}

impl Atoms {
    /// Learns the kinds of relation that the graph has met since.
    pub(super) fn learn(&mut self, graph: &RelationGraph) {
        for kind in self.passages.len() as u32..graph.kind_bound() {
            let mut passages = graph.spec_of(kind).passages();
            for passage in &mut passages {
                passage.counts = passage.counts.iter().flat_map(|mode| at_least(mode).iter()).collect();
            }
            self.passages.push(passages);
        }
    }

    pub(super) fn modes(&self, node: u32) -> Modes {
        let Some(State { modes, .. }) = self.states.get(&node) else { return Modes::NONE };
        modes
            .iter()
            .filter(|mode| at_least(*mode).iter().filter(|worse| modes.contains(*worse)).count() == 1)
            .collect()
    }

    pub(super) fn failing(&self) -> impl Iterator<Item = (u32, Modes)> {
        self.states.keys().map(|node| (*node, self.modes(*node)))
    }

    pub(super) fn failed(&self) -> impl Iterator<Item = (u32, Modes)> {
        self.failed.iter().map(|(node, modes)| (*node, *modes))
    }

    pub(super) fn take_changed(&mut self) -> BTreeMap<u32, Modes> {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn fail(&mut self, graph: &RelationGraph, node: u32, mode: FailureMode) {
        let known = self.failed.entry(node).or_default();
        *known = known.with(mode);
        let mut queue = VecDeque::new();
        self.add(node, mode, &mut queue);
        self.spread(graph, queue);
    }

    pub(super) fn recover(&mut self, graph: &RelationGraph, node: u32) {
        if self.failed.remove(&node).is_some() {
            let suspects = FailureMode::ALL.map(|mode| (node, mode));
            self.settle(graph, suspects.into_iter().collect(), &[]);
        }
    }

    /// A node that has no relations any more leaves.
    pub(super) fn forget(&mut self, node: u32) {
        self.failed.remove(&node);
        self.states.remove(&node);
        self.changed.remove(&node);
        self.drop_tallies(node);
    }

    /// What these nodes need has changed.
    pub(super) fn refresh(&mut self, graph: &RelationGraph, nodes: &[u32]) {
        let mut suspects = VecDeque::new();
        for node in nodes {
            self.drop_tallies(*node);
            for (key, tally) in self.count(graph, *node, |state, counts| state.told.intersects(counts)) {
                if tally.failed > 0 {
                    self.tallies.insert((*node, key.0, key.1), tally);
                }
            }
            suspects.extend(FailureMode::ALL.map(|mode| (*node, mode)));
        }
        self.settle(graph, suspects, nodes);
    }

    fn drop_tallies(&mut self, node: u32) {
        let keys: Vec<_> =
            self.tallies.range((node, 0, 0)..=(node, u32::MAX, usize::MAX)).map(|(key, _)| *key).collect();
        for key in keys {
            self.tallies.remove(&key);
        }
    }

    /// The tallies of a node's gates, counted anew: by kind and passage.
    fn count(
        &self,
        graph: &RelationGraph,
        node: u32,
        lost: impl Fn(&State, Modes) -> bool,
    ) -> BTreeMap<(u32, usize), Tally> {
        let mut tallies: BTreeMap<(u32, usize), Tally> = BTreeMap::new();
        for link in graph.inward_links(node).iter() {
            let kind = link.tag.kind();
            for (number, passage) in self.passages[kind as usize].iter().enumerate() {
                if opens(link, passage) {
                    continue;
                }
                let weight = weight(graph, gate_of(graph, passage, node, kind), link.node);
                let tally = tallies.entry((kind, number)).or_default();
                tally.total += weight;
                if self.states.get(&link.node).is_some_and(|state| lost(state, passage.counts)) {
                    tally.failed += weight;
                }
            }
        }
        tallies
    }

    /// Whether a node fails in a mode by suppliers that were lost before a moment.
    fn holds(&self, graph: &RelationGraph, node: u32, mode: FailureMode, before: u64) -> bool {
        let lost = |state: &State, counts: Modes| state.since(counts).is_some_and(|since| since < before);
        let open = graph.inward_links(node).iter().any(|link| {
            self.passages[link.tag.kind() as usize].iter().any(|passage| {
                passage.gives == mode
                    && opens(link, passage)
                    && self.states.get(&link.node).is_some_and(|state| lost(state, passage.counts))
            })
        });
        open || self.count(graph, node, lost).into_iter().any(|((kind, number), tally)| {
            let passage = &self.passages[kind as usize][number];
            passage.gives == mode && tally.falls(gate_of(graph, passage, node, kind))
        })
    }

    fn is_seed(&self, node: u32, mode: FailureMode) -> bool {
        self.failed.get(&node).is_some_and(|modes| modes.contains(mode))
    }

    fn add(&mut self, node: u32, mode: FailureMode, queue: &mut VecDeque<(u32, FailureMode)>) {
        let before = self.modes(node);
        let state = self.states.entry(node).or_default();
        if state.modes.intersects(at_least(mode)) {
            return;
        }
        self.changed.entry(node).or_insert(before);
        state.modes = state.modes.with(mode);
        state.stamps[mode.index()] = self.clock;
        self.clock += 1;
        queue.push_back((node, mode));
    }

    /// Tells dependents of what was added, and theirs.
    fn spread(&mut self, graph: &RelationGraph, mut queue: VecDeque<(u32, FailureMode)>) {
        while let Some((node, mode)) = queue.pop_front() {
            let told = self.states.get(&node).map_or(Modes::NONE, |state| state.told);
            for link in graph.outward_links(node).iter() {
                let kind = link.tag.kind();
                for number in 0..self.passages[kind as usize].len() {
                    let passage = &self.passages[kind as usize][number];
                    if !passage.counts.contains(mode) || told.intersects(passage.counts) {
                        continue;
                    }
                    let gives = passage.gives;
                    if opens(link, passage) || self.raise(graph, node, link, number) {
                        self.add(link.node, gives, &mut queue);
                    }
                }
            }
            if let Some(state) = self.states.get_mut(&node) {
                state.told = state.told.with(mode);
            }
        }
    }

    /// Adds one lost supplier to a tally and says whether the gate falls.
    fn raise(&mut self, graph: &RelationGraph, supplier: u32, link: Link, number: usize) -> bool {
        let (node, kind) = (link.node, link.tag.kind());
        let key = (node, kind, number);
        if !self.tallies.contains_key(&key) {
            let counted = self.count(graph, node, |state, counts| state.told.intersects(counts));
            let tally = counted.get(&(kind, number)).copied().unwrap_or_default();
            self.tallies.insert(key, tally);
        }
        let gate = gate_of(graph, &self.passages[kind as usize][number], node, kind);
        let Some(tally) = self.tallies.get_mut(&key) else { return false };
        tally.failed += weight(graph, gate, supplier);
        tally.falls(gate)
    }

    /// Deletes what has lost its support, then derives again what still follows, and what `hopes` may newly follow.
    fn settle(&mut self, graph: &RelationGraph, mut suspects: VecDeque<(u32, FailureMode)>, hopes: &[u32]) {
        let mut removed: Vec<u32> = hopes.to_vec();
        while let Some((node, mode)) = suspects.pop_front() {
            let Some(state) = self.states.get(&node).filter(|state| state.modes.contains(mode)) else {
                continue;
            };
            let stamp = state.stamps[mode.index()];
            if !self.is_seed(node, mode) && !self.holds(graph, node, mode, stamp) {
                self.remove(graph, node, mode, stamp, &mut suspects);
                removed.push(node);
            }
        }
        removed.sort_unstable();
        removed.dedup();
        let mut queue = VecDeque::new();
        for node in removed {
            for mode in FailureMode::ALL {
                if self.is_seed(node, mode) || self.holds(graph, node, mode, u64::MAX) {
                    self.add(node, mode, &mut queue);
                }
            }
        }
        self.spread(graph, queue);
    }

    fn remove(
        &mut self,
        graph: &RelationGraph,
        node: u32,
        mode: FailureMode,
        stamp: u64,
        suspects: &mut VecDeque<(u32, FailureMode)>,
    ) {
        let before = self.modes(node);
        // What stays true in a weaker mode by the same support takes over at the same moment, so that whoever counts
        // both modes does not notice.
        let stays: Modes = weaker(mode)
            .iter()
            .copied()
            .filter(|weak| self.is_seed(node, *weak) || self.holds(graph, node, *weak, stamp))
            .collect();
        let Some(state) = self.states.get_mut(&node) else { return };
        self.changed.entry(node).or_insert(before);
        for weak in stays.iter() {
            let since = &mut state.stamps[weak.index()];
            *since = if state.modes.contains(weak) { stamp.min(*since) } else { stamp };
            state.modes = state.modes.with(weak);
            state.told = state.told.with(weak);
        }
        state.modes = state.modes.without(mode);
        state.told = state.told.without(mode);
        let left = *state;
        if left.modes.is_empty() {
            self.states.remove(&node);
        }
        for link in graph.outward_links(node).iter() {
            let kind = link.tag.kind();
            for (number, passage) in self.passages[kind as usize].iter().enumerate() {
                if !passage.counts.contains(mode) {
                    continue;
                }
                if !left.told.intersects(passage.counts)
                    && !opens(link, passage)
                    && let Some(tally) = self.tallies.get_mut(&(link.node, kind, number))
                {
                    let gate = gate_of(graph, passage, link.node, kind);
                    tally.failed = tally.failed.saturating_sub(weight(graph, gate, node));
                    if tally.failed == 0 {
                        self.tallies.remove(&(link.node, kind, number));
                    }
                }
                if left.since(passage.counts).is_some_and(|since| since <= stamp) {
                    continue;
                }
                let rests_on_it = self.states.get(&link.node).is_some_and(|state| {
                    state.modes.contains(passage.gives) && state.stamps[passage.gives.index()] > stamp
                });
                if rests_on_it {
                    suspects.push_back((link.node, passage.gives));
                }
            }
        }
    }

    /// The supplier through which a node fails in a mode, and the mode in which that one failed: both earlier than it.
    /// Of several the one with the smallest id. `None` for what failed by itself.
    pub(super) fn support(
        &self,
        graph: &RelationGraph,
        node: u32,
        mode: FailureMode,
    ) -> Option<(u32, FailureMode, u32)> {
        let before = self.states.get(&node)?.stamps[mode.index()];
        if self.is_seed(node, mode) {
            return None;
        }
        let lost = |state: &State, counts: Modes| state.since(counts).is_some_and(|since| since < before);
        let tallies = self.count(graph, node, lost);
        graph
            .inward_links(node)
            .iter()
            .flat_map(|link| {
                let passages = self.passages[link.tag.kind() as usize].iter().enumerate();
                passages.map(move |(number, passage)| (link, number, passage))
            })
            .filter(|(link, number, passage)| {
                let kind = link.tag.kind();
                passage.gives == mode
                    && self.states.get(&link.node).is_some_and(|state| lost(state, passage.counts))
                    && (opens(*link, passage)
                        || tallies
                            .get(&(kind, *number))
                            .is_some_and(|tally| tally.falls(gate_of(graph, passage, node, kind))))
            })
            .filter_map(|(link, _, passage)| {
                let state = self.states.get(&link.node)?;
                let earliest = state
                    .modes
                    .iter()
                    .filter(|own| passage.counts.contains(*own))
                    .min_by_key(|own| state.stamps[own.index()])?;
                Some((link.node, earliest, link.tag.kind()))
            })
            .min_by_key(|(supplier, _, kind)| (graph.id(*supplier), graph.kind_name(*kind)))
    }

    /// The gates of a node that lost something for a mode: kind, gate and tally.
    pub(super) fn gates<'a>(
        &'a self,
        graph: &'a RelationGraph,
        node: u32,
        mode: FailureMode,
    ) -> impl Iterator<Item = (u32, &'a Gate, Tally)> {
        self.tallies
            .range((node, 0, 0)..=(node, u32::MAX, usize::MAX))
            .map(move |((_, kind, number), tally)| {
                let passage = &self.passages[*kind as usize][*number];
                (*kind, passage, *tally)
            })
            // A lost supplier that weighs nothing took no redundancy away.
            .filter(move |(_, passage, tally)| passage.gives == mode && tally.failed > 0)
            .map(move |(kind, passage, tally)| (kind, gate_of(graph, passage, node, kind), tally))
    }
}
