//! CycloneDX as XML (<https://cyclonedx.org/docs/1.6/xml/>), led to the form that it has as JSON.

use roxmltree::{Document, Error, ParsingOptions};

use super::json::Refusal;
use super::tree::{Data, Node};
use super::{Limits, Problem};

/// The namespaces of CycloneDX, but for the version at the end.
const NAMESPACE: &str = "http://cyclonedx.org/schema/bom/";

/// Elements that are lists in JSON: what stands in them are the entries.
const LISTS: &[&str] = &[
    "affects",
    "components",
    "dependencies",
    "endpoints",
    "hashes",
    "licenses",
    "services",
    "vulnerabilities",
];

pub(super) fn read(text: &str, limits: &Limits) -> Result<Node, Refusal> {
    // Without a document type nothing can be defined, so that nothing unfolds into more than the text has.
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: u32::try_from(limits.values).unwrap_or(u32::MAX),
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).map_err(|error| refusal(&error, limits))?;
    let root = document.root_element();
    let mut reader = Reader { text: text.as_bytes(), at: 0, line: 1, limits };
    let line = reader.line_of(root);
    let mut fields = vec![];
    if let Some(version) = namespace(root).strip_prefix(NAMESPACE).filter(|_| root.tag_name().name() == "bom")
    {
        fields.push(("bomFormat".to_owned(), Node::new(line, Data::Text("CycloneDX".to_owned()))));
        fields.push(("specVersion".to_owned(), Node::new(line, Data::Text(version.to_owned()))));
    }
    reader.fields(root, &mut fields, 1)?;
    let mut node = Node::new(line, Data::Map(fields));
    node.count();
    Ok(node)
}

fn namespace<'a>(element: roxmltree::Node<'a, '_>) -> &'a str {
    element.tag_name().namespace().unwrap_or_default()
}

fn refusal(error: &Error, limits: &Limits) -> Refusal {
    let at = error.pos();
    let problem = match error {
        Error::NodesLimitReached => Problem::TooLarge { what: "values", limit: limits.values },
        other => Problem::Syntax(other.to_string().chars().take(300).collect()),
    };
    Refusal { line: at.row, column: at.col, problem }
}

struct Reader<'a> {
    text: &'a [u8],
    /// Up to where lines are counted: elements come in the order of the text.
    at: usize,
    line: u32,
    limits: &'a Limits,
}

impl Reader<'_> {
    fn line_of(&mut self, element: roxmltree::Node<'_, '_>) -> u32 {
        let start = element.range().start;
        let passed = self.text.get(self.at..start).unwrap_or_default();
        let lines = passed.iter().filter(|byte| **byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.at = self.at.max(start);
        self.line
    }

    /// The attributes and the elements within, each name once: the first counts.
    fn fields(
        &mut self,
        element: roxmltree::Node<'_, '_>,
        fields: &mut Vec<(String, Node)>,
        depth: usize,
    ) -> Result<(), Refusal> {
        let line = self.line_of(element);
        let known = |fields: &[(String, Node)], name: &str| fields.iter().any(|(own, _)| own == name);
        for attribute in element.attributes().filter(|own| own.namespace().is_none()) {
            if !known(fields, attribute.name()) {
                let value = Node::new(line, Data::Text(attribute.value().to_owned()));
                fields.push((attribute.name().to_owned(), value));
            }
        }
        for inner in own_elements(element) {
            let name = inner.tag_name().name();
            if !known(fields, name) {
                let node = self.node(inner, depth + 1)?;
                fields.push((name.to_owned(), node));
            }
        }
        Ok(())
    }

    fn node(&mut self, element: roxmltree::Node<'_, '_>, depth: usize) -> Result<Node, Refusal> {
        let line = self.line_of(element);
        if depth > self.limits.depth {
            let problem = Problem::TooLarge { what: "levels within each other", limit: self.limits.depth };
            return Err(Refusal { line, column: 0, problem });
        }
        if LISTS.contains(&element.tag_name().name()) {
            let mut list = Vec::new();
            for entry in own_elements(element) {
                list.push(self.entry(entry, depth + 1)?);
            }
            return Ok(Node::new(line, Data::List(list)));
        }
        let mut fields = Vec::new();
        self.fields(element, &mut fields, depth)?;
        Ok(Node::new(line, if fields.is_empty() { Data::Text(text(element)) } else { Data::Map(fields) }))
    }

    /// An entry of a list.
    fn entry(&mut self, element: roxmltree::Node<'_, '_>, depth: usize) -> Result<Node, Refusal> {
        let line = self.line_of(element);
        let text_node = |text: &str| Node::new(line, Data::Text(text.to_owned()));
        let name = element.tag_name().name();
        let data = match name {
            // A license and an expression of licenses stand beside each other: JSON tells them apart by the field.
            "license" | "expression" => Data::Map(vec![(name.to_owned(), self.node(element, depth)?)]),
            "hash" => Data::Map(vec![
                ("alg".to_owned(), text_node(element.attribute("alg").unwrap_or_default())),
                ("content".to_owned(), text_node(&text(element))),
            ]),
            "dependency" => {
                let mut needed = Vec::new();
                for inner in own_elements(element).filter(|inner| inner.tag_name().name() == "dependency") {
                    let reference = inner.attribute("ref").unwrap_or_default();
                    needed.push(Node::new(self.line_of(inner), Data::Text(reference.to_owned())));
                }
                Data::Map(vec![
                    ("ref".to_owned(), text_node(element.attribute("ref").unwrap_or_default())),
                    ("dependsOn".to_owned(), Node::new(line, Data::List(needed))),
                ])
            }
            _ => return self.node(element, depth),
        };
        Ok(Node::new(line, data))
    }
}

/// The elements within that are of the same vocabulary: others may extend it.
fn own_elements<'a, 'input>(
    element: roxmltree::Node<'a, 'input>,
) -> impl Iterator<Item = roxmltree::Node<'a, 'input>> {
    let own = namespace(element);
    element.children().filter(move |inner| inner.is_element() && namespace(*inner) == own)
}

/// The text of an element, with what comments and sections cut apart.
fn text(element: roxmltree::Node<'_, '_>) -> String {
    element.children().filter(|inner| inner.is_text()).filter_map(|inner| inner.text()).collect()
}
