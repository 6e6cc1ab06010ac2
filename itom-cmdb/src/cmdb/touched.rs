//! What a step touched, each item once.

use super::ItemRef;
use crate::view::presence::Touch;

/// Items and how they were touched. Sources name theirs in order, so that a list that is sorted once at the end costs
/// less than a map.
#[derive(Debug, Default)]
pub(super) struct Touched(Vec<(ItemRef, Touch)>);

impl Touched {
    pub(super) fn add(&mut self, item: ItemRef, touch: Touch) {
        self.0.push((item, touch));
    }

    /// By item; whatever made one dirty stands.
    pub(super) fn into_items(self) -> impl Iterator<Item = (ItemRef, Touch)> {
        let mut items = self.0;
        items.sort_by(|a, b| a.0.cmp(&b.0));
        items.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same && later.1 == Touch::Dirty {
                first.1 = Touch::Dirty;
            }
            same
        });
        items.into_iter()
    }
}
