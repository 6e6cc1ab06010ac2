use std::collections::BTreeMap;

use itom_core::{AttrName, Batch, CiId, RelationKind, SourceName, Timestamp, Value, kind};
use proptest::prelude::*;

use super::{Branch, BranchError, Change, ConflictKind, Content, Slot};
use crate::view::View;
use crate::{Cmdb, CmdbConfig};

const GOLDEN: &str = include_str!("golden/changes.json");
const USES: RelationKind = RelationKind::literal("uses");
const A: AttrName = AttrName::literal("a");
const B: AttrName = AttrName::literal("b");

fn at() -> Timestamp {
    Timestamp::from_secs(1_700_000_000)
}

/// Five items in a row, each with an attribute.
fn view() -> (View, Vec<CiId>) {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let mut batch = Batch::new(SourceName::literal("demo"), at());
    for number in 0..5 {
        batch.ci(format!("item-{number}"), kind::SERVICE).attr(A, i64::from(number));
    }
    for number in 1..5 {
        batch.relation(USES, format!("item-{}", number - 1).as_str(), format!("item-{number}").as_str());
    }
    let facts = cmdb.plan(&batch, at());
    cmdb.ingest(facts);
    let view = cmdb.view();
    let mut ids: Vec<CiId> = view.cis().map(crate::view::Ci::id).collect();
    ids.extend((0..2).map(|number| CiId::derive(&["new", &number.to_string()])));
    (view, ids)
}

#[derive(Debug, Clone)]
enum Edit {
    Put(usize, u8),
    Remove(usize),
    Set(usize, bool, i64),
    Unset(usize, bool),
    Relate(usize, usize),
    Unrelate(usize, usize),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let item = 0..7_usize;
    prop_oneof![
        (item.clone(), 0..3_u8).prop_map(|(ci, name)| Edit::Put(ci, name)),
        item.clone().prop_map(Edit::Remove),
        (item.clone(), any::<bool>(), 0..3_i64).prop_map(|(ci, name, value)| Edit::Set(ci, name, value)),
        (item.clone(), any::<bool>()).prop_map(|(ci, name)| Edit::Unset(ci, name)),
        (item.clone(), item.clone()).prop_map(|(from, to)| Edit::Relate(from, to)),
        (item.clone(), item).prop_map(|(from, to)| Edit::Unrelate(from, to)),
    ]
}

fn any_edits() -> impl Strategy<Value = Vec<Edit>> {
    proptest::collection::vec(any_edit(), 0..8)
}

fn make(branch: &mut Branch, ids: &[CiId], edits: &[Edit]) {
    let name = |first: bool| if first { A } else { B };
    for edit in edits {
        // What is refused is not made.
        let _refused = match edit {
            Edit::Put(ci, name) => {
                branch.put_item(ids[*ci], kind::HOST, name.to_string());
                Ok(())
            }
            Edit::Remove(ci) => {
                branch.remove_item(ids[*ci]);
                Ok(())
            }
            Edit::Set(ci, first, value) => branch.set_attribute(ids[*ci], name(*first), Value::from(*value)),
            Edit::Unset(ci, first) => branch.unset_attribute(ids[*ci], name(*first)),
            Edit::Relate(from, to) => branch.relate(USES, ids[*from], ids[*to]),
            Edit::Unrelate(from, to) => {
                branch.unrelate(USES, ids[*from], ids[*to]);
                Ok(())
            }
        };
    }
}

/// Every slot there can be, with its content: the naive form of a branch.
fn all(branch: &Branch, ids: &[CiId]) -> BTreeMap<Slot, Content> {
    let mut slots = Vec::new();
    for ci in ids {
        slots.push(Slot::Item(*ci));
        // Retired and merged attributes of the fixture count like any other.
        slots.extend([A, B, itom_core::attr::NAME].map(|name| Slot::Attribute(*ci, name)));
        slots.extend(ids.iter().map(|to| Slot::Relation(USES, *ci, *to)));
    }
    slots.into_iter().filter_map(|slot| Some((slot.clone(), branch.get(&slot)?))).collect()
}

fn is_whole(branch: &Branch, ids: &[CiId]) -> bool {
    all(branch, ids).keys().all(|slot| slot.needs().into_iter().flatten().all(|ci| branch.contains(ci)))
}

proptest! {
    #[test]
    fn the_difference_applied_to_the_base_is_the_branch(edits in any_edits()) {
        let (view, ids) = view();
        let mut branch = Branch::new("one", view.clone());
        make(&mut branch, &ids, &edits);
        prop_assert!(is_whole(&branch, &ids));
        let mut again = Branch::new("again", view.clone());
        again.apply(&branch.diff()).unwrap();
        prop_assert_eq!(all(&again, &ids), all(&branch, &ids));
        prop_assert_eq!(again.diff(), branch.diff());
        // And the difference is all there is.
        let untouched = Branch::new("base", view);
        let (base, made) = (all(&untouched, &ids), all(&branch, &ids));
        let differing = base.keys().chain(made.keys()).filter(|slot| base.get(slot) != made.get(slot));
        let differing: std::collections::BTreeSet<&Slot> = differing.collect();
        let diff = branch.diff();
        prop_assert_eq!(differing, diff.iter().map(|change| &change.slot).collect());
        for change in &diff {
            prop_assert_eq!(change.before.as_ref(), base.get(&change.slot));
            prop_assert_eq!(change.after.as_ref(), made.get(&change.slot));
        }
    }

    #[test]
    fn merging_is_three_way_commutes_and_ends(ours in any_edits(), theirs in any_edits()) {
        let (view, ids) = view();
        let (mut one, mut two) = (Branch::new("one", view.clone()), Branch::new("two", view.clone()));
        make(&mut one, &ids, &ours);
        make(&mut two, &ids, &theirs);
        let (merged, other_way) = (one.merge(&two), two.merge(&one));
        prop_assert!(is_whole(&merged.branch, &ids), "nothing is left without its item");
        // Slot by slot by the textbook; structure aside, which only conflicts touch.
        let base = all(&Branch::new("base", view), &ids);
        let (mine, yours) = (all(&one, &ids), all(&two, &ids));
        let both_changed: Vec<Slot> = one
            .diff()
            .into_iter()
            .map(|change| change.slot)
            .filter(|slot| base.get(slot) != yours.get(slot) && mine.get(slot) != yours.get(slot))
            .collect();
        for slot in &both_changed {
            prop_assert!(merged.conflicts.iter().any(|conflict| conflict.slot == *slot));
        }
        if merged.conflicts.is_empty() {
            prop_assert!(other_way.conflicts.is_empty(), "{:?}", other_way.conflicts);
            prop_assert_eq!(all(&merged.branch, &ids), all(&other_way.branch, &ids));
            for (slot, content) in all(&merged.branch, &ids) {
                let expected = if mine.get(&slot) == base.get(&slot) { yours.get(&slot) } else { mine.get(&slot) };
                prop_assert_eq!(Some(&content), expected);
            }
            let again = merged.branch.merge(&two);
            prop_assert!(again.conflicts.is_empty(), "{:?}", again.conflicts);
            prop_assert_eq!(again.branch.diff(), merged.branch.diff());
        } else {
            prop_assert!(!other_way.conflicts.is_empty());
            for conflict in &merged.conflicts {
                prop_assert_eq!(conflict.ours.as_ref(), mine.get(&conflict.slot));
                prop_assert_eq!(conflict.theirs.as_ref(), yours.get(&conflict.slot));
            }
        }
        // Merging a branch with itself, or with one that changed nothing, changes nothing.
        prop_assert_eq!(one.merge(&one).branch.diff(), one.diff());
        prop_assert!(one.merge(&one).conflicts.is_empty());
    }

    #[test]
    fn a_graph_of_the_branch_is_the_graph_under_its_changes(edits in any_edits()) {
        let (view, ids) = view();
        let model = crate::graph::RelationModel::empty()
            .with(USES, crate::graph::RelationSpec::flowing(crate::graph::Flow::ToFrom));
        let graph = view.graph(model).unwrap();
        let mut branch = Branch::new("one", view);
        make(&mut branch, &ids, &edits);
        let overlay = graph.simulate(&branch.graph_changes()).unwrap();
        for ci in &ids {
            let mut needed = std::collections::BTreeSet::new();
            let mut queue = vec![*ci];
            while let Some(next) = queue.pop() {
                for to in &ids {
                    let slot = Slot::Relation(USES, next, *to);
                    if branch.get(&slot).is_some() && needed.insert(*to) {
                        queue.push(*to);
                    }
                }
            }
            let found: std::collections::BTreeSet<CiId> = overlay.depends_on(*ci).into_iter().collect();
            prop_assert_eq!(found, needed);
        }
    }

    #[test]
    fn l10_any_text_is_changes_or_refused(text in any::<String>()) {
        let _ = serde_json::from_str::<Vec<Change>>(&text);
    }
}

#[test]
fn an_item_that_one_side_needs_is_not_taken_away_silently() {
    let (view, ids) = view();
    let (mut one, mut two) = (Branch::new("one", view.clone()), Branch::new("two", view));
    one.remove_item(ids[0]);
    two.set_attribute(ids[0], B, "needed".into()).unwrap();
    let merged = one.merge(&two);
    assert_eq!(merged.conflicts.len(), 1);
    assert_eq!(merged.conflicts[0].kind, ConflictKind::Missing(ids[0]));
    assert!(!merged.branch.contains(ids[0]), "ours stays");
    let merged = two.merge(&one);
    assert!(merged.conflicts.iter().any(|conflict| conflict.kind == ConflictKind::Missing(ids[0])));
    assert!(merged.branch.contains(ids[0]), "ours stays");
    assert_eq!(merged.branch.diff(), two.diff());
    let refused = one.set_attribute(ids[0], A, 1_i64.into()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("cannot set an attribute in branch `one`: item {} is not there; put it first", ids[0])
    );
    let change = Change { slot: Slot::Item(ids[1]), before: None, after: Some(Content::Holds) };
    assert!(matches!(one.apply(&[change]), Err(BranchError::Misplaced { .. })));
}

#[test]
fn a_branch_becomes_real_by_what_it_says() {
    let (view, ids) = view();
    let mut branch = Branch::new("one", view);
    branch.set_attribute(ids[0], B, "new".into()).unwrap();
    branch.put_item(ids[5], kind::HOST, "host-9");
    branch.relate(USES, ids[0], ids[5]).unwrap();
    branch.remove_item(ids[4]);
    let (batch, not_stated) = branch.to_batch(SourceName::literal("branch"), at());
    assert_eq!(batch.items().len(), 3);
    assert!(not_stated.iter().all(|change| change.after.is_none()) && !not_stated.is_empty());
}

#[test]
fn the_format_is_the_golden_one() {
    let [one, two] = ["one", "two"].map(|name| CiId::derive(&[name]));
    let changes = vec![
        Change {
            slot: Slot::Item(one),
            before: None,
            after: Some(Content::Item { kind: kind::HOST, name: "host-9".into() }),
        },
        Change {
            slot: Slot::Attribute(one, A),
            before: Some(Content::Value(Value::from(1_i64))),
            after: None,
        },
        Change { slot: Slot::Relation(USES, one, two), before: None, after: Some(Content::Holds) },
    ];
    assert_eq!(serde_json::to_string_pretty(&changes).unwrap() + "\n", GOLDEN);
    assert_eq!(serde_json::from_str::<Vec<Change>>(GOLDEN).unwrap(), changes);
}
