//! A list that is cheap to clone: in pages, each copied when it is changed while a clone holds it.

use std::sync::Arc;

/// Entries of a page.
const PAGE: usize = 128;

/// Room for more entries in a list that grows for long: an eighth of it may be unused, and not half.
pub(super) fn make_room<T>(list: &mut Vec<T>, more: usize) {
    if list.capacity() - list.len() < more {
        list.reserve_exact(list.len() / 8 + more);
    }
}

#[derive(Debug, Clone)]
pub(super) struct Pages<T> {
    pages: Arc<Vec<Arc<[T]>>>,
    len: usize,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Arc::default(), len: 0 }
    }
}

impl<T: Clone + Default> Pages<T> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry that says nothing yet, and tells its place.
    pub(super) fn add(&mut self) -> usize {
        if self.len.is_multiple_of(PAGE) {
            let pages = Arc::make_mut(&mut self.pages);
            make_room(pages, 1);
            pages.push(std::iter::repeat_with(T::default).take(PAGE).collect());
        }
        self.len += 1;
        self.len - 1
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.pages.get(at / PAGE)?.get(at % PAGE)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let page = Arc::make_mut(&mut self.pages).get_mut(at / PAGE)?;
        Arc::make_mut(page).get_mut(at % PAGE)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.iter()).take(self.len)
    }

    /// Room for entries and what points to them, in bytes, that no entry uses.
    pub(super) fn spare_bytes(&self) -> usize {
        (self.pages.len() * PAGE - self.len) * size_of::<T>()
            + self.pages.capacity() * size_of::<Arc<[T]>>()
            + self.pages.len() * 24
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_list_and_a_clone_stays_as_it_was(
            first in 0_usize..400,
            second in 0_usize..400,
            puts in proptest::collection::vec((0_usize..900, any::<u32>()), 0..40),
        ) {
            let mut pages: Pages<u32> = Pages::default();
            let mut model: Vec<u32> = Vec::new();
            for at in 0..first {
                prop_assert_eq!(pages.add(), at);
                model.push(0);
            }
            for (at, value) in &puts {
                if let Some(own) = model.get_mut(*at) {
                    *own = *value;
                    pages.get_mut(*at).into_iter().for_each(|own| *own = *value);
                }
            }
            let (held, was) = (pages.clone(), model.clone());
            for at in 0..second {
                prop_assert_eq!(pages.add(), first + at);
                model.push(0);
            }
            for (at, value) in puts.iter().rev() {
                if let Some(own) = model.get_mut(*at) {
                    *own = value.wrapping_add(1);
                    pages.get_mut(*at).into_iter().for_each(|own| *own = value.wrapping_add(1));
                }
            }
            prop_assert_eq!(pages.len(), model.len());
            prop_assert!(pages.iter().eq(model.iter()));
            prop_assert!((0..model.len()).all(|at| pages.get(at) == model.get(at)));
            prop_assert!(held.iter().eq(was.iter()));
        }
    }
}
