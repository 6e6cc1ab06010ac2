//! The function itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use itom_core::{AlertId, CiId, Labels, Severity, Timestamp, Topology};

use super::{Cause, InhibitRule, Reach, Silence, Window};

/// How an alert stands, for suppression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Open.
    Open,
    /// Its condition holds, not yet for long enough.
    Pending,
}

/// What suppression needs to know of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlertFacts {
    /// The alert.
    pub id: AlertId,
    /// All its labels, the rule's included.
    pub labels: Labels,
    /// The item it is about.
    pub ci: Option<CiId>,
    /// How bad it is.
    pub severity: Severity,
    /// Open or pending.
    pub standing: Standing,
    /// Since when it stands so.
    pub since: Timestamp,
    /// Whether it says that its item is down (for a pending alert: would say so).
    pub takes_down: bool,
    /// The mutes of an operator on this very alert.
    pub own: BTreeSet<Cause>,
    /// How long it may wait for an ancestor that is pending; `None` when it was announced already.
    pub settle_until: Option<Timestamp>,
}

impl AlertFacts {
    /// An open alert of severity warning that takes nothing down.
    #[must_use]
    pub fn open(id: AlertId, labels: Labels, ci: Option<CiId>, since: Timestamp) -> Self {
        Self {
            id,
            labels,
            ci,
            severity: Severity::Warning,
            standing: Standing::Open,
            since,
            takes_down: false,
            own: BTreeSet::new(),
            settle_until: None,
        }
    }
}

/// What was asked of the topology for one pass: plain data, so that whoever decides needs no graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// For an item with an alert: which of the failed items bring it down.
    pub brought_down_by: BTreeMap<CiId, BTreeSet<CiId>>,
    /// For an item with an alert: which items with a pending alert it depends on.
    pub pending_below: BTreeMap<CiId, BTreeSet<CiId>>,
    /// For a window that reaches dependents: everything it covers.
    pub covered: BTreeMap<itom_core::Text, BTreeSet<CiId>>,
}

impl Sight {
    /// Asks a topology everything one pass over these alerts and windows needs.
    #[must_use]
    pub fn read(topology: &dyn Topology, alerts: &[AlertFacts], windows: &[Window]) -> Self {
        let of = |standing: Standing| {
            alerts
                .iter()
                .filter(move |alert| alert.standing == standing && alert.takes_down)
                .filter_map(|alert| alert.ci)
                .collect::<BTreeSet<CiId>>()
        };
        let (failed, pending) = (of(Standing::Open), of(Standing::Pending));
        let mut sight = Self::default();
        let open: BTreeSet<CiId> = alerts
            .iter()
            .filter(|alert| alert.standing == Standing::Open)
            .filter_map(|alert| alert.ci)
            .collect();
        for ci in open {
            if !failed.is_empty() {
                let by: BTreeSet<CiId> =
                    topology.brought_down_by(ci, &failed).into_iter().filter(|other| *other != ci).collect();
                if !by.is_empty() {
                    sight.brought_down_by.insert(ci, by);
                }
            }
            if !pending.is_empty() {
                let below: BTreeSet<CiId> = topology
                    .dependencies(ci)
                    .into_iter()
                    .filter(|other| *other != ci && pending.contains(other))
                    .collect();
                if !below.is_empty() {
                    sight.pending_below.insert(ci, below);
                }
            }
        }
        for window in windows.iter().filter(|window| window.reach == Reach::Dependents) {
            let mut covered = window.cis.clone();
            for ci in &window.cis {
                covered.extend(topology.dependents(*ci));
            }
            sight.covered.insert(window.id.clone(), covered);
        }
        sight
    }
}

/// Everything visibility depends on.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The open and pending alerts, each once.
    pub alerts: &'a [AlertFacts],
    /// What the topology says.
    pub sight: &'a Sight,
    /// Silences.
    pub silences: &'a [Silence],
    /// Maintenance windows.
    pub windows: &'a [Window],
    /// Inhibit rules.
    pub inhibit: &'a [InhibitRule],
    /// The time.
    pub now: Timestamp,
}

/// For each open alert that has any, the causes why it is not told. Open alerts that are not in the answer are visible.
#[must_use]
pub fn visibility(view: &View<'_>) -> BTreeMap<AlertId, BTreeSet<Cause>> {
    let open: Vec<&AlertFacts> =
        view.alerts.iter().filter(|alert| alert.standing == Standing::Open).collect();
    let edges = acyclic(&open, edges(view, &open));
    let mut causes: BTreeMap<AlertId, BTreeSet<Cause>> = BTreeMap::new();
    for (index, alert) in open.iter().enumerate() {
        let mut set: BTreeSet<Cause> = edges[index].iter().map(|(_, cause)| cause.clone()).collect();
        set.extend(alert.own.iter().cloned());
        for silence in view.silences.iter().filter(|silence| silence.fits(&alert.labels, alert.ci, view.now))
        {
            set.insert(Cause::Silenced { silence: silence.id().clone(), by: silence.by().clone() });
        }
        for window in view.windows.iter().filter(|window| window.during.contains(view.now)) {
            let covered = view.sight.covered.get(&window.id).unwrap_or(&window.cis);
            if alert.ci.is_some_and(|ci| covered.contains(&ci) || window.cis.contains(&ci)) {
                set.insert(Cause::InWindow { window: window.id.clone() });
            }
        }
        if let (Some(until), Some(ci)) = (alert.settle_until, alert.ci)
            && view.now < until
        {
            for by in view.sight.pending_below.get(&ci).into_iter().flatten() {
                set.insert(Cause::Settling { by: *by, until });
            }
        }
        if !set.is_empty() {
            causes.insert(alert.id, set);
        }
    }
    causes
}

pub(super) type Edges = Vec<BTreeSet<(usize, Cause)>>;

/// From each alert to those that would hide it, with the cause each would be stored as.
pub(super) fn edges(view: &View<'_>, open: &[&AlertFacts]) -> Edges {
    let mut edges: Edges = vec![BTreeSet::new(); open.len()];
    let mut failing: BTreeMap<CiId, Vec<usize>> = BTreeMap::new();
    for (index, alert) in open.iter().enumerate() {
        if let (Some(ci), true) = (alert.ci, alert.takes_down) {
            failing.entry(ci).or_default().push(index);
        }
    }
    for (index, alert) in open.iter().enumerate() {
        let Some(ci) = alert.ci else { continue };
        for by in view.sight.brought_down_by.get(&ci).into_iter().flatten().filter(|by| **by != ci) {
            // The topology may have been asked a moment ago: only what still fails counts.
            for other in failing.get(by).into_iter().flatten() {
                edges[index].insert((*other, Cause::Unreachable { by: *by }));
            }
        }
    }
    for rule in view.inhibit {
        // All sources of one set of equal values, never only the last seen: that is how inhibitions get lost.
        let mut sources: BTreeMap<Vec<&str>, Vec<(usize, bool)>> = BTreeMap::new();
        let equal = |labels: &'_ Labels| -> Vec<String> {
            rule.wire
                .equal
                .iter()
                .map(|name| labels.get(name.as_str()).unwrap_or_default().to_owned())
                .collect()
        };
        let keys: Vec<Vec<String>> = open.iter().map(|alert| equal(&alert.labels)).collect();
        for (index, alert) in open.iter().enumerate() {
            if rule.source.fit(&alert.labels) {
                let key = keys[index].iter().map(String::as_str).collect();
                sources.entry(key).or_default().push((index, rule.target.fit(&alert.labels)));
            }
        }
        for (index, alert) in open.iter().enumerate() {
            if !rule.target.fit(&alert.labels) {
                continue;
            }
            let both = rule.source.fit(&alert.labels);
            let key: Vec<&str> = keys[index].iter().map(String::as_str).collect();
            for (source, source_both) in sources.get(&key).into_iter().flatten() {
                if *source != index && !(both && *source_both) {
                    let cause = Cause::Inhibited { by: open[*source].id, rule: rule.name().clone() };
                    edges[index].insert((*source, cause));
                }
            }
        }
    }
    edges
}

/// Takes out the edges that would let causes form a circle, so that every chain of causes ends at a visible alert.
///
/// In each strongly connected set that nothing outside hides, the eldest alert (then the smallest id) stays visible.
/// Inside a set only edges that lead nearer to a visible alert are kept; edges between sets cannot form circles.
fn acyclic(open: &[&AlertFacts], mut edges: Edges) -> Edges {
    let sets = components(&edges);
    let mut leaves = vec![true; open.len()];
    for (from, targets) in edges.iter().enumerate() {
        if targets.iter().any(|(to, _)| sets[*to] != sets[from]) {
            leaves[sets[from]] = false;
        }
    }
    let mut eldest: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, set) in sets.iter().enumerate().filter(|(_, set)| leaves[**set]) {
        let entry = eldest.entry(*set).or_insert(index);
        if (open[index].since, open[index].id) < (open[*entry].since, open[*entry].id) {
            *entry = index;
        }
    }
    let mut reversed: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); open.len()];
    for (from, targets) in edges.iter().enumerate() {
        for (to, _) in targets {
            reversed[*to].insert(from);
        }
    }
    let mut distance = vec![usize::MAX; open.len()];
    let mut queue: VecDeque<usize> = eldest.values().copied().collect();
    for root in &queue {
        distance[*root] = 0;
    }
    while let Some(at) = queue.pop_front() {
        for from in &reversed[at] {
            if distance[*from] == usize::MAX {
                distance[*from] = distance[at] + 1;
                queue.push_back(*from);
            }
        }
    }
    for (from, targets) in edges.iter_mut().enumerate() {
        targets.retain(|(to, _)| sets[*to] != sets[from] || distance[*to] < distance[from]);
    }
    edges
}

/// Strongly connected sets (Tarjan, without recursion): for each node the number of its set.
fn components(edges: &Edges) -> Vec<usize> {
    const UNSEEN: usize = usize::MAX;
    let count = edges.len();
    let neighbours: Vec<Vec<usize>> = edges
        .iter()
        .map(|targets| {
            let set: BTreeSet<usize> = targets.iter().map(|(to, _)| *to).collect();
            set.into_iter().collect()
        })
        .collect();
    let (mut order, mut low, mut set) = (vec![UNSEEN; count], vec![0; count], vec![UNSEEN; count]);
    let (mut next, mut sets) = (0, 0);
    let (mut stack, mut path): (Vec<usize>, Vec<(usize, usize)>) = (Vec::new(), Vec::new());
    for start in 0..count {
        if order[start] != UNSEEN {
            continue;
        }
        path.push((start, 0));
        while let Some((node, edge)) = path.pop() {
            if edge == 0 {
                order[node] = next;
                low[node] = next;
                next += 1;
                stack.push(node);
            }
            match neighbours[node].get(edge) {
                Some(to) => {
                    path.push((node, edge + 1));
                    if order[*to] == UNSEEN {
                        path.push((*to, 0));
                    } else if set[*to] == UNSEEN {
                        low[node] = low[node].min(order[*to]);
                    }
                }
                None => {
                    if low[node] == order[node] {
                        while let Some(member) = stack.pop() {
                            set[member] = sets;
                            if member == node {
                                break;
                            }
                        }
                        sets += 1;
                    }
                    if let Some((parent, _)) = path.last() {
                        low[*parent] = low[*parent].min(low[node]);
                    }
                }
            }
        }
    }
    set
}
