//! A map made from two others, each part when somebody first looks at it: a question about a few entries costs the paths
//! to them.

use std::sync::{Arc, LazyLock};

use super::{Children, Id, Node, Trie, built};

/// What becomes of an entry.
#[derive(Debug)]
pub(crate) enum Change<V> {
    Keep,
    Put(V),
    Remove,
}

/// What becomes of an id, from its entry and what the other map says of it.
type Tell<K, V, W> = dyn Fn(K, Option<&V>, Option<&W>) -> Change<V> + Send + Sync;

/// How a map is made from two.
pub(crate) struct Rule<K, V, W> {
    tell: Arc<Tell<K, V, W>>,
    /// Whether entries of which the other map says nothing may become anything else.
    all: bool,
}

impl<K, V, W> Rule<K, V, W> {
    /// Asked about each id of the other map.
    pub(crate) fn of_others(
        tell: impl Fn(K, Option<&V>, Option<&W>) -> Change<V> + Send + Sync + 'static,
    ) -> Self {
        Self { tell: Arc::new(tell), all: false }
    }

    /// Asked about each id of both maps.
    pub(crate) fn of_all(
        tell: impl Fn(K, Option<&V>, Option<&W>) -> Change<V> + Send + Sync + 'static,
    ) -> Self {
        Self { tell: Arc::new(tell), all: true }
    }
}

impl<K, V, W> Clone for Rule<K, V, W> {
    fn clone(&self) -> Self {
        Self { tell: Arc::clone(&self.tell), all: self.all }
    }
}

type Make<K, V> = Box<dyn FnOnce() -> Arc<Node<K, V>> + Send>;

/// A node that is made when somebody first looks at it.
#[derive(Debug)]
pub(super) struct Late<K, V>(LazyLock<Arc<Node<K, V>>, Make<K, V>>);

impl<K, V> Late<K, V> {
    /// The node; never late itself.
    pub(super) fn made(&self) -> &Arc<Node<K, V>> {
        &self.0
    }
}

impl<K, V> Node<K, V> {
    /// The node itself, made if it is late.
    pub(super) fn here(self: &Arc<Self>) -> &Arc<Self> {
        match self.as_ref() {
            Self::Late(late) => late.made(),
            Self::Leaf(_) | Self::Branch(_) => self,
        }
    }
}

impl<K: Id, V: Clone + Send + Sync + 'static> Trie<K, V> {
    /// This map as a rule makes it with another one; `len` is how many entries that will be. What the rule keeps is
    /// shared, and what nobody looks at is never made.
    pub(crate) fn late<W: Clone + Send + Sync + 'static>(
        &self,
        others: &Trie<K, W>,
        rule: &Rule<K, V, W>,
        len: usize,
    ) -> Self {
        Self { root: later(&self.root, &others.root, 0, rule), len }
    }
}

fn is_empty<K, V>(node: &Node<K, V>) -> bool {
    matches!(node, Node::Leaf(entries) if entries.is_empty())
}

fn later<K, V, W>(
    own: &Arc<Node<K, V>>,
    others: &Arc<Node<K, W>>,
    depth: usize,
    rule: &Rule<K, V, W>,
) -> Arc<Node<K, V>>
where
    K: Id,
    V: Clone + Send + Sync + 'static,
    W: Clone + Send + Sync + 'static,
{
    if is_empty(others) && (!rule.all || is_empty(own)) {
        return Arc::clone(own);
    }
    let (own, others, rule) = (Arc::clone(own), Arc::clone(others), rule.clone());
    let make = move || made(own.here(), others.here(), depth, &rule);
    Arc::new(Node::Late(Box::new(Late(LazyLock::new(Box::new(make))))))
}

fn made<K, V, W>(
    own: &Arc<Node<K, V>>,
    others: &Arc<Node<K, W>>,
    depth: usize,
    rule: &Rule<K, V, W>,
) -> Arc<Node<K, V>>
where
    K: Id,
    V: Clone + Send + Sync + 'static,
    W: Clone + Send + Sync + 'static,
{
    if let (Node::Leaf(entries), Node::Leaf(others)) = (own.as_ref(), others.as_ref()) {
        return rewritten(entries, others, rule)
            .map_or_else(|| Arc::clone(own), |new| Arc::new(built(new, depth)));
    }
    let (own, others) = (children(own, depth), children(others, depth));
    let children = std::array::from_fn(|at| later(&own[at], &others[at], depth + 1, rule));
    Arc::new(Node::Branch(children))
}

/// The children of a branch; of a leaf, what they would be.
fn children<K: Id, V: Clone>(node: &Node<K, V>, depth: usize) -> Children<K, V> {
    let entries: &[(K, V)] = match node {
        Node::Branch(children) => return children.clone(),
        Node::Leaf(entries) => entries,
        Node::Late(late) => return children(late.made(), depth),
    };
    let nothing = Arc::new(Node::Leaf(Vec::new()));
    let mut rest = entries;
    std::array::from_fn(|at| {
        let (own, later) = rest.split_at(rest.partition_point(|(key, _)| key.way(depth) <= at));
        rest = later;
        if own.is_empty() { Arc::clone(&nothing) } else { Arc::new(Node::Leaf(own.to_vec())) }
    })
}

/// The entries as they become; `None` when nothing of them changes.
fn rewritten<K: Id, V: Clone, W>(
    entries: &[(K, V)],
    others: &[(K, W)],
    rule: &Rule<K, V, W>,
) -> Option<Vec<(K, V)>> {
    // Made at the first that changes: most leaves of a view of the recent past are shared as they are.
    let mut new: Option<Vec<(K, V)>> = None;
    let (mut next, mut rest) = (0, others);
    loop {
        let (own, other) = (entries.get(next), rest.first());
        let Some(key) = own.map(|(key, _)| *key).into_iter().chain(other.map(|(key, _)| *key)).min() else {
            return new;
        };
        let own = own.filter(|(id, _)| *id == key);
        let other = other.filter(|(id, _)| *id == key);
        let change = if other.is_some() || rule.all {
            (rule.tell)(key, own.map(|(_, value)| value), other.map(|(_, value)| value))
        } else {
            Change::Keep
        };
        let kept = match (&change, own) {
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
            if let Change::Put(value) = change {
                new.push((key, value));
            }
        }
        next += usize::from(own.is_some());
        rest = rest.get(usize::from(other.is_some())..).unwrap_or(&[]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use itom_core::CiId;
    use proptest::prelude::*;

    use super::*;

    fn id(number: u16) -> CiId {
        // Ids that share long prefixes force deep branches.
        let mut bytes = [7_u8; 16];
        bytes[13] = (number & 3) as u8;
        bytes[15] = (number >> 8) as u8;
        CiId::from_bytes(bytes)
    }

    fn told(own: Option<&u32>, other: Option<&u8>) -> Change<u32> {
        match (own.copied().unwrap_or(7).wrapping_add(u32::from(other.copied().unwrap_or(1)))) % 3 {
            0 => Change::Keep,
            1 => Change::Put(own.map_or(99, |own| own / 2)),
            _ => Change::Remove,
        }
    }

    type Entries<V> = BTreeMap<CiId, V>;

    fn trie<V: Copy>(entries: &Entries<V>) -> Trie<CiId, V> {
        let mut trie = Trie::default();
        for (id, value) in entries {
            trie.insert(*id, *value);
        }
        trie
    }

    fn listed(trie: &Trie<CiId, u32>) -> Entries<u32> {
        trie.iter().map(|(id, value)| (id, *value)).collect()
    }

    proptest! {
        #[test]
        fn a_late_map_is_the_map_that_its_rule_makes_in_whatever_order_it_is_looked_at(
            own in proptest::collection::btree_map(any::<u16>().prop_map(id), any::<u32>(), 0..300),
            others in proptest::collection::btree_map(any::<u16>().prop_map(id), any::<u8>(), 0..300),
            looks in proptest::collection::vec(any::<u16>().prop_map(id), 0..20),
            puts in proptest::collection::vec((any::<u16>().prop_map(id), any::<Option<u32>>()), 0..40),
            all in any::<bool>(),
        ) {
            let mut expected = own.clone();
            let asked = others.keys().chain(own.keys().filter(|_| all));
            for id in asked.copied().collect::<std::collections::BTreeSet<_>>() {
                match told(own.get(&id), others.get(&id)) {
                    Change::Keep => {}
                    Change::Put(value) => drop(expected.insert(id, value)),
                    Change::Remove => drop(expected.remove(&id)),
                }
            }
            let before = trie(&own);
            let rule = if all {
                Rule::of_all(|_, own, other| told(own, other))
            } else {
                Rule::of_others(|_, own, other| {
                    assert!(other.is_some());
                    told(own, other)
                })
            };
            let mut late = before.late(&trie(&others), &rule, expected.len());
            let untouched = late.clone();
            for id in looks {
                prop_assert_eq!(late.get_beside(&before, id), (expected.get(&id), own.get(&id)));
                prop_assert_eq!(late.get(id), expected.get(&id));
                prop_assert_eq!(late.near(id.hint()).any(|near| near == id), expected.contains_key(&id));
            }
            // One that was made from a late one.
            let second = late.late(&trie(&others), &Rule::of_others(|_, _, _| Change::Remove), 0);
            let mut changed = BTreeMap::new();
            before.changed(&late, &mut |id, old, new| {
                changed.insert(id, (old.copied(), new.copied()));
            });
            changed.retain(|_, (old, new)| old != new);
            for (id, pair) in &changed {
                prop_assert_eq!(*pair, (own.get(id).copied(), expected.get(id).copied()));
            }
            let ids = own.keys().chain(expected.keys());
            prop_assert!(ids.filter(|id| own.get(id) != expected.get(id)).all(|id| changed.contains_key(id)));

            let mut later = expected.clone();
            for (id, value) in puts {
                if let Some(value) = value {
                    prop_assert_eq!(late.insert(id, value), later.insert(id, value));
                } else {
                    prop_assert_eq!(late.get_mut(id).copied(), later.get(&id).copied());
                    prop_assert_eq!(late.remove(id), later.remove(&id));
                }
                prop_assert_eq!(late.len(), later.len());
            }
            prop_assert_eq!(listed(&late), later);
            prop_assert_eq!(untouched.len(), expected.len());
            prop_assert_eq!(listed(&untouched), expected.clone());
            let expected: Entries<u32> = expected.into_iter().filter(|(id, _)| !others.contains_key(id)).collect();
            prop_assert_eq!(listed(&second), expected);
            prop_assert_eq!(listed(&before), own);
        }
    }
}
