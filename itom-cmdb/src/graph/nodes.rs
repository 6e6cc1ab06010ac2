//! The items of the graph, and where each id is.

use std::sync::Arc;

use hashbrown::HashTable;
use itom_core::{CiId, CiKind, Text};

const PAGE: usize = 128;
/// Parts of the index that are shared or copied on their own.
const SHARDS: usize = 1024;

/// One item.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) id: CiId,
    pub(crate) kind: CiKind,
    pub(crate) name: Text,
}

/// Ids are digests already; this only guards against callers who number theirs.
fn hash_of(id: CiId) -> u64 {
    let bits = u128::from_le_bytes(*id.as_bytes());
    let mut mixed = (bits as u64) ^ ((bits >> 64) as u64).rotate_left(32);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The table takes its control bits from the top of the hash, so the shard takes from the middle.
const fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

#[derive(Debug, Clone)]
pub(crate) struct Nodes {
    pages: Vec<Arc<[Option<Node>]>>,
    /// Id → node; looked up, never iterated.
    index: Vec<Arc<HashTable<u32>>>,
    free: Arc<Vec<u32>>,
    len: usize,
    bound: usize,
}

impl Nodes {
    pub(crate) fn new() -> Self {
        Self {
            pages: Vec::new(),
            index: std::iter::repeat_n(Arc::new(HashTable::new()), SHARDS).collect(),
            free: Arc::new(Vec::new()),
            len: 0,
            bound: 0,
        }
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
        let hash = hash_of(id);
        self.index[shard_of(hash)].find(hash, |node| self.at(*node).id == id).copied()
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
        let hash = hash_of(node.id);
        self.put(index, Some(node));
        let pages = &self.pages;
        Arc::make_mut(&mut self.index[shard_of(hash)]).insert_unique(hash, index, |other| {
            pages[*other as usize / PAGE][*other as usize % PAGE].as_ref().map_or(0, |node| hash_of(node.id))
        });
        self.len += 1;
        Some(index)
    }

    pub(crate) fn remove(&mut self, index: u32) {
        let hash = hash_of(self.at(index).id);
        if let Ok(entry) = Arc::make_mut(&mut self.index[shard_of(hash)]).find_entry(hash, |at| *at == index)
        {
            entry.remove();
        }
        self.put(index, None);
        Arc::make_mut(&mut self.free).push(index);
        self.len -= 1;
    }
}
