//! dpkg's list (deb822; `/var/lib/dpkg/status`, see dpkg(1) for the states).

use super::record::{Garbage, Held, Package};
use super::stanza::{Continued, Format, Stanza};

pub(super) const FORMAT: Format =
    Format { wanted: &["Package", "Version", "Architecture", "Status", "Source"], continued: Continued::Yes };

/// The package of a stanza; none if it is not installed (removed with its configuration kept, say).
pub(super) fn package(stanza: &Stanza) -> Result<Option<Package>, Garbage> {
    let garbage = |reason| Garbage { line: stanza.line, reason };
    let name = stanza.get("Package").ok_or_else(|| garbage("it has no `Package` field"))?;
    // Distroless images have no status: what is listed is there.
    let (wish, state) = match stanza.get("Status") {
        None => (None, None),
        Some(status) => {
            let mut words = status.split_ascii_whitespace();
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some(wish), Some(_), Some(state), None) => (Some(wish), Some(state)),
                _ => return Err(garbage("its `Status` is not three words")),
            }
        }
    };
    if matches!(state, Some("not-installed" | "config-files")) {
        return Ok(None);
    }
    let version = stanza.get("Version").ok_or_else(|| garbage("it has no `Version` field"))?;
    // `Source: glibc (2.36-9)`: the version stands there only when it differs.
    let source = stanza.get("Source").and_then(|source| source.split_ascii_whitespace().next());
    Ok(Some(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        arch: stanza.get("Architecture").map(str::to_owned),
        source: source.map(str::to_owned),
        status: Some(state.unwrap_or("installed").to_owned()),
        held: match wish {
            Some("hold") => Held::Yes,
            Some(_) => Held::No,
            None => Held::Unknown,
        },
        epoch: None,
        unpacked: None,
    }))
}
