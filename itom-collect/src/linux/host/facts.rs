//! What cannot change within a boot.

use itom_core::{Batch, Fault, Key, Realm, Retry, SourceName, Timestamp};

use super::super::identity::{self, if_present, is_junk};
use super::super::read::Reader;
use super::output::{Need, garbled, machine_realm, unreadable};
use super::parse::cpu::{CpuInfo, StatLine, parse_cpuinfo, parse_stat};
use super::parse::memory::parse_meminfo;
use super::virtualization::Virtualization;

/// What is read once for each boot: identity, hardware, kind of machine.
#[derive(Debug)]
pub(super) struct Facts {
    /// How every Linux collector calls the host.
    pub(super) host: Key,
    /// Where this machine's own ids are unique.
    pub(super) realm: Realm,
    /// Machine-id, SMBIOS UUID in both byte orders, serial numbers.
    pub(super) keys: Vec<Key>,
    pub(super) vendor: Option<String>,
    pub(super) product: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) cpu: CpuInfo,
    pub(super) architecture: Option<String>,
    pub(super) memory: Option<i64>,
    /// The kernel derives it from clock and uptime, so that it moves by a second when the clock is set: the first one
    /// read is kept.
    pub(super) booted_at: Option<Timestamp>,
    pub(super) virtualization: Virtualization,
    /// What could not be read; said in every run, since it stays unknown.
    pub(super) faults: Vec<Fault>,
}

impl Facts {
    /// Whether reading again would find the same: what failed for a passing reason is read again.
    pub(super) fn is_settled(&self) -> bool {
        self.faults.iter().all(|fault| matches!(fault.kind.retry(), Retry::Never))
    }

    pub(super) fn read(reader: &mut Reader, live: bool, host: Key) -> Self {
        let mut notes = Batch::new(SourceName::literal("facts"), Timestamp::EPOCH);
        let cpu =
            read(reader, &mut notes, "proc/cpuinfo", Need::Always).map(parse_cpuinfo).unwrap_or_default();
        let virtualization = Virtualization::read(reader, &mut notes, cpu.hypervisor);
        let memory = read(reader, &mut notes, "proc/meminfo", Need::Always)
            .and_then(|bytes| parse_meminfo(bytes).flatten().find(|line| line.name == b"MemTotal"))
            .and_then(|line| i64::try_from(line.value.saturating_mul(1024)).ok());
        let booted_at = read(reader, &mut notes, "proc/stat", Need::Always)
            .and_then(|bytes| {
                parse_stat(bytes).flatten().find_map(|line| match line {
                    StatLine::BootTime(at) => i64::try_from(at).ok(),
                    _ => None,
                })
            })
            .map(Timestamp::from_secs);
        let mut keys = Vec::new();
        match identity::machine_id(reader) {
            Ok(key) => keys.extend(key),
            Err(error) => unreadable(&mut notes, "etc/machine-id", &error),
        }
        let mut text = |file: &str| {
            let path = format!("sys/class/dmi/id/{file}");
            match if_present(reader.line(&path)) {
                Ok(text) => text.filter(|text| !is_junk(text)),
                Err(error) => {
                    unreadable(&mut notes, &path, &error);
                    None
                }
            }
        };
        let (vendor, product) = (text("sys_vendor"), text("product_name"));
        let mut serial = None;
        // Inside a container the firmware is that of the machine below: its ids would make both one.
        if virtualization.container.is_none() {
            serial = text("product_serial");
            keys.extend(serial.as_deref().and_then(|serial| Key::serial(serial).ok()));
            match identity::smbios_uuid(reader) {
                Ok(Some(key)) => {
                    keys.extend(key.other_byte_order());
                    keys.push(key);
                }
                Ok(None) => {}
                Err(error) => unreadable(&mut notes, "sys/class/dmi/id/product_uuid", &error),
            }
        }
        let architecture = if live {
            Some(rustix::system::uname().machine().to_string_lossy().into_owned())
        } else {
            reader.line("proc/sys/kernel/arch").ok()
        };
        if cpu.count == 0 && notes.faults().iter().all(|fault| &*fault.what != "/proc/cpuinfo") {
            garbled(&mut notes, "proc/cpuinfo");
        }
        Self {
            realm: machine_realm(&host),
            host,
            keys,
            vendor,
            product,
            serial,
            cpu,
            architecture: architecture.map(|machine| architecture_name(&machine).to_owned()),
            memory,
            booted_at,
            virtualization,
            faults: notes.faults().to_vec(),
        }
    }
}

fn read<'r>(reader: &'r mut Reader, notes: &mut Batch, path: &str, need: Need) -> Option<&'r [u8]> {
    match reader.read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            if need == Need::Always || !identity::is_absent(&error) {
                unreadable(notes, path, &error);
            }
            None
        }
    }
}

/// OpenTelemetry's `host.arch` of a kernel's machine name.
fn architecture_name(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i486" | "i586" | "i686" => "x86",
        "ppc64le" => "ppc64",
        machine if machine.starts_with("armv") => "arm32",
        machine => machine,
    }
}
