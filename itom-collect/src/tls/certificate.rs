//! A certificate from its bytes.

use std::net::IpAddr;

use itom_core::{Text, Timestamp};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

/// Most names of one certificate that are told; certificate authorities allow some hundred.
const MAX_NAMES: usize = 1_000;
/// Longest name that is told whole, in characters.
const MAX_NAME: usize = 1_000;

/// What an X.509 certificate (RFC 5280) says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// SHA-256 of its bytes, 64 hexadecimal digits.
    pub sha256: Text,
    /// Whom it is for: a distinguished name, such as `CN=shop.example.com`.
    pub subject: Text,
    /// Who signed it.
    pub issuer: Text,
    /// The number that its issuer gave it, hexadecimal.
    pub serial_number: Text,
    /// Since when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// The names and addresses that it is for (subject alternative names), at most 1,000, each once, ascending.
    pub names: Vec<Text>,
}

/// Why bytes are no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("what was presented is no X.509 certificate: {reason}")]
pub struct CertificateError {
    /// What is wrong.
    pub reason: Text,
}

impl Certificate {
    /// Reads a certificate (DER).
    ///
    /// # Errors
    /// [`CertificateError`] when the bytes are none, or when something follows it.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let refused = |reason: String| CertificateError { reason: cut(&reason) };
        let (rest, own) = parse_x509_certificate(der).map_err(|error| refused(error.to_string()))?;
        if !rest.is_empty() {
            return Err(refused(format!("{} bytes follow it", rest.len())));
        }
        let mut names: Vec<Text> = match own.subject_alternative_name() {
            Ok(Some(names)) => names.value.general_names.iter().filter_map(name).take(MAX_NAMES).collect(),
            // Without them, or with some that cannot be read, the rest still holds.
            Ok(None) | Err(_) => Vec::new(),
        };
        names.sort();
        names.dedup();
        Ok(Self {
            sha256: hex(ring::digest::digest(&ring::digest::SHA256, der).as_ref()),
            subject: cut(&own.subject().to_string()),
            issuer: cut(&own.issuer().to_string()),
            serial_number: cut(&own.raw_serial_as_string().replace(':', "")),
            not_before: time(own.validity().not_before),
            not_after: time(own.validity().not_after),
            names,
        })
    }

    /// What people call it: its first name, else whom it is for.
    #[must_use]
    pub fn title(&self) -> &Text {
        self.names.first().unwrap_or(&self.subject)
    }
}

fn name(name: &GeneralName<'_>) -> Option<Text> {
    match name {
        GeneralName::DNSName(name) => Some(cut(name)),
        GeneralName::IPAddress(bytes) => {
            let address = match *bytes {
                [a, b, c, d] => IpAddr::from([*a, *b, *c, *d]),
                bytes => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
            };
            Some(Text::from(address.to_string()))
        }
        GeneralName::URI(uri) => Some(cut(uri)),
        _ => None,
    }
}

fn time(time: ASN1Time) -> Timestamp {
    Timestamp::from_secs(time.timestamp())
}

fn cut(text: &str) -> Text {
    text.chars().take(MAX_NAME).collect::<String>().into()
}

fn hex(bytes: &[u8]) -> Text {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}
