//! What a document is.

use super::{Document, Format, ImportError, Options, Place, Problem};

/// The text without its byte-order mark.
pub(super) fn utf8<'a>(document: &Document<'a>) -> Result<&'a str, ImportError> {
    let bytes = document.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document.bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let byte = document.bytes.len() - bytes.len() + error.valid_up_to();
        ImportError {
            place: Place::line(document.name, u32::try_from(line).unwrap_or(0)),
            problem: Problem::Encoding { encoding: "UTF-8", byte },
        }
    })
}

/// Whether a text is JSON rather than YAML or lines of tags.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// Whether a text is XML rather than JSON.
pub(super) fn is_xml(text: &str) -> bool {
    text.trim_start().starts_with('<')
}

/// As [`detect`]; with a mapping, what is nothing else is a table.
pub(super) fn with_mapping(document: &Document<'_>, options: &Options) -> Option<Format> {
    detect(document).or_else(|| options.mapping.is_some().then_some(Format::Csv))
}

/// How much of a document is looked at.
const HEAD: usize = 256 << 10;

pub(super) fn detect(document: &Document<'_>) -> Option<Format> {
    let bytes = document.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document.bytes);
    let head = String::from_utf8_lossy(bytes.get(..HEAD.min(bytes.len()))?);
    // A name that only stands far behind: tools that sort the fields of a document put it last.
    let tail = String::from_utf8_lossy(bytes.get(bytes.len().saturating_sub(HEAD)..)?);
    let has = |name: &str| head.contains(name) || tail.contains(name);
    let json = is_json(&head);
    if json && has("\"bomFormat\"") && has("CycloneDX")
        || is_xml(&head) && head.contains("cyclonedx.org/schema/bom/")
    {
        return Some(Format::CycloneDx);
    }
    if json && (has("\"spdxVersion\"") || has("\"software_Package\"") || has("spdx.org/rdf/3"))
        || !json && head.contains("SPDXVersion:")
    {
        return Some(Format::Spdx);
    }
    if json && has("\"resourceLogs\"") {
        return Some(Format::Otel);
    }
    let backstage = has("backstage.io/v1");
    if json && backstage && has("\"metadata\"") || !json && (backstage || is_catalog(&head)) {
        return Some(Format::Backstage);
    }
    if json
        && (has("/api/dcim/") || has("/api/ipam/") || has("/api/virtualization/")
        // A list without objects names no address.
        || has("\"results\"") && super::netbox::names_a_list(document.stem()))
    {
        return Some(Format::NetBox);
    }
    let end = document.name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    matches!(end.as_str(), "csv" | "tsv").then_some(Format::Csv)
}

/// Whether YAML looks like an entity of a catalogue that forgot its version.
fn is_catalog(head: &str) -> bool {
    let starts = |name: &str| head.lines().any(|line| line.starts_with(name));
    starts("kind:") && starts("metadata:") && starts("spec:") && !starts("apiVersion:")
}
