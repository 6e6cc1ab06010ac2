//! SPDX as lines of tags and values, into the tree that the same document has as JSON.
//!
//! Source: <https://spdx.github.io/spdx-spec/v2.3/>.

use super::draft::cut;
use super::json::Refusal;
use super::tree::{Data, Node};
use super::{Limits, Problem};

type Fields = Vec<(String, Node)>;

/// A package while its lines are read.
struct Open {
    line: u32,
    fields: Fields,
    references: Vec<Node>,
    checksums: Vec<Node>,
}

impl Open {
    fn close(mut self) -> Node {
        self.fields.push(("externalRefs".to_owned(), Node::new(self.line, Data::List(self.references))));
        self.fields.push(("checksums".to_owned(), Node::new(self.line, Data::List(self.checksums))));
        Node::new(self.line, Data::Map(self.fields))
    }
}

fn leaf(line: u32, text: &str) -> Node {
    Node::new(line, Data::Text(text.to_owned()))
}

fn map(line: u32, fields: &[(&str, &str)]) -> Node {
    Node::new(
        line,
        Data::Map(fields.iter().map(|(name, text)| ((*name).to_owned(), leaf(line, text))).collect()),
    )
}

fn refuse(line: u32, reason: String) -> Refusal {
    Refusal { line, column: 0, problem: Problem::Syntax(reason) }
}

/// The field of a package that a tag is.
fn field(tag: &str) -> Option<&'static str> {
    Some(match tag {
        "PackageVersion" => "versionInfo",
        "PackageSupplier" => "supplier",
        "PackageLicenseConcluded" => "licenseConcluded",
        "PackageLicenseDeclared" => "licenseDeclared",
        "PackageDescription" => "description",
        "PackageSummary" => "summary",
        "PrimaryPackagePurpose" => "primaryPackagePurpose",
        _ => return None,
    })
}

pub(super) fn read(text: &str, limits: &Limits) -> Result<Node, Refusal> {
    let mut head: Fields = Vec::new();
    let mut packages: Vec<Node> = Vec::new();
    let mut relations: Vec<Node> = Vec::new();
    let mut open: Option<Open> = None;
    // A file or snippet is described: its id is not that of the package.
    let mut elsewhere = false;
    let mut lines = text.lines().enumerate();
    let mut values = 0_usize;
    while let Some((index, line)) = lines.next() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        values += 1;
        if values > limits.values {
            let problem = Problem::TooLarge { what: "values", limit: limits.values };
            return Err(Refusal { line: number, column: 0, problem });
        }
        let Some((tag, value)) = line.split_once(':') else {
            return Err(refuse(number, format!("expected `Tag: value`, found `{}`", cut(line))));
        };
        let mut value = value.trim().to_owned();
        if let Some(rest) = value.strip_prefix("<text>") {
            let mut long = rest.to_owned();
            while !long.contains("</text>") {
                let Some((_, more)) = lines.next() else {
                    return Err(refuse(number, "`<text>` has no `</text>`".to_owned()));
                };
                long.push('\n');
                long.push_str(more);
            }
            value = long.split("</text>").next().unwrap_or_default().to_owned();
        }
        match tag.trim() {
            "PackageName" => {
                packages.extend(open.take().map(Open::close));
                let fields = vec![("name".to_owned(), leaf(number, &value))];
                open = Some(Open { line: number, fields, references: Vec::new(), checksums: Vec::new() });
                elsewhere = false;
            }
            "FileName" | "SnippetSPDXID" | "LicenseID" => elsewhere = true,
            "SPDXID" if !elsewhere => {
                let fields = open.as_mut().map_or(&mut head, |own| &mut own.fields);
                fields.push(("SPDXID".to_owned(), leaf(number, &value)));
            }
            "SPDXVersion" => head.push(("spdxVersion".to_owned(), leaf(number, &value))),
            "DocumentName" => head.push(("name".to_owned(), leaf(number, &value))),
            "Created" => head.push(("creationInfo".to_owned(), map(number, &[("created", &value)]))),
            "Relationship" => {
                let mut words = value.split_whitespace();
                let (Some(from), Some(how), Some(to)) = (words.next(), words.next(), words.next()) else {
                    return Err(refuse(number, "a relationship is `id TYPE id`".to_owned()));
                };
                let fields = [("spdxElementId", from), ("relationshipType", how), ("relatedSpdxElement", to)];
                relations.push(map(number, &fields));
            }
            "ExternalRef" => {
                let mut words = value.split_whitespace().skip(1);
                if let (Some(own), Some(kind), Some(locator)) = (open.as_mut(), words.next(), words.next()) {
                    own.references
                        .push(map(number, &[("referenceType", kind), ("referenceLocator", locator)]));
                }
            }
            "PackageChecksum" => {
                if let (Some(own), Some((algorithm, sum))) = (open.as_mut(), value.split_once(':')) {
                    let fields = [("algorithm", algorithm.trim()), ("checksumValue", sum.trim())];
                    own.checksums.push(map(number, &fields));
                }
            }
            tag => {
                if let (Some(name), Some(own)) = (field(tag), open.as_mut()) {
                    own.fields.push((name.to_owned(), leaf(number, &value)));
                }
            }
        }
    }
    packages.extend(open.take().map(Open::close));
    head.push(("packages".to_owned(), Node::new(1, Data::List(packages))));
    head.push(("relationships".to_owned(), Node::new(1, Data::List(relations))));
    let mut root = Node::new(1, Data::Map(head));
    root.count();
    Ok(root)
}
