//! A persistent ordered map keyed by 16-byte ids: cloning is one reference count, and a change copies only the path to
//! it when the map is shared. Ids are hashes, so depth is logarithmic without balancing.

use std::sync::Arc;

use itom_core::CiId;

use super::RelationId;

pub(crate) trait Id: Copy + Ord {
    fn nibble(&self, depth: usize) -> usize;
}

fn nibble_of(bytes: &[u8; 16], depth: usize) -> usize {
    let byte = bytes.get(depth / 2).copied().unwrap_or(0);
    usize::from(if depth.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
}

impl Id for CiId {
    fn nibble(&self, depth: usize) -> usize {
        nibble_of(self.as_bytes(), depth)
    }
}
impl Id for RelationId {
    fn nibble(&self, depth: usize) -> usize {
        nibble_of(self.as_bytes(), depth)
    }
}

/// Entries a leaf holds before it splits.
const LEAF: usize = 24;
/// Nibbles in an id: leaves at this depth never split.
const DEEPEST: usize = 32;

#[derive(Debug, Clone)]
enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    Branch(Box<[Arc<Self>; 16]>),
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
                    let at = entries.binary_search_by(|(own, _)| own.cmp(&key)).ok()?;
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
                    let at = entries.binary_search_by(|(own, _)| own.cmp(&key)).ok()?;
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
                match entries.binary_search_by(|(other, _)| other.cmp(&key)) {
                    Ok(at) => return entries.get_mut(at).map(|slot| std::mem::replace(&mut slot.1, value)),
                    Err(at) if entries.len() < LEAF || depth >= DEEPEST => {
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
                    let at = entries.binary_search_by(|(own, _)| own.cmp(&key)).ok()?;
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

    /// Every entry in the order of its id.
    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        entries(&self.root)
    }
}

impl<K: Id, V: Clone + PartialEq> Trie<K, V> {
    /// The keys whose values differ between two maps, ascending. What the maps share is stepped over, so that the cost
    /// between a map and a changed copy of it follows the change.
    pub(crate) fn differing(&self, other: &Self) -> Vec<K> {
        let mut keys = Vec::new();
        differ(&self.root, &other.root, &mut keys);
        keys
    }
}

fn differ<K: Id, V: Clone + PartialEq>(a: &Arc<Node<K, V>>, b: &Arc<Node<K, V>>, keys: &mut Vec<K>) {
    if Arc::ptr_eq(a, b) {
        return;
    }
    if let (Node::Branch(a), Node::Branch(b)) = (a.as_ref(), b.as_ref()) {
        // Children are in the order of their nibble, and so are keys. Ids have 32 nibbles: that bounds the descent.
        a.iter().zip(b.iter()).for_each(|(a, b)| differ(a, b, keys));
        return;
    }
    // A leaf on either side: few entries there, and those of the other side between the same neighbours.
    let (mut a, mut b) = (entries(a).peekable(), entries(b).peekable());
    loop {
        match (a.peek(), b.peek()) {
            (None, None) => return,
            (Some((x, one)), Some((y, other))) if x == y => {
                if one != other {
                    keys.push(*x);
                }
                a.next();
                b.next();
            }
            (Some((x, _)), Some((y, _))) if x > y => {
                keys.push(*y);
                b.next();
            }
            (None, Some((y, _))) => {
                keys.push(*y);
                b.next();
            }
            (Some((x, _)), _) => {
                keys.push(*x);
                a.next();
            }
        }
    }
}

fn entries<K: Id, V>(node: &Node<K, V>) -> Iter<'_, K, V> {
    let mut iter = Iter { branches: Vec::new(), leaf: [].iter() };
    iter.enter(node);
    iter
}

pub(crate) struct Iter<'a, K, V> {
    branches: Vec<std::slice::Iter<'a, Arc<Node<K, V>>>>,
    leaf: std::slice::Iter<'a, (K, V)>,
}

impl<'a, K, V> Iter<'a, K, V> {
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
            if let Some((older, was)) = snapshot.clone() {
                let keys: std::collections::BTreeSet<CiId> = was.keys().chain(model.keys()).copied().collect();
                let differing: Vec<CiId> = keys.into_iter().filter(|key| was.get(key) != model.get(key)).collect();
                prop_assert_eq!(trie.differing(&older), differing.clone());
                prop_assert_eq!(older.differing(&trie), differing);
                let rebuilt = model.iter().fold(Trie::default(), |mut trie, (key, value)| {
                    trie.insert(*key, *value);
                    trie
                });
                prop_assert_eq!(rebuilt.differing(&trie), Vec::<CiId>::new());
            }
            if let Some((trie, model)) = snapshot {
                prop_assert!(trie.iter().map(|(k, v)| (k, *v)).eq(model.iter().map(|(k, v)| (*k, *v))));
            }
        }
    }
}
