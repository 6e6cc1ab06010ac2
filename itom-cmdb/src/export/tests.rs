use std::collections::BTreeSet;

use itom_core::{CiKind, RelationKind, Text, attr, kind, relation};
use proptest::prelude::*;

use super::{MapDocument, MapEdge, MapError, MapGate, MapLayer, MapNode, MapState};
use crate::graph::Gate;
use crate::impact::naive::{any_estate, ci};

const GOLDEN: &str = include_str!("golden/map.json");

/// A shop of two machines, written as people would.
pub(crate) fn shop() -> MapDocument {
    let node = |id: &'static str, kind: CiKind, name: &'static str| MapNode::new(id, kind).named(name);
    let mut db = node("db", CiKind::literal("service.postgresql"), "orders database");
    db.attributes.insert(attr::SERVER_PORT, 5432.into());
    let mut map = MapDocument::new(
        "Shop",
        [
            node("shop", kind::BUSINESS_SERVICE, "Shop"),
            node("web", kind::SERVICE, "web"),
            db,
            node("nginx-1", kind::PROCESS, "nginx"),
            node("nginx-2", kind::PROCESS, "nginx"),
            node("host-1", kind::HOST_LINUX, "host-1.example.com"),
            node("host-2", kind::HOST_LINUX, "host-2.example.com"),
        ],
        [
            MapEdge::new(relation::DEPENDS_ON, "shop", "web"),
            MapEdge::new(relation::PROVIDED_BY, "web", "nginx-1"),
            MapEdge::new(relation::PROVIDED_BY, "web", "nginx-2"),
            MapEdge::new(relation::DEPENDS_ON, "web", "db"),
            MapEdge::new(relation::RUNS_ON, "nginx-1", "host-1"),
            MapEdge::new(relation::RUNS_ON, "nginx-2", "host-2"),
            MapEdge::new(relation::RUNS_ON, "db", "host-2"),
            MapEdge::new(relation::CONNECTS_TO, "nginx-1", "db"),
        ],
    );
    map.gates.push(MapGate { node: "web".into(), kind: relation::PROVIDED_BY, gate: Gate::KOfN(1) });
    map
}

#[test]
fn the_format_is_the_golden_one() {
    assert_eq!(shop().to_json(), GOLDEN);
    assert_eq!(MapDocument::from_json(GOLDEN).unwrap(), shop());
}

#[test]
fn a_failure_colours_the_map() {
    let map = shop();
    let graph = map.to_graph().unwrap();
    let failed = map.nodes[5].ci();
    let coloured = map.with_impact(&graph.impact(&BTreeSet::from([failed])));
    let states: Vec<MapState> = coloured.nodes.iter().map(|node| node.state).collect();
    use MapState::{AtRisk, Down, Failed, Up};
    assert_eq!(states, [Up, AtRisk, Up, Down, Up, Failed, Up]);
}

#[test]
fn what_is_wrong_is_said() {
    let check = |json: &str, expected: &str| {
        assert_eq!(MapDocument::from_json(json).unwrap_err().to_string(), expected);
    };
    check("{", "cannot read the map; it should be JSON as `MapDocument::to_json` writes it");
    check(
        r#"{"format":"itom.map/9"}"#,
        "cannot read the map: its format is `itom.map/9`, this software reads `itom.map/1`",
    );
    check(
        r#"{"format":"itom.map/1","nodes":[{"id":"a","kind":"host"},{"id":"a","kind":"host"}]}"#,
        "cannot read the map: two nodes have the id `a`; give each its own",
    );
    check(
        r#"{"format":"itom.map/1","nodes":[{"id":"a","kind":"host"}],"edges":[{"kind":"runs_on","from":"a","to":"b"}]}"#,
        "cannot read the map: relation `runs_on` a → b names node `b`, which is not among the nodes; add it or correct the id",
    );
    assert!(matches!(MapDocument::from_json("[]"), Err(MapError::Json(_))));
}

/// A checker of well-formedness, far smaller than XML but strict in what the writers use: the names of open elements,
/// quoted attributes, known entities, no stray characters. Gives the texts found.
fn read_xml(xml: &str) -> Result<Vec<String>, String> {
    let mut open: Vec<&str> = Vec::new();
    let mut texts = Vec::new();
    let mut rest = xml;
    let unescape = |text: &str| -> Result<String, String> {
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('&') {
            plain.push_str(&rest[..at]);
            let end = rest[at..].find(';').ok_or(format!("bare & in {text:?}"))? + at;
            plain.push(match &rest[at + 1..end] {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "#39" => '\'',
                other => return Err(format!("entity {other}")),
            });
            rest = &rest[end + 1..];
        }
        plain.push_str(rest);
        if plain.chars().any(|found| found.is_control() && found != '\n') {
            return Err(format!("control character in {text:?}"));
        }
        Ok(plain)
    };
    while let Some(at) = rest.find('<') {
        texts.push(unescape(&rest[..at])?);
        // Quotes may hold anything but `<`.
        let (mut end, mut quoted) = (None, false);
        for (index, found) in rest[at..].char_indices().skip(1) {
            match found {
                '"' => quoted = !quoted,
                '<' => return Err(format!("< inside a tag at {:?}", &rest[at..at + index])),
                '>' if !quoted => {
                    end = Some(at + index);
                    break;
                }
                _ => {}
            }
        }
        let end = end.ok_or("a tag without end")?;
        let tag = &rest[at + 1..end];
        let values: Vec<&str> = tag.split('"').skip(1).step_by(2).collect();
        values.into_iter().try_for_each(|value| unescape(value).map(|_| ()))?;
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes nothing"));
            }
        } else if !tag.starts_with('?') && !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap_or_default());
        }
        rest = &rest[end + 1..];
    }
    if open.is_empty() { Ok(texts) } else { Err(format!("{open:?} left open")) }
}

/// Reads the quoted strings of DOT back.
fn read_dot_strings(dot: &str) -> Option<Vec<String>> {
    let mut strings = Vec::new();
    let mut chars = dot.chars();
    while let Some(found) = chars.next() {
        if found == '"' {
            let mut text = String::new();
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => text.push(chars.next()?),
                    '\n' => return None,
                    other => text.push(other),
                }
            }
            strings.push(text);
        }
    }
    Some(strings)
}

fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[<>&\"'\\\\;#@\\]\\[{}/a-z!-]{0,24}",
        Just("</script><script>alert(1)</script>".to_owned()),
        Just("]]><!-- --> @@DATA@@ \\\" \u{2028}".to_owned()),
    ]
}

proptest! {
    #[test]
    fn any_names_keep_every_syntax_whole(title in nasty(), names in proptest::collection::vec(nasty(), 1..6)) {
        let nodes: Vec<MapNode> = names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let mut node = MapNode::new(format!("{at}{name}"), kind::SERVICE).named(name.as_str());
                node.attributes.insert(attr::NAME, name.as_str().into());
                node
            })
            .collect();
        let edges: Vec<MapEdge> =
            nodes.windows(2).map(|two| MapEdge::new(relation::DEPENDS_ON, two[0].id.clone(), two[1].id.clone())).collect();
        let map = MapDocument::new(title.as_str(), nodes, edges);
        prop_assert_eq!(&MapDocument::from_json(&map.to_json()).unwrap(), &map);

        let clean = |text: &str| text.replace(|found: char| found.is_control(), " ");
        let strings = read_dot_strings(&map.to_dot());
        prop_assert!(strings.is_some());
        let strings = strings.unwrap();
        prop_assert!(names.iter().all(|name| strings.contains(&clean(name))));

        let graphml = read_xml(&map.to_graphml());
        prop_assert!(graphml.is_ok(), "{graphml:?}");
        let svg = read_xml(&map.to_svg());
        prop_assert!(svg.is_ok(), "{svg:?}");

        for line in map.to_mermaid().lines().filter(|line| line.contains("[\"")) {
            prop_assert!(line.matches('"').count() == 2 && line.ends_with("\"]"), "{}", line);
        }

        let html = map.to_html();
        prop_assert_eq!(html.matches("<script").count(), 3);
        prop_assert_eq!(html.matches("</script>").count(), 3);
        prop_assert!(!html.contains("<!--"));
        let json = html.split("id=\"map\">").nth(1).and_then(|rest| rest.split("</script>").next()).unwrap();
        prop_assert_eq!(MapDocument::from_json(json).unwrap(), map);
    }

    #[test]
    fn l10_any_text_is_read_or_refused(text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = MapDocument::from_json(&text);
        let _ = MapDocument::from_json(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn l1_a_map_gives_back_its_graph(estate in any_estate()) {
        let graph = estate.graph();
        let map = MapDocument::from_graph("x", &graph);
        let again = MapDocument::from_json(&map.to_json()).unwrap().to_graph().unwrap();
        prop_assert_eq!(again.cis(), graph.cis());
        prop_assert_eq!(again.relations(), graph.relations());
        prop_assert_eq!(again.own_gates(), graph.own_gates());
        let failed = BTreeSet::from([ci(0)]);
        prop_assert_eq!(again.impact(&failed), graph.impact(&failed));
    }

    #[test]
    fn boxes_do_not_overlap(estate in any_estate()) {
        let map = MapDocument::from_graph("x", &estate.graph());
        let drawn = super::layout::layout(&map);
        for (at, a) in drawn.places.iter().enumerate() {
            prop_assert!(a.0 >= 0.0 && a.0 + super::layout::NODE_WIDTH <= drawn.width);
            for b in &drawn.places[..at] {
                let apart = (a.0 - b.0).abs() >= super::layout::NODE_WIDTH
                    || (a.1 - b.1).abs() >= super::layout::NODE_HEIGHT;
                prop_assert!(apart, "{a:?} {b:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_line_runs_behind_a_box(estate in any_estate(), seed in 0..50_u64) {
        let large = crate::testing::estate::generate(seed, crate::testing::estate::EstateSize { cis: 80, relations: 160 });
        for graph in [estate.graph(), large.graph().unwrap()] {
            let map = MapDocument::from_graph("x", &graph);
            let drawn = super::layout::layout(&map);
            let rows = super::route::Rows::new(&drawn);
            for (lane, (from, to, _)) in map.placed_edges().into_iter().enumerate() {
                let (start, end) = (drawn.places[from], drawn.places[to]);
                if start.1 == end.1 {
                    continue;
                }
                let pieces = rows.way(start, end, lane);
                let behind = |(x, y): (f64, f64)| {
                    drawn.places.iter().enumerate().any(|(at, (left, top))| {
                        ![from, to].contains(&at)
                            && *left < x && x < left + super::layout::NODE_WIDTH
                            && *top < y && y < top + super::layout::NODE_HEIGHT
                    })
                };
                for [a, b] in &pieces {
                    // Straight down a gap, all the way.
                    prop_assert_eq!(a.0, b.0);
                    for step in 0..=8 {
                        prop_assert!(!behind((a.0, a.1 + (b.1 - a.1) * f64::from(step) / 8.0)));
                    }
                }
                // Between the pieces the line stays between their ends' heights, where no box is.
                for two in pieces.windows(2) {
                    let (low, high) = (two[0][1].1.min(two[1][0].1), two[0][1].1.max(two[1][0].1));
                    let hit = drawn.places.iter().any(|(_, top)| *top + super::layout::NODE_HEIGHT > low && *top < high);
                    prop_assert!(!hit, "{low} {high}");
                }
            }
        }
    }
}

#[test]
fn tables_and_cytoscape_hold_what_the_map_holds() {
    let mut map = shop();
    map.nodes[0].name = Some("=cmd|' /C calc'!A0, \"quoted\"\n".into());
    let items = map.to_items_csv();
    assert_eq!(items.lines().next(), Some("id,name,kind,layer,state,server.port"));
    assert!(items.contains("\"'=cmd|' /C calc'!A0, \"\"quoted\"\"\n\""), "{items}");
    assert!(items.contains("db,orders database,service.postgresql,Services,up,5432\r\n"));
    let relations = shop().to_relations_csv();
    assert_eq!(relations.lines().count(), map.edges.len() + 1);
    assert!(relations.contains("runs_on,nginx-1,nginx,host-1,host-1.example.com\r\n"));
    let json: serde_json::Value = serde_json::from_str(&map.to_cytoscape()).unwrap();
    let elements = &json["elements"];
    assert_eq!(elements["nodes"].as_array().map(Vec::len), Some(map.nodes.len()));
    assert_eq!(elements["edges"].as_array().map(Vec::len), Some(map.edges.len()));
    assert_eq!(elements["edges"][0]["data"]["source"], "shop");
    assert_eq!(elements["nodes"][2]["data"]["attributes"]["server.port"], 5432);
}

#[test]
fn layers_follow_kinds() {
    assert_eq!(MapLayer::of(&CiKind::literal("service.postgresql")), MapLayer::Service);
    assert_eq!(MapLayer::of(&kind::NETWORK_SUBNET), MapLayer::Network);
    assert_eq!(MapLayer::of(&CiKind::literal("hostel")), MapLayer::Other);
    let node = MapNode::new("x", kind::HOST);
    assert_eq!((node.label(), node.drawn_in()), ("x", MapLayer::Host));
    let unknown =
        MapDocument::new("x", [node], [MapEdge::new(RelationKind::literal("a"), "x", Text::literal("y"))]);
    assert!(unknown.to_graph().is_err());
    assert!(!unknown.to_dot().contains("->"), "an edge to nowhere is not drawn");
}

/// Writes a larger map where a person can look at it: `ITOM_MAP_OUT=dir cargo test -p itom-cmdb draw`.
#[test]
fn draw_an_estate_for_a_look() {
    let estate =
        crate::testing::estate::generate(3, crate::testing::estate::EstateSize { cis: 260, relations: 420 });
    let graph = estate.graph().unwrap();
    let failed = BTreeSet::from([estate.cis[10].0]);
    let impact = graph.impact(&failed);
    let map = MapDocument::from_graph("An estate", &graph).with_hubs(14).with_impact(&impact);
    let (svg, html) = (map.to_svg(), map.to_html());
    assert_eq!(svg, map.to_svg());
    assert!(read_xml(&svg).is_ok());
    if let Some(dir) = std::env::var_os("ITOM_MAP_OUT") {
        let dir = std::path::PathBuf::from(dir);
        std::fs::write(dir.join("map.svg"), svg).unwrap();
        std::fs::write(dir.join("map.html"), html).unwrap();
    }
}
