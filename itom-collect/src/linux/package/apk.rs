//! apk's list (`/lib/apk/db/installed`; one-letter fields, see apk-package(5)).

use super::record::{Garbage, Held, Package};
use super::stanza::{Continued, Format, Stanza};

pub(super) const FORMAT: Format = Format { wanted: &["P", "V", "A", "o"], continued: Continued::No };

pub(super) fn package(stanza: &Stanza) -> Result<Option<Package>, Garbage> {
    let garbage = |reason| Garbage { line: stanza.line, reason };
    let name = stanza.get("P").ok_or_else(|| garbage("it has no `P` (package) field"))?;
    let version = stanza.get("V").ok_or_else(|| garbage("it has no `V` (version) field"))?;
    Ok(Some(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        arch: stanza.get("A").map(str::to_owned),
        source: stanza.get("o").filter(|origin| *origin != name).map(str::to_owned),
        status: Some("installed".to_owned()),
        held: Held::Unknown,
        epoch: None,
        unpacked: None,
    }))
}
