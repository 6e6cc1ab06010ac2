//! Rules to begin with, in Prometheus's format: over what the collectors of this SDK measure, under the names that
//! node_exporter uses where it measures the same. Each pack has unit tests in promtool's format.
//!
//! They are a beginning, not a law: print a pack, change it, and load it as a rule file of your own.
//!
//! ```
//! use itom_alert::prometheus::packs;
//! for pack in packs::ALL {
//!     println!("{}: {}", pack.name(), pack.about());
//! }
//! assert!(packs::HOST.rules().contains("alert: FilesystemFull"));
//! ```

/// A rule file that comes with the SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pack {
    name: &'static str,
    rules: &'static str,
    tests: &'static str,
    about: &'static str,
    file: &'static str,
}

impl Pack {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it watches.
    #[must_use]
    pub const fn about(&self) -> &'static str {
        self.about
    }

    /// What its rule file is called in messages and in the identity of alerts: `itom/host.yml`.
    #[must_use]
    pub const fn file(&self) -> &'static str {
        self.file
    }

    /// Its rule file.
    #[must_use]
    pub const fn rules(&self) -> &'static str {
        self.rules
    }

    /// Its unit tests, which know the rule file by its last name: `host.yml`.
    #[must_use]
    pub const fn tests(&self) -> &'static str {
        self.tests
    }
}

macro_rules! packs {
    ($($constant:ident $name:literal $about:literal;)*) => {
        $(
            #[doc = $about]
            pub const $constant: Pack = Pack {
                name: $name,
                rules: include_str!(concat!($name, ".yml")),
                tests: include_str!(concat!($name, ".test.yml")),
                about: $about,
                file: concat!("itom/", $name, ".yml"),
            };
        )*
        /// All packs.
        pub const ALL: [Pack; [$($name),*].len()] = [$($constant),*];
    };
}

packs! {
    HOST "host" "The machine itself: processor, memory, file systems, disks, temperature.";
    NETWORK "network" "Interfaces and the network stack of a machine.";
    PROCESS "process" "Single processes: memory, processor, open files, threads.";
    SERVICE "service" "Units of systemd, and the connections of services.";
    COLLECTOR "collector" "The collectors and the engine themselves: what they miss, nobody sees.";
}
