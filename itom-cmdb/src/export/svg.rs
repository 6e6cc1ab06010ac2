//! A picture: SVG 1.1 without scripts or outside references.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::escape::{shorten, xml};
use super::layout::{Layout, NODE_HEIGHT, NODE_WIDTH, layout};
use super::route::{Point, Rows};
use super::{MapDocument, MapLayer, MapNode, MapState};
use crate::graph::{Flow, Gate};

/// Colours that are told apart by most eyes (Okabe and Ito), for kinds of relation.
const KIND_COLOURS: [&str; 8] =
    ["#0072b2", "#009e73", "#cc79a7", "#d55e00", "#8c6d1f", "#56a4d8", "#7a5195", "#5f6b7a"];

const fn layer_colour(layer: MapLayer) -> &'static str {
    match layer {
        MapLayer::Business => "#7a5195",
        MapLayer::Application => "#3f6fb5",
        MapLayer::Service => "#0e8f7e",
        MapLayer::Process => "#6b9e2f",
        MapLayer::Host => "#b58a17",
        MapLayer::Network => "#c4622d",
        MapLayer::Storage => "#a34a62",
        MapLayer::Place => "#68707c",
        MapLayer::Software => "#4d7c8a",
        MapLayer::Other => "#8a8f98",
    }
}

const STYLE: &str = "
text{font-family:Inter,'Segoe UI','Helvetica Neue',Helvetica,Arial,sans-serif;fill:#1f2733}
.title{font-size:20px;font-weight:600}.note{font-size:11px;fill:#6a7482}
.band{fill:#f5f7fa}.layer{font-size:12px;font-weight:600;fill:#5a6473}
.box{fill:#fff;stroke:#c9d1db}.name{font-size:12.5px;font-weight:600}.kind{font-size:10.5px;fill:#6a7482}
.edge{fill:none;stroke-width:1.4;stroke-opacity:.62}.edge.silent{stroke-dasharray:4 3;stroke-opacity:.38}.edge.tohub{stroke-opacity:.13}
.hubmark{fill:#5a6473}.hubcount{font-size:9.5px;font-weight:600;fill:#fff;text-anchor:middle}
.at_risk .box{fill:#fdf6d8;stroke:#c9a400}.degraded .box{fill:#fde6c6;stroke:#d98a1f}
.down .box{fill:#fbd5d1;stroke:#d9453a}.failed .box{fill:#c7372c;stroke:#8f1d14}
.failed .name,.failed .kind{fill:#fff}
";

impl MapDocument {
    /// The map as a picture: layers from business to places, what is needed below what needs it.
    ///
    /// The same document gives the same picture. It is meant for what a person can look at, up to some hundreds of items.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let drawn = layout(self);
        let kinds: Vec<&str> =
            self.edges.iter().map(|edge| edge.kind.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
        let legend = 34.0 + 22.0 * (kinds.len() as f64 / 6.0).ceil();
        let (width, height) = (drawn.width, drawn.height + legend);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n<defs>\n",
            xml(&self.title)
        );
        for (number, _) in kinds.iter().enumerate() {
            let colour = KIND_COLOURS[number % KIND_COLOURS.len()];
            let _ = writeln!(
                out,
                "<marker id=\"arrow{number}\" viewBox=\"0 0 8 8\" refX=\"7.4\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0.8L8 4L0 7.2Z\" fill=\"{colour}\"/></marker>"
            );
        }
        out.push_str("</defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
        let _ = writeln!(
            out,
            "<text class=\"title\" x=\"20\" y=\"34\">{}</text>",
            xml(&shorten(&self.title, 80))
        );
        for (layer, top, tall) in &drawn.bands {
            let (colour, middle) = (layer_colour(*layer), top + tall / 2.0 + 4.0);
            let _ = writeln!(
                out,
                "<g class=\"layerband\" data-layer=\"{0}\" data-top=\"{top:.1}\" data-tall=\"{tall:.1}\"><rect class=\"band\" x=\"14\" y=\"{top:.1}\" width=\"{1:.1}\" height=\"{tall:.1}\" rx=\"10\"/><rect class=\"rim\" x=\"14\" y=\"{top:.1}\" width=\"5\" height=\"{tall:.1}\" rx=\"2.5\" fill=\"{colour}\"/><text class=\"layer\" x=\"30\" y=\"{middle:.1}\">{0}</text></g>",
                layer.title(),
                width - 28.0,
            );
        }
        self.draw_edges(&mut out, &drawn, &kinds);
        let mut used = vec![0_usize; self.nodes.len()];
        for (from, to, _) in self.placed_edges() {
            used[from] += 1;
            used[to] += 1;
        }
        for ((node, (x, y)), used) in self.nodes.iter().zip(&drawn.places).zip(used) {
            draw_node(&mut out, node, (*x, *y), used);
        }
        draw_legend(&mut out, &kinds, drawn.height + 6.0);
        out.push_str("</svg>\n");
        out
    }

    fn draw_edges(&self, out: &mut String, drawn: &Layout, kinds: &[&str]) {
        out.push_str("<g id=\"edges\">\n");
        let rows = Rows::new(drawn);
        let mut edges = self.placed_edges();
        // What says nothing about failure goes below what does.
        edges.sort_by_key(|(_, _, edge)| self.model.spec(&edge.kind).flow != Flow::None);
        for (lane, (from, to, edge)) in edges.into_iter().enumerate() {
            let number = kinds.binary_search(&edge.kind.as_str()).unwrap_or(0);
            let colour = KIND_COLOURS[number % KIND_COLOURS.len()];
            let silent = if self.model.spec(&edge.kind).flow == Flow::None { " silent" } else { "" };
            let hub = if self.nodes[from].hub || self.nodes[to].hub { " tohub" } else { "" };
            let hint = xml(&format!("{} {} {}", self.nodes[from].label(), edge.kind, self.nodes[to].label()));
            let way = line(&rows, drawn.places[from], drawn.places[to], lane);
            let _ = writeln!(
                out,
                "<path class=\"edge{silent}{hub}\" data-from=\"{from}\" data-to=\"{to}\" stroke=\"{colour}\" marker-end=\"url(#arrow{number})\" d=\"{way}\"><title>{hint}</title></path>"
            );
        }
        out.push_str("</g>\n");
    }
}

/// From the edge of one box to the edge of another, around the boxes between.
fn line(rows: &Rows, from: Point, to: Point, lane: usize) -> String {
    if from.1 == to.1 {
        return arc(from, to);
    }
    let pieces = rows.way(from, to, lane);
    let mut way = String::new();
    let mut at: Option<Point> = None;
    for [start, end] in pieces {
        match at {
            None => {
                let _ = write!(way, "M{:.1} {:.1}", start.0, start.1);
            }
            Some((x, y)) => {
                let middle = (y + start.1) / 2.0;
                let _ = write!(
                    way,
                    "C{x:.1} {middle:.1} {:.1} {middle:.1} {:.1} {:.1}",
                    start.0, start.0, start.1
                );
            }
        }
        if start != end {
            let _ = write!(way, "L{:.1} {:.1}", end.0, end.1);
        }
        at = Some(end);
    }
    way
}

/// Neighbours in a row are joined by an arc above it.
fn arc((x1, y): Point, (x2, _): Point) -> String {
    let (from, to) = (x1 + NODE_WIDTH / 2.0, x2 + NODE_WIDTH / 2.0);
    let lean = ((to - from) / 18.0).clamp(-NODE_WIDTH / 3.0, NODE_WIDTH / 3.0);
    let (start, end) = (from + lean, to - lean);
    let rise = y - 14.0 - ((to - from).abs() / 40.0).min(14.0);
    format!("M{start:.1} {y:.1}C{start:.1} {rise:.1} {end:.1} {rise:.1} {end:.1} {y:.1}")
}

fn draw_node(out: &mut String, node: &MapNode, (x, y): Point, used: usize) {
    let colour = layer_colour(node.drawn_in());
    // What so much uses wears a badge with how many relations it has, since they are hardly drawn.
    let hub = if node.hub {
        let (left, top) = (x + NODE_WIDTH - 30.0, y - 7.0);
        format!(
            "<rect class=\"hubmark\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"34\" height=\"14\" rx=\"7\"/><text class=\"hubcount\" x=\"{:.1}\" y=\"{:.1}\">{used}</text>",
            left + 17.0,
            top + 10.2,
        )
    } else {
        String::new()
    };
    let mut hint = format!("{}\n{}", node.label(), node.kind);
    for (name, value) in node.attributes.iter().take(20) {
        let _ = write!(hint, "\n{name}: {}", serde_json::to_string(value).unwrap_or_default());
    }
    // Line breaks are wanted in hints; everything else is made safe line by line.
    let hint: Vec<String> = hint.lines().map(xml).collect();
    let _ = writeln!(
        out,
        "<g class=\"node {}\" data-id=\"{}\" data-y=\"{y:.1}\" data-layer=\"{}\"><title>{}</title><rect class=\"box\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{NODE_WIDTH}\" height=\"{NODE_HEIGHT}\" rx=\"7\"/><rect x=\"{:.1}\" y=\"{:.1}\" width=\"4\" height=\"{:.1}\" rx=\"2\" fill=\"{colour}\"/><text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text><text class=\"kind\" x=\"{:.1}\" y=\"{:.1}\">{}</text>{hub}</g>",
        node.state.name(),
        xml(&node.id),
        node.drawn_in().title(),
        hint.join("\n"),
        x + 6.0,
        y + 7.0,
        NODE_HEIGHT - 14.0,
        x + 17.0,
        y + 20.0,
        xml(&shorten(node.label(), 19)),
        x + 17.0,
        y + 35.5,
        xml(&shorten(node.kind.as_str(), 24)),
    );
}

fn draw_legend(out: &mut String, kinds: &[&str], top: f64) {
    out.push_str("<g id=\"legend\">\n");
    let states = [MapState::Failed, MapState::Down, MapState::Degraded, MapState::AtRisk, MapState::Up];
    for (number, state) in states.into_iter().enumerate() {
        let (x, y) = (20.0 + 110.0 * number as f64, top);
        let name = state.name().replace('_', " ");
        let _ = writeln!(
            out,
            "<g class=\"{}\"><rect class=\"box\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"22\" height=\"13\" rx=\"3\"/></g><text class=\"note\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            state.name(),
            x + 28.0,
            y + 10.5
        );
    }
    for (number, kind) in kinds.iter().enumerate() {
        let (x, y) = (20.0 + 170.0 * (number % 6) as f64, top + 30.0 + 22.0 * (number / 6) as f64);
        let colour = KIND_COLOURS[number % KIND_COLOURS.len()];
        let _ = writeln!(
            out,
            "<path class=\"edge\" stroke=\"{colour}\" marker-end=\"url(#arrow{number})\" d=\"M{x:.1} {y:.1}h26\"/><text class=\"note\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + 33.0,
            y + 4.0,
            xml(&shorten(kind, 24))
        );
    }
    out.push_str("</g>\n");
}

/// The gate as the page's script reads it: how many of how many must stand, by weight.
pub(super) fn gate_for_page(gate: &Gate) -> serde_json::Value {
    match gate {
        Gate::All => serde_json::json!({"all": true}),
        Gate::Any => serde_json::json!({"needed": 1}),
        Gate::KOfN(needed) => serde_json::json!({"needed": needed}),
        Gate::Weighted { threshold, weights } => serde_json::json!({
            "needed": threshold,
            "weights": weights.iter().map(|(ci, weight)| (ci.to_string(), weight)).collect::<std::collections::BTreeMap<_, _>>(),
        }),
    }
}
