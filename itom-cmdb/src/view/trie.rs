//! A persistent ordered map keyed by 16-byte ids: cloning is one reference count, and a change copies only the path to
//! it when the map is shared. Ids are hashes, so depth is logarithmic without balancing.

use std::cmp::Ordering;
use std::sync::Arc;

use itom_core::CiId;

use super::RelationId;
use late::Late;
pub(crate) use late::{Change, Rule};

mod late;

pub(crate) trait Id: Copy + Ord + Send + Sync + 'static {
    fn bytes(&self) -> &[u8; 16];

    /// Which child of a branch at this depth leads to it.
    fn way(&self, depth: usize) -> usize {
        let byte = self.bytes().get(depth / 4).copied().unwrap_or(0);
        usize::from(byte >> (6 - 2 * (depth % 4)) & 3)
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

/// Entries a leaf holds before it splits.
const LEAF: usize = 24;
/// Children of a branch. Few, so that a leaf that splits leaves leaves that are well filled.
const WAYS: usize = 4;
/// Steps of two bits in an id: leaves at this depth never split.
const DEEPEST: usize = 64;

#[derive(Debug)]
enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    Branch(Children<K, V>),
    Late(Box<Late<K, V>>),
}

impl<K: Clone, V: Clone> Clone for Node<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(entries) => Self::Leaf(entries.clone()),
            Self::Branch(children) => Self::Branch(children.clone()),
            Self::Late(late) => late.made().as_ref().clone(),
        }
    }
}

/// The node, to be changed: copied when it is shared, made when it is late.
fn own<K: Clone, V: Clone>(node: &mut Arc<Node<K, V>>) -> &mut Node<K, V> {
    if let Node::Late(late) = node.as_ref() {
        *node = Arc::clone(late.made());
    }
    Arc::make_mut(node)
}

impl<K: Id, V> Node<K, V> {
    /// The value of a key below a node at a depth.
    fn get(&self, key: K, mut depth: usize) -> Option<&V> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(entries) => {
                    let at = place(entries, key, depth).ok()?;
                    return entries.get(at).map(|(_, value)| value);
                }
                Self::Branch(children) => {
                    node = &children[key.way(depth)];
                    depth += 1;
                }
                Self::Late(late) => node = late.made(),
            }
        }
    }
}

type Children<K, V> = [Arc<Node<K, V>>; WAYS];

/// Where an id is in the entries of a leaf at a depth, or would be. Ids are hashes: the bits that follow those of the
/// depth tell about where, so that little memory is looked at.
fn place<K: Id, V>(entries: &[(K, V)], key: K, depth: usize) -> Result<usize, usize> {
    let key = key.number();
    let bits = key.checked_shl(2 * depth as u32).unwrap_or(0) >> 112;
    let mut at = (bits as usize * entries.len()) >> 16;
    let order = |at: usize| entries.get(at).map(|(own, _)| own.number().cmp(&key));
    match order(at) {
        Some(Ordering::Equal) => Ok(at),
        Some(Ordering::Less) => loop {
            at += 1;
            match order(at) {
                Some(Ordering::Less) => {}
                Some(Ordering::Equal) => return Ok(at),
                Some(Ordering::Greater) | None => return Err(at),
            }
        },
        Some(Ordering::Greater) => loop {
            match at.checked_sub(1).and_then(order) {
                Some(Ordering::Greater) => at -= 1,
                Some(Ordering::Equal) => return Ok(at - 1),
                Some(Ordering::Less) | None => return Err(at),
            }
        },
        None => Err(at),
    }
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
        self.root.get(key, 0)
    }

    /// The values of a key here and in another map. Both are searched step by step: the memory that one waits for is
    /// waited for by the other as well, and not a second time.
    pub(crate) fn get_beside<'a, W>(
        &'a self,
        other: &'a Trie<K, W>,
        key: K,
    ) -> (Option<&'a V>, Option<&'a W>) {
        let (mut own, mut theirs) = (self.root.as_ref(), other.root.as_ref());
        let mut depth = 0;
        while let (Node::Branch(ours), Node::Branch(beside)) = (own, theirs) {
            let way = key.way(depth);
            (own, theirs) = (ours[way].as_ref(), beside[way].as_ref());
            depth += 1;
        }
        (own.get(key, depth), theirs.get(key, depth))
    }

    /// The value in place; copies the path when the map is shared.
    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        // Looked up first, so that a miss copies nothing.
        self.get(key)?;
        let mut node = &mut self.root;
        let mut depth = 0;
        loop {
            match own(node) {
                Node::Leaf(entries) => {
                    let at = place(entries, key, depth).ok()?;
                    return entries.get_mut(at).map(|(_, value)| value);
                }
                Node::Branch(children) => {
                    node = &mut children[key.way(depth)];
                    depth += 1;
                }
                // Made above.
                Node::Late(_) => return None,
            }
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let mut node = &mut self.root;
        let mut depth = 0;
        loop {
            let own = own(node);
            if let Node::Leaf(entries) = own {
                match place(entries, key, depth) {
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
                        let mut parts: [Vec<(K, V)>; WAYS] = std::array::from_fn(|_| Vec::new());
                        for entry in std::mem::take(entries) {
                            parts[entry.0.way(depth)].push(entry);
                        }
                        *own = Node::Branch(parts.map(|part| Arc::new(Node::Leaf(part))));
                    }
                }
            }
            match own {
                Node::Branch(children) => {
                    node = &mut children[key.way(depth)];
                    depth += 1;
                }
                // Just made a branch, or made above; a leaf returned.
                Node::Leaf(_) | Node::Late(_) => return None,
            }
        }
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        self.get(key)?;
        let mut node = &mut self.root;
        let mut depth = 0;
        loop {
            match own(node) {
                Node::Leaf(entries) => {
                    let at = place(entries, key, depth).ok()?;
                    self.len -= 1;
                    return Some(entries.remove(at).1);
                }
                Node::Branch(children) => {
                    node = &mut children[key.way(depth)];
                    depth += 1;
                }
                // Made above.
                Node::Late(_) => return None,
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
        let mut node = self.root.here();
        let mut depth = 0;
        while let Node::Branch(children) = node.as_ref() {
            if depth == 16 {
                break;
            }
            node = children[(hint >> (30 - 2 * depth)) as usize & 3].here();
            depth += 1;
        }
        Iter::of(node).map(|(key, _)| key).filter(move |key| key.hint() == hint)
    }

    /// About how many bytes it takes, without what its values hold.
    pub(crate) fn bytes(&self) -> usize {
        bytes_of(&self.root)
    }
}

fn bytes_of<K, V>(node: &Node<K, V>) -> usize {
    // Two counts, and a word of the allocator.
    let own = size_of::<Node<K, V>>() + 24;
    match node {
        Node::Leaf(entries) => own + entries.capacity() * size_of::<(K, V)>() + 8,
        Node::Branch(children) => own + children.iter().map(|child| bytes_of(child)).sum::<usize>(),
        Node::Late(late) => own + bytes_of(late.made()),
    }
}

/// A node of sorted entries.
fn built<K: Id, V>(entries: Vec<(K, V)>, depth: usize) -> Node<K, V> {
    if entries.len() <= LEAF || depth >= DEEPEST {
        return Node::Leaf(entries);
    }
    let mut parts: [Vec<(K, V)>; WAYS] = std::array::from_fn(|_| Vec::new());
    for entry in entries {
        parts[entry.0.way(depth)].push(entry);
    }
    Node::Branch(parts.map(|part| Arc::new(built(part, depth + 1))))
}

fn changed<'a, K: Id, V: Clone>(
    a: &'a Arc<Node<K, V>>,
    b: &'a Arc<Node<K, V>>,
    found: &mut impl FnMut(K, Option<&'a V>, Option<&'a V>),
) {
    if Arc::ptr_eq(a, b) {
        return;
    }
    if let (Node::Branch(a), Node::Branch(b)) = (a.here().as_ref(), b.here().as_ref()) {
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
            Node::Late(late) => self.enter(late.made()),
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
            let (before, was) = snapshot.unwrap_or_default();
            for key in model.keys().chain(was.keys()) {
                let both = trie.get_beside(&before, *key);
                prop_assert_eq!(both, (model.get(key), was.get(key)));
            }
            prop_assert!(before.iter().map(|(k, v)| (k, *v)).eq(was.iter().map(|(k, v)| (*k, *v))));
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
