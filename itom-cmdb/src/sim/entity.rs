//! What there really is.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What sort of thing something really is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Class {
            $($(#[$doc])* $name,)*
        }

        impl Class {
            /// Every class.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name in lower case with underscores.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

classes! {
    /// A place.
    Site = "site";
    /// A rack.
    Rack = "rack";
    /// A switch.
    Switch = "switch";
    /// A router.
    Router = "router";
    /// What a pair of routers is together: a virtual address that either may answer for.
    VirtualRouter = "virtual_router";
    /// A port of a switch or router.
    Port = "port";
    /// A load balancer.
    LoadBalancer = "load_balancer";
    /// A machine: hypervisor, server, virtual machine, cluster node, cloud instance, laptop.
    Machine = "machine";
    /// A container that looks like a machine.
    Guest = "guest";
    /// An interface of a machine.
    Interface = "interface";
    /// A dock that lends laptops its interface.
    Dock = "dock";
    /// Something that listens.
    Service = "service";
    /// A process.
    Process = "process";
    /// A package installed on a machine.
    Software = "software";
    /// A cluster.
    Cluster = "cluster";
    /// A pod.
    Pod = "pod";
    /// A container of a pod.
    Container = "container";
    /// What a cluster calls a service.
    ClusterService = "cluster_service";
    /// An application.
    Application = "application";
    /// A business service.
    BusinessService = "business_service";
    /// A team.
    Team = "team";
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing of the ground truth: its class, its number, and which one it is of those that followed each other in the
/// same place (a replaced machine, a restarted process).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity(u64);

impl Entity {
    pub(crate) const fn new(class: Class, number: u64, generation: u32) -> Self {
        Self((class as u64) << 56 | (number & 0xff_ffff_ffff) << 16 | (generation & 0xffff) as u64)
    }

    pub(crate) const fn first(class: Class, number: u64) -> Self {
        Self::new(class, number, 0)
    }

    /// Its class.
    #[must_use]
    pub fn class(self) -> Class {
        // Only this module makes entities, of a class each.
        Class::ALL.get((self.0 >> 56) as usize).copied().unwrap_or(Class::Site)
    }

    pub(crate) const fn number(self) -> u64 {
        self.0 >> 16 & 0xff_ffff_ffff
    }

    pub(crate) const fn generation(self) -> u32 {
        (self.0 & 0xffff) as u32
    }

    /// The entity as one number, for tables of other engines.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.class(), self.number())?;
        match self.generation() {
            0 => Ok(()),
            generation => write!(f, ".{generation}"),
        }
    }
}
impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entity({self})")
    }
}
