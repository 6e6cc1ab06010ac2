//! Which machine this is.

use std::path::Path;

use itom_core::Key;

/// The strongest stable key of the machine whose root file system is at `root`: machine-id, else the SMBIOS UUID, else
/// the host name.
pub(crate) fn host_key(root: &Path) -> Key {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let machine_id = ["etc/machine-id", "var/lib/dbus/machine-id"]
        .iter()
        .find_map(|path| Key::machine_id(read(path)?.trim()).ok());
    machine_id
        .or_else(|| Key::smbios_uuid(read("sys/class/dmi/id/product_uuid")?.trim()).ok())
        .unwrap_or_else(|| {
            let name = read("proc/sys/kernel/hostname").or_else(|| read("etc/hostname")).unwrap_or_default();
            let name = name.trim();
            Key::host_name(if name.is_empty() { "localhost" } else { name })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use itom_core::key_kind;

    #[test]
    fn this_machine_has_a_key() {
        let key = host_key(Path::new("/"));
        assert!(!key.value().is_empty());
        let nowhere = host_key(Path::new("/nonexistent"));
        assert_eq!(*nowhere.kind(), key_kind::HOST_NAME);
    }
}
