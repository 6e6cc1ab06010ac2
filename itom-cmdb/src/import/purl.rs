//! Package URLs and CPE names as keys of software.
//!
//! Sources: <https://github.com/package-url/purl-spec> and NIST IR 7695 (CPE 2.3, formatted strings).

use std::fmt::Write as _;

use itom_core::{Key, KeyError, KeyKind, Realm, Strength, key_kind};

/// A name of the Common Platform Enumeration.
pub(super) const CPE: KeyKind = KeyKind::literal("cpe");
/// The tag id of a software identification tag (ISO/IEC 19770-2).
pub(super) const SWID: KeyKind = KeyKind::literal("swid");

/// Qualifiers that describe where a package was found or comes from, and do not tell one package from another. Tools
/// disagree about them.
const DESCRIPTIVE: &[&str] = &[
    "checksum",
    "distro",
    "download_url",
    "file_name",
    "last_modified",
    "package-id",
    "upstream",
    "vcs_url",
];

/// Types whose names are written in lower case.
const LOWER: &[&str] =
    &["alpm", "apk", "bitbucket", "composer", "deb", "github", "gitlab", "hex", "npm", "oci", "pypi"];

/// A package URL in its canonical form, without what does not tell packages apart; `None` when it is none.
pub(super) fn canonical(purl: &str) -> Option<String> {
    let scheme = purl.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("pkg:"))?;
    let rest = purl.get(scheme.len()..)?.trim_start_matches('/');
    let (rest, subpath) = rest.split_once('#').map_or((rest, ""), |(rest, path)| (rest, path));
    let (rest, qualifiers) = rest.split_once('?').map_or((rest, ""), |(rest, list)| (rest, list));
    let (kind, path) = rest.split_once('/')?;
    let kind = kind.to_ascii_lowercase();
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
    if kind.is_empty() || !kind.chars().all(fine) {
        return None;
    }
    // A version follows the last `@`; one at the beginning of a segment is a scope of npm that was not encoded.
    let (path, version) = match path.rsplit_once('@') {
        Some((path, version)) if !path.is_empty() && !path.ends_with('/') => (path, Some(version)),
        _ => (path, None),
    };
    let segments: Vec<String> =
        path.split('/').filter(|part| !part.is_empty()).map(decoded).collect::<Option<_>>()?;
    let (name, namespace) = segments.split_last()?;
    let mut out = format!("pkg:{kind}");
    for part in namespace {
        out.push('/');
        encode(&mut out, &cased(&kind, part));
    }
    out.push('/');
    let name = cased(&kind, name);
    encode(&mut out, &if kind == "pypi" { name.replace('_', "-") } else { name });
    if let Some(version) = version.map(decoded) {
        out.push('@');
        encode(&mut out, &version?);
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in qualifiers.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.to_ascii_lowercase(), decoded(value)?);
        if !value.is_empty() && !DESCRIPTIVE.contains(&name.as_str()) {
            pairs.push((name, value));
        }
    }
    pairs.sort();
    for (number, (name, value)) in pairs.iter().enumerate() {
        let _ = write!(out, "{}{name}=", if number == 0 { '?' } else { '&' });
        encode(&mut out, value);
    }
    let inside: Vec<&str> = subpath.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect();
    for (number, part) in inside.into_iter().enumerate() {
        out.push(if number == 0 { '#' } else { '/' });
        encode(&mut out, &decoded(part)?);
    }
    Some(out)
}

fn cased(kind: &str, text: &str) -> String {
    if LOWER.contains(&kind) { text.to_lowercase() } else { text.to_owned() }
}

/// The key that a package URL is, unique everywhere: a package in a version is the same wherever it is used.
pub(super) fn key(canonical: &str) -> Result<Key, KeyError> {
    Key::new(key_kind::PURL, Realm::GLOBAL, canonical, Strength::Issued)
}

/// A CPE name, 2.2 or 2.3, that says at least vendor, product and version; others fit too much.
pub(super) fn cpe(name: &str, alone: bool) -> Option<Key> {
    let lower = name.trim().to_ascii_lowercase();
    let parts: Vec<&str> = if lower.starts_with("cpe:2.3:") {
        lower.split(':').skip(2).collect()
    } else {
        lower.strip_prefix("cpe:/")?.split(':').collect()
    };
    let says = |at: usize| parts.get(at).is_some_and(|part| !matches!(*part, "" | "*" | "-"));
    if !(says(0) && says(1) && says(2) && says(3)) {
        return None;
    }
    // Several packages of one product have one name: it joins only what has nothing better.
    let strength = if alone { Strength::Administrative } else { Strength::Ambient };
    Key::new(CPE, Realm::GLOBAL, &lower, strength).ok()
}

fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let (high, low) = (rest.next().and_then(digit)?, rest.next().and_then(digit)?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encodes all but letters, digits, `.`, `-`, `_`, `~` and the colon.
fn encode(into: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b':') {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_package_are_one_key() {
        for (spelled, same) in [
            ("pkg:npm/%40opentelemetry/api@1.10.0", "pkg:npm/@opentelemetry/api@1.10.0"),
            ("pkg:PyPI/Jinja2@3.1.6", "pkg:pypi/jinja2@3.1.6"),
            ("pkg:pypi/typing_extensions@4", "pkg:pypi/typing-extensions@4"),
            ("pkg:deb/debian/curl@7.88?distro=debian-12&arch=amd64", "pkg:deb/debian/curl@7.88?arch=amd64"),
            (
                "pkg://golang/google.golang.org/genproto@v0.1#/googleapis/api/",
                "pkg:golang/google.golang.org/genproto@v0.1#googleapis/api",
            ),
            ("pkg:deb/debian/libstdc%2B%2B6@12%2B1", "pkg:deb/debian/libstdc++6@12+1"),
        ] {
            assert_eq!(canonical(spelled), canonical(same), "{spelled}");
            let once = canonical(spelled).expect("a package URL");
            assert_eq!(canonical(&once), Some(once.clone()), "{once} is canonical");
        }
        assert_ne!(canonical("pkg:maven/org/A@1"), canonical("pkg:maven/org/a@1"), "maven tells case apart");
        for no in ["", "pkg:", "pkg:npm", "pkg:npm/", "npm/a@1", "pkg:npm/a@%zz", "pkg:n m/a", "pkg:npm/a?x"]
        {
            assert_eq!(canonical(no), None, "{no}");
        }
    }

    #[test]
    fn a_name_that_fits_much_is_no_key() {
        let name = "cpe:2.3:a:openssl:openssl:3.0.11:*:*:*:*:*:*:*";
        assert_eq!(cpe(name, true).map(|key| key.strength()), Some(Strength::Administrative));
        assert_eq!(cpe(name, false).map(|key| key.strength()), Some(Strength::Ambient));
        assert!(cpe("cpe:/a:openssl:openssl:3.0.11", true).is_some());
        for no in ["cpe:2.3:a:openssl:openssl:*:*:*:*:*:*:*:*", "cpe:/o:linux", "openssl", "cpe:2.3:*:x:y:1"]
        {
            assert_eq!(cpe(no, true), None, "{no}");
        }
    }
}
