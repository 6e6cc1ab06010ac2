//! Package URLs (<https://github.com/package-url/purl-spec>).

use std::fmt::Write as _;

use super::record::{Manager, Package};

/// `pkg:deb/debian/openssl@3.0.11-1~deb12u2?arch=amd64`. `os` is the `ID` of os-release.
pub(super) fn purl(manager: Manager, os: Option<&str>, package: &Package) -> String {
    let kind = match manager {
        Manager::Dpkg => "deb",
        Manager::Apk => "apk",
        Manager::Rpm => "rpm",
    };
    let mut text = format!("pkg:{kind}/");
    if let Some(os) = os {
        encode(&mut text, &os.to_lowercase());
        text.push('/');
    }
    // Names of deb and apk packages are lower-case by definition; those of rpm are case-sensitive.
    match manager {
        Manager::Dpkg | Manager::Apk => encode(&mut text, &package.name.to_lowercase()),
        Manager::Rpm => encode(&mut text, &package.name),
    }
    text.push('@');
    encode(&mut text, &package.version);
    let mut separator = '?';
    // Qualifiers are sorted by name.
    if let Some(arch) = &package.arch {
        text.push(separator);
        text.push_str("arch=");
        encode(&mut text, arch);
        separator = '&';
    }
    if let Some(epoch) = package.epoch {
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}epoch={epoch}");
    }
    text
}

/// Percent-encodes all but letters, digits, `.`, `-`, `_`, `~` and the colon, which a package URL never encodes.
fn encode(into: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                into.push(char::from(byte));
            }
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(into, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_follow_the_specification() {
        let package = |name: &str, version: &str, arch: &str| Package {
            name: name.into(),
            version: version.into(),
            arch: Some(arch.into()),
            ..Package::default()
        };
        let deb = |name, version| purl(Manager::Dpkg, Some("debian"), &package(name, version, "amd64"));
        assert_eq!(deb("openssl", "3.0.11-1~deb12u2"), "pkg:deb/debian/openssl@3.0.11-1~deb12u2?arch=amd64");
        assert_eq!(
            deb("libstdc++6", "12.2.0-14+deb12u1"),
            "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64"
        );
        assert_eq!(deb("attr", "1:2.5.1-4"), "pkg:deb/debian/attr@1:2.5.1-4?arch=amd64");
        let apk = purl(Manager::Apk, Some("alpine"), &package("curl", "7.83.0-r0", "x86"));
        assert_eq!(apk, "pkg:apk/alpine/curl@7.83.0-r0?arch=x86");
        let rpm = Package { epoch: Some(1), ..package("ImageMagick", "6.9.12-1.fc25", "i386") };
        assert_eq!(
            purl(Manager::Rpm, Some("fedora"), &rpm),
            "pkg:rpm/fedora/ImageMagick@6.9.12-1.fc25?arch=i386&epoch=1"
        );
        assert_eq!(purl(Manager::Dpkg, None, &package("a b/c", "1", "all")), "pkg:deb/a%20b%2Fc@1?arch=all");
    }
}
