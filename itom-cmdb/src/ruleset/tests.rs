use std::collections::BTreeSet;
use std::time::Duration;

use itom_core::{
    AttrName, Batch, CiKind, Key, RelationKind, SourceName, Timestamp, Value, attr, key_kind, kind, relation,
};
use proptest::prelude::*;

use super::*;
use crate::Cmdb;

fn refused(change: impl FnOnce(&mut serde_json::Value)) -> (String, String) {
    let mut value = serde_json::to_value(RuleSet::default_pack()).unwrap();
    change(&mut value);
    let text = serde_json::to_vec(&value).unwrap();
    let error = RuleSet::from_json("rules.json", &text).unwrap_err();
    assert!(error.to_string().starts_with("rules.json: "), "{error}");
    (error.path, error.reason)
}

#[test]
fn the_default_pack_is_sound_and_reads_back() {
    let pack = RuleSet::default_pack();
    pack.check().unwrap();
    let read = RuleSet::from_json("pack", pack.to_json().as_bytes()).unwrap();
    assert_eq!(read, pack);
    assert_eq!((read.hash(), read.content_hash()), (pack.hash(), pack.content_hash()));
    for known in kind::ALL {
        assert!(pack.kinds.contains_key(known), "{known}");
    }
    // It knows more relations than the default model, and says the same of each about failure.
    let (own, default) = (pack.relation_model(), RelationModel::default());
    for (kind, spec) in own.iter().chain(default.iter()) {
        assert_eq!((own.spec(kind), default.spec(kind)), (spec.clone(), spec.clone()), "{kind}");
    }
}

#[test]
fn kinds_inherit_and_say_so_when_they_replace() {
    let pack = RuleSet::default_pack();
    let linux = pack.attributes_of(&kind::HOST_LINUX);
    assert_eq!(linux[&attr::HOST_NAME].need, Need::Required, "from `host`");
    assert!(linux.contains_key(&attr::OS_KERNEL_RELEASE));
    let unknown = CiKind::literal("host.linux.appliance");
    assert_eq!(
        pack.attributes_of(&unknown),
        linux,
        "a kind without a rule has those of the next general one"
    );
    let again = AttributeRule::optional(AttributeType::Text);
    let quiet =
        pack.clone().kind(kind::HOST_LINUX, KindRule::new("x").attribute(attr::HOST_NAME, again.clone()));
    let error = quiet.check().unwrap_err();
    assert_eq!(error.path, "kinds.host.linux.attributes.host.name");
    let said = pack.kind(kind::HOST_LINUX, KindRule::new("x").attribute(attr::HOST_NAME, again.overriding()));
    said.check().unwrap();
    assert_eq!(said.attributes_of(&kind::HOST_LINUX)[&attr::HOST_NAME].need, Need::Optional);
}

#[test]
fn a_bad_rule_set_is_refused_with_its_place() {
    let (path, reason) =
        refused(|set| set["kinds"]["host"]["attributes"]["host.name"]["type"] = "texxt".into());
    assert_eq!(path, "kinds.host.attributes.host.name");
    assert!(reason.contains("texxt"), "{reason}");
    assert_eq!(refused(|set| set["kinds"]["host"]["leese"] = "1d".into()).0, "kinds.host");
    assert_eq!(refused(|set| set["kinds"]["host"]["lease"] = "soon".into()).0, "kinds.host");
    assert_eq!(refused(|set| set["kinds"]["Host!"] = serde_json::json!({"title": "x"})).0, "kinds.Host!");
    assert_eq!(
        refused(|set| set["relations"]["runs_on"]["to"] = serde_json::json!(["moon"])).0,
        "relations.runs_on.to"
    );
    assert_eq!(
        refused(|set| set["identity"]["keys"]["mac"]["overlap"] = "most".into()).0,
        "identity.keys.mac"
    );
    assert_eq!(refused(|set| set["mass_percent"] = 101.into()).0, "mass_percent");
    assert_eq!(refused(|set| set["colour"] = "red".into()).0, "colour");
    let circle = refused(|set| {
        set["kinds"]["team"]["extends"] = "person".into();
        set["kinds"]["person"]["extends"] = "team".into();
    });
    assert!(circle.0.starts_with("kinds.") && circle.1.contains("circle"), "{circle:?}");
    let error = RuleSet::from_json("x", b"{\"name\": }").unwrap_err();
    assert_eq!(error.path, "line 1 column 10");
}

#[cfg(feature = "policy")]
#[test]
fn a_rule_set_can_be_yaml() {
    let text = "name: shop\nversion: '3'\nkinds:\n  till:\n    title: A till\n    lease: 2d\n    attributes:\n      till.number: {type: int, need: required}\n";
    let set = RuleSet::from_yaml("shop.yaml", text).unwrap();
    let till = CiKind::literal("till");
    assert_eq!(set.kinds[&till].lease, Some(Lease::After(Duration::from_secs(172_800))));
    let error = RuleSet::from_yaml("shop.yaml", &text.replace("int", "integer")).unwrap_err();
    assert_eq!(
        (error.file.as_str(), error.path.as_str()),
        ("shop.yaml", "kinds.till.attributes.till.number")
    );
}

#[test]
fn the_hash_follows_what_is_derived() {
    let pack = RuleSet::default_pack();
    let renamed = RuleSet { name: "other".into(), ..pack.clone() };
    assert_eq!((renamed.hash(), renamed.content_hash()), (pack.hash(), pack.content_hash()));
    let shorter = RuleSet { default_lease: Lease::After(Duration::from_secs(60)), ..pack.clone() };
    assert_ne!(shorter.hash(), pack.hash());
    let stricter = pack.clone().identity(IdentityRules::default().hot_above(1));
    assert_ne!(stricter.hash(), pack.hash());
    assert_eq!(Cmdb::new(CmdbConfig::from(&pack)).view().rules(), pack.hash());
}

#[test]
fn misfits_are_told_and_nothing_is_refused() {
    let set = RuleSet::default_pack();
    let mut cmdb = Cmdb::new(CmdbConfig::from(&set));
    let mut batch = Batch::new(SourceName::literal("a"), Timestamp::EPOCH);
    batch.ci("h", kind::HOST).attr(attr::HOST_NAME, 7_i64).attr(attr::OS_VERSION, Value::NotApplicable);
    batch.ci("p", kind::SOFTWARE).attr(attr::PACKAGE_NAME, "p");
    batch.ci("d", kind::DEVICE);
    batch.ci("e", kind::DEVICE);
    batch.relation(relation::INSTALLED_ON, "h", "p");
    batch.relation(relation::CONTAINS, "d", "e");
    batch.relation(relation::CONTAINS, "e", "d");
    batch.relation(RelationKind::literal("admires"), "d", "h");
    let facts = cmdb.plan(&batch, Timestamp::EPOCH);
    cmdb.ingest(facts);
    let found = set.misfits(&cmdb.view());
    let count = |is: &dyn Fn(&Misfit) -> bool| found.iter().filter(|misfit| is(misfit)).count();
    assert_eq!(count(&|misfit| matches!(misfit, Misfit::Type { expected: AttributeType::Text, .. })), 1);
    assert_eq!(count(&|misfit| matches!(misfit, Misfit::Endpoint(_))), 1);
    assert_eq!(count(&|misfit| matches!(misfit, Misfit::Circle(circle) if circle.len() == 2)), 1);
    assert_eq!(count(&|misfit| matches!(misfit, Misfit::UnknownRelation(_))), 1);
    let missing = |name: AttrName| {
        count(&|misfit| matches!(misfit, Misfit::Missing { attribute, .. } if *attribute == name))
    };
    assert_eq!((missing(attr::OS_VERSION), missing(attr::OS_NAME)), (0, 1), "not applicable is an answer");
}

#[test]
fn a_pack_derives_by_its_kinds() {
    let set = RuleSet::default_pack();
    let mut cmdb = Cmdb::new(CmdbConfig::from(&set));
    let windows = CiKind::literal("host.windows");
    for (source, kind) in [("a", kind::HOST_LINUX), ("b", windows)] {
        let mut batch = Batch::new(SourceName::new(source).unwrap(), Timestamp::EPOCH);
        batch.ci("h", kind).key(Key::serial("S1").unwrap());
        batch.ci("c", kind::CONTAINER).key(Key::fqdn("c.example.com"));
        let facts = cmdb.plan(&batch, Timestamp::EPOCH);
        cmdb.ingest(facts);
    }
    let view = cmdb.view();
    assert_eq!(view.by_kind(&kind::HOST).len(), 1, "kinds that disagree meet at `host`");
    assert_eq!(view.by_kind(&kind::CONTAINER).len(), 2, "a name does not identify a container");
    let keys: BTreeSet<_> = set.kinds[&kind::CONTAINER].identified_by.clone().unwrap();
    assert!(keys.contains(&key_kind::CONTAINER_ID));
}

proptest! {
    #[test]
    fn l10_any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = RuleSet::from_json("any", &bytes);
        #[cfg(feature = "policy")]
        let _ = RuleSet::from_yaml("any", &String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn l10_a_damaged_rule_set_is_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = RuleSet::default_pack().to_json().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(set) = RuleSet::from_json("any", &text) {
            prop_assert!(set.check().is_ok());
        }
    }
}
