//! Files of other tools taken in: bytes in, a [`Batch`] of observations or an error with its place out.
//!
//! | [`Format`] | what is read |
//! |---|---|
//! | `cyclonedx` | software bills of materials, CycloneDX 1.2 to 1.7 as JSON or XML |
//! | `spdx` | software bills of materials, SPDX 2.2 and 2.3 as JSON and as tag-value text, SPDX 3.0 as JSON-LD |
//! | `backstage` | catalogues of Backstage, YAML with several documents or the JSON of its API |
//! | `netbox` | lists as the REST API of NetBox gives them; several files are read together |
//! | `csv` | tables, with a [`Mapping`] that says what the columns mean |
//! | `otel` | OpenTelemetry entity events, OTLP/JSON log records |
//!
//! An importer is a pure function; it opens nothing and asks nobody the time. What is wrong with a whole document is an
//! [`ImportError`]; what is wrong with one entry of it is a [`Remark`], and the rest is taken. Both name file, line and
//! field. What a document leaves out is gone from its source: the batch says which scopes were read completely, and a
//! refused entry makes them partial.
//!
//! ```
//! use itom_cmdb::import::{Document, Format, Options, import};
//! use itom_core::Timestamp;
//!
//! let catalog = b"kind: Component\nmetadata: {name: shop}\nspec: {type: service, owner: team-a}\n";
//! let options = Options::new(Timestamp::from_secs(1_700_000_000));
//! let imported = import(&[Document::new("catalog.yaml", catalog)], &options)?;
//! assert_eq!(imported[0].format, Format::Backstage);
//! assert_eq!(imported[0].batch.items().len(), 2, "a component and who owns it");
//! # Ok::<(), itom_cmdb::import::ImportError>(())
//! ```

mod backstage;
mod csv;
mod cyclonedx;
mod detect;
mod draft;
mod json;
mod netbox;
mod otel;
mod package;
mod purl;
mod spdx;
mod tags;
mod tree;
mod xml;
mod yaml;

#[cfg(test)]
mod tests;

use std::fmt;

use itom_core::{Batch, Classify, ErrorKind, SourceName, Text, Timestamp};
use serde::{Deserialize, Serialize};

pub use csv::Mapping;

use tree::Node;

/// What a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// CycloneDX, a software bill of materials.
    CycloneDx,
    /// SPDX, a software bill of materials.
    Spdx,
    /// A catalogue of Backstage.
    Backstage,
    /// Lists of NetBox.
    NetBox,
    /// A table.
    Csv,
    /// OpenTelemetry entity events.
    Otel,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::CycloneDx, Self::Spdx, Self::Backstage, Self::NetBox, Self::Csv, Self::Otel];

    /// The name, which is the family of its sources too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CycloneDx => "cyclonedx",
            Self::Spdx => "spdx",
            Self::Backstage => "backstage",
            Self::NetBox => "netbox",
            Self::Csv => "csv",
            Self::Otel => "otel",
        }
    }

    /// The format of a document, by its content and, where that says nothing, the end of its name.
    #[must_use]
    pub fn of(document: &Document<'_>) -> Option<Self> {
        detect::detect(document)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| format!("there is no format `{text}`; there are {known}"))
    }
}

/// A file in memory.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Document<'a> {
    /// What it is called in errors.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

impl<'a> Document<'a> {
    /// A file in memory.
    #[must_use]
    pub const fn new(name: &'a str, bytes: &'a [u8]) -> Self {
        Self { name, bytes }
    }

    /// The name without folders and without what follows the first point.
    fn stem(&self) -> &'a str {
        let file = self.name.rsplit(['/', '\\']).next().unwrap_or(self.name);
        file.split('.').find(|part| !part.is_empty()).unwrap_or(file)
    }
}

/// How much a document may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most bytes. 256 MiB by default.
    pub bytes: usize,
    /// Most levels within each other. 64 by default.
    pub depth: usize,
    /// Most values: texts, numbers, lists, names of fields. 8 million by default.
    pub values: usize,
    /// Most items and relations. 1 million by default.
    pub items: usize,
    /// Most remarks kept; further ones are counted. 1,000 by default.
    pub remarks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 256 << 20, depth: 64, values: 8_000_000, items: 1_000_000, remarks: 1_000 }
    }
}

impl Limits {
    /// At most so many bytes.
    #[must_use]
    pub const fn bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// At most so many remarks are kept; refusals are kept before others.
    #[must_use]
    pub const fn remarks(self, remarks: usize) -> Self {
        Self { remarks, ..self }
    }

    /// At most so many items and relations.
    #[must_use]
    pub const fn items(self, items: usize) -> Self {
        Self { items, ..self }
    }
}

/// How documents are taken in.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// When the documents are read.
    pub now: Timestamp,
    /// What their source is called after the name of the format: `assets` makes `csv@assets`. What a document says about
    /// itself, else its file name, if not given.
    pub source: Option<Text>,
    /// The format; found out for each document if not given.
    pub format: Option<Format>,
    /// Take a document for what was so when it was made, where it says when, rather than for what is so now. A document
    /// that was changed afterwards without a new time is then not seen to have changed.
    pub as_dated: bool,
    /// What the columns of tables mean.
    pub mapping: Option<Mapping>,
    /// How much a document may hold.
    pub limits: Limits,
}

impl Options {
    /// Documents are what is so at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { now, source: None, format: None, as_dated: false, mapping: None, limits: Limits::default() }
    }

    /// The source is called so.
    #[must_use]
    pub fn source(self, source: impl Into<Text>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// All documents are of this format.
    #[must_use]
    pub fn format(self, format: Format) -> Self {
        Self { format: Some(format), ..self }
    }

    /// Documents are what was so when they were made.
    #[must_use]
    pub fn as_dated(self) -> Self {
        Self { as_dated: true, ..self }
    }

    /// What the columns of tables mean.
    #[must_use]
    pub fn mapping(self, mapping: Mapping) -> Self {
        Self { mapping: Some(mapping), ..self }
    }

    /// How much a document may hold.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Place {
    /// The file, as the caller named it.
    pub file: Text,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The field, as a path of names (`components[3].purl`), or the column of a table.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub field: Text,
}

fn is_empty(text: &Text) -> bool {
    text.is_empty()
}

impl Place {
    fn file(file: &str) -> Self {
        Self { file: file.into(), line: None, field: Text::default() }
    }

    fn line(file: &str, line: u32) -> Self {
        Self { line: (line > 0).then_some(line), ..Self::file(file) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        Ok(())
    }
}

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
#[non_exhaustive]
pub struct ImportError {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It is not text in the encoding it should be in.
    #[error(
        "byte {byte} is not {encoding}; save the file as UTF-8, or name its encoding in the mapping of a table"
    )]
    Encoding {
        /// The encoding.
        encoding: &'static str,
        /// The position of the first byte that does not fit.
        byte: usize,
    },
    /// It cannot be read as data.
    #[error("{0}")]
    Syntax(String),
    /// It is larger than a document may be.
    #[error("it has more than {limit} {what}; split it, or raise the limit")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
    /// It is of no format that is known.
    #[error(
        "its format is not known; name it: cyclonedx, spdx, backstage, netbox, csv (with a mapping) or otel"
    )]
    UnknownFormat,
    /// It is of a version that is not known.
    #[error("{format} version `{found}` is not known; {known} are")]
    UnknownVersion {
        /// The format.
        format: Format,
        /// What the document says.
        found: String,
        /// What is read.
        known: &'static str,
    },
    /// It is data, and not what the format says.
    #[error("{0}")]
    Shape(String),
    /// A table without a mapping.
    #[error("a table needs a mapping that says what its columns mean")]
    NoMapping,
    /// The name of the source cannot be one.
    #[error("`{0}` cannot be the name of a source: give printable characters without spaces")]
    Source(String),
}

impl Classify for ImportError {
    fn kind(&self) -> ErrorKind {
        match self.problem {
            Problem::TooLarge { .. } => ErrorKind::Exhausted,
            Problem::UnknownFormat | Problem::UnknownVersion { .. } => ErrorKind::Unsupported,
            _ => ErrorKind::Invalid,
        }
    }
}

/// What became of an entry that is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verdict {
    /// The entry was not taken: nothing is believed gone that it could have named.
    Refused,
    /// A part of it was not taken.
    Ignored,
    /// It names what is in no document that was read; a later one may hold it.
    Dangling,
    /// It was there before in the same run; the first was taken.
    Duplicate,
}

impl Verdict {
    /// The name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Ignored => "ignored",
            Self::Dangling => "dangling",
            Self::Duplicate => "duplicate",
        }
    }
}

/// One thing in a document that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Remark {
    /// What became of it.
    pub verdict: Verdict,
    /// Where it stands.
    pub place: Place,
    /// What is wrong, and what to do about it.
    pub reason: Text,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.verdict.name(), self.reason)
    }
}

/// What was made of one document, or of several of one source.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Imported {
    /// The documents, as the caller named them.
    pub files: Vec<Text>,
    /// Their format.
    pub format: Format,
    /// The observations.
    pub batch: Batch,
    /// When the document says it was made.
    pub dated: Option<Timestamp>,
    /// Entries read, taken or not: components, packages, entities, objects, rows, events.
    pub entries: usize,
    /// What is not as it should be, in the order of the document.
    pub remarks: Vec<Remark>,
    /// How many remarks were not kept.
    pub more_remarks: usize,
}

impl Imported {
    /// How many remarks of this kind are kept.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.remarks.iter().filter(|remark| remark.verdict == verdict).count()
    }
}

/// Takes documents in: one result for each document, but for NetBox, whose lists refer to each other and are read
/// together, and for entity events, which give one for each time. Results of one source have times that rise.
///
/// # Errors
/// [`ImportError`] for the first document that cannot be read at all; none is taken then.
pub fn import(documents: &[Document<'_>], options: &Options) -> Result<Vec<Imported>, ImportError> {
    let mut all = Vec::new();
    let mut lists = Vec::new();
    for document in documents {
        let refuse = |problem| ImportError { place: Place::file(document.name), problem };
        if document.bytes.len() > options.limits.bytes {
            return Err(refuse(Problem::TooLarge { what: "bytes", limit: options.limits.bytes }));
        }
        let Some(format) = options.format.or_else(|| detect::with_mapping(document, options)) else {
            return Err(refuse(Problem::UnknownFormat));
        };
        if format == Format::NetBox {
            lists.push(*document);
            continue;
        }
        if format == Format::Csv {
            let mapping = options.mapping.as_ref().ok_or_else(|| refuse(Problem::NoMapping))?;
            all.push(csv::read(document, mapping, options)?);
            continue;
        }
        let root = parse(document, format, options)?;
        match format {
            Format::CycloneDx => all.push(cyclonedx::read(document, &root, options)?),
            Format::Spdx => all.push(spdx::read(document, &root, options)?),
            Format::Backstage => all.push(backstage::read(document, &root, options)?),
            Format::Otel => all.extend(otel::read(document, &root, options)?),
            Format::NetBox | Format::Csv => {}
        }
    }
    if !lists.is_empty() {
        all.push(netbox::read(&lists, options)?);
    }
    Ok(all)
}

fn parse(document: &Document<'_>, format: Format, options: &Options) -> Result<Node, ImportError> {
    let text = detect::utf8(document)?;
    let read = match format {
        Format::Spdx if !detect::is_json(text) => tags::read(text, &options.limits),
        Format::Backstage if !detect::is_json(text) => yaml::read(text, &options.limits),
        Format::CycloneDx if detect::is_xml(text) => xml::read(text, &options.limits),
        _ => json::read(text, &options.limits),
    };
    read.map_err(|refusal| {
        let mut place = Place::line(document.name, refusal.line);
        if refusal.column > 0 {
            place.field = Text::from(format!("column {}", refusal.column));
        }
        ImportError { place, problem: refusal.problem }
    })
}

/// The name of a source of this format.
fn source(
    document: &Document<'_>,
    format: Format,
    options: &Options,
    own: Option<&str>,
) -> Result<SourceName, ImportError> {
    let visible = |name: &str| -> String {
        name.chars().filter(|c| !c.is_whitespace() && !c.is_control()).take(120).collect()
    };
    let name = match &options.source {
        Some(name) => name.to_string(),
        None => own.map(visible).filter(|own| !own.is_empty()).unwrap_or_else(|| visible(document.stem())),
    };
    let refuse = || ImportError {
        place: Place::file(document.name),
        problem: Problem::Source(name.chars().take(80).collect()),
    };
    if name.is_empty() {
        return SourceName::new(format.name()).map_err(|_| refuse());
    }
    SourceName::new(format!("{format}@{name}")).map_err(|_| refuse())
}
