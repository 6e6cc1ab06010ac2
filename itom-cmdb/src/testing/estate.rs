//! A seeded service estate: sites, racks, hosts, virtual machines, processes, services, applications and what the
//! business calls services, related as such estates are.

use itom_core::{CiId, CiKind, RelationKind, Text, kind, relation};

use crate::graph::{GraphError, RelationGraph, RelationModel};

/// How large an estate is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EstateSize {
    /// Configuration items.
    pub cis: usize,
    /// Relations, about: repeats that chance makes count once.
    pub relations: usize,
}

/// The parts of an estate, for [`RelationGraph::from_parts`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Estate {
    /// Id, kind and name of each item, the foundations first.
    pub cis: Vec<(CiId, CiKind, Text)>,
    /// Kind and both ends of each relation.
    pub relations: Vec<(RelationKind, CiId, CiId)>,
}

impl Estate {
    /// The estate as a graph with the default model.
    ///
    /// # Errors
    /// [`GraphError::Full`] for an estate of more items than a graph can hold.
    pub fn graph(&self) -> Result<RelationGraph, GraphError> {
        RelationGraph::from_parts(
            RelationModel::default(),
            self.cis.iter().cloned(),
            self.relations.iter().cloned(),
        )
    }
}

/// A small generator of numbers (splitmix64): the same seed gives the same numbers everywhere.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Starts at a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `bound`; 0 when there is none.
    pub const fn below(&mut self, bound: usize) -> usize {
        ((self.roll() as u128 * bound as u128) >> 64) as usize
    }

    /// A number below `bound` that prefers small ones: few items are much used, most are little used.
    pub fn skewed(&mut self, bound: usize) -> usize {
        let unit = (self.roll() >> 11) as f64 / (1_u64 << 53) as f64;
        ((unit * unit * unit * bound as f64) as usize).min(bound.saturating_sub(1))
    }
}

/// One layer: kind, prefix of names, and its share of all items in thousandths.
const LAYERS: [(CiKind, &str, usize); 9] = [
    (kind::LOCATION, "site", 1),
    (CiKind::literal("rack"), "rack", 9),
    (kind::DEVICE, "switch", 20),
    (CiKind::literal("disk.volume"), "volume", 70),
    (kind::HOST, "host", 100),
    (CiKind::literal("host.vm"), "vm", 200),
    (kind::PROCESS, "process", 400),
    (kind::SERVICE, "service", 170),
    (kind::APPLICATION, "app", 30),
];

/// An estate; equal seeds and sizes give equal estates.
///
/// Every item stands on the layer below it. The relations left over are dependencies between services and between
/// processes, of which few items have many.
#[must_use]
pub fn generate(seed: u64, size: EstateSize) -> Estate {
    let mut dice = Dice::new(seed);
    let mut estate = Estate::default();
    estate.cis.reserve(size.cis);
    estate.relations.reserve(size.relations);
    let mut layers: Vec<std::ops::Range<usize>> = Vec::new();
    for (layer, (kind, prefix, share)) in LAYERS.iter().enumerate() {
        let first = estate.cis.len();
        let last = if layer + 1 == LAYERS.len() {
            size.cis
        } else {
            (first + (size.cis * share / 1000).max(1)).min(size.cis)
        };
        for number in 0..last.saturating_sub(first) {
            let name = format!("{prefix}-{number}");
            estate.cis.push((CiId::derive(&["estate", &name]), kind.clone(), Text::from(name)));
        }
        layers.push(first..last.max(first));
    }
    let [sites, racks, switches, volumes, hosts, vms, processes, services, apps] = &layers[..] else {
        return estate;
    };
    let ids: Vec<CiId> = estate.cis.iter().map(|(id, _, _)| *id).collect();
    let pick = |dice: &mut Dice, layer: &std::ops::Range<usize>| ids[layer.start + dice.below(layer.len())];
    let mut relate = |kind: &RelationKind, from: CiId, to: CiId| {
        if estate.relations.len() < size.relations && from != to {
            estate.relations.push((kind.clone(), from, to));
        }
    };
    let foundations = [
        (racks, relation::CONTAINS, sites),
        (switches, relation::CONTAINS, racks),
        (hosts, relation::CONTAINS, racks),
        (volumes, relation::STORED_ON, hosts),
        (vms, relation::RUNS_ON, hosts),
        (vms, relation::STORED_ON, volumes),
        (processes, relation::RUNS_ON, vms),
    ];
    for (layer, kind, below) in foundations {
        if below.is_empty() {
            continue;
        }
        for item in &ids[layer.clone()] {
            let below = pick(&mut dice, below);
            let (from, to) = if kind == relation::CONTAINS { (below, *item) } else { (*item, below) };
            relate(&kind, from, to);
        }
    }
    // A few services (names, time, sign-on) are used by all and rest on processes that need nothing above them.
    let shared_services = services.start..services.start + (services.len() / 1000).max(1).min(services.len());
    let calm = processes.start..processes.start + (processes.len() / 100).max(1).min(processes.len());
    let domains = (size.cis / 2000).max(1);
    for service in services.clone().filter(|_| !processes.is_empty()) {
        for _ in 0..1 + dice.below(3) {
            let to = if shared_services.contains(&service) {
                pick(&mut dice, &calm)
            } else {
                let place = (service - services.start) * processes.len() / services.len();
                let near = (place + domains * dice.below(3)).min(processes.len() - 1);
                ids[of_domain(processes, domains, (service - services.start) % domains, near)]
            };
            relate(&relation::PROVIDED_BY, ids[service], to);
        }
    }
    for app in apps.clone().filter(|_| !services.is_empty()) {
        for _ in 0..1 + dice.below(4) {
            relate(&relation::DEPENDS_ON, ids[app], pick(&mut dice, services));
        }
    }
    if processes.len() <= calm.len() || services.is_empty() {
        return estate;
    }
    // The rest: processes use services, mostly of their own domain.
    // Within a domain they are layered: what a process uses is provided by processes before it.
    while estate.relations.len() < size.relations {
        let process = calm.end + dice.below(processes.end - calm.end);
        let (kind, to) = match dice.below(20) {
            0 => (relation::DEPENDS_ON, shared_services.start + dice.skewed(shared_services.len())),
            1 | 2 => (relation::CONNECTS_TO, services.start + dice.skewed(services.len())),
            _ => {
                let before = (process - processes.start) * services.len() / processes.len();
                let at = dice.below(before.max(1));
                (
                    relation::DEPENDS_ON,
                    of_domain(services, domains, (process - processes.start) % domains, at),
                )
            }
        };
        estate.relations.push((kind, ids[process], ids[to]));
    }
    estate
}

/// The item of a domain that is near a place of its layer.
const fn of_domain(layer: &std::ops::Range<usize>, domains: usize, domain: usize, at: usize) -> usize {
    let near = at - at % domains + domain;
    layer.start + if near < layer.end - layer.start { near } else { at }
}
