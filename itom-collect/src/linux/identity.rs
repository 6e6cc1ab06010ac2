//! What identifies the machine: shared by all Linux collectors, so that they refer to one host.

use std::io;
use std::path::Path;

use itom_core::Key;

use super::read::Reader;
use crate::CollectError;

/// The key by which every Linux collector refers to the host: machine-id, else D-Bus's copy of it, else the SMBIOS
/// UUID (not inside a container, where it is the hardware's), else the host name.
///
/// # Errors
/// When one of them is there and cannot be read just now. Falling back would make it another host, with everything on it;
/// only what is denied stays so, and is passed over.
pub(crate) fn host_key(root: &Path) -> io::Result<Key> {
    let unless_denied = |read: io::Result<Option<Key>>| match read {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        read => read,
    };
    let mut reader = Reader::new(root);
    if let Some(key) = unless_denied(machine_id(&mut reader))? {
        return Ok(key);
    }
    if container_marker(&mut reader).is_none()
        && let Some(key) = unless_denied(smbios_uuid(&mut reader))?
    {
        return Ok(key);
    }
    let name = if_present(host_name(&mut reader))?.unwrap_or_default();
    Ok(Key::host_name(if name.is_empty() { "localhost" } else { &name }))
}

/// As [`host_key`], for a run that cannot go on without it.
///
/// # Errors
/// [`CollectError::Unavailable`], mostly.
pub(crate) fn host_of(given: Option<&Key>, root: &Path) -> Result<Key, CollectError> {
    match given {
        Some(key) => Ok(key.clone()),
        None => host_key(root).map_err(|error| CollectError::io("what identifies the machine", error)),
    }
}

/// `None` for what does not exist.
pub(crate) fn if_present<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error says that the system has no such thing, rather than that it could not be read: missing files, and
/// files of features that are switched off or that a device does not have.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::Unsupported
    ) || [Errno::OPNOTSUPP, Errno::NODEV, Errno::NXIO, Errno::INVAL]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// `/etc/machine-id`, else `/var/lib/dbus/machine-id`. An image that was never booted has none (`uninitialized`).
pub(crate) fn machine_id(reader: &mut Reader) -> io::Result<Option<Key>> {
    let mut refused = None;
    for path in ["etc/machine-id", "var/lib/dbus/machine-id"] {
        match if_present(reader.line(path)) {
            Ok(Some(text)) if !is_junk(&text) => {
                if let Ok(key) = Key::machine_id(&text) {
                    return Ok(Some(key));
                }
            }
            Ok(_) => {}
            Err(error) => refused = Some(error),
        }
    }
    refused.map_or(Ok(None), Err)
}

/// The SMBIOS system UUID, unless it is one of those that vendors forgot to set. Readable by root only.
pub(crate) fn smbios_uuid(reader: &mut Reader) -> io::Result<Option<Key>> {
    let text = if_present(reader.line("sys/class/dmi/id/product_uuid"))?;
    Ok(text.filter(|text| !is_junk(text)).and_then(|text| Key::smbios_uuid(&text).ok()))
}

/// The host name the kernel has.
pub(crate) fn host_name(reader: &mut Reader) -> io::Result<String> {
    reader.line("proc/sys/kernel/hostname").or_else(|error| reader.line("etc/hostname").map_err(|_| error))
}

/// The container runtime, as far as marker files say it without privileges.
pub(crate) fn container_marker(reader: &mut Reader) -> Option<String> {
    if let Ok(text) = reader.line("run/systemd/container")
        && !text.is_empty()
    {
        return Some(text);
    }
    if reader.exists(".dockerenv") {
        return Some("docker".to_owned());
    }
    if reader.exists("run/.containerenv") {
        return Some("podman".to_owned());
    }
    // OpenVZ guests have /proc/vz, its hosts also /proc/bc.
    (reader.exists("proc/vz") && !reader.exists("proc/bc")).then(|| "openvz".to_owned())
}

/// Texts that firmware carries where nobody filled the field in.
const JUNK: [&str; 33] = [
    "",
    "-",
    ".",
    "0",
    "00000000-0000-0000-0000-000000000000",
    "0123456789",
    "01234567890123456789",
    "03000200-0400-0500-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
    "123456789",
    "1234567890",
    "asset tag",
    "chassis serial number",
    "default",
    "default string",
    "fefefefe-fefe-fefe-fefe-fefefefefefe",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "invalid",
    "n/a",
    "na",
    "no asset information",
    "none",
    "not applicable",
    "not available",
    "not set",
    "not specified",
    "null",
    "o.e.m.",
    "oem",
    "serial",
    "system serial number",
    "to be filled by o.e.m.",
    "unknown",
];

/// Whether an identifier is a placeholder that many machines share.
pub(crate) fn is_junk(text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    if JUNK.binary_search(&text.as_str()).is_ok() || text.starts_with("to be filled") {
        return true;
    }
    // "000000", "xxxxxx", "........": one character repeated.
    let mut letters = text.bytes().filter(|byte| *byte != b'-');
    letters.next().is_none_or(|first| letters.all(|byte| byte == first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
        let root = std::env::temp_dir().join(format!("itom-identity-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&root).expect("a directory");
        for (path, content) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            std::fs::write(path, content).expect("a file");
        }
        root
    }

    fn check(name: &str, files: &[(&str, &str)], key: &str) {
        let root = tree(name, files);
        assert_eq!(host_key(&root).expect("readable").to_string(), key, "{name}");
        std::fs::remove_dir_all(root).expect("removable");
    }

    #[test]
    fn the_host_key_falls_from_machine_id_to_host_name() {
        const ID: &str = "3d1219c7c4c5404aaa1f6d2a48adfda4";
        const UUID: &str = "4c4c4544-0051-3510-8051-c4c04f4b4e31";
        let dbus = ("var/lib/dbus/machine-id", ID);
        let smbios = ("sys/class/dmi/id/product_uuid", UUID);
        let name = ("proc/sys/kernel/hostname", "web-1\n");
        check("both", &[("etc/machine-id", ID), smbios, name], &format!("machine_id={ID}"));
        check("unset", &[("etc/machine-id", "uninitialized\n"), dbus, name], &format!("machine_id={ID}"));
        check("zero", &[("etc/machine-id", "00000000000000000000000000000000"), name], "host_name=web-1");
        check("smbios", &[smbios, name], &format!("smbios_uuid={UUID}"));
        check("container", &[smbios, name, (".dockerenv", "")], "host_name=web-1");
        check("nothing", &[], "host_name=localhost");
    }

    #[test]
    fn placeholders_are_not_identifiers() {
        assert!(JUNK.is_sorted());
        for junk in ["To Be Filled By O.E.M.", "0", "None", "Default string", " ", "0000000", "FFFFFFFF-FFFF"]
        {
            assert!(is_junk(junk), "{junk}");
        }
        for real in ["5QZ8051", "VMware-56 4d 1a", "PC0ABCDE"] {
            assert!(!is_junk(real), "{real}");
        }
    }
}
