//! Ways for lines: through the gaps between boxes, never behind one.

use super::layout::{Layout, NODE_HEIGHT, NODE_WIDTH};

/// Free room kept beside a box.
const ROOM: f64 = 5.0;
/// Free room above and below a row, in which a line has left its curve and runs straight.
const LEVEL: f64 = 8.0;
/// Lines that are pushed into one gap are spread over this many lanes.
const LANES: usize = 7;

/// The boxes by row.
#[derive(Debug)]
pub(super) struct Rows {
    /// Top of each row and the left edges of its boxes, both ascending.
    rows: Vec<(f64, Vec<f64>)>,
}

/// A place on a line.
pub(super) type Point = (f64, f64);

impl Rows {
    pub(super) fn new(drawn: &Layout) -> Self {
        let mut places = drawn.places.clone();
        places.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.total_cmp(&b.0)));
        let mut rows: Vec<(f64, Vec<f64>)> = Vec::new();
        for (x, y) in places {
            match rows.last_mut() {
                Some((top, boxes)) if *top == y => boxes.push(x),
                _ => rows.push((y, vec![x])),
            }
        }
        Self { rows }
    }

    fn row(&self, y: f64) -> usize {
        self.rows.partition_point(|(top, _)| *top < y)
    }

    /// Straight pieces between two boxes of different rows, given by their left upper corners: from the edge of the one,
    /// down or up through a gap of every row between, to the edge of the other. Between the pieces there is nothing.
    pub(super) fn way(&self, from: Point, to: Point, lane: usize) -> Vec<[Point; 2]> {
        let (first, last) = (self.row(from.1), self.row(to.1));
        let down = last > first;
        let lean = ((to.0 - from.0) / 18.0).clamp(-NODE_WIDTH / 3.0, NODE_WIDTH / 3.0);
        let (start, end) = (from.0 + NODE_WIDTH / 2.0 + lean, to.0 + NODE_WIDTH / 2.0 - lean);
        let (leave, arrive) = if down { (from.1 + NODE_HEIGHT, to.1) } else { (from.1, to.1 + NODE_HEIGHT) };
        let between: Vec<usize> =
            if down { (first + 1..last).collect() } else { (last + 1..first).rev().collect() };
        let mut pieces = vec![[(start, leave), (start, leave)]];
        let mut x = start;
        for (passed, row) in between.iter().enumerate() {
            let (top, boxes) = &self.rows[*row];
            let left = (between.len() - passed + 1) as f64;
            x = free(boxes, x + (end - x) / left, lane);
            let (above, below) = (top - LEVEL, top + NODE_HEIGHT + LEVEL);
            pieces.push(if down { [(x, above), (x, below)] } else { [(x, below), (x, above)] });
        }
        pieces.push([(end, arrive), (end, arrive)]);
        pieces
    }
}

/// The free place of a row nearest to a wanted one.
fn free(boxes: &[f64], wanted: f64, lane: usize) -> f64 {
    // Gap `at` lies before box `at`; the last one after all boxes.
    let gap = |at: usize| {
        let low = at.checked_sub(1).and_then(|at| boxes.get(at)).map_or(f64::MIN, |x| x + NODE_WIDTH + ROOM);
        let high = boxes.get(at).map_or(f64::MAX, |x| x - ROOM);
        (low, high)
    };
    let near = boxes.partition_point(|x| *x < wanted);
    let distance = |(low, high): (f64, f64)| (low - wanted).max(wanted - high).max(0.0);
    let mut best = gap(near);
    // The box before may still reach over the wanted place.
    if near > 0 && distance(gap(near - 1)) < distance(best) {
        best = gap(near - 1);
    }
    let (low, high) = best;
    if (low..=high).contains(&wanted) {
        return wanted;
    }
    let share = (lane % LANES) as f64 / (LANES - 1) as f64;
    // Gaps at the rim have no end: lanes lie as near to the boxes as elsewhere.
    let width = (high - low).clamp(0.0, 22.0 - 2.0 * ROOM);
    if wanted < low { low + share * width } else { high - share * width }
}
