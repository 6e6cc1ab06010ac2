//! Where nodes go: bands for layers, rows inside a band by who needs whom, and orders that cross few edges.
//!
//! The classic layered way: longest path gives rows, barycentres give orders, and places come from pulling every node
//! towards its neighbours without changing the order (isotonic regression). Everything is decided by content, so equal
//! documents are drawn equal.

use std::collections::BTreeMap;

use super::{MapDocument, MapLayer};
use crate::graph::Flow;

pub(super) const NODE_WIDTH: f64 = 156.0;
pub(super) const NODE_HEIGHT: f64 = 46.0;
const STEP: f64 = NODE_WIDTH + 22.0;
const ROW: f64 = NODE_HEIGHT + 44.0;
const BAND_GAP: f64 = 30.0;
/// Longest row before it is wrapped, in small maps and in large ones.
const ROW_LENGTH: (usize, usize) = (12, 26);
const SWEEPS: usize = 12;

/// A drawn map: every length in CSS pixels, the origin at the top left.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    /// The left upper corner of each node.
    pub(super) places: Vec<(f64, f64)>,
    /// Layer, top and height of each band.
    pub(super) bands: Vec<(MapLayer, f64, f64)>,
    pub(super) width: f64,
    pub(super) height: f64,
}

struct Row {
    layer: MapLayer,
    nodes: Vec<usize>,
}

pub(super) fn layout(map: &MapDocument) -> Layout {
    // What is needed goes below what needs it, whichever way the relation reads.
    let edges: Vec<(usize, usize)> = map
        .placed_edges()
        .into_iter()
        // A hub pulls at everything and belongs nowhere.
        .filter(|(from, to, _)| !map.nodes[*from].hub && !map.nodes[*to].hub)
        .map(
            |(from, to, edge)| {
                if map.model.spec(&edge.kind).flow == Flow::FromTo { (to, from) } else { (from, to) }
            },
        )
        .collect();
    let mut neighbours = vec![Vec::new(); map.nodes.len()];
    for (from, to) in edges.iter().filter(|(from, to)| from != to) {
        neighbours[*from].push(*to);
        neighbours[*to].push(*from);
    }
    let mut rows = rows(map, &edges);
    order(&mut rows, &neighbours, map.nodes.len());
    let rows = wrap(rows, row_length(map.nodes.len()));
    place(&rows, &neighbours, map.nodes.len())
}

/// The rows from top to bottom, each in order of name.
fn rows(map: &MapDocument, edges: &[(usize, usize)]) -> Vec<Row> {
    let layers: Vec<MapLayer> = map.nodes.iter().map(super::MapNode::drawn_in).collect();
    let mut inside = vec![Vec::new(); map.nodes.len()];
    for (upper, lower) in
        edges.iter().filter(|(upper, lower)| upper != lower && layers[*upper] == layers[*lower])
    {
        inside[*upper].push(*lower);
    }
    let depths = depths(&inside);
    let mut rows: BTreeMap<(MapLayer, usize), Vec<usize>> = BTreeMap::new();
    for (node, layer) in layers.iter().enumerate() {
        rows.entry((*layer, depths[node])).or_default().push(node);
    }
    rows.into_iter()
        .map(|((layer, _), mut nodes)| {
            nodes.sort_by(|a, b| {
                let key = |node: usize| (map.nodes[node].label(), map.nodes[node].id.as_str());
                key(*a).cmp(&key(*b))
            });
            Row { layer, nodes }
        })
        .collect()
}

/// Steps from the top along the longest way; edges that close a circle are stepped over.
fn depths(edges: &[Vec<usize>]) -> Vec<usize> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        New,
        Open,
        Done,
    }
    let mut seen = vec![Seen::New; edges.len()];
    let mut finished = Vec::with_capacity(edges.len());
    let mut forward = vec![Vec::new(); edges.len()];
    for root in 0..edges.len() {
        if seen[root] != Seen::New {
            continue;
        }
        seen[root] = Seen::Open;
        let mut stack = vec![(root, 0)];
        while let Some((node, next)) = stack.last_mut() {
            let node = *node;
            if let Some(target) = edges[node].get(*next).copied() {
                *next += 1;
                if seen[target] != Seen::Open {
                    forward[node].push(target);
                }
                if seen[target] == Seen::New {
                    seen[target] = Seen::Open;
                    stack.push((target, 0));
                }
            } else {
                seen[node] = Seen::Done;
                finished.push(node);
                stack.pop();
            }
        }
    }
    let mut depths = vec![0; edges.len()];
    for node in finished.into_iter().rev() {
        for target in &forward[node] {
            depths[*target] = depths[*target].max(depths[node] + 1);
        }
    }
    depths
}

/// Sorts each row by the mean place of its nodes' neighbours above, then below, some times.
fn order(rows: &mut [Row], neighbours: &[Vec<usize>], nodes: usize) {
    let mut row_of = vec![0; nodes];
    for (number, row) in rows.iter().enumerate() {
        row.nodes.iter().for_each(|node| row_of[*node] = number);
    }
    let mut at = vec![0.0; nodes];
    let note = |row: &Row, at: &mut [f64]| {
        for (index, node) in row.nodes.iter().enumerate() {
            at[*node] = (index as f64 + 0.5) / row.nodes.len() as f64;
        }
    };
    rows.iter().for_each(|row| note(row, &mut at));
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        for step in 0..rows.len() {
            let number = if down { step } else { rows.len() - 1 - step };
            let centre = |node: usize| {
                let looked_at = neighbours[node]
                    .iter()
                    .filter(|other| if down { row_of[**other] < number } else { row_of[**other] > number });
                let (sum, count) =
                    looked_at.fold((0.0, 0), |(sum, count), other| (sum + at[*other], count + 1));
                if count == 0 { at[node] } else { sum / f64::from(count) }
            };
            let mut keyed: Vec<(f64, usize)> =
                rows[number].nodes.iter().map(|node| (centre(*node), *node)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[number].nodes = keyed.into_iter().map(|(_, node)| node).collect();
            note(&rows[number], &mut at);
        }
    }
}

/// Wide enough that a large map is about as wide as a screen is, compared with its height.
fn row_length(nodes: usize) -> usize {
    let (least, most) = ROW_LENGTH;
    ((nodes as f64).sqrt() * 1.2).clamp(least as f64, most as f64) as usize
}

/// Cuts rows that are too long for a screen into even ones.
fn wrap(rows: Vec<Row>, length: usize) -> Vec<Row> {
    rows.into_iter()
        .flat_map(|row| {
            let parts = row.nodes.len().div_ceil(length).max(1);
            // Neighbours in the order stay neighbours: node i goes to part i mod parts, so columns stay together.
            (0..parts)
                .map(|part| Row {
                    layer: row.layer,
                    nodes: row.nodes.iter().copied().skip(part).step_by(parts).collect(),
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

fn place(rows: &[Row], neighbours: &[Vec<usize>], nodes: usize) -> Layout {
    let mut x = vec![0.0; nodes];
    for row in rows {
        let half = (row.nodes.len().saturating_sub(1)) as f64 / 2.0;
        row.nodes.iter().enumerate().for_each(|(index, node)| x[*node] = (index as f64 - half) * STEP);
    }
    let widest = rows.iter().map(|row| row.nodes.len()).max().unwrap_or(1);
    let reach = (widest.saturating_sub(1)) as f64 / 2.0 * STEP;
    for sweep in 0..SWEEPS {
        for step in 0..rows.len() {
            let row = &rows[if sweep % 2 == 0 { step } else { rows.len() - 1 - step }];
            let wanted: Vec<f64> = row
                .nodes
                .iter()
                .enumerate()
                .map(|(index, node)| {
                    let around = &neighbours[*node];
                    let mean = if around.is_empty() {
                        x[*node]
                    } else {
                        around.iter().map(|other| x[*other]).sum::<f64>() / around.len() as f64
                    };
                    mean - index as f64 * STEP
                })
                .collect();
            let room = reach - (row.nodes.len().saturating_sub(1)) as f64 * STEP;
            for (index, (node, base)) in row.nodes.iter().zip(isotonic(&wanted)).enumerate() {
                x[*node] = base.clamp(-reach, room.max(-reach)) + index as f64 * STEP;
            }
        }
    }
    let (left, top) = (128.0, 74.0);
    let mut places = vec![(0.0, 0.0); nodes];
    let mut bands: Vec<(MapLayer, f64, f64)> = Vec::new();
    let mut y = top;
    for row in rows {
        match bands.last_mut() {
            Some((layer, _, height)) if *layer == row.layer => *height += ROW,
            _ => {
                if !bands.is_empty() {
                    y += BAND_GAP;
                }
                bands.push((row.layer, y - 20.0, NODE_HEIGHT + 40.0));
            }
        }
        for node in &row.nodes {
            places[*node] = (x[*node] + reach + left, y);
        }
        y += ROW;
    }
    Layout { places, bands, width: (left + 2.0 * reach + NODE_WIDTH + 34.0).max(760.0), height: y }
}

/// The closest values that never fall (pool adjacent violators).
fn isotonic(wanted: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for value in wanted {
        pools.push((*value, 1));
        while let [.., (left, left_count), (right, right_count)] = pools[..] {
            if left <= right {
                break;
            }
            let count = left_count + right_count;
            let mean = (left * left_count as f64 + right * right_count as f64) / count as f64;
            pools.truncate(pools.len() - 2);
            pools.push((mean, count));
        }
    }
    pools.into_iter().flat_map(|(mean, count)| std::iter::repeat_n(mean, count)).collect()
}
