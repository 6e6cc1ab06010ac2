//! The items of the graph.

use std::sync::Arc;

use itom_core::{CiId, CiKind, Text};

use super::ids::Ids;

const PAGE: usize = 128;

/// One item.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) id: CiId,
    pub(crate) kind: CiKind,
    pub(crate) name: Text,
}

#[derive(Debug, Clone)]
pub(crate) struct Nodes {
    pages: Vec<Arc<[Option<Node>]>>,
    index: Ids,
    free: Arc<Vec<u32>>,
    len: usize,
    bound: usize,
}

impl Nodes {
    pub(crate) fn new() -> Self {
        Self { pages: Vec::new(), index: Ids::new(), free: Arc::new(Vec::new()), len: 0, bound: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// All nodes are below this.
    pub(crate) const fn bound(&self) -> usize {
        self.bound
    }

    #[inline]
    pub(crate) fn get(&self, node: u32) -> Option<&Node> {
        self.pages.get(node as usize / PAGE)?.get(node as usize % PAGE)?.as_ref()
    }

    /// The item at a node that is linked to, and so is there.
    pub(crate) fn at(&self, node: u32) -> &Node {
        self.get(node).expect("links lead to nodes that are there: removing an item removes its links")
    }

    pub(crate) fn find(&self, id: CiId) -> Option<u32> {
        self.index.find(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Node)> {
        self.pages
            .iter()
            .flat_map(|page| page.iter())
            .enumerate()
            .filter_map(|(index, node)| node.as_ref().map(|node| (index as u32, node)))
    }

    fn put(&mut self, index: u32, node: Option<Node>) {
        let page = index as usize / PAGE;
        if page == self.pages.len() {
            self.pages.push(std::iter::repeat_n(None, PAGE).collect());
        }
        Arc::make_mut(&mut self.pages[page])[index as usize % PAGE] = node;
    }

    /// Sets kind and name of an item, adding it when it is new. `None` when there is no room for another.
    pub(crate) fn upsert(&mut self, node: Node) -> Option<u32> {
        if let Some(index) = self.find(node.id) {
            let known = self.at(index);
            if known.kind != node.kind || known.name != node.name {
                self.put(index, Some(node));
            }
            return Some(index);
        }
        let index = if self.free.is_empty() {
            let index = u32::try_from(self.bound).ok().filter(|index| *index < u32::MAX)?;
            self.bound += 1;
            index
        } else {
            Arc::make_mut(&mut self.free).pop()?
        };
        self.index.put(node.id, index);
        self.put(index, Some(node));
        self.len += 1;
        Some(index)
    }

    pub(crate) fn remove(&mut self, index: u32) {
        self.index.remove(self.at(index).id);
        self.put(index, None);
        Arc::make_mut(&mut self.free).push(index);
        self.len -= 1;
    }
}
