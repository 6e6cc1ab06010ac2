//! A persistent ordered map keyed by 16-byte ids: cloning is one reference count, and a change copies only the path to
//! it when the map is shared. Ids are hashes, so depth is logarithmic without balancing.

use std::cmp::Ordering;
use std::sync::Arc;

use itom_core::CiId;

use super::RelationId;

pub(crate) trait Id: Copy + Ord {
    fn bytes(&self) -> &[u8; 16];

    fn nibble(&self, depth: usize) -> usize {
        nibble_of(self.bytes(), depth)
    }

    /// Ordered as the ids are, and compared in two instructions.
    fn number(&self) -> u128 {
        u128::from_be_bytes(*self.bytes())
    }

    /// How the id begins: enough to find it again among some others.
    fn hint(&self) -> u32 {
        let [a, b, c, d, ..] = *self.bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

fn nibble_of(bytes: &[u8; 16], depth: usize) -> usize {
    let byte = bytes.get(depth / 2).copied().unwrap_or(0);
    usize::from(if depth.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
}

impl Id for CiId {
    fn bytes(&self) -> &[u8; 16] {
        self.as_bytes()
    }
}
impl Id for RelationId {
    fn bytes(&self) -> &[u8; 16] {
        self.as_bytes()
    }
}

/// What becomes of an entry.
#[derive(Debug)]
pub(crate) enum Change<V> {
    Keep,
    Put(V),
    Remove,
}

/// Entries a leaf holds before it splits.
const LEAF: usize = 24;
/// Nibbles in an id: leaves at this depth never split.
const DEEPEST: usize = 32;

#[derive(Debug, Clone)]
enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    Branch(Box<Children<K, V>>),
}

type Children<K, V> = [Arc<Node<K, V>>; 16];

/// Where an id is in the entries of a leaf, or would be.
fn place<K: Id, V>(entries: &[(K, V)], key: K) -> Result<usize, usize> {
    let key = key.number();
    entries.binary_search_by(|(own, _)| own.number().cmp(&key))
}

#[derive(Debug, Clone)]
pub(crate) struct Trie<K, V> {
    root: Arc<Node<K, V>>,
    len: usize,
}

impl<K, V> Default for Trie<K, V> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }
}

impl<K: Id, V: Clone> Trie<K, V> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        let mut node = &self.root;
        let mut depth = 0;
        loop {
            match node.as_ref() {
                Node::Leaf(entries) => {
                    let at = place(entries, key).ok()?;
                    return entries.get(at).map(|(_, value)| value);
                }
                Node::Branch(children) => {
                    node = &children[key.nibble(depth)];
                    depth += 1;
                }
            }
        }
    }

    /// The value in place; copies the path when the map is shared.
    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        // Looked up first, so that a miss copies nothing.
        self.get(key)?;
        let mut node = &mut self.root;
        let mut depth = 0;
        loop {
            match Arc::make_mut(node) {
                Node::Leaf(entries) => {
                    let at = place(entries, key).ok()?;
                    return entries.get_mut(at).map(|(_, value)| value);
                }
                Node::Branch(children) => {
                    node = &mut children[key.nibble(depth)];
                    depth += 1;
                }
            }
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let mut node = &mut self.root;
        let mut depth = 0;
        loop {
            let own = Arc::make_mut(node);
            if let Node::Leaf(entries) = own {
                match place(entries, key) {
                    Ok(at) => return entries.get_mut(at).map(|slot| std::mem::replace(&mut slot.1, value)),
                    Err(at) if entries.len() < LEAF || depth >= DEEPEST => {
                        if entries.len() == entries.capacity() {
                            // There are many leaves: doubling each would leave a third of the memory unused.
                            entries.reserve_exact(4);
                        }
                        entries.insert(at, (key, value));
                        self.len += 1;
                        return None;
                    }
                    Err(_) => {
                        let mut parts: [Vec<(K, V)>; 16] = std::array::from_fn(|_| Vec::new());
                        for entry in std::mem::take(entries) {
                            parts[entry.0.nibble(depth)].push(entry);
                        }
                        *own = Node::Branch(Box::new(parts.map(|part| Arc::new(Node::Leaf(part)))));
                    }
                }
            }
            match own {
                Node::Branch(children) => {
                    node = &mut children[key.nibble(depth)];
                    depth += 1;
                }
                // Just made a branch; a leaf returned above.
                Node::Leaf(_) => return None,
            }
        }
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        self.get(key)?;
        let mut node = &mut self.root;
        let mut depth = 0;
        loop {
            match Arc::make_mut(node) {
                Node::Leaf(entries) => {
                    let at = place(entries, key).ok()?;
                    self.len -= 1;
                    return Some(entries.remove(at).1);
                }
                Node::Branch(children) => {
                    node = &mut children[key.nibble(depth)];
                    depth += 1;
                }
            }
        }
    }

    /// Every entry that may differ between this map and a later state of it, by id: what both share is not looked at, so
    /// that the cost follows the changes. Equal entries near a change are told too.
    pub(crate) fn changed<'a>(
        &'a self,
        later: &'a Self,
        found: &mut impl FnMut(K, Option<&'a V>, Option<&'a V>),
    ) {
        changed(&self.root, &later.root, found);
    }

    /// Every entry in the order of its id.
    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        Iter::of(&self.root)
    }

    /// The keys with this [hint](Id::hint), and perhaps some that begin alike.
    pub(crate) fn near(&self, hint: u32) -> impl Iterator<Item = K> {
        let mut node = &self.root;
        let mut depth = 0;
        while let Node::Branch(children) = node.as_ref() {
            if depth == 8 {
                break;
            }
            node = &children[(hint >> (28 - 4 * depth)) as usize & 15];
            depth += 1;
        }
        Iter::of(node).map(|(key, _)| key).filter(move |key| key.hint() == hint)
    }

    /// This map with what is said of each entry of another one: one walk over both. What is kept is shared.
    pub(crate) fn merged<W>(
        &self,
        others: &Trie<K, W>,
        change: &mut impl FnMut(K, Option<&V>, &W) -> Change<V>,
    ) -> Self {
        let mut len = self.len;
        let root = merged(&self.root, Side::Node(&others.root), 0, &mut len, change);
        Self { root: root.unwrap_or_else(|| Arc::clone(&self.root)), len }
    }

    /// About how many bytes it takes, without what its values hold.
    pub(crate) fn bytes(&self) -> usize {
        bytes_of(&self.root)
    }
}

fn bytes_of<K, V>(node: &Node<K, V>) -> usize {
    let own = size_of::<Node<K, V>>() + 24;
    match node {
        Node::Leaf(entries) => own + entries.capacity() * size_of::<(K, V)>() + 8,
        Node::Branch(children) => own + 136 + children.iter().map(|child| bytes_of(child)).sum::<usize>(),
    }
}

/// The part of the other map that belongs to a node.
enum Side<'a, K, W> {
    Node(&'a Arc<Node<K, W>>),
    Entries(&'a [(K, W)]),
}

impl<K, W> Clone for Side<'_, K, W> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, W> Copy for Side<'_, K, W> {}

impl<'a, K: Id, W> Side<'a, K, W> {
    fn is_empty(self) -> bool {
        match self {
            Self::Node(node) => matches!(node.as_ref(), Node::Leaf(entries) if entries.is_empty()),
            Self::Entries(entries) => entries.is_empty(),
        }
    }

    /// The parts of each child of a branch at this depth.
    fn split(self, depth: usize) -> [Self; 16] {
        let entries: &'a [(K, W)] = match self {
            Self::Node(node) => match node.as_ref() {
                Node::Branch(children) => return std::array::from_fn(|at| Self::Node(&children[at])),
                Node::Leaf(entries) => entries,
            },
            Self::Entries(entries) => entries,
        };
        let mut rest = entries;
        std::array::from_fn(|at| {
            let (own, later) = rest.split_at(rest.partition_point(|(key, _)| key.nibble(depth) <= at));
            rest = later;
            Self::Entries(own)
        })
    }

    fn each(self, found: &mut impl FnMut(&'a K, &'a W)) {
        match self {
            Self::Entries(entries) => entries.iter().for_each(|(key, value)| found(key, value)),
            Self::Node(node) => match node.as_ref() {
                Node::Leaf(entries) => entries.iter().for_each(|(key, value)| found(key, value)),
                Node::Branch(children) => children.iter().for_each(|child| Side::Node(child).each(found)),
            },
        }
    }
}

/// The node as it becomes; `None` when nothing of it changes.
fn merged<K: Id, V: Clone, W>(
    node: &Arc<Node<K, V>>,
    others: Side<'_, K, W>,
    depth: usize,
    len: &mut usize,
    change: &mut impl FnMut(K, Option<&V>, &W) -> Change<V>,
) -> Option<Arc<Node<K, V>>> {
    if others.is_empty() {
        return None;
    }
    let entries = match node.as_ref() {
        Node::Branch(children) => {
            let mut new: Option<Box<Children<K, V>>> = None;
            for (at, part) in others.split(depth).into_iter().enumerate() {
                if let Some(child) = merged(&children[at], part, depth + 1, len, change) {
                    new.get_or_insert_with(|| children.clone())[at] = child;
                }
            }
            return new.map(|children| Arc::new(Node::Branch(children)));
        }
        Node::Leaf(entries) => entries,
    };
    // What goes or comes, by place; most leaves of a view of the recent past are shared as they are.
    let mut new: Option<Vec<(K, V)>> = None;
    let mut next = 0;
    others.each(&mut |key, other| {
        while entries.get(next).is_some_and(|(own, _)| own < key) {
            if let Some(new) = &mut new {
                new.extend(entries.get(next).cloned());
            }
            next += 1;
        }
        let own = entries.get(next).filter(|(own, _)| own == key);
        let changed = change(*key, own.map(|(_, value)| value), other);
        let kept = match (&changed, own) {
            (Change::Keep, _) | (Change::Remove, None) => own,
            (Change::Put(_), _) | (Change::Remove, Some(_)) => {
                new.get_or_insert_with(|| {
                    let mut new = Vec::with_capacity(entries.len().max(1));
                    new.extend_from_slice(entries.get(..next).unwrap_or(&[]));
                    new
                });
                None
            }
        };
        if let Some(new) = &mut new {
            new.extend(kept.cloned());
            if let Change::Put(value) = changed {
                new.push((*key, value));
            }
        }
        next += usize::from(own.is_some());
    });
    let mut new = new?;
    new.extend_from_slice(entries.get(next..).unwrap_or(&[]));
    *len = *len + new.len() - entries.len();
    Some(Arc::new(built(new, depth)))
}

/// A node of sorted entries.
fn built<K: Id, V>(entries: Vec<(K, V)>, depth: usize) -> Node<K, V> {
    if entries.len() <= LEAF || depth >= DEEPEST {
        return Node::Leaf(entries);
    }
    let mut parts: [Vec<(K, V)>; 16] = std::array::from_fn(|_| Vec::new());
    for entry in entries {
        parts[entry.0.nibble(depth)].push(entry);
    }
    Node::Branch(Box::new(parts.map(|part| Arc::new(built(part, depth + 1)))))
}

fn changed<'a, K: Id, V: Clone>(
    a: &'a Arc<Node<K, V>>,
    b: &'a Arc<Node<K, V>>,
    found: &mut impl FnMut(K, Option<&'a V>, Option<&'a V>),
) {
    if Arc::ptr_eq(a, b) {
        return;
    }
    if let (Node::Branch(a), Node::Branch(b)) = (a.as_ref(), b.as_ref()) {
        a.iter().zip(b.iter()).for_each(|(a, b)| changed(a, b, found));
        return;
    }
    let (mut a, mut b) = (Iter::of(a).peekable(), Iter::of(b).peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        let before = if order == Ordering::Greater { None } else { a.next() };
        let after = if order == Ordering::Less { None } else { b.next() };
        if let Some((key, _)) = before.or(after) {
            found(key, before.map(|(_, value)| value), after.map(|(_, value)| value));
        }
    }
}

pub(crate) struct Iter<'a, K, V> {
    branches: Vec<std::slice::Iter<'a, Arc<Node<K, V>>>>,
    leaf: std::slice::Iter<'a, (K, V)>,
}

impl<'a, K, V> Iter<'a, K, V> {
    fn of(node: &'a Arc<Node<K, V>>) -> Self {
        let mut iter = Self { branches: Vec::new(), leaf: [].iter() };
        iter.enter(node);
        iter
    }

    fn enter(&mut self, node: &'a Node<K, V>) {
        match node {
            Node::Leaf(entries) => self.leaf = entries.iter(),
            Node::Branch(children) => self.branches.push(children.iter()),
        }
    }
}

impl<'a, K: Id, V> Iterator for Iter<'a, K, V> {
    type Item = (K, &'a V);
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                return Some((*key, value));
            }
            match self.branches.last_mut()?.next() {
                Some(child) => self.enter(child),
                None => {
                    self.branches.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_an_ordered_map(
            ops in proptest::collection::vec((any::<u16>(), any::<bool>(), any::<u32>()), 0..600)
        ) {
            let mut trie: Trie<CiId, u32> = Trie::default();
            let mut model = BTreeMap::new();
            let mut snapshot = None;
            for (index, (key, keep, value)) in ops.iter().enumerate() {
                // Ids that share long prefixes force deep branches.
                let mut bytes = [7_u8; 16];
                bytes[13] = (key & 3) as u8;
                bytes[15] = (key >> 8) as u8;
                let key = CiId::from_bytes(bytes);
                if *keep {
                    prop_assert_eq!(trie.insert(key, *value), model.insert(key, *value));
                } else {
                    prop_assert_eq!(trie.remove(key), model.remove(&key));
                }
                if index == ops.len() / 2 {
                    snapshot = Some((trie.clone(), model.clone()));
                }
            }
            prop_assert_eq!(trie.len(), model.len());
            prop_assert!(trie.iter().map(|(k, v)| (k, *v)).eq(model.iter().map(|(k, v)| (*k, *v))));
            for key in model.keys() {
                prop_assert!(trie.near(key.hint()).any(|own| own == *key));
            }
            if let Some((before, was)) = snapshot {
                prop_assert!(before.iter().map(|(k, v)| (k, *v)).eq(was.iter().map(|(k, v)| (*k, *v))));
                let merged = before.merged(&trie, &mut |key, own, other| {
                    assert_eq!(own, was.get(&key));
                    match other % 3 {
                        0 => Change::Keep,
                        1 => Change::Put(*other),
                        _ => Change::Remove,
                    }
                });
                let mut expected = was.clone();
                for (key, other) in &model {
                    match other % 3 {
                        0 => {}
                        1 => drop(expected.insert(*key, *other)),
                        _ => drop(expected.remove(key)),
                    }
                }
                prop_assert_eq!(merged.len(), expected.len());
                prop_assert!(merged.iter().map(|(k, v)| (k, *v)).eq(expected.iter().map(|(k, v)| (*k, *v))));
                for key in expected.keys() {
                    prop_assert_eq!(merged.get(*key), expected.get(key));
                }
                let mut found = BTreeMap::new();
                before.changed(&trie, &mut |key, before, after| {
                    if before != after {
                        found.insert(key, (before.copied(), after.copied()));
                    }
                });
                let ids: std::collections::BTreeSet<_> = was.keys().chain(model.keys()).copied().collect();
                let pair = |id: &CiId| (was.get(id).copied(), model.get(id).copied());
                let expected: BTreeMap<_, _> =
                    ids.into_iter().map(|id| (id, pair(&id))).filter(|(_, (a, b))| a != b).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
