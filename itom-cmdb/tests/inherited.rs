//! What a thing inherits from its parts: sources that tell interfaces with their addresses and nothing of the machine.

use itom_cmdb::fact::FactLog;
use itom_cmdb::identity::{
    Apart, FromChildren, IdentityRules, InheritedRule, Proof, Rule, Share, Verdict, WhyNot, verify,
    verify_apart, verify_item,
};
use itom_cmdb::ruleset::{KindRule, RuleSet};
use itom_cmdb::{Applied, Cmdb, CmdbConfig};
use itom_core::{
    Batch, CiId, CiKind, Coverage, Key, Realm, RelationKind, Scope, SourceName, Strength, Subject, Timestamp,
    attr, key_kind, kind, relation,
};

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + minutes * 60)
}

fn batch(source: &'static str, minutes: i64) -> Batch {
    Batch::new(SourceName::literal(source), at(minutes))
}

fn feed(cmdb: &mut Cmdb, batch: &Batch) -> Applied {
    let facts = cmdb.plan(batch, batch.taken_at());
    cmdb.ingest(facts)
}

fn mac(last: u8) -> String {
    format!("00:1b:44:11:3a:{last:02x}")
}

/// A machine that states these keys, and interfaces with these addresses.
fn thing(batch: &mut Batch, native: &str, kind: CiKind, keys: &[Key], macs: &[String]) {
    let ci = batch.ci(native, kind);
    keys.iter().for_each(|key| {
        ci.key(key.clone());
    });
    for (number, mac) in macs.iter().enumerate() {
        let interface = format!("{native}/eth{number}");
        batch.ci(interface.as_str(), kind::NETWORK_INTERFACE).key(Key::mac(mac).unwrap());
        batch.relation(relation::CONTAINS, native, interface.as_str());
    }
}

fn host(batch: &mut Batch, native: &str, macs: &[String]) {
    thing(batch, native, kind::HOST, &[], macs);
}

fn told(cmdb: &mut Cmdb, source: &'static str, minutes: i64, macs: &[String]) -> Applied {
    let mut batch = batch(source, minutes);
    host(&mut batch, "host", macs);
    let everything =
        [Scope::cis(kind::HOST), Scope::cis(kind::NETWORK_INTERFACE), Scope::relations(relation::CONTAINS)];
    batch.finish(everything.into_iter().fold(Coverage::new(), Coverage::complete));
    feed(cmdb, &batch)
}

fn item(cmdb: &Cmdb, source: &'static str, native: &str) -> CiId {
    cmdb.view().resolve(&SourceName::literal(source), &Subject::from(native)).unwrap()
}

fn is_one(cmdb: &Cmdb, a: &'static str, b: &'static str) -> bool {
    item(cmdb, a, "host") == item(cmdb, b, "host")
}

fn macs(numbers: impl IntoIterator<Item = u8>) -> Vec<String> {
    numbers.into_iter().map(mac).collect()
}

#[test]
fn two_sources_that_tell_interfaces_only_tell_of_one_host() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    told(&mut cmdb, "snmp", 1, &macs([1, 2, 3, 4]));
    told(&mut cmdb, "inventory", 1, &macs([2, 3, 4, 9]));
    assert!(is_one(&cmdb, "snmp", "inventory"), "three of four are common");
    let view = cmdb.view();
    assert_eq!((view.by_kind(&kind::HOST).len(), view.by_kind(&kind::NETWORK_INTERFACE).len()), (1, 5));
    // Who states its addresses itself is the same host.
    let mut agent = batch("agent", 2);
    let ci = agent.ci("host", kind::HOST);
    for mac in macs([1, 2, 3]) {
        ci.key(Key::mac(&mac).unwrap());
    }
    feed(&mut cmdb, &agent);
    assert!(is_one(&cmdb, "snmp", "agent"));
}

#[test]
fn what_is_inherited_gives_no_id_and_is_no_name() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    told(&mut cmdb, "snmp", 1, &macs([1, 2, 3]));
    let view = cmdb.view();
    let key = Key::mac(&mac(1)).unwrap();
    let meant = view.resolve(&SourceName::literal("lldp"), &Subject::Key(key.clone())).unwrap();
    assert_eq!(meant, item(&cmdb, "snmp", "host/eth0"), "a reference by an address means the interface");
    let before = item(&cmdb, "snmp", "host");
    told(&mut cmdb, "snmp", 2, &macs([4, 5, 6]));
    assert_eq!(item(&cmdb, "snmp", "host"), before, "new cards, the same host");
    // Nor does a word on the address mean the host.
    let mut word = batch("person", 3);
    word.ci("row", kind::NETWORK_INTERFACE);
    word.same_as("row", Key::mac(&mac(4)).unwrap(), "looked at it");
    feed(&mut cmdb, &word);
    assert_eq!(item(&cmdb, "person", "row"), item(&cmdb, "snmp", "host/eth0"));
}

#[test]
fn a_dock_joins_nobody() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let dock = 0xd0;
    told(&mut cmdb, "a", 1, &macs([1, 2, dock]));
    told(&mut cmdb, "b", 1, &macs([5, 6, dock]));
    assert!(!is_one(&cmdb, "a", "b"));
    let why = cmdb.explain_pair(item(&cmdb, "a", "host"), item(&cmdb, "b", "host")).unwrap();
    let own = why.compared.iter().find(|own| own.inherited).unwrap();
    assert_eq!(own.verdict, Verdict::NotApplicable(WhyNot::TooFewShared), "{:?}", why.compared);
    // Nor when it is all that they have: one address is too few, whatever its share.
    for (source, other) in [("c", "d"), ("d", "c")] {
        told(&mut cmdb, source, 1, &macs([dock]));
        assert!(
            cmdb.view().resolve(&SourceName::literal(other), &Subject::from("host")).is_none()
                || !is_one(&cmdb, source, other)
        );
    }
    assert!(cmdb.ambiguities().is_empty(), "and nothing is open for it");
}

#[test]
fn what_fits_two_machines_joins_neither_and_says_so() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let serial = |value: &str| Key::serial(value).unwrap();
    // Two chassis that swapped two cards, each seen by another source; a third tells the two cards.
    for (source, value, cards) in [("a", "S1", [1, 2, 3]), ("b", "S2", [1, 2, 4])] {
        let mut one = batch(source, 1);
        thing(&mut one, "host", kind::HOST, &[serial(value)], &macs(cards));
        feed(&mut cmdb, &one);
    }
    assert!(!is_one(&cmdb, "a", "b"), "two serial numbers, two machines");
    let applied = told(&mut cmdb, "c", 1, &macs([1, 2]));
    assert!(!is_one(&cmdb, "c", "a") && !is_one(&cmdb, "c", "b"));
    assert!(!applied.ambiguous.is_empty());
    assert_eq!(cmdb.ambiguities()[0].candidates.len(), 2);
    assert_eq!(cmdb.ambiguities()[0].wanted, [key_kind::SERIAL], "what would settle it");
}

#[test]
fn a_row_with_a_wrong_serial_number_does_not_part_who_shares_addresses() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let typed =
        |value: &str| Key::new(key_kind::SERIAL, Realm::GLOBAL, value, Strength::Administrative).unwrap();
    let name = Key::fqdn("web.example.com");
    let mut agent = batch("agent", 1);
    thing(&mut agent, "host", kind::HOST, &[Key::serial("S1").unwrap(), name.clone()], &macs([1, 2]));
    feed(&mut cmdb, &agent);
    // The row has no address, and another serial number: it is not the agent's machine, nor anybody else's.
    let mut sheet = batch("sheet", 1);
    sheet.ci("row", kind::HOST).key(typed("S7")).key(name);
    feed(&mut cmdb, &sheet);
    // An inventory that people keep.
    let mut inventory = batch("inventory", 1);
    inventory.ci("host", kind::HOST);
    for (number, mac) in [(0, mac(1)), (1, mac(2))] {
        let interface = format!("host/eth{number}");
        let key = Key::new(key_kind::MAC, Realm::GLOBAL, &mac, Strength::Administrative).unwrap();
        inventory.ci(interface.as_str(), kind::NETWORK_INTERFACE).key(key);
        inventory.relation(relation::CONTAINS, "host", interface.as_str());
    }
    feed(&mut cmdb, &inventory);
    assert!(is_one(&cmdb, "agent", "inventory"));
    assert_ne!(item(&cmdb, "sheet", "row"), item(&cmdb, "agent", "host"));
}

#[test]
fn addresses_of_roles_and_of_everybody_count_for_nobody() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    let shared = ["00:00:5e:00:01:07", "00:00:0c:07:ac:01", "02:42:ac:11:00:02"].map(str::to_owned);
    for source in ["a", "b"] {
        let own = if source == "a" { [1, 2] } else { [3, 4] };
        told(&mut cmdb, source, 1, &[macs(own), shared.to_vec()].concat());
    }
    assert!(!is_one(&cmdb, "a", "b"), "three of five, and all of them belong to roles");
    // What four machines of one source have identifies none of them.
    let mut many = batch("inventory", 1);
    for number in 0..4 {
        host(&mut many, &format!("host-{number}"), &macs([0x40, 0x41]));
    }
    feed(&mut cmdb, &many);
    told(&mut cmdb, "c", 1, &macs([0x40, 0x41]));
    assert_eq!(cmdb.view().by_kind(&kind::HOST).len(), 7);
}

#[test]
fn too_few_common_addresses_keep_two_apart_whatever_else_they_share() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    // A clone: everything that the image carries is the same, the cards are not.
    let image = Key::machine_id("0123456789abcdef0123456789abcdef").unwrap();
    for (source, cards) in [("a", [1, 2]), ("b", [3, 4])] {
        let mut one = batch(source, 1);
        thing(&mut one, "host", kind::HOST, std::slice::from_ref(&image), &macs(cards));
        feed(&mut cmdb, &one);
    }
    assert!(!is_one(&cmdb, "a", "b"));
    let why = cmdb.explain_pair(item(&cmdb, "a", "host"), item(&cmdb, "b", "host")).unwrap();
    let [apart @ Apart::TooFewInherited { left, .. }] = why.apart.as_slice() else {
        panic!("{:?}", why.apart)
    };
    assert_eq!(left.parts.len(), 2);
    let rules = cmdb.config().identity();
    assert_eq!(verify_apart(apart, cmdb.facts(), rules), Ok(()));
    assert_eq!(apart.facts().len(), 10, "two descriptions, four parts, four relations");
    for cited in apart.facts() {
        let without: FactLog = cmdb.facts().iter().filter(|fact| fact.id() != cited).cloned().collect();
        assert!(verify_apart(apart, &without, rules).is_err());
    }
}

#[test]
fn an_interface_that_moves_takes_its_address_along() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    told(&mut cmdb, "snmp", 1, &macs([1, 2, 3]));
    told(&mut cmdb, "inventory", 1, &macs([1, 2, 3]));
    let one = item(&cmdb, "snmp", "host");
    assert!(is_one(&cmdb, "snmp", "inventory"));
    // Two cards are in another machine now, by the inventory.
    let mut moved = batch("inventory", 2);
    host(&mut moved, "host", &macs([1]));
    moved.ci("other", kind::HOST);
    for (number, mac) in [(1, mac(2)), (2, mac(3))] {
        let interface = format!("host/eth{number}");
        moved.ci(interface.as_str(), kind::NETWORK_INTERFACE).key(Key::mac(&mac).unwrap());
        moved.relation(relation::CONTAINS, "other", interface.as_str());
    }
    moved.finish(Coverage::new().complete(Scope::relations(relation::CONTAINS)));
    let applied = feed(&mut cmdb, &moved);
    assert!(!is_one(&cmdb, "snmp", "inventory"));
    assert_eq!(item(&cmdb, "inventory", "other"), item(&cmdb, "snmp", "host"), "two of two");
    let split = applied.splits.first().expect("the item came apart");
    assert!(split.from == one || split.into == one, "{split:?}");
    // And back.
    told(&mut cmdb, "inventory", 3, &macs([1, 2, 3]));
    assert!(is_one(&cmdb, "snmp", "inventory"));
}

#[test]
fn who_changes_nothing_about_parts_is_not_looked_at_again() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    told(&mut cmdb, "snmp", 1, &macs([1, 2, 3]));
    let applied = told(&mut cmdb, "snmp", 2, &macs([1, 2, 3]));
    assert!(applied.changes.is_empty() && applied.graph.is_empty());
    assert_eq!(cmdb.view().ci(item(&cmdb, "snmp", "host")).unwrap().last_seen(), at(2));
}

#[test]
fn a_host_stays_what_it_was_when_its_source_falls_silent_or_lets_it_go() {
    let day = 24 * 60;
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    told(&mut cmdb, "snmp", 1, &macs([1, 2, 3]));
    told(&mut cmdb, "inventory", 1, &macs([1, 2, 3]));
    // The leases of interfaces run out, that of a host does not.
    cmdb.expire(at(3 * day));
    assert_eq!(
        cmdb.view().by_kind(&kind::NETWORK_INTERFACE).iter().filter(|ci| ci.state().is_active()).count(),
        0
    );
    assert!(is_one(&cmdb, "snmp", "inventory"), "that nobody looks says nothing about what it is made of");
    // Seen again without them it has them no longer.
    let mut bare = batch("inventory", 3 * day);
    bare.ci("host", kind::HOST);
    feed(&mut cmdb, &bare);
    assert!(!is_one(&cmdb, "snmp", "inventory"));
    let replayed = |cmdb: &Cmdb, now| {
        let mut other = Cmdb::new(CmdbConfig::default());
        other.ingest(cmdb.facts().iter().cloned().collect());
        other.expire(now);
        other.state_hash()
    };
    assert_eq!(replayed(&cmdb, at(3 * day)), cmdb.state_hash());
    // A source that lets all of it go, host and interfaces, leaves one retired object of the item.
    let mut cmdb = Cmdb::new(CmdbConfig::default().mass_retirement(100, 0));
    told(&mut cmdb, "snmp", 1, &macs([1, 2, 3]));
    told(&mut cmdb, "inventory", 1, &macs([1, 2, 3]));
    let mut empty = batch("inventory", 2);
    empty.finish(
        [Scope::cis(kind::HOST), Scope::cis(kind::NETWORK_INTERFACE), Scope::relations(relation::CONTAINS)]
            .into_iter()
            .fold(Coverage::new(), Coverage::complete),
    );
    feed(&mut cmdb, &empty);
    assert!(is_one(&cmdb, "snmp", "inventory"));
}

/// The proof that joins the two hosts.
fn proof(cmdb: &Cmdb) -> Proof {
    let merges = cmdb.explain(item(cmdb, "snmp", "host")).unwrap().merges;
    assert_eq!(merges.len(), 1);
    merges.into_iter().next().unwrap()
}

#[test]
fn l6_a_proof_shows_by_which_part_and_a_tampered_one_fails() {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    told(&mut cmdb, "snmp", 1, &macs([1, 2, 3]));
    told(&mut cmdb, "inventory", 1, &macs([1, 2, 3, 4]));
    let mut noise = batch("snmp", 2);
    host(&mut noise, "stranger", &macs([0x21, 0x22]));
    feed(&mut cmdb, &noise);
    let (proof, rules, facts) = (proof(&cmdb), cmdb.config().identity(), cmdb.facts());
    assert_eq!(verify(&proof, facts, rules), Ok(()));
    assert_eq!(verify_item(std::slice::from_ref(&proof), facts, rules), Ok(()));
    assert!(matches!(proof.rule(), Rule::Inherited { .. }), "{proof:?}");
    assert_eq!((proof.parts().0.len().min(proof.parts().1.len()), proof.facts().len()), (3, 2 + 2 * 7));
    let (left, right) = proof.inherited(facts);
    for part in [left, right] {
        let part = part.expect("neither states an address itself");
        assert!(facts.get(part.child).is_some() && facts.get(part.relation).is_some());
    }
    for cited in proof.facts() {
        let without: FactLog = facts.iter().filter(|fact| fact.id() != cited).cloned().collect();
        assert!(verify(&proof, &without, rules).is_err());
    }
    // Without a rule nothing is inherited.
    let none = rules.clone().from_children(kind::HOST, []);
    assert!(verify(&proof, facts, &none).is_err());
    let stricter = {
        let mut own = rules.rule_of(&key_kind::MAC).unwrap().clone();
        own.inherited = Some(InheritedRule::new(Share { of: 1, out_of: 1 }, 4));
        rules.clone().key_rule(key_kind::MAC, own)
    };
    assert!(verify(&proof, facts, &stricter).is_err(), "three are too few by these rules");
    let text = serde_json::to_value(&proof).unwrap();
    let tampered = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut other = text.clone();
        change(&mut other);
        assert_ne!(other, text, "it is tampered with");
        let other: Proof = serde_json::from_value(other).unwrap();
        verify(&other, facts, rules).and_then(|()| verify_item(&[other], facts, rules))
    };
    // A part of another machine.
    let others =
        cmdb.explain_pair(item(&cmdb, "snmp", "host"), item(&cmdb, "snmp", "stranger")).unwrap().apart;
    let foreign = others
        .into_iter()
        .find_map(|apart| match apart {
            Apart::TooFewInherited { left, right, .. } => {
                [left, right].into_iter().find(|own| own.object.native.as_str() == "stranger")
            }
            _ => None,
        })
        .expect("they share no address")
        .parts[0];
    let side = if proof.objects().0.source.as_str() == "snmp" { "left_parts" } else { "right_parts" };
    let foreign = serde_json::to_value(foreign).unwrap();
    assert!(tampered(&|own| own[side][0] = foreign.clone()).is_err(), "a part of another machine");
    assert!(tampered(&|own| own[side] = serde_json::json!([])).is_err(), "no part at all");
    assert!(tampered(&|own| own[side] = serde_json::json!([own[side][0]])).is_err(), "one is too few");
    assert!(tampered(&|own| own[side][0]["relation"] = foreign["relation"].clone()).is_err());
    assert!(tampered(&|own| own[side][0]["child"] = own[side][1]["child"].clone()).is_err());
    assert!(tampered(&|own| own["rule"]["inherited"]["ident"]["value"] = mac(0x33).into()).is_err());
    assert!(
        tampered(&|own| own["rule"]["inherited"]["strength"] = "hardware".into()).is_err(),
        "not so strong"
    );
}

#[test]
fn a_rule_set_says_what_a_kind_inherits() {
    let (stack, module) = (CiKind::literal("device.stack"), CiKind::literal("device.module"));
    let pack = |parts: Vec<FromChildren>| {
        let mut serial = IdentityRules::default().rule_of(&key_kind::SERIAL).unwrap().clone();
        serial.inherited = Some(InheritedRule::new(Share { of: 1, out_of: 2 }, 1));
        let identity = IdentityRules::default().key_rule(key_kind::SERIAL, serial);
        RuleSet::default_pack()
            .kind(module.clone(), KindRule::new("A module of a stack"))
            .kind(stack.clone(), KindRule::new("A stack of switches").from_children(parts))
            .identity(identity)
    };
    let parts = FromChildren::new(relation::CONTAINS, module.clone(), [key_kind::SERIAL]);
    let rules = pack(vec![parts.clone()]);
    rules.check().unwrap();
    assert_eq!(RuleSet::from_json("pack", rules.to_json().as_bytes()).unwrap(), rules);
    assert_ne!(rules.hash(), pack(Vec::new()).hash());
    for (rules, items) in [(rules, 1), (pack(Vec::new()), 2)] {
        let mut cmdb = Cmdb::new(CmdbConfig::from(&rules));
        for (source, serials) in [("a", ["S1", "S2"]), ("b", ["S2", "S3"])] {
            let mut one = batch(source, 1);
            one.ci("stack", stack.clone()).attr(attr::NAME, source);
            for (number, serial) in serials.into_iter().enumerate() {
                let native = format!("module-{number}");
                one.ci(native.as_str(), module.clone()).key(Key::serial(serial).unwrap());
                one.relation(relation::CONTAINS, "stack", native.as_str());
            }
            feed(&mut cmdb, &one);
        }
        let stacks = cmdb.view().by_kind(&stack).len();
        assert_eq!(stacks, items, "a stack is known by its modules, if the rules say so");
    }
    let place = |parts: FromChildren| pack(vec![parts]).check().unwrap_err().path;
    let wrong = |field: &str| format!("kinds.device.stack.from_children.0.{field}");
    let with = |change: &dyn Fn(&mut FromChildren)| {
        let mut other = parts.clone();
        change(&mut other);
        other
    };
    assert_eq!(place(with(&|own| own.relation = RelationKind::literal("admires"))), wrong("relation"));
    assert_eq!(place(with(&|own| own.relation = relation::DEPENDS_ON)), wrong("relation"));
    assert_eq!(place(with(&|own| own.child = CiKind::literal("moon"))), wrong("child"));
    assert_eq!(place(with(&|own| own.keys.clear())), wrong("keys"));
    assert_eq!(place(with(&|own| own.keys = [key_kind::FQDN].into())), wrong("keys"));
    for (share, at_least, field) in [
        (Share { of: 3, out_of: 2 }, 2, ".share"),
        (Share { of: 0, out_of: 0 }, 2, ".share"),
        (Share { of: 1, out_of: 2 }, 0, ""),
    ] {
        let mut own = IdentityRules::default().rule_of(&key_kind::MAC).unwrap().clone();
        own.inherited = Some(InheritedRule::new(share, at_least));
        let rules = RuleSet::default_pack().identity(IdentityRules::default().key_rule(key_kind::MAC, own));
        assert_eq!(rules.check().unwrap_err().path, format!("identity.keys.mac.inherited{field}"));
    }
    let mut text = serde_json::to_value(RuleSet::default_pack()).unwrap();
    text["kinds"]["host"]["from_children"] = serde_json::json!([{"relation": "contains", "child": "disk"}]);
    let error = RuleSet::from_json("pack", &serde_json::to_vec(&text).unwrap()).unwrap_err();
    assert_eq!(error.path, "kinds.host");
    assert!(error.reason.contains("keys"), "{error}");
}

#[test]
fn the_default_pack_knows_hosts_and_devices_by_their_interfaces() {
    let mut cmdb = Cmdb::new(CmdbConfig::from(&RuleSet::default_pack()));
    for source in ["snmp", "netbox"] {
        let mut one = batch(source, 1);
        for (native, kind, first) in
            [("switch", CiKind::literal("device.switch"), 1), ("server", kind::HOST_LINUX, 0x11)]
        {
            thing(&mut one, native, kind, &[], &macs(first..first + 3));
        }
        feed(&mut cmdb, &one);
    }
    let view = cmdb.view();
    assert_eq!((view.by_kind(&kind::HOST).len(), view.by_kind(&kind::DEVICE).len()), (1, 1));
}
