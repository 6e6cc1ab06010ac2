//! Identifying material.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::name::key_kind;
use crate::{KeyKind, NameError, Realm, Text};

/// How much a key says about identity, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Passing circumstances: an IP address, a short name, a port. Never merges two items by itself.
    Ambient,
    /// Chosen by people: an FQDN, an asset tag.
    Administrative,
    /// Given once by a system: a cloud instance id, a Kubernetes uid, a machine-id.
    Issued,
    /// Burned in: a serial number, an SMBIOS UUID, a burned-in MAC.
    Hardware,
}

/// One piece of identifying material: what kind it is, in which address space it is unique, its canonical value, and
/// how much it says.
///
/// Keys are canonical on construction, so equal things give equal keys whatever the source's spelling:
/// MAC addresses are lower-case with colons, FQDNs lower-case without the final dot, UUIDs lower-case with hyphens,
/// IPv4-mapped IPv6 addresses are IPv4.
///
/// ```
/// use itom_core::Key;
/// assert_eq!(Key::mac("00-1B-44-11-3A-B7")?, Key::mac("001b.4411.3ab7")?);
/// assert_eq!(Key::fqdn("Web-1.Example.COM.").value(), "web-1.example.com");
/// # Ok::<(), itom_core::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "KeyWire", into = "KeyWire")]
pub struct Key {
    kind: KeyKind,
    realm: Realm,
    value: Text,
    strength: Strength,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Key", deny_unknown_fields)]
struct KeyWire {
    kind: KeyKind,
    #[serde(default, skip_serializing_if = "is_global")]
    realm: Realm,
    value: Text,
    strength: Strength,
}

fn is_global(realm: &Realm) -> bool {
    *realm == Realm::GLOBAL
}

/// Why a text is not a key of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The value cannot be read as what the kind of key holds.
    #[error("`{value}` is not a {kind}: {expected}")]
    Malformed {
        /// The kind of key.
        kind: KeyKind,
        /// What was given, cut to 80 characters.
        value: String,
        /// What a value looks like.
        expected: &'static str,
    },
    /// A part is not a valid name.
    #[error("a part of the key is not a valid name")]
    Name(#[from] NameError),
}

/// Longest value kept; longer ones are refused, since a key is not a place for documents.
const MAX_VALUE: usize = 1024;

/// The namespace of the hashes that stand for values that are no keys.
const INVALID: uuid::Uuid = uuid::Uuid::from_u128(0x6974_6f6d_7c1d_5c2a_9b57_0d1f_53e8_a002);

impl Key {
    /// A key of any kind, canonicalized by the rules of the well-known kinds, else taken as it is (trimmed).
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when the value is empty, too long, or not what a well-known kind holds.
    pub fn new(kind: KeyKind, realm: Realm, value: &str, strength: Strength) -> Result<Self, KeyError> {
        let value = canonical(&kind, value)?;
        Ok(Self { kind, realm, value, strength })
    }

    fn trusted(kind: KeyKind, value: &str, strength: Strength) -> Self {
        match canonical(&kind, value) {
            Ok(value) => Self { kind, realm: Realm::GLOBAL, value, strength },
            // Two bad values must not become one key, and a bad value (an empty name) must not merge what shares it:
            // the whole value is hashed, and the key is ambient.
            Err(_) => {
                let value = Text::from(format!("invalid:{}", uuid::Uuid::new_v5(&INVALID, value.as_bytes())));
                Self { kind, realm: Realm::GLOBAL, value, strength: Strength::Ambient }
            }
        }
    }

    /// A MAC address in any usual spelling.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is not 48 bits of hexadecimal digits.
    pub fn mac(value: &str) -> Result<Self, KeyError> {
        Self::new(key_kind::MAC, Realm::GLOBAL, value, Strength::Hardware)
    }

    /// A fully qualified domain name. What cannot be one (empty, longer than 1,024 bytes, with spaces or control
    /// characters) becomes a key of [`Strength::Ambient`] over a hash of it, which matches only the same text.
    #[must_use]
    pub fn fqdn(value: &str) -> Self {
        Self::trusted(key_kind::FQDN, value, Strength::Administrative)
    }

    /// A short host name; what cannot be one is treated as by [`fqdn`](Self::fqdn).
    #[must_use]
    pub fn host_name(value: &str) -> Self {
        Self::trusted(key_kind::HOST_NAME, value, Strength::Ambient)
    }

    /// A `/etc/machine-id`.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is not 32 hexadecimal digits.
    pub fn machine_id(value: &str) -> Result<Self, KeyError> {
        Self::new(key_kind::MACHINE_ID, Realm::GLOBAL, value, Strength::Issued)
    }

    /// An SMBIOS system UUID as the kernel prints it.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is not a UUID.
    pub fn smbios_uuid(value: &str) -> Result<Self, KeyError> {
        Self::new(key_kind::SMBIOS_UUID, Realm::GLOBAL, value, Strength::Hardware)
    }

    /// The SMBIOS UUID with its first three fields in the other byte order: firmware before SMBIOS 2.6 and tools
    /// disagree about it, so a source reports both spellings as keys. `None` when this is not an SMBIOS UUID.
    #[must_use]
    pub fn other_byte_order(&self) -> Option<Self> {
        if self.kind != key_kind::SMBIOS_UUID {
            return None;
        }
        let uuid = uuid::Uuid::parse_str(&self.value).ok()?;
        let swapped = uuid::Uuid::from_bytes(uuid.to_bytes_le());
        Some(Self { value: Text::from(swapped.hyphenated().to_string()), ..self.clone() })
    }

    /// An IP address in the global realm; see [`in_realm`](Self::in_realm).
    #[must_use]
    pub fn ip(address: IpAddr) -> Self {
        let value = Text::from(address.to_canonical().to_string());
        Self { kind: key_kind::IP, realm: Realm::GLOBAL, value, strength: Strength::Ambient }
    }

    /// What listens on `transport` at `address`:`port`.
    #[must_use]
    pub fn endpoint(transport: &str, address: IpAddr, port: u16) -> Self {
        let socket = std::net::SocketAddr::new(address.to_canonical(), port);
        Self::trusted(key_kind::ENDPOINT, &format!("{transport}:{socket}"), Strength::Ambient)
    }

    /// An id that a source gives its own things, unique in `realm`; what cannot be one (empty, longer than 1,024 bytes,
    /// with control characters) is treated as by [`fqdn`](Self::fqdn).
    #[must_use]
    pub fn native(realm: Realm, value: &str) -> Self {
        Self { realm, ..Self::trusted(key_kind::NATIVE, value, Strength::Issued) }
    }

    /// A serial number.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is empty or too long.
    pub fn serial(value: &str) -> Result<Self, KeyError> {
        Self::new(key_kind::SERIAL, Realm::GLOBAL, value, Strength::Hardware)
    }

    /// The same key, unique in `realm` only.
    #[must_use]
    pub fn in_realm(self, realm: Realm) -> Self {
        Self { realm, ..self }
    }

    /// The kind of key.
    #[must_use]
    #[inline]
    pub const fn kind(&self) -> &KeyKind {
        &self.kind
    }

    /// Where it is unique.
    #[must_use]
    #[inline]
    pub const fn realm(&self) -> &Realm {
        &self.realm
    }

    /// The canonical value.
    #[must_use]
    #[inline]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The canonical value as a shared text: cheap to keep.
    #[must_use]
    #[inline]
    pub const fn text(&self) -> &Text {
        &self.value
    }

    /// How much it says.
    #[must_use]
    #[inline]
    pub const fn strength(&self) -> Strength {
        self.strength
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind, self.value)?;
        if self.realm != Realm::GLOBAL {
            write!(f, "@{}", self.realm)?;
        }
        Ok(())
    }
}
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self}, {:?})", self.strength)
    }
}

impl From<Key> for KeyWire {
    fn from(key: Key) -> Self {
        Self { kind: key.kind, realm: key.realm, value: key.value, strength: key.strength }
    }
}
impl TryFrom<KeyWire> for Key {
    type Error = KeyError;
    fn try_from(wire: KeyWire) -> Result<Self, KeyError> {
        Self::new(wire.kind, wire.realm, &wire.value, wire.strength)
    }
}

fn canonical(kind: &KeyKind, value: &str) -> Result<Text, KeyError> {
    let refuse = |expected| KeyError::Malformed {
        kind: kind.clone(),
        value: value.chars().take(80).collect(),
        expected,
    };
    let value = value.trim();
    if value.is_empty() || value.len() > MAX_VALUE || value.chars().any(char::is_control) {
        return Err(refuse("1 to 1,024 bytes without control characters"));
    }
    if *kind == key_kind::MAC {
        let digits: String = value.chars().filter(|c| !matches!(c, ':' | '-' | '.' | ' ')).collect();
        if digits.len() != 12 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refuse("48 bits as hexadecimal digits, such as 00:1b:44:11:3a:b7"));
        }
        let lower = digits.to_ascii_lowercase();
        let pairs: Vec<&str> = (0..6).filter_map(|index| lower.get(2 * index..2 * index + 2)).collect();
        return Ok(Text::from(pairs.join(":")));
    }
    if *kind == key_kind::FQDN || *kind == key_kind::HOST_NAME {
        let name = value.trim_end_matches('.').to_lowercase();
        // Lower case can be longer than upper case.
        let fits = !name.is_empty() && name.len() <= MAX_VALUE && !name.contains(char::is_whitespace);
        return if fits { Ok(Text::from(name)) } else { Err(refuse("a host name, without spaces")) };
    }
    if *kind == key_kind::MACHINE_ID {
        let digits: String = value.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
        if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refuse("32 hexadecimal digits"));
        }
        return Ok(Text::from(digits));
    }
    if *kind == key_kind::SMBIOS_UUID || *kind == key_kind::K8S_UID {
        let uuid = uuid::Uuid::parse_str(value).map_err(|_| refuse("a UUID"))?;
        return Ok(Text::from(uuid.hyphenated().to_string()));
    }
    if *kind == key_kind::IP {
        let address: IpAddr = value.parse().map_err(|_| refuse("an IPv4 or IPv6 address"))?;
        return Ok(Text::from(address.to_canonical().to_string()));
    }
    if *kind == key_kind::ENDPOINT
        && let Some((transport, socket)) = value.split_once(':')
        && let Ok(socket) = socket.parse::<std::net::SocketAddr>()
    {
        let socket = std::net::SocketAddr::new(socket.ip().to_canonical(), socket.port());
        return Ok(Text::from(format!("{}:{socket}", transport.to_ascii_lowercase())));
    }
    Ok(Text::from(value))
}

impl crate::Classify for KeyError {
    fn kind(&self) -> crate::ErrorKind {
        crate::ErrorKind::Invalid
    }
}
