//! Whole-graph questions, and the graph handed out for everything else.

use itom_core::{CiId, RelationKind};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::unionfind::UnionFind;

use super::{RelationGraph, View};

/// Items that need each other in a circle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Cycle {
    /// The items, sorted by id: all that can reach each other, which may be several interwoven circles.
    pub members: Vec<CiId>,
}

impl RelationGraph {
    /// The circles of dependency, sorted: strongly connected items, and items that need themselves.
    #[must_use]
    pub fn cycles(&self) -> Vec<Cycle> {
        let mut graph = DiGraph::<(), ()>::with_capacity(self.nodes.bound(), self.relation_count());
        (0..self.nodes.bound()).for_each(|_| {
            graph.add_node(());
        });
        for (node, _) in self.nodes.iter() {
            for link in self.outward.of(node).iter() {
                graph.add_edge(NodeIndex::new(node as usize), NodeIndex::new(link.node as usize), ());
            }
        }
        let own_circle = |node: u32| self.outward.of(node).iter().any(|link| link.node == node);
        let mut cycles: Vec<Cycle> = kosaraju_scc(&graph)
            .into_iter()
            .filter(|part| part.len() > 1 || part.iter().any(|node| own_circle(node.index() as u32)))
            .map(|part| {
                let mut members: Vec<CiId> = part.iter().map(|node| self.id(node.index() as u32)).collect();
                members.sort_unstable();
                Cycle { members }
            })
            .collect();
        cycles.sort_unstable();
        cycles
    }

    /// The islands of the estate: items connected by any relation in any direction, each sorted by id, largest island
    /// first, then by its first id.
    #[must_use]
    pub fn components(&self) -> Vec<Vec<CiId>> {
        let mut union = UnionFind::<u32>::new(self.nodes.bound());
        for (node, _) in self.nodes.iter() {
            for link in self.all_outward(node) {
                union.union(node, link.node);
            }
        }
        let mut members: Vec<(u32, CiId)> =
            self.nodes.iter().map(|(node, item)| (union.find_mut(node), item.id)).collect();
        members.sort_unstable();
        let mut islands: Vec<Vec<CiId>> = members
            .chunk_by(|(a, _), (b, _)| a == b)
            .map(|island| island.iter().map(|(_, id)| *id).collect())
            .collect();
        islands.sort_unstable_by(|a, b| (b.len(), &a[0]).cmp(&(a.len(), &b[0])));
        islands
    }

    /// Items whose loss splits their island: articulation points over all relations in any direction, sorted by id.
    #[must_use]
    pub fn articulation_points(&self) -> Vec<CiId> {
        let bound = self.nodes.bound();
        let (starts, ends) = self.neighbours();
        // Hopcroft–Tarjan with its own stack: an estate may be deeper than a thread's.
        let mut found_at = vec![0_u32; bound];
        let mut cuts = vec![false; bound];
        let mut clock = 0;
        let mut stack: Vec<Frame> = Vec::new();
        for (root, _) in self.nodes.iter() {
            if found_at[root as usize] != 0 {
                continue;
            }
            let mut enter = |node: u32, stack: &mut Vec<Frame>, found_at: &mut [u32]| {
                clock += 1;
                found_at[node as usize] = clock;
                let (next, end) = (starts[node as usize], starts[node as usize + 1]);
                stack.push(Frame { node, found_at: clock, low: clock, next, end });
            };
            enter(root, &mut stack, &mut found_at);
            let mut root_children = 0;
            while let Some(frame) = stack.last_mut() {
                if frame.next < frame.end {
                    let next = ends[frame.next];
                    frame.next += 1;
                    match found_at[next as usize] {
                        0 => {
                            root_children += usize::from(frame.node == root);
                            enter(next, &mut stack, &mut found_at);
                        }
                        // Meeting the parent again lowers `low` to the parent's own time at most, which no test below
                        // sees.
                        known => frame.low = frame.low.min(known),
                    }
                } else {
                    let low = frame.low;
                    stack.pop();
                    if let Some(parent) = stack.last_mut() {
                        parent.low = parent.low.min(low);
                        cuts[parent.node as usize] |= parent.node != root && low >= parent.found_at;
                    }
                }
            }
            cuts[root as usize] = root_children > 1;
        }
        let mut points: Vec<CiId> =
            self.nodes.iter().filter(|(node, _)| cuts[*node as usize]).map(|(_, item)| item.id).collect();
        points.sort_unstable();
        points
    }

    /// Who is related to whom by anything, packed into rows: a search in depth is all waiting for memory.
    fn neighbours(&self) -> (Vec<usize>, Vec<u32>) {
        let bound = self.nodes.bound();
        let (mut starts, mut ends) = (Vec::with_capacity(bound + 1), Vec::with_capacity(2 * self.relations));
        for node in 0..bound as u32 {
            starts.push(ends.len());
            for links in [&self.outward, &self.inward, &self.silent_outward, &self.silent_inward] {
                ends.extend_from_slice(links.of(node).nodes());
            }
        }
        starts.push(ends.len());
        (starts, ends)
    }

    /// The graph as a `petgraph` 0.8 graph, for every algorithm that is not offered here. Nodes are in order of id, edges
    /// in order of [`relations`](Self::relations) and read `from` → `to`, so equal graphs are handed out equal.
    #[must_use]
    pub fn petgraph_v0_8(&self) -> DiGraph<CiId, RelationKind> {
        let cis = self.cis();
        let relations = self.relations();
        let mut graph = DiGraph::with_capacity(cis.len(), relations.len());
        cis.iter().for_each(|ci| {
            graph.add_node(ci.id);
        });
        let place = |id: CiId| cis.binary_search_by_key(&id, |ci| ci.id).ok().map(NodeIndex::new);
        for relation in relations {
            if let (Some(from), Some(to)) = (place(relation.from), place(relation.to)) {
                graph.add_edge(from, to, relation.kind);
            }
        }
        graph
    }
}

/// A node on the path of a search in depth.
struct Frame {
    node: u32,
    found_at: u32,
    /// The earliest node that it, or what was found below it, is a neighbour of.
    low: u32,
    next: usize,
    end: usize,
}
