//! How the collectors of one machine call it.

use std::path::Path;

use itom_core::Key;

/// The key by which every collector of this machine refers to it: the machine-id, else the SMBIOS UUID, else the
/// host's name. `root` is `/`, or the root of a container or an image.
pub(crate) fn host_key(root: &Path) -> Key {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let machine_id = ["etc/machine-id", "var/lib/dbus/machine-id"]
        .into_iter()
        .find_map(|path| Key::machine_id(read(path)?.trim()).ok());
    let smbios = || Key::smbios_uuid(read("sys/class/dmi/id/product_uuid")?.trim()).ok();
    machine_id.or_else(smbios).unwrap_or_else(|| {
        let name = ["proc/sys/kernel/hostname", "etc/hostname"].into_iter().find_map(read);
        Key::host_name(name.as_deref().map(str::trim).filter(|name| !name.is_empty()).unwrap_or("localhost"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::command::tests::TestRoot;

    #[test]
    fn the_strongest_readable_name_wins() {
        let root = TestRoot::new("identity");
        assert_eq!(host_key(root.path()), Key::host_name("localhost"));
        root.file("etc/hostname", "Web-1\n");
        assert_eq!(host_key(root.path()), Key::host_name("web-1"));
        root.file("var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n");
        root.file("etc/machine-id", "uninitialized\n");
        let key = Key::machine_id("0123456789abcdef0123456789abcdef");
        assert_eq!(Ok(host_key(root.path())), key);
    }
}
