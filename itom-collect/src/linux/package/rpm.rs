//! rpm's list, as `rpm -qa` prints it in our format.

use itom_core::Timestamp;

use super::record::{Garbage, Held, Package};

/// Fields parted by tabs, one package a line.
pub(super) const QUERY_FORMAT: &str =
    "%{NAME}\\t%{EPOCH}\\t%{VERSION}\\t%{RELEASE}\\t%{ARCH}\\t%{SOURCERPM}\\t%{INSTALLTIME}\\n";

/// The packages of the output; `found` gets each.
pub(super) fn packages(output: &[u8], mut found: impl FnMut(Result<Package, Garbage>)) {
    for (line, number) in output.split(|byte| *byte == b'\n').zip(1_u64..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match package(line) {
            Ok(Some(package)) => found(Ok(package)),
            Ok(None) => {}
            Err(reason) => found(Err(Garbage { line: number, reason })),
        }
    }
}

fn package(line: &[u8]) -> Result<Option<Package>, &'static str> {
    let Ok(line) = std::str::from_utf8(line) else { return Err("it is not UTF-8") };
    let mut fields = line.split('\t');
    let (
        Some(name),
        Some(epoch),
        Some(version),
        Some(release),
        Some(arch),
        Some(source),
        Some(installed),
        None,
    ) = (
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
    )
    else {
        return Err("it has not seven fields");
    };
    // The keys that packages are signed with are listed like packages.
    if name == "gpg-pubkey" {
        return Ok(None);
    }
    let given =
        |field: &str| if field.is_empty() || field == "(none)" { None } else { Some(field.to_owned()) };
    let epoch = match given(epoch) {
        None => None,
        Some(epoch) => Some(epoch.parse().map_err(|_| "its epoch is not a number")?),
    };
    let unpacked = match given(installed) {
        None => None,
        Some(seconds) => Some(Timestamp::from_secs(
            seconds.parse().map_err(|_| "its time of installation is not a number")?,
        )),
    };
    let (Some(name), Some(version), Some(release)) = (given(name), given(version), given(release)) else {
        return Err("it has no name, version or release");
    };
    Ok(Some(Package {
        source: given(source).and_then(|source| source_name(&source)).filter(|source| *source != name),
        name,
        version: format!("{version}-{release}"),
        arch: given(arch),
        status: Some("installed".to_owned()),
        held: Held::Unknown,
        epoch,
        unpacked,
    }))
}

/// `openssl-3.0.7-24.el9.src.rpm` → `openssl`.
fn source_name(file: &str) -> Option<String> {
    let stem = file.strip_suffix(".src.rpm").or_else(|| file.strip_suffix(".nosrc.rpm"))?;
    let (rest, _release) = stem.rsplit_once('-')?;
    let (name, _version) = rest.rsplit_once('-')?;
    Some(name.to_owned())
}
