//! OpenTelemetry entity events: OTLP/JSON log records that say what entities there are.
//!
//! Source: OTEP 256 "Entities Data Model" and the `entity` events of the semantic conventions. Both spellings are read:
//! attributes `otel.entity.event.type`, `otel.entity.type`, … and event names `entity.state`, `entity.delete` with
//! attributes `entity.type`, `entity.id`, ….

use std::collections::BTreeMap;

use itom_core::{
    AttrName, CiKind, Key, KeyKind, Realm, RelationKind, Retraction, Strength, Text, Timestamp, Value, attr,
    key_kind, kind, relation,
};

use super::draft::{Draft, cut};
use super::tree::{Data, Node};
use super::{Document, Format, ImportError, Imported, Options, source};

/// Most events in one file at different times: each time is a run of its own.
const MAX_TIMES: usize = 100_000;

pub(super) fn read(
    document: &Document<'_>,
    root: &Node,
    options: &Options,
) -> Result<Vec<Imported>, ImportError> {
    let source = source(document, Format::Otel, options, None)?;
    let make = || Draft::new(document.name, Some(root), Format::Otel, source.clone(), options.limits);
    let mut rest = make();
    let Some(resources) = root.get("resourceLogs").filter(|node| matches!(node.data, Data::List(_))) else {
        return Err(rest.shape(root, "`resourceLogs` should be a list"));
    };
    let mut runs: BTreeMap<Timestamp, Vec<&Node>> = BTreeMap::new();
    for resource in resources.list() {
        let scopes = resource.get("scopeLogs").or_else(|| resource.get("instrumentationLibraryLogs"));
        for record in scopes.map_or(&[][..], Node::list).iter().flat_map(|scope| scope.list_at("logRecords"))
        {
            let at = [record.get("timeUnixNano"), record.get("observedTimeUnixNano")]
                .into_iter()
                .flatten()
                .find_map(nanoseconds)
                // A record from the future is one whose clock is wrong.
                .filter(|at| *at <= options.now)
                .unwrap_or(options.now);
            runs.entry(at).or_default().push(record);
        }
    }
    if runs.len() > MAX_TIMES {
        let problem = super::Problem::TooLarge { what: "different times", limit: MAX_TIMES };
        return Err(rest.error(root, problem));
    }
    let mut all = Vec::new();
    for (at, records) in runs {
        let mut draft = make();
        let mut gone = Vec::new();
        for record in records {
            event(&mut draft, record, &mut gone);
        }
        let entries = draft.entries;
        // An event is about one entity and says nothing about others: no scope is complete.
        let mut imported = draft.finish(at, [], true);
        for native in gone {
            imported.batch.retract(Retraction::Ci(native));
        }
        if entries > 0 || !imported.remarks.is_empty() {
            all.push(imported);
        }
    }
    if all.is_empty() {
        rest.entries = 0;
        all.push(rest.finish(options.now, [], true));
    }
    Ok(all)
}

/// Nanoseconds since 1970 as OTLP/JSON writes 64-bit numbers: as a text, mostly.
fn nanoseconds(node: &Node) -> Option<Timestamp> {
    let nanos = node.int().or_else(|| node.text()?.parse().ok())?;
    (nanos > 0).then(|| Timestamp::from_micros(nanos / 1000))
}

/// A value of OTLP: `{"stringValue": "x"}` and so on.
fn plain(node: &Node) -> Option<Value> {
    let (name, value) = node.fields().first()?;
    Some(match name.as_str() {
        "stringValue" | "bytesValue" => Value::from(match &value.data {
            Data::Text(text) => text.as_str(),
            _ => return None,
        }),
        "boolValue" => match value.data {
            Data::Bool(own) => Value::Bool(own),
            _ => return None,
        },
        "intValue" => Value::Int(value.int().or_else(|| value.text()?.parse().ok())?),
        "doubleValue" => match value.data {
            Data::Float(own) => Value::Float(own),
            Data::Int(own) => Value::Float(own as f64),
            _ => Value::Float(value.text()?.parse().ok()?),
        },
        "arrayValue" => Value::List(value.list_at("values").iter().map(plain).collect::<Option<_>>()?),
        "kvlistValue" => {
            Value::Map(pairs(value.list_at("values")).map(|(name, own)| (name.into(), own)).collect())
        }
        _ => return None,
    })
}

fn pairs(list: &[Node]) -> impl Iterator<Item = (&str, Value)> {
    list.iter().filter_map(|pair| Some((pair.text_at("key")?, plain(pair.get("value")?)?)))
}

/// The attribute of a record with the first of these names.
fn find<'a>(record: &'a Node, names: &[&str]) -> Option<&'a Node> {
    let list = record.list_at("attributes");
    names.iter().find_map(|name| {
        list.iter().find(|pair| pair.text_at("key") == Some(*name)).and_then(|pair| pair.get("value"))
    })
}

fn event<'a>(draft: &mut Draft<'a>, record: &'a Node, gone: &mut Vec<Text>) {
    let told = find(record, &["otel.entity.event.type"]).and_then(|node| node.text_at("stringValue"));
    let named = record.text_at("eventName");
    let deleted = match told.or(named) {
        Some("entity_state" | "entity.state") => false,
        Some("entity_delete" | "entity.delete") => true,
        Some(other) if told.is_some() => {
            draft.entries += 1;
            return draft.refuse(record, format!("`{}` is no kind of entity event", cut(other)));
        }
        // Another log record.
        _ => return,
    };
    draft.entries += 1;
    let Some(entity) =
        find(record, &["otel.entity.type", "entity.type"]).and_then(|node| node.text_at("stringValue"))
    else {
        return draft.refuse(record, "an entity event needs `otel.entity.type`");
    };
    let Some(id) = find(record, &["otel.entity.id", "entity.id"]).and_then(identity) else {
        return draft.refuse(record, "an entity event needs `otel.entity.id` with at least one attribute");
    };
    let native = native(entity, &id);
    if deleted {
        gone.push(native);
        return;
    }
    let Some(kind) = kind_of(entity) else {
        return draft.refuse(record, format!("`{}` cannot be a kind of item", cut(entity)));
    };
    if let Some(ci) = draft.item(record, native.clone(), kind.clone()) {
        if let Some(key) = key(&kind, &id) {
            ci.key(key);
        }
        let described = find(record, &["otel.entity.attributes", "entity.description", "entity.attributes"]);
        let described = described.map(|node| node.at(&["kvlistValue", "values"]).map_or(&[][..], Node::list));
        let own = id.iter().map(|(name, value)| (name.as_str(), value.clone()));
        for (name, value) in own.chain(pairs(described.unwrap_or_default())) {
            if let Ok(name) = AttrName::new(name) {
                ci.attr(name, value);
            }
        }
        let name = NAMES.iter().find_map(|name| ci.attributes.get(*name).cloned());
        if let Some(name) = name {
            ci.attributes.entry(attr::NAME).or_insert(name);
        }
    }
    let related = find(record, &["otel.entity.relationships", "entity.relationships"]);
    for one in related.map_or(&[][..], |node| node.at(&["arrayValue", "values"]).map_or(&[][..], Node::list))
    {
        let fields = one.at(&["kvlistValue", "values"]).map_or(&[][..], Node::list);
        let field = |names: &[&str]| {
            names.iter().find_map(|name| {
                fields
                    .iter()
                    .find(|pair| pair.text_at("key") == Some(*name))
                    .and_then(|pair| pair.get("value"))
            })
        };
        let how = field(&["relationship.type", "type"]).and_then(|node| node.text_at("stringValue"));
        let entity = field(&["entity.type"]).and_then(|node| node.text_at("stringValue"));
        let id = field(&["entity.id"]).and_then(identity);
        let (Some(how), Some(entity), Some(id)) = (how, entity, id) else {
            draft.ignore(one, "a relationship needs `relationship.type`, `entity.type` and `entity.id`");
            continue;
        };
        let Some(kind) = relation_of(how) else {
            draft.ignore(one, format!("`{}` cannot be a kind of relation", cut(how)));
            continue;
        };
        draft.relation(one, kind, native.clone(), self::native(entity, &id));
    }
}

/// Which attributes people call an entity by, best first.
const NAMES: [&str; 9] = [
    "host.name",
    "service.name",
    "container.name",
    "k8s.pod.name",
    "k8s.node.name",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "process.executable.name",
    "telemetry.sdk.name",
];

fn identity(node: &Node) -> Option<BTreeMap<String, Value>> {
    let list = node.at(&["kvlistValue", "values"])?.list();
    let all: BTreeMap<String, Value> = pairs(list).map(|(name, value)| (name.to_owned(), value)).collect();
    (!all.is_empty()).then_some(all)
}

/// The id of an entity within its source: its type and what identifies it, sorted.
fn native(entity: &str, id: &BTreeMap<String, Value>) -> Text {
    let mut text = entity.to_owned();
    for (name, value) in id {
        text.push_str(&format!(",{name}={value}"));
    }
    Text::from(text)
}

fn kind_of(entity: &str) -> Option<CiKind> {
    Some(match entity {
        "host" => kind::HOST,
        "service" | "service.instance" => kind::SERVICE,
        "process" => kind::PROCESS,
        "container" => kind::CONTAINER,
        "k8s.deployment" => CiKind::literal("k8s.workload.deployment"),
        "k8s.statefulset" => CiKind::literal("k8s.workload.statefulset"),
        "k8s.daemonset" => CiKind::literal("k8s.workload.daemonset"),
        "k8s.job" | "k8s.cronjob" => CiKind::literal("k8s.workload.job"),
        "k8s.replicaset" => CiKind::literal("k8s.workload"),
        "container.image" => CiKind::literal("container_image"),
        other => CiKind::new(other).ok()?,
    })
}

/// The key that others know the entity by. An id of several attributes is known to its source only.
fn key(kind: &CiKind, id: &BTreeMap<String, Value>) -> Option<Key> {
    let one = |name: &str| (id.len() == 1).then(|| id.get(name)).flatten().and_then(Value::as_text);
    let issued = |kind: KeyKind, value: &str| Key::new(kind, Realm::GLOBAL, value, Strength::Issued).ok();
    if kind.is_a(&kind::HOST) {
        let id = one("host.id")?;
        // A machine-id where there is one; else what a cloud gives.
        return Key::machine_id(id).ok().or_else(|| issued(key_kind::CLOUD_INSTANCE, id));
    }
    if *kind == kind::CONTAINER {
        return issued(key_kind::CONTAINER_ID, one("container.id")?);
    }
    let (name, uid) = id.first_key_value().filter(|_| id.len() == 1)?;
    if name.starts_with("k8s.") && name.ends_with(".uid") {
        return issued(key_kind::K8S_UID, uid.as_text()?);
    }
    None
}

fn relation_of(how: &str) -> Option<RelationKind> {
    Some(match how {
        "runs_on" | "scheduled_on" | "hosted_on" => relation::RUNS_ON,
        "depends_on" | "calls" | "uses" => relation::DEPENDS_ON,
        "contains" | "has" => relation::CONTAINS,
        "part_of" | "member_of" | "belongs_to" => relation::MEMBER_OF,
        "located_in" => relation::LOCATED_IN,
        "manages" => RelationKind::literal("manages"),
        "managed_by" => relation::MANAGED_BY,
        other => RelationKind::new(other.to_lowercase()).ok()?,
    })
}
