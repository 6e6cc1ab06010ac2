//! A document as a tree that knows where each part of it stands.

use itom_core::Value;

/// A value in a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Its number in document order: what is inside of it follows it.
    pub(super) number: u32,
    /// Its line, from 1; 0 if not known.
    pub(super) line: u32,
    pub(super) data: Data,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the document; names are unique.
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(super) const fn new(line: u32, data: Data) -> Self {
        Self { number: 0, line, data }
    }

    /// A field, unless it is not there or `null`.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Data::Map(fields) = &self.data else { return None };
        let (_, node) = fields.iter().find(|(own, _)| own == name)?;
        (node.data != Data::Null).then_some(node)
    }

    /// A field of a field.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, name| node.get(name))
    }

    /// The text that it is, trimmed; `None` when it is none, or empty.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// The text of a field.
    pub(super) fn text_at(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }

    pub(super) const fn int(&self) -> Option<i64> {
        match self.data {
            Data::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The elements of a list; none for anything else.
    pub(super) fn list(&self) -> &[Self] {
        match &self.data {
            Data::List(list) => list,
            _ => &[],
        }
    }

    /// The elements of a field that is a list.
    pub(super) fn list_at(&self, name: &str) -> &[Self] {
        self.get(name).map_or(&[], Self::list)
    }

    /// The fields of a map; none for anything else.
    pub(super) fn fields(&self) -> &[(String, Self)] {
        match &self.data {
            Data::Map(fields) => fields,
            _ => &[],
        }
    }

    /// What it is, in words.
    pub(super) const fn shape(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "true or false",
            Data::Int(_) | Data::Float(_) => "a number",
            Data::Text(_) => "a text",
            Data::List(_) => "a list",
            Data::Map(_) => "named fields",
        }
    }

    /// As a value of an attribute.
    pub(super) fn value(&self) -> Value {
        match &self.data {
            Data::Null => Value::Unknown,
            Data::Bool(value) => Value::Bool(*value),
            Data::Int(value) => Value::Int(*value),
            Data::Float(value) => Value::Float(*value),
            Data::Text(text) => Value::from(text.as_str()),
            Data::List(list) => Value::List(list.iter().map(Self::value).collect()),
            Data::Map(fields) => {
                Value::Map(fields.iter().map(|(name, node)| (name.as_str().into(), node.value())).collect())
            }
        }
    }

    /// Numbers the whole tree in document order; how many there are.
    pub(super) fn count(&mut self) -> u32 {
        fn walk(node: &mut Node, next: &mut u32) {
            node.number = *next;
            *next = next.saturating_add(1);
            match &mut node.data {
                Data::List(list) => list.iter_mut().for_each(|node| walk(node, next)),
                Data::Map(fields) => fields.iter_mut().for_each(|(_, node)| walk(node, next)),
                _ => {}
            }
        }
        let mut next = 0;
        walk(self, &mut next);
        next
    }

    /// The way from here to the node of this number: `components[3].purl`.
    pub(super) fn path_to(&self, number: u32) -> String {
        let mut path = String::new();
        let mut node = self;
        while node.number < number {
            // What begins last before the number holds it.
            match &node.data {
                Data::List(list) => {
                    let at = list.partition_point(|child| child.number <= number);
                    let Some((child, index)) = at.checked_sub(1).and_then(|at| Some((list.get(at)?, at)))
                    else {
                        break;
                    };
                    path.push_str(&format!("[{index}]"));
                    node = child;
                }
                Data::Map(fields) => {
                    let at = fields.partition_point(|(_, child)| child.number <= number);
                    let Some((name, child)) = at.checked_sub(1).and_then(|at| fields.get(at)) else { break };
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.extend(name.chars().take(80));
                    node = child;
                }
                _ => break,
            }
        }
        path
    }
}
