//! Validated names: cheap to clone, ordered, open sets with well-known constants.
//!
//! A name is either a `const` (no allocation) or a shared string. All of them serialize as plain strings and are
//! validated on the way in. The well-known names follow OpenTelemetry semantic conventions for attributes and
//! Prometheus for metrics; users add their own.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A cheap-to-clone immutable string: a `'static` literal or a shared allocation.
#[derive(Clone)]
pub struct Text(Repr);

#[derive(Clone)]
enum Repr {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Text {
    /// A text from a literal; usable in constants.
    #[must_use]
    #[inline]
    pub const fn literal(text: &'static str) -> Self {
        Self(Repr::Static(text))
    }

    /// The characters.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(text) => text,
            Repr::Shared(text) => text,
        }
    }
}

impl Default for Text {
    /// The empty text.
    fn default() -> Self {
        Self::literal("")
    }
}
impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Repr::Shared(Arc::from(text)))
    }
}
impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Repr::Shared(Arc::from(text)))
    }
}
impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self(Repr::Shared(text))
    }
}
impl AsRef<str> for Text {
    #[inline]
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}
impl Borrow<str> for Text {
    #[inline]
    fn borrow(&self) -> &str {
        self.as_str()
    }
}
impl std::ops::Deref for Text {
    type Target = str;
    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}
impl PartialEq for Text {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.as_str(), other.as_str());
        // Texts are shared: most that are equal are the same.
        std::ptr::eq(a, b) || a == b
    }
}
impl Eq for Text {}
impl PartialOrd for Text {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Text {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.as_str(), other.as_str());
        if std::ptr::eq(a, b) { Ordering::Equal } else { a.cmp(b) }
    }
}
impl Hash for Text {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing was given.
    #[error("an empty text is not a {what}; give at least one character")]
    Empty {
        /// The type of name that was wanted.
        what: &'static str,
    },
    /// Longer than the type allows.
    #[error("a {what} has at most {max} bytes, this one has {len}; shorten it")]
    TooLong {
        /// The type of name that was wanted.
        what: &'static str,
        /// The limit in bytes.
        max: usize,
        /// What was given.
        len: usize,
    },
    /// A character the type does not allow.
    #[error("`{text}` is not a {what}: character {found:?} at byte {at} is not allowed ({rule})")]
    Character {
        /// The type of name that was wanted.
        what: &'static str,
        /// What was given, cut to 80 characters.
        text: String,
        /// The offending character.
        found: char,
        /// Its byte offset.
        at: usize,
        /// The rule in words.
        rule: &'static str,
    },
}

impl crate::Classify for NameError {
    fn kind(&self) -> crate::ErrorKind {
        crate::ErrorKind::Invalid
    }
}

/// Checks `text` against a per-character rule; `position` is the byte offset, `previous` the char before.
fn check(
    text: &str,
    what: &'static str,
    max: usize,
    rule: &'static str,
    allowed: impl Fn(char, Option<char>) -> bool,
    may_end: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > max {
        return Err(NameError::TooLong { what, max, len: text.len() });
    }
    let refuse = |at: usize, found: char| NameError::Character {
        what,
        text: text.chars().take(80).collect(),
        found,
        at,
        rule,
    };
    let mut previous = None;
    let mut last_at = 0;
    for (at, found) in text.char_indices() {
        if !allowed(found, previous) {
            return Err(refuse(at, found));
        }
        previous = Some(found);
        last_at = at;
    }
    match previous {
        Some(last) if !may_end(last) => Err(refuse(last_at, last)),
        _ => Ok(()),
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $rule:literal, $allowed:expr, $may_end:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Text);

        impl $name {
            /// Validates and shares `text`.
            ///
            /// # Errors
            /// [`NameError`] when `text` is empty, too long, or has a character this kind of name does not allow.
            pub fn new(text: impl Into<Text>) -> Result<Self, NameError> {
                let text = text.into();
                check(&text, $what, $max, $rule, $allowed, $may_end)?;
                Ok(Self(text))
            }

            /// A name from a literal, unchecked so that it can stand in a constant: the well-known names are checked
            /// by a test, your own constants deserve one too.
            #[must_use]
            #[inline]
            pub const fn literal(text: &'static str) -> Self {
                Self(Text::literal(text))
            }

            /// The characters.
            #[must_use]
            #[inline]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The shared text.
            #[must_use]
            #[inline]
            pub fn text(&self) -> &Text {
                &self.0
            }
        }
        impl AsRef<str> for $name {
            #[inline]
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
        impl Borrow<str> for $name {
            #[inline]
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.as_str())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
        impl TryFrom<&str> for $name {
            type Error = NameError;
            fn try_from(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

fn dotted(found: char, previous: Option<char>) -> bool {
    match found {
        'a'..='z' | '0'..='9' => true,
        '_' | '-' | '.' => previous.is_some_and(|before| before.is_ascii_alphanumeric()),
        _ => false,
    }
}

fn word_end(last: char) -> bool {
    last.is_ascii_alphanumeric()
}

name_type! {
    /// The kind of a configuration item: dotted, refined by prefix (`host` ⊃ `host.linux`).
    CiKind, "configuration-item kind", 128, "lower-case letters, digits, `_` and `-` in segments joined by single dots",
    dotted, word_end
}
name_type! {
    /// The kind of a relation between two configuration items, read from → to (`web depends_on db`).
    RelationKind, "relation kind", 128, "lower-case letters, digits, `_` and `-` in segments joined by single dots",
    dotted, word_end
}
name_type! {
    /// The name of an attribute; well-known ones follow OpenTelemetry semantic conventions (`host.name`).
    AttrName, "attribute name", 256, "lower-case letters, digits, `_` and `-` in segments joined by single dots",
    dotted, word_end
}
name_type! {
    /// The name of a kind of identifying key (`machine_id`, `mac`, `fqdn`).
    KeyKind, "kind of key", 128, "lower-case letters, digits, `_` and `-` in segments joined by single dots",
    dotted, word_end
}
name_type! {
    /// A metric name: any UTF-8 text, as in Prometheus 3. [`is_classic`](Self::is_classic) tells whether it needs
    /// quotes in an exposition or a query.
    MetricName, "metric name", 512, "any UTF-8", |_, _| true, |_| true
}
name_type! {
    /// A label name: any UTF-8 text, as in Prometheus 3. [`is_classic`](Self::is_classic) tells whether it needs quotes
    /// in an exposition or a query.
    LabelName, "label name", 256, "any UTF-8", |_, _| true, |_| true
}

impl MetricName {
    /// Whether it has Prometheus's classic form, `[a-zA-Z_:][a-zA-Z0-9_:]*`, which needs no quotes.
    #[must_use]
    pub fn is_classic(&self) -> bool {
        classic(self.as_str(), |found| found == ':')
    }
}

impl LabelName {
    /// Whether it has Prometheus's classic form, `[a-zA-Z_][a-zA-Z0-9_]*`, which needs no quotes.
    #[must_use]
    pub fn is_classic(&self) -> bool {
        classic(self.as_str(), |_| false)
    }
}

fn classic(name: &str, more: impl Fn(char) -> bool) -> bool {
    let letter = |found: char| found.is_ascii_alphabetic() || found == '_' || more(found);
    name.starts_with(letter) && name.chars().all(|found| letter(found) || found.is_ascii_digit())
}

name_type! {
    /// The name of a source of observations: one collector on one target (`process@web-1`).
    SourceName, "source name", 256, "printable characters without spaces",
    |found: char, _| !found.is_whitespace() && !found.is_control(),
    |_| true
}
name_type! {
    /// The address space in which a key's value is unique: a VRF, VPC, cluster, site, network namespace, or `global`.
    Realm, "realm", 256, "printable characters without spaces",
    |found: char, _| !found.is_whitespace() && !found.is_control(),
    |_| true
}

impl Realm {
    /// Unique everywhere.
    pub const GLOBAL: Self = Self::literal("global");
}

impl Default for Realm {
    fn default() -> Self {
        Self::GLOBAL
    }
}

impl CiKind {
    /// Whether this kind is `general` or refines it: `host.linux` is a `host`, `hostel` is not.
    ///
    /// ```
    /// use itom_core::{CiKind, kind};
    /// assert!(CiKind::new("host.linux")?.is_a(&kind::HOST));
    /// assert!(!CiKind::new("hostel")?.is_a(&kind::HOST));
    /// # Ok::<(), itom_core::NameError>(())
    /// ```
    #[must_use]
    pub fn is_a(&self, general: &Self) -> bool {
        match self.as_str().strip_prefix(general.as_str()) {
            Some(rest) => rest.is_empty() || rest.starts_with('.'),
            None => false,
        }
    }

    /// The next more general kind: `host.linux` → `host` → none.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (general, _) = self.as_str().rsplit_once('.')?;
        Some(Self(Text::from(general)))
    }
}

/// One list of constants and an `ALL` slice for the tests and for completion.
macro_rules! well_known {
    ($(#[$doc:meta])* $module:ident, $type:ident, { $($(#[$cdoc:meta])* $constant:ident = $text:literal;)* }) => {
        $(#[$doc])*
        pub mod $module {
            use super::$type;
            $($(#[$cdoc])* pub const $constant: $type = $type::literal($text);)*
            /// Every constant of this module.
            pub const ALL: &[$type] = &[$($constant),*];
        }
    };
}

well_known! {
    /// Well-known kinds of configuration items.
    kind, CiKind, {
        /// A machine with an operating system, physical or virtual.
        HOST = "host";
        /// A machine that runs Linux.
        HOST_LINUX = "host.linux";
        /// A running process.
        PROCESS = "process";
        /// Something that serves: a process (or set of them) listening on an address and port.
        SERVICE = "service";
        /// Installed software: one package in one version on one host.
        SOFTWARE = "software";
        /// A container.
        CONTAINER = "container";
        /// A network interface.
        NETWORK_INTERFACE = "network.interface";
        /// An address as an item of its own: a loose end whose owner is not known yet.
        NETWORK_ADDRESS = "network.address";
        /// An IP network (prefix) a host is attached to.
        NETWORK_SUBNET = "network.subnet";
        /// A block device.
        DISK = "disk";
        /// A mounted file system.
        FILESYSTEM = "filesystem";
        /// The X.509 certificate that a server presents at an endpoint.
        CERTIFICATE = "certificate";
        /// A unit of the service manager (systemd).
        UNIT = "unit";
        /// A network device: switch, router, firewall.
        DEVICE = "device";
        /// A program that a team runs for users, made of services.
        APPLICATION = "application";
        /// What the business calls a service.
        BUSINESS_SERVICE = "business_service";
        /// A place.
        LOCATION = "location";
        /// A group of people.
        TEAM = "team";
    }
}

well_known! {
    /// Well-known kinds of relations, read from → to.
    relation, RelationKind, {
        /// `from` stops or degrades when `to` fails.
        DEPENDS_ON = "depends_on";
        /// `from` opened a connection to `to` (evidence for a dependency).
        CONNECTS_TO = "connects_to";
        /// `from` runs on `to` (process on host, unit on host): it fails when `to` fails.
        RUNS_ON = "runs_on";
        /// `from` is provided by `to` (service by process): it fails when `to` fails.
        PROVIDED_BY = "provided_by";
        /// `from` has `to` as a part (host contains interface): `to` fails when `from` fails.
        CONTAINS = "contains";
        /// `from` was started by `to` (process by parent process).
        CHILD_OF = "child_of";
        /// `from` is installed on `to` (package on host).
        INSTALLED_ON = "installed_on";
        /// `from` is stored on `to` (file system on disk): it fails when `to` fails.
        STORED_ON = "stored_on";
        /// `from` is managed by `to` (process by unit).
        MANAGED_BY = "managed_by";
        /// `from` is an instance of `to` (process of package).
        INSTANCE_OF = "instance_of";
        /// `from` reaches other networks through `to` (host through gateway address).
        ROUTES_VIA = "routes_via";
        /// `from` sees `to` on the same link (ARP/ND, LLDP).
        NEIGHBOR_OF = "neighbor_of";
        /// `from` is attached to `to` (interface to subnet).
        ATTACHED_TO = "attached_to";
        /// `from` belongs to `to` (node in cluster, service in application).
        MEMBER_OF = "member_of";
        /// `from` stands in `to` (host in rack, rack in site): it fails when `to` fails.
        LOCATED_IN = "located_in";
        /// `from` is answered for by `to` (service by team).
        OWNED_BY = "owned_by";
    }
}

well_known! {
    /// Well-known kinds of identifying keys.
    key_kind, KeyKind, {
        /// `/etc/machine-id`.
        MACHINE_ID = "machine_id";
        /// SMBIOS system UUID.
        SMBIOS_UUID = "smbios_uuid";
        /// Chassis or product serial number.
        SERIAL = "serial";
        /// Burned-in MAC address.
        MAC = "mac";
        /// Identifier given by a cloud.
        CLOUD_INSTANCE = "cloud_instance";
        /// Kubernetes object uid.
        K8S_UID = "k8s_uid";
        /// Fully qualified domain name.
        FQDN = "fqdn";
        /// Short host name.
        HOST_NAME = "host_name";
        /// Tag of the asset register.
        ASSET_TAG = "asset_tag";
        /// IP address.
        IP = "ip";
        /// Transport, address and port something listens on.
        ENDPOINT = "endpoint";
        /// A process: boot id, pid namespace, pid and start time.
        PROCESS = "process";
        /// A container id.
        CONTAINER_ID = "container_id";
        /// Package URL.
        PURL = "purl";
        /// The native id a source gives, unique within that source's realm.
        NATIVE = "native";
    }
}

well_known! {
    /// Well-known attribute names (OpenTelemetry semantic conventions where they exist).
    attr, AttrName, {
        /// What people call the item.
        NAME = "name";
        /// Unique host id.
        HOST_ID = "host.id";
        /// Host name as `hostname` prints it.
        HOST_NAME = "host.name";
        /// CPU architecture (`amd64`, `arm64`).
        HOST_ARCH = "host.arch";
        /// `physical`, `vm`, `container` and so on.
        HOST_TYPE = "host.type";
        /// IP addresses, a list.
        HOST_IP = "host.ip";
        /// MAC addresses, a list.
        HOST_MAC = "host.mac";
        /// CPU model.
        HOST_CPU_MODEL_NAME = "host.cpu.model.name";
        /// Boot id of this boot.
        HOST_BOOT_ID = "host.boot.id";
        /// Time of the last boot.
        HOST_BOOT_TIME = "host.boot.time";
        /// Number of logical CPUs.
        HOST_CPU_COUNT = "host.cpu.count";
        /// Bytes of memory.
        HOST_MEMORY_SIZE = "host.memory.size";
        /// Operating system type (`linux`).
        OS_TYPE = "os.type";
        /// Operating system name (`Debian GNU/Linux`).
        OS_NAME = "os.name";
        /// Operating system version (`12`).
        OS_VERSION = "os.version";
        /// One line about the operating system.
        OS_DESCRIPTION = "os.description";
        /// Build id of the operating system.
        OS_BUILD_ID = "os.build_id";
        /// Kernel release.
        OS_KERNEL_RELEASE = "os.kernel.release";
        /// When installed packages were last updated.
        OS_UPDATE_TIME = "os.update.time";
        /// SHA-256 of the certificate that a server presents, 64 hexadecimal digits.
        TLS_SERVER_HASH_SHA256 = "tls.server.hash.sha256";
        /// Whom the certificate is for: its distinguished name.
        TLS_SERVER_SUBJECT = "tls.server.subject";
        /// Who signed the certificate: a distinguished name.
        TLS_SERVER_ISSUER = "tls.server.issuer";
        /// Since when the certificate is valid.
        TLS_SERVER_NOT_BEFORE = "tls.server.not_before";
        /// Until when the certificate is valid.
        TLS_SERVER_NOT_AFTER = "tls.server.not_after";
        /// Process id.
        PROCESS_PID = "process.pid";
        /// Parent's process id.
        PROCESS_PARENT_PID = "process.parent_pid";
        /// Name of the executable.
        PROCESS_EXECUTABLE_NAME = "process.executable.name";
        /// Path of the executable.
        PROCESS_EXECUTABLE_PATH = "process.executable.path";
        /// Command line, redacted.
        PROCESS_COMMAND_LINE = "process.command_line";
        /// User that owns the process.
        PROCESS_OWNER = "process.owner";
        /// When the process was created.
        PROCESS_CREATION_TIME = "process.creation.time";
        /// Control group path.
        PROCESS_LINUX_CGROUP = "process.linux.cgroup";
        /// Container id.
        CONTAINER_ID = "container.id";
        /// Container runtime.
        CONTAINER_RUNTIME_NAME = "container.runtime.name";
        /// Name of the service.
        SERVICE_NAME = "service.name";
        /// Version of the service's software.
        SERVICE_VERSION = "service.version";
        /// What kind of server it is (`postgresql`, `nginx`).
        SERVICE_TYPE = "service.type";
        /// Listening address.
        SERVER_ADDRESS = "server.address";
        /// Listening port.
        SERVER_PORT = "server.port";
        /// Transport: `tcp` or `udp`.
        NETWORK_TRANSPORT = "network.transport";
        /// `ipv4` or `ipv6`.
        NETWORK_TYPE = "network.type";
        /// Peer's address.
        NETWORK_PEER_ADDRESS = "network.peer.address";
        /// Peer's port.
        NETWORK_PEER_PORT = "network.peer.port";
        /// Network interface name.
        NETWORK_INTERFACE_NAME = "network.interface.name";
        /// Operational state of an interface.
        NETWORK_INTERFACE_STATE = "network.interface.state";
        /// Speed in bits per second.
        NETWORK_INTERFACE_SPEED = "network.interface.speed";
        /// Maximum transmission unit in bytes.
        NETWORK_INTERFACE_MTU = "network.interface.mtu";
        /// Network namespace (inode number).
        NETWORK_NAMESPACE = "network.namespace";
        /// Package name.
        PACKAGE_NAME = "package.name";
        /// Package version.
        PACKAGE_VERSION = "package.version";
        /// Package architecture.
        PACKAGE_ARCH = "package.architecture";
        /// Package URL.
        PACKAGE_PURL = "package.purl";
        /// Device name.
        SYSTEM_DEVICE = "system.device";
        /// Mount point.
        SYSTEM_FILESYSTEM_MOUNTPOINT = "system.filesystem.mountpoint";
        /// File-system type.
        SYSTEM_FILESYSTEM_TYPE = "system.filesystem.type";
        /// Size in bytes.
        SIZE = "size";
        /// Unit name.
        SYSTEMD_UNIT = "systemd.unit";
        /// Load state of a unit.
        SYSTEMD_LOAD_STATE = "systemd.load_state";
        /// Active state of a unit.
        SYSTEMD_ACTIVE_STATE = "systemd.active_state";
        /// Sub state of a unit.
        SYSTEMD_SUB_STATE = "systemd.sub_state";
        /// Number of restarts.
        SYSTEMD_RESTARTS = "systemd.restarts";
        /// State in words (`up`, `down`, `running`).
        STATE = "state";
        /// Deployment environment.
        DEPLOYMENT_ENVIRONMENT_NAME = "deployment.environment.name";
    }
}

well_known! {
    /// Well-known kinds of events, which are dotted names like configuration-item kinds.
    event, CiKind, {
        /// A process ended.
        PROCESS_EXITED = "process.exited";
        /// A host came up with a new boot id.
        HOST_BOOTED = "host.booted";
        /// A unit failed.
        UNIT_FAILED = "unit.failed";
    }
}
