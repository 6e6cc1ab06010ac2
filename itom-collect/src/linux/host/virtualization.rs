//! Whether the machine is physical, virtual or a container, and whose.

use itom_core::Batch;

use super::super::identity::{container_marker, if_present};
use super::super::read::Reader;
use super::output::unreadable;

/// What kind of machine this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Virtualization {
    /// The container runtime, inside a container.
    pub(super) container: Option<String>,
    /// The hypervisor, in a virtual machine; `vm` when it does not say which.
    pub(super) hypervisor: Option<&'static str>,
}

impl Virtualization {
    /// `container`, `vm` or `physical`: the innermost.
    pub(super) fn host_type(&self) -> &'static str {
        match (&self.container, self.hypervisor) {
            (Some(_), _) => "container",
            (None, Some(_)) => "vm",
            (None, None) => "physical",
        }
    }

    /// Looks at marker files, the environment of process 1, firmware, Xen, and what the CPU says of itself.
    pub(super) fn read(reader: &mut Reader, batch: &mut Batch, cpu_says_hypervisor: bool) -> Self {
        let container =
            container_marker(reader).or_else(|| environment(reader, batch)).or_else(|| subsystem(reader));
        let hypervisor = firmware(reader)
            .or_else(|| xen(reader))
            .or_else(|| mainframe(reader))
            .or_else(|| reader.exists("proc/device-tree/hypervisor/compatible").then_some("vm"))
            .or(cpu_says_hypervisor.then_some("vm"));
        Self { container, hypervisor }
    }
}

/// Process 1 of a container has `container=` in its environment, by the container interface of systemd.
fn environment(reader: &mut Reader, batch: &mut Batch) -> Option<String> {
    const PATH: &str = "proc/1/environ";
    match if_present(reader.read(PATH)) {
        Ok(bytes) => container_of(bytes?),
        Err(error) => {
            unreadable(batch, PATH, &error);
            None
        }
    }
}

fn container_of(environ: &[u8]) -> Option<String> {
    let value = environ.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(b"container="))?;
    let text = String::from_utf8_lossy(value).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn subsystem(reader: &mut Reader) -> Option<String> {
    let release = reader.line("proc/sys/kernel/osrelease").ok()?.to_ascii_lowercase();
    (release.contains("microsoft") || release.contains("wsl")).then(|| "wsl".to_owned())
}

fn firmware(reader: &mut Reader) -> Option<&'static str> {
    let fields = ["product_name", "sys_vendor", "board_vendor", "bios_vendor"]
        .map(|file| reader.line(&format!("sys/class/dmi/id/{file}")).unwrap_or_default());
    hypervisor_of(&fields)
}

/// Text that firmware begins with, and the hypervisor that writes it; names as `systemd-detect-virt` prints them.
const FIRMWARE: [(&str, &str); 19] = [
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("Amazon EC2", "amazon"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("VirtualBox", "oracle"),
    ("innotek GmbH", "oracle"),
    ("Xen", "xen"),
    ("Bochs", "bochs"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Hyper-V", "microsoft"),
    ("Apple Virtualization", "apple"),
    ("Google Compute Engine", "google"),
    ("DigitalOcean", "kvm"),
    ("Alibaba Cloud", "kvm"),
    ("vServer", "kvm"),
];

/// From product name, system vendor, board vendor and BIOS vendor.
fn hypervisor_of(fields: &[String; 4]) -> Option<&'static str> {
    let [product, vendor, ..] = fields;
    // Bare-metal instances of clouds carry the cloud's name without its hypervisor.
    if product.ends_with(".metal") {
        return None;
    }
    if product == "Virtual Machine" && vendor == "Microsoft Corporation" {
        return Some("microsoft");
    }
    fields.iter().find_map(|field| {
        FIRMWARE.iter().find(|(text, _)| field.starts_with(text)).map(|(_, hypervisor)| *hypervisor)
    })
}

/// Xen guests; its first domain is the machine itself.
fn xen(reader: &mut Reader) -> Option<&'static str> {
    if let Ok(capabilities) = reader.line("proc/xen/capabilities") {
        return (!capabilities.contains("control_d")).then_some("xen");
    }
    let kind = reader.line("sys/hypervisor/type").ok()?;
    (kind == "xen").then_some("xen")
}

fn mainframe(reader: &mut Reader) -> Option<&'static str> {
    let text = reader.read("proc/sysinfo").ok()?;
    let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    if has(b"z/VM") {
        return Some("zvm");
    }
    has(b"KVM/Linux").then_some("kvm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: [&str; 4], expected: Option<&str>) {
        assert_eq!(hypervisor_of(&fields.map(str::to_owned)), expected);
    }

    #[test]
    fn firmware_names_the_hypervisor() {
        check(["Standard PC (Q35 + ICH9, 2009)", "QEMU", "", "SeaBIOS"], Some("qemu"));
        check(["VMware7,1", "VMware, Inc.", "Intel", ""], Some("vmware"));
        check(["Virtual Machine", "Microsoft Corporation", "", ""], Some("microsoft"));
        check(["Surface Pro", "Microsoft Corporation", "", ""], None);
        check(["m5.large", "Amazon EC2", "Amazon EC2", "Amazon EC2"], Some("amazon"));
        check(["m5.metal", "Amazon EC2", "Amazon EC2", "Amazon EC2"], None);
        check(["PowerEdge R640", "Dell Inc.", "Dell Inc.", "Dell Inc."], None);
    }

    #[test]
    fn the_environment_names_the_container() {
        assert_eq!(container_of(b"PATH=/bin\0container=lxc\0TERM=x\0").as_deref(), Some("lxc"));
        assert_eq!(container_of(b"not_container=lxc\0container=\0"), None);
    }
}
