//! What importers make of documents: items, keys, relations, and what they say about what they do not take.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use itom_cmdb::export::MapDocument;
use itom_cmdb::import::{Document, Format, Imported, Mapping, Options, Verdict, import};
use itom_cmdb::view::Ci;
use itom_cmdb::{Cmdb, CmdbConfig, View};
use itom_core::{
    Batch, CiKind, Key, Observation, RelationKind, ScopeTarget, SourceName, Strength, Subject, Timestamp,
    Value, attr, kind, relation,
};

const NOW: Timestamp = Timestamp::from_secs(1_700_100_000);

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(data(name)).expect("the fixture is there")
}

fn mapping() -> Mapping {
    let text = String::from_utf8(bytes("assets.map.yaml")).expect("it is text");
    Mapping::from_yaml("assets.map.yaml", &text).expect("it is sound")
}

fn take(name: &str, options: &Options) -> Vec<Imported> {
    import(&[Document::new(name, &bytes(name))], options).unwrap_or_else(|error| panic!("{error}"))
}

fn one(name: &str) -> Imported {
    let mut all = take(name, &Options::new(NOW).mapping(mapping()));
    assert_eq!(all.len(), 1, "{name}");
    all.remove(0)
}

/// What the remarks are, as people read them.
fn remarks(imported: &Imported) -> Vec<String> {
    imported.remarks.iter().map(ToString::to_string).collect()
}

fn items(batch: &Batch) -> BTreeMap<&str, &itom_core::CiObservation> {
    let mut all = BTreeMap::new();
    for own in batch.items() {
        if let Observation::Ci(ci) = own {
            all.insert(ci.subject.as_str(), ci);
        }
    }
    all
}

fn relations(batch: &Batch) -> Vec<String> {
    let relation = |own: &Observation| match own {
        Observation::Relation(own) => Some(format!("{} {} {}", own.from, own.kind, own.to)),
        _ => None,
    };
    batch.items().iter().filter_map(relation).collect()
}

fn cmdb(batches: impl IntoIterator<Item = Batch>) -> Cmdb {
    let mut cmdb = Cmdb::new(CmdbConfig::default());
    for batch in batches {
        let facts = cmdb.plan(&batch, batch.taken_at());
        cmdb.ingest(facts);
    }
    cmdb
}

fn named<'a>(view: &'a View, name: &str) -> &'a Ci {
    let all: Vec<&Ci> = view.cis().filter(|ci| ci.name().as_str() == name && !ci.is_loose_end()).collect();
    assert_eq!(all.len(), 1, "items called {name}: {all:?}");
    all[0]
}

#[test]
fn a_cyclonedx_document_becomes_software_and_what_it_needs() {
    let imported = one("shop.cdx.json");
    assert_eq!(imported.format, Format::CycloneDx);
    assert_eq!(imported.batch.source().as_str(), "cyclonedx@shop");
    assert_eq!(imported.dated, "2023-11-14T00:00:00Z".parse().ok());
    assert_eq!(imported.batch.taken_at(), NOW, "it is what is so now, unless asked otherwise");
    let all = items(&imported.batch);
    let serde = all["pkg:cargo/serde@1.0.200"];
    assert_eq!(serde.kind.as_str(), "software.library");
    assert_eq!(serde.attributes[&attr::PACKAGE_NAME], Value::from("serde"));
    assert_eq!(serde.attributes["package.license"], Value::text_set(["MIT OR Apache-2.0"]));
    assert_eq!(serde.attributes["package.vulnerabilities"], Value::text_set(["CVE-2000-0001"]));
    let strengths: Vec<_> = serde.keys.iter().map(|key| (key.kind().as_str(), key.strength())).collect();
    assert_eq!(strengths, [("cpe", Strength::Ambient), ("purl", Strength::Issued)]);
    assert_eq!(all["service:payments"].kind, kind::SERVICE);
    assert_eq!(
        relations(&imported.batch),
        [
            "software.application:shop@2.1.0 depends_on pkg:cargo/serde@1.0.200",
            "software.application:shop@2.1.0 depends_on software.framework:org.example/frame@7",
            "software.application:shop@2.1.0 depends_on software.library:lonely@0.1",
            "software.framework:org.example/frame@7 depends_on service:payments",
            "software.framework:org.example/frame@7 depends_on software.library:inner@1",
        ],
        "what nothing needs is needed by the whole"
    );
    assert_eq!(
        remarks(&imported),
        [
            "shop.cdx.json:14: components[3].purl: ignored: `not a purl` is no package URL (pkg:TYPE/NAME@VERSION)",
            "shop.cdx.json:16: components[5]: refused: a component needs a name",
            "shop.cdx.json:21: dependencies[1].dependsOn[1]: dangling: `nowhere` is no component of this document; \
             the relation is not taken",
        ]
    );
    assert!(imported.batch.coverage().complete_scopes().is_empty(), "something was refused: nothing is gone");
}

#[test]
fn a_cyclonedx_document_says_the_same_as_xml() {
    let [json, xml] = ["shop.cdx.json", "shop.cdx.xml"].map(one);
    assert_eq!(xml.format, Format::CycloneDx);
    assert_eq!(xml.batch.source(), json.batch.source());
    assert_eq!(xml.dated, json.dated);
    assert_eq!(xml.batch.items(), json.batch.items());
    assert_eq!(
        remarks(&xml),
        [
            "shop.cdx.xml:31: components[3].purl: ignored: `not a purl` is no package URL (pkg:TYPE/NAME@VERSION)",
            "shop.cdx.xml:34: components[5]: refused: a component needs a name",
            "shop.cdx.xml:46: dependencies[1].dependsOn[1]: dangling: `nowhere` is no component of this document; \
             the relation is not taken",
        ]
    );
}

#[test]
fn three_forms_of_one_spdx_document_say_the_same() {
    let [tags, graph] = ["shop.spdx", "shop.spdx3.json"].map(one);
    assert_eq!(tags.batch.source(), graph.batch.source());
    assert_eq!(relations(&tags.batch), relations(&graph.batch));
    assert_eq!(
        relations(&tags.batch),
        [
            "software.application:shop@2.1.0 built_with software:cc@1.0",
            "software.application:shop@2.1.0 depends_on pkg:cargo/serde@1.0.200",
        ]
    );
    let names =
        |imported: &Imported| items(&imported.batch).keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&tags), names(&graph));
    assert_eq!(remarks(&tags).len(), 1);
    assert!(
        remarks(&tags)[0].starts_with("shop.spdx:36: relationships[3]: dangling: `SPDXRef-gone`"),
        "{:?}",
        remarks(&tags)
    );
    assert!(graph.remarks.is_empty());
    assert!(!graph.batch.coverage().complete_scopes().is_empty());
}

#[test]
fn a_bill_of_materials_in_two_formats_is_one_set_of_packages() {
    let imported = ["shop.cdx.json", "shop.spdx"].map(|name| one(name).batch);
    let cmdb = cmdb(imported);
    let view = cmdb.view();
    let serde = named(&view, "serde");
    assert_eq!(serde.sources().len(), 2);
    assert_eq!(serde.kind().as_str(), "software.library", "the more refined kind");
    assert_eq!(cmdb.explain(serde.id()).map(|why| why.merges.len()), Some(1));
}

#[test]
fn what_a_new_document_lacks_is_gone_and_the_same_one_changes_nothing() {
    let old = br#"{"bomFormat":"CycloneDX","specVersion":"1.5","metadata":{"component":{"type":"application","name":"a"}},
        "components":[{"type":"library","name":"x","purl":"pkg:npm/x@1"},{"type":"library","name":"y","purl":"pkg:npm/y@1"}]}"#;
    let new = br#"{"bomFormat":"CycloneDX","specVersion":"1.5","metadata":{"component":{"type":"application","name":"a"}},
        "components":[{"type":"library","name":"y","purl":"pkg:npm/y@1"}]}"#;
    let read = |text: &[u8], after: i64| {
        let options = Options::new(NOW + std::time::Duration::from_secs(after.unsigned_abs()));
        import(&[Document::new("a.json", text)], &options).expect("it is read").remove(0).batch
    };
    let mut cmdb = cmdb([read(old, 0)]);
    let before = cmdb.view();
    let facts = cmdb.plan(&read(old, 10), NOW + std::time::Duration::from_secs(10));
    let applied = cmdb.ingest(facts);
    assert_eq!(applied.new_facts, 1, "that it was seen again");
    let names = |view: &View| -> Vec<String> {
        let there = view.cis().filter(|ci| ci.state().is_active());
        there.map(|ci| format!("{} {:?}", ci.name(), ci.attributes())).collect()
    };
    assert_eq!(names(&before), names(&cmdb.view()));
    let facts = cmdb.plan(&read(new, 20), NOW + std::time::Duration::from_secs(20));
    cmdb.ingest(facts);
    assert!(!named(&cmdb.view(), "x").state().is_active());
    assert!(named(&cmdb.view(), "y").state().is_active());
    // A file that nobody reads again says nothing about its age.
    cmdb.expire(NOW + std::time::Duration::from_secs(400 * 86_400));
    let view = cmdb.view();
    assert!(named(&view, "y").state().is_active());
    assert!(view.relations_of(named(&view, "y").id()).all(|edge| edge.state.is_active()));
}

#[test]
fn a_catalogue_becomes_what_it_names() {
    let imported = one("catalog.yaml");
    assert_eq!((imported.format, imported.entries), (Format::Backstage, 10));
    let all = items(&imported.batch);
    let kinds: Vec<_> = all.iter().map(|(name, ci)| format!("{name} {}", ci.kind)).collect();
    assert_eq!(
        kinds,
        [
            "api:default/orders-api api",
            "component:default/orders service",
            "component:default/storefront service.web",
            "domain:default/retail business_service",
            "group:default/team-shop team",
            "location:default/more catalog",
            "resource:default/orders-db service.database",
            "system:default/shop application",
            "user:default/anna person",
        ]
    );
    let front = all["component:default/storefront"];
    assert_eq!(front.attributes[&attr::NAME], Value::from("Storefront"));
    assert_eq!(front.attributes[&attr::SERVICE_NAME], Value::from("Storefront"));
    assert_eq!(front.attributes["tags"], Value::text_set(["rust", "web"]));
    let mut expected = vec![
        "api:default/orders-api member_of system:default/shop",
        "api:default/orders-api owned_by group:default/team-shop",
        "api:default/orders-api provided_by component:default/orders",
        "component:default/orders depends_on resource:default/orders-db",
        "component:default/orders member_of component:default/storefront",
        "component:default/orders member_of system:default/shop",
        "component:default/orders owned_by user:default/anna",
        "component:default/storefront depends_on api:default/orders-api",
        "component:default/storefront depends_on component:default/orders",
        "component:default/storefront depends_on resource:default/orders-db",
        "component:default/storefront member_of system:default/shop",
        "component:default/storefront owned_by group:default/team-shop",
        "domain:default/retail owned_by group:default/leadership",
        "group:default/team-shop member_of group:default/leadership",
        "resource:default/orders-db member_of system:default/shop",
        "resource:default/orders-db owned_by group:default/team-shop",
        "system:default/shop member_of domain:default/retail",
        "system:default/shop owned_by group:default/team-shop",
        "user:default/anna member_of group:default/team-shop",
    ];
    expected.sort_unstable();
    let mut found = relations(&imported.batch);
    found.sort();
    assert_eq!(found, expected);
    let said = remarks(&imported);
    assert!(
        said.iter()
            .any(|own| own.starts_with("catalog.yaml:101: [9].kind: refused: entities of kind `Dragon`")),
        "{said:#?}"
    );
    let dangling: Vec<_> = imported.remarks.iter().filter(|own| own.verdict == Verdict::Dangling).collect();
    assert_eq!(dangling.len(), 2, "leadership is named twice and is nowhere: {said:#?}");
    assert_eq!(dangling[0].place.field.as_str(), "[0].spec.owner");
}

#[test]
fn netbox_lists_are_read_together() {
    let folder = std::fs::read_dir(data("netbox")).expect("the fixtures are there");
    let mut names: Vec<String> =
        folder.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let contents: Vec<Vec<u8>> = names.iter().map(|name| bytes(&format!("netbox/{name}"))).collect();
    let documents: Vec<Document<'_>> =
        names.iter().zip(&contents).map(|(name, content)| Document::new(name, content)).collect();
    let all = import(&documents, &Options::new(NOW)).expect("they are read");
    let [imported] = all.as_slice() else { panic!("one batch") };
    assert_eq!((imported.format, imported.entries), (Format::NetBox, 17));
    assert_eq!(imported.batch.source().as_str(), "netbox@netbox.example.com");
    let all = items(&imported.batch);
    let host = all["dcim/devices/10"];
    assert_eq!(host.kind, kind::HOST_LINUX);
    let keys: Vec<String> = host.keys.iter().map(|key| format!("{key} {:?}", key.strength())).collect();
    assert_eq!(
        keys,
        [
            "asset_tag=A-0010 Administrative",
            "fqdn=vh-1.example.com Administrative",
            "ip=192.0.2.10 Ambient",
            "mac=00:1b:44:11:3a:b7 Administrative",
            "serial=SN-VH-1 Administrative",
        ]
    );
    assert_eq!(all["dcim/devices/11"].kind.as_str(), "device.switch");
    assert_eq!(all["dcim/devices/12"].kind.as_str(), "device.power");
    let vm = all["virtualization/virtual-machines/77"];
    assert_eq!(vm.attributes[&attr::HOST_MEMORY_SIZE], Value::Int(8 << 30));
    assert!(vm.keys.iter().all(|key| key.kind().as_str() != "ip"), "an address that moves identifies nobody");
    assert!(
        vm.keys.contains(
            &Key::new(
                itom_core::key_kind::MAC,
                itom_core::Realm::GLOBAL,
                "52:54:00:aa:00:01",
                Strength::Administrative
            )
            .expect("a MAC address")
        )
    );
    let nic = all["dcim/interfaces/100"];
    assert_eq!(nic.attributes[&attr::NETWORK_INTERFACE_SPEED], Value::Int(10_000_000_000));
    assert_eq!(nic.attributes["network.interface.addresses"], Value::text_set(["192.0.2.10/24"]));
    let mut found = relations(&imported.batch);
    found.sort();
    assert_eq!(
        found,
        [
            "dcim/devices/10 contains dcim/interfaces/100",
            "dcim/devices/10 located_in dcim/racks/4",
            "dcim/devices/10 member_of virtualization/clusters/7",
            "dcim/devices/11 contains dcim/interfaces/101",
            "dcim/devices/11 located_in dcim/racks/4",
            "dcim/devices/12 located_in dcim/sites/1",
            "dcim/interfaces/100 attached_to ipam/vlans/20",
            "dcim/interfaces/100 contains ipam/ip-addresses/31",
            "dcim/interfaces/100 neighbor_of dcim/interfaces/101",
            "dcim/interfaces/101 attached_to ipam/vlans/20",
            "dcim/racks/4 located_in dcim/sites/1",
            "ipam/prefixes/5 attached_to ipam/vlans/20",
            "ipam/prefixes/5 located_in dcim/sites/1",
            "ipam/vlans/20 located_in dcim/sites/1",
            "virtualization/clusters/7 located_in dcim/sites/1",
            "virtualization/interfaces/50 contains ipam/ip-addresses/32",
            "virtualization/virtual-machines/77 contains virtualization/interfaces/50",
            "virtualization/virtual-machines/77 runs_on dcim/devices/10",
        ]
    );
    assert_eq!(imported.count(Verdict::Ignored), 1, "power cables: {:?}", remarks(imported));
    assert_eq!(imported.remarks.len(), 1);
}

#[test]
fn one_page_of_a_list_lets_nothing_go() {
    let page = br#"{"count": 900, "next": "https://n.example/api/dcim/sites/?offset=1", "results": [
        {"id": 1, "url": "https://n.example/api/dcim/sites/1/", "name": "a"}]}"#;
    let all = import(&[Document::new("sites.json", page)], &Options::new(NOW)).expect("it is read");
    assert!(all[0].batch.coverage().complete_scopes().is_empty());
    assert!(remarks(&all[0])[0].starts_with("sites.json:1: next: ignored: this is one page of the list"));
    let wrong = br#"[{"id": 1, "url": "https://n.example/api/dcim/sites/1/", "name": "a"},
        {"id": 2, "url": "https://n.example/api/dcim/racks/2/", "name": "b"}, {"name": "c"}, 7]"#;
    let all = import(&[Document::new("sites.json", wrong)], &Options::new(NOW)).expect("it is read");
    let said = remarks(&all[0]);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].contains("does not belong in a list of dcim/sites"), "{said:?}");
    let strange = br#"[{"id": 1, "url": "https://n.example/api/extras/webhooks/1/"}]"#;
    let refused = import(&[Document::new("x.json", strange)], &Options::new(NOW).format(Format::NetBox));
    let refused = refused.expect_err("such lists are not known").to_string();
    assert!(refused.starts_with("x.json:1: [0]: what the list holds is not known"), "{refused}");
}

#[test]
fn an_imported_machine_is_the_discovered_one() {
    let mut agent = Batch::new(SourceName::literal("host@vh-1"), NOW);
    agent
        .ci("host", kind::HOST_LINUX)
        .key(Key::serial("SN-VH-1").expect("a serial number"))
        .key(Key::machine_id("0123456789abcdef0123456789abcdef").expect("a machine-id"))
        .attr(attr::HOST_NAME, "vh-1");
    let contents =
        ["devices", "vminterfaces", "virtual-machines"].map(|name| bytes(&format!("netbox/{name}.json")));
    let names = ["devices.json", "vminterfaces.json", "virtual-machines.json"];
    let documents: Vec<_> = names.iter().zip(&contents).map(|(name, own)| Document::new(name, own)).collect();
    let netbox = import(&documents, &Options::new(NOW)).expect("they are read").remove(0).batch;
    // The agent of the virtual machine has its address only.
    let mut inside = Batch::new(SourceName::literal("host@web-1"), NOW);
    inside
        .ci("host", kind::HOST_LINUX)
        .key(Key::mac("52:54:00:aa:00:01").expect("a MAC address"))
        .attr(attr::HOST_NAME, "web-1");
    let sheet = one("assets.csv").batch;
    let cmdb = cmdb([agent, netbox, inside, sheet]);
    let view = cmdb.view();
    let hosts: Vec<String> = view
        .by_kind(&kind::HOST)
        .into_iter()
        .map(|ci| format!("{} {}", ci.name(), ci.sources().len()))
        .collect();
    assert!(
        hosts.contains(&"vh-1.example.com 3".to_owned()) || hosts.contains(&"vh-1 3".to_owned()),
        "{hosts:?}"
    );
}

#[test]
fn a_table_is_what_its_mapping_says() {
    let imported = one("assets.csv");
    assert_eq!(imported.entries, 6);
    let all = items(&imported.batch);
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), ["A-0010", "A-0011", "A-0012", "rack-R4"]);
    let first = all["A-0010"];
    assert_eq!(first.attributes["asset.note"], Value::from("quoted; and \"doubled\""));
    assert_eq!(first.attributes[&attr::HOST_MEMORY_SIZE], Value::Int(256 << 30));
    assert_eq!(
        first.attributes["asset.bought"],
        Value::Time("2023-04-01T00:00:00Z".parse().expect("a time"))
    );
    assert_eq!(
        relations(&imported.batch),
        [
            "A-0010 located_in rack-R4",
            "A-0011 located_in rack-R4",
            "A-0010 owned_by native=team-infra@teams",
            "A-0011 owned_by native=team-net@teams",
            "A-0012 owned_by native=team-infra@teams",
        ]
    );
    assert_eq!(
        remarks(&imported),
        [
            "assets.csv:4: Bought: ignored: `2015-02-30` is no time; the attribute `asset.bought` is not taken",
            "assets.csv:4: RAM (GB): ignored: `sixteen` is no int; the attribute `host.memory.size` is not taken",
            "assets.csv:5: Type: refused: `Toaster` means no kind of item; add it to `map`, or give a `default`",
            "assets.csv:6: refused: the row has 4 fields, the table 9 columns; is a quote or a `;` missing?",
            "assets.csv:7: Asset: duplicate: `A-0010` is there already (assets.csv:2); the first is taken",
        ]
    );
}

#[test]
fn tables_come_in_many_spellings() {
    let mapping = |more: &str| {
        let text = format!("{more}\nitems:\n  - {{kind: host, id: Id, attributes: {{name: Näme}}}}\n");
        Mapping::from_yaml("m", &text).expect("it is sound")
    };
    let name = |bytes: &[u8], more: &str| -> String {
        let options = Options::new(NOW).mapping(mapping(more));
        let all =
            import(&[Document::new("t.csv", bytes)], &options).unwrap_or_else(|error| panic!("{error}"));
        let all = items(&all[0].batch)
            .values()
            .map(|ci| ci.attributes[&attr::NAME].to_string())
            .collect::<Vec<_>>();
        all.join("|")
    };
    assert_eq!(name("Id,Näme\n1,Bär\n".as_bytes(), ""), "Bär");
    assert_eq!(name("\u{feff}Id\tNäme\r\n1\tBär\r\n".as_bytes(), ""), "Bär");
    assert_eq!(name("a heading\n# note\nId|Näme\n1|Bär\n".as_bytes(), "skip_lines: 2"), "Bär");
    assert_eq!(name(b"Id;N\xe4me\n1;B\xe4r \x80\n", "encoding: windows-1252"), "Bär €");
    assert_eq!(name(b"Id;N\xe4me\n1;B\xe4r\n", "encoding: latin-1"), "Bär");
    let wide: Vec<u8> = "\u{feff}Id,Näme\n1,Bär\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(name(&wide, ""), "Bär", "the mark says it");
    assert_eq!(name("Id,Näme\n1,'Bär, rot'\n2,x\n".as_bytes(), "quote: \"'\""), "Bär, rot|x");

    let refused = |bytes: &[u8], more: &str| {
        let options = Options::new(NOW).mapping(mapping(more));
        import(&[Document::new("t.csv", bytes)], &options).expect_err("it is refused").to_string()
    };
    assert!(
        refused(b"Id;N\xe4me\n", "").starts_with("t.csv:1: byte 4 is not UTF-8"),
        "{}",
        refused(b"Id;N\xe4me\n", "")
    );
    assert_eq!(
        refused(b"Id,Name\n", ""),
        "t.csv:1: Näme: the mapping names a column that is not there; there are: Id, Name"
    );
    assert_eq!(
        refused("Id,Näme,Id\n".as_bytes(), ""),
        "t.csv:1: Id: two columns have this name; give each its own"
    );
    assert_eq!(
        refused(&wide[..5], ""),
        "t.csv: byte 4 is not UTF-16; save the file as UTF-8, or name its encoding in the mapping of a table"
    );
}

#[test]
fn a_bad_mapping_is_refused_with_its_place() {
    for (text, says) in [
        ("items:\n  - kind: host\n", "m.yaml:2: column 5: missing field `id`"),
        (
            "items:\n  - kind: host\n    id: A\n    atributes: {}\n",
            "m.yaml:4: column 5: unknown field `atributes`",
        ),
        ("items: []\n", "m.yaml: a mapping needs `items` or `relations`"),
        (
            "delimiter: ','\nquote: ','\nitems:\n - {kind: host, id: A}\n",
            "m.yaml: `delimiter` and `quote` are",
        ),
    ] {
        let refused = Mapping::from_yaml("m.yaml", text).expect_err(text).to_string();
        assert!(refused.starts_with(says), "`{says}` is missing in: {refused}");
    }
    let mapping = mapping();
    let again = Mapping::from_yaml("again", &mapping.to_json()).expect("what is written is read");
    assert_eq!(again, mapping);
}

#[test]
fn entity_events_become_what_was_there_at_their_time() {
    let all = take("entities.otlp.json", &Options::new(NOW));
    let times: Vec<i64> = all.iter().map(|own| own.batch.taken_at().as_secs()).collect();
    assert_eq!(times, [1_700_000_000, 1_700_000_060, 1_700_000_061]);
    assert_eq!(
        relations(&all[0].batch),
        [
            "k8s.pod,k8s.pod.uid=275ecb36-5aa8-4c2a-9c47-d8bb681b9aff runs_on host,host.id=0123456789abcdef0123456789abcdef"
        ]
    );
    assert_eq!(
        remarks(&all[2]),
        [
            "entities.otlp.json:24: resourceLogs[0].scopeLogs[0].logRecords[4]: refused: an entity event needs \
          `otel.entity.id` with at least one attribute"
        ]
    );
    // An agent of ours on the same machine.
    let mut agent = Batch::new(SourceName::literal("host@web-1"), NOW);
    agent
        .ci("host", kind::HOST_LINUX)
        .key(Key::machine_id("01234567-89ab-cdef-0123-456789abcdef").expect("a machine-id"))
        .attr(attr::HOST_NAME, "web-1");
    let cmdb = cmdb(all.into_iter().map(|own| own.batch).chain([agent]));
    let view = cmdb.view();
    let host = named(&view, "web-1");
    assert_eq!(host.sources().len(), 2);
    assert_eq!(host.value(&attr::HOST_CPU_COUNT), Some(&Value::Int(8)));
    assert!(!named(&view, "shop-7").state().is_active(), "it was deleted a minute later");
    let then = cmdb.view_at(Timestamp::from_secs(1_700_000_030), NOW);
    assert!(named(&then, "shop-7").state().is_active());
}

#[test]
fn a_document_can_be_what_was_so_when_it_was_made() {
    let dated = take("shop.cdx.json", &Options::new(NOW).as_dated()).remove(0);
    assert_eq!(Some(dated.batch.taken_at()), dated.dated);
    let early = Options::new(Timestamp::from_secs(1_000_000_000)).as_dated();
    assert_eq!(take("shop.cdx.json", &early)[0].batch.taken_at(), early.now, "not from the future");
    let called = take("shop.cdx.json", &Options::new(NOW).source("build"));
    assert_eq!(called[0].batch.source().as_str(), "cyclonedx@build");
    let refused = import(&[Document::new("a", b"{}")], &Options::new(NOW).source("a b").format(Format::Otel));
    assert!(refused.expect_err("no name").to_string().contains("`a b` cannot be the name of a source"));
}

#[test]
fn formats_are_told_by_content() {
    for (name, format) in [
        ("shop.cdx.json", Some(Format::CycloneDx)),
        ("shop.cdx.xml", Some(Format::CycloneDx)),
        ("shop.spdx", Some(Format::Spdx)),
        ("shop.spdx3.json", Some(Format::Spdx)),
        ("catalog.yaml", Some(Format::Backstage)),
        ("netbox/cables.json", Some(Format::NetBox)),
        ("entities.otlp.json", Some(Format::Otel)),
        ("assets.csv", Some(Format::Csv)),
    ] {
        assert_eq!(Format::of(&Document::new(name, &bytes(name))), format, "{name}");
    }
}

/// An estate whose texts are as bad as they can be.
fn estate() -> Cmdb {
    let mut batch = Batch::new(SourceName::literal("demo"), NOW);
    let texts = [
        "plain",
        "=1+1",
        "'=1+1",
        "''",
        "-5",
        "a,b;c",
        "two\r\nlines",
        " padded ",
        "\"q\"",
        "ünï",
        "5",
        "true",
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let ci = batch.ci(format!("i{number}"), if number % 2 == 0 { kind::HOST } else { kind::SERVICE });
        ci.attr(attr::NAME, text).attr(attr::OS_VERSION, text).attr(attr::HOST_CPU_COUNT, number as i64);
        let name = itom_core::AttrName::literal("mixed");
        match number % 6 {
            0 => ci.attr(name, text),
            1 => ci.attr(name, 7_i64),
            2 => ci.attr(name, 0.5),
            3 => ci.attr(name, Value::text_set(["a", "b,c"])),
            4 => ci.attr(name, NOW),
            _ => ci.attr(name, true),
        };
        batch.relation(
            relation::DEPENDS_ON,
            format!("i{number}"),
            format!("i{}", (number + 1) % texts.len()),
        );
    }
    cmdb([batch])
}

fn document(view: &View) -> MapDocument {
    use itom_cmdb::export::{MapEdge, MapNode};
    let nodes = view.cis().map(|ci| {
        let mut node = MapNode::new(ci.id().to_string(), ci.kind().clone()).named(ci.name().clone());
        node.attributes =
            ci.attributes().iter().map(|(name, own)| (name.clone(), own.value().clone())).collect();
        node
    });
    let edges =
        view.relations().map(|own| MapEdge::new(own.kind.clone(), own.from.to_string(), own.to.to_string()));
    MapDocument::new("Estate", nodes, edges)
}

#[test]
fn what_is_exported_as_tables_is_read_back() {
    let before = document(&estate().view());
    let read = |text: String, mapping: Mapping, source: &str, after: u64| {
        let now = NOW + std::time::Duration::from_secs(after);
        let mapping = Mapping::from_yaml("map", &mapping.to_json()).expect("what is written is read");
        let options = Options::new(now).source(source).mapping(mapping);
        let imported =
            import(&[Document::new("items.csv", text.as_bytes())], &options).expect("it is read").remove(0);
        assert!(imported.remarks.is_empty(), "{:?}", imported.remarks);
        imported.batch
    };
    let items = read(before.to_items_csv(), Mapping::for_items(&before), "items", 1);
    let relations = read(before.to_relations_csv(), Mapping::for_relations(&before), "relations", 2);
    let cmdb = cmdb([items, relations]);
    let view = cmdb.view();
    // The same items, but for their ids: those follow from who names them.
    type Said = (CiKind, BTreeMap<itom_core::AttrName, Value>);
    let shape = |document: &MapDocument| -> (Vec<Said>, Vec<(RelationKind, String, String)>) {
        let name = |id: &itom_core::Text| {
            let node = document.nodes.iter().find(|node| node.id == *id).expect("both ends are there");
            format!("{:?}", node.attributes)
        };
        let mut nodes: Vec<Said> =
            document.nodes.iter().map(|node| (node.kind.clone(), node.attributes.clone())).collect();
        nodes.sort();
        let mut edges: Vec<_> =
            document.edges.iter().map(|edge| (edge.kind.clone(), name(&edge.from), name(&edge.to))).collect();
        edges.sort();
        (nodes, edges)
    };
    assert_eq!(shape(&document(&view)), shape(&before));
}

#[test]
fn what_stands_for_all_is_covered() {
    let imported = one("catalog.yaml");
    let partial = imported.batch.coverage().partial_scopes();
    let kinds: Vec<_> = partial
        .iter()
        .filter_map(|part| match part.scope.target() {
            ScopeTarget::Cis(kind) => Some(kind.clone()),
            _ => None,
        })
        .collect();
    for ci in items(&imported.batch).values() {
        assert!(kinds.iter().any(|kind| ci.kind.is_a(kind)), "{} is in no scope", ci.kind);
    }
    let keyed = imported.batch.items().iter().all(|own| match own {
        Observation::Relation(own) => matches!(own.from, Subject::Native(_)),
        _ => true,
    });
    assert!(keyed);
}
