//! How reality misbehaves, each way with its own rate.

use std::fmt;
use std::str::FromStr;

use itom_core::{Classify, ErrorKind};
use serde::{Deserialize, Serialize};

macro_rules! hazards {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $default:literal, $hostile:literal;)*) => {
        /// One way in which reality misbehaves.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Hazard {
            $($(#[$doc])* $name,)*
        }

        impl Hazard {
            /// Every hazard.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name in lower case with underscores.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }

        const DEFAULT: [f64; Hazard::ALL.len()] = [$($default),*];
        const HOSTILE: [f64; Hazard::ALL.len()] = [$($hostile),*];
    };
}

hazards! {
    /// Virtual machines cloned with their `/etc/machine-id`, about five to an image. Share of virtual machines.
    ClonedMachineId = "cloned_machine_id", 0.02, 0.20;
    /// Clones that also kept their SMBIOS UUID, in pairs. Share of virtual machines.
    ClonedUuid = "cloned_uuid", 0.001, 0.02;
    /// Serial numbers and UUIDs that nobody filled in ("To Be Filled By O.E.M."). Share of physical machines.
    DefaultSerial = "default_serial", 0.02, 0.20;
    /// A vendor's placeholder that no list knows, the same on a whole lot. Share of physical machines.
    UnlistedSerial = "unlisted_serial", 0.01, 0.10;
    /// Laptops that report the address of a dock, about four to a dock. Share of laptops.
    DockMac = "dock_mac", 0.20, 0.80;
    /// Router pairs that share a virtual address. Share of sites.
    VirtualRouter = "virtual_router", 0.80, 1.00;
    /// Agents that report the address of a container bridge as if it were burned in. Share of machines.
    LocalMac = "local_mac", 0.05, 0.50;
    /// Sites that use the same private addresses as others. Share of sites.
    OverlappingAddresses = "overlapping_addresses", 0.70, 1.00;
    /// Connections that go through address translation. Share of dependencies.
    Nat = "nat", 0.01, 0.10;
    /// Rounds in which the laptops' addresses are handed out anew. Share of rounds.
    AddressChurn = "address_churn", 0.30, 1.00;
    /// Machines renamed in the time of the estate. Share of machines.
    Renamed = "renamed", 0.01, 0.10;
    /// Renamed machines whose old name another machine takes over. Share of renamed machines.
    NameReuse = "name_reuse", 0.10, 0.80;
    /// Machines replaced by new hardware under the same name and address. Share of physical machines.
    ReplacedHardware = "replaced_hardware", 0.01, 0.10;
    /// Virtual machines restored: their manager knows them by a new id from then on. Share of virtual machines.
    Restored = "restored", 0.01, 0.10;
    /// Virtual machines that move to another hypervisor. Share of virtual machines.
    Moved = "moved", 0.10, 0.50;
    /// Managers that print SMBIOS UUIDs in the other byte order, and only so. Share of sites.
    SwappedUuid = "swapped_uuid", 0.20, 0.50;
    /// Monitoring that knows a machine by its short name only. Share of monitored machines.
    ShortName = "short_name", 0.005, 0.10;
    /// Cloud instances named after their private address, a name that other networks use too. Share of instances.
    DefaultCloudName = "default_cloud_name", 0.20, 0.80;
    /// Cloud instances whose agent cannot reach the metadata service. Share of instances.
    NoMetadata = "no_metadata", 0.02, 0.20;
    /// Agents without the right to read serial number and UUID. Share of machines.
    Unprivileged = "unprivileged", 0.03, 0.30;
    /// Serial numbers mistyped in the spreadsheet, into another one's number. Share of rows.
    Typo = "typo", 0.02, 0.15;
    /// Rows of machines that are long gone. Share of rows.
    StaleRow = "stale_row", 0.50, 0.90;
    /// Machines listed twice in the spreadsheet, until somebody merges the rows. Share of rows.
    DuplicateRow = "duplicate_row", 0.005, 0.05;
    /// Physical machines with a container that runs an agent and reports the machine's serial number and UUID.
    ContainerGuest = "container_guest", 0.02, 0.20;
    /// Sources whose clock is wrong, by minutes or hours. Share of sources; the others are off by seconds.
    ClockSkew = "clock_skew", 0.01, 0.10;
    /// Batches that arrive one to three rounds late. Share of batches.
    LateDelivery = "late_delivery", 0.02, 0.20;
    /// Batches that arrive twice. Share of batches.
    DuplicateDelivery = "duplicate_delivery", 0.01, 0.10;
    /// Runs that read half of one scope and say so. Share of runs.
    PartialRun = "partial_run", 0.03, 0.20;
    /// Runs that read nothing and say so. Share of runs.
    FailedRun = "failed_run", 0.01, 0.10;
    /// Runs of a broken manager that sees nothing and claims to have seen everything. Share of runs of managers.
    BrokenRun = "broken_run", 0.005, 0.02;
    /// Machines that come in the time of the estate. Share of machines.
    Birth = "birth", 0.03, 0.15;
    /// Machines that go in the time of the estate. Share of machines.
    Death = "death", 0.03, 0.15;
}

/// The hazard names that can be given are those of [`Hazard::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a hazard; see `Hazard::ALL`, for example `cloned_machine_id`")]
pub struct UnknownHazard(String);

impl Classify for UnknownHazard {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl FromStr for Hazard {
    type Err = UnknownHazard;
    fn from_str(text: &str) -> Result<Self, UnknownHazard> {
        let found = Self::ALL.iter().find(|hazard| hazard.as_str() == text);
        found.copied().ok_or_else(|| UnknownHazard(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The rate of every [`Hazard`].
///
/// ```
/// use itom_cmdb::sim::{Difficulty, Hazard};
/// let harder = Difficulty::default().with(Hazard::ClonedMachineId, 0.5);
/// assert_eq!(harder.rate(Hazard::ClonedMachineId), 0.5);
/// assert_eq!(Difficulty::calm().rate(Hazard::Typo), 0.0);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Difficulty([f64; Hazard::ALL.len()]);

impl Default for Difficulty {
    /// Every hazard, at a rate as estates have it.
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl Difficulty {
    /// No hazard at all: the world of the brochures.
    #[must_use]
    pub const fn calm() -> Self {
        Self([0.0; Hazard::ALL.len()])
    }

    /// Every hazard, far more often than any estate has it.
    #[must_use]
    pub const fn hostile() -> Self {
        Self(HOSTILE)
    }

    /// One hazard at this rate, from 0 to 1; what is outside (or no number) is cut to that.
    #[must_use]
    pub fn with(mut self, hazard: Hazard, rate: f64) -> Self {
        self.0[hazard as usize] = if rate.is_nan() { 0.0 } else { rate.clamp(0.0, 1.0) };
        self
    }

    /// Only this hazard of these.
    #[must_use]
    pub fn only(&self, hazard: Hazard) -> Self {
        Self::calm().with(hazard, self.rate(hazard))
    }

    /// The rate of a hazard, from 0 to 1. What it is a share of is said at the [`Hazard`].
    #[must_use]
    pub const fn rate(&self, hazard: Hazard) -> f64 {
        self.0[hazard as usize]
    }
}

/// Hazards that struck a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hazards(u64);

impl Hazards {
    pub(crate) const fn add(&mut self, hazard: Hazard) {
        self.0 |= 1 << hazard as u64;
    }

    /// Adds those of another set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether this one struck.
    #[must_use]
    pub const fn has(self, hazard: Hazard) -> bool {
        self.0 & 1 << hazard as u64 != 0
    }

    /// The hazards, in the order of [`Hazard::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Hazard> {
        Hazard::ALL.iter().copied().filter(move |hazard| self.has(*hazard))
    }
}
