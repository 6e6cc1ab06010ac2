//! The host as a configuration item.

use itom_core::{AttrName, Batch, Coverage, ErrorKind, Key, Realm, Scope, Value, attr, kind};

use super::super::identity;
use super::super::read::Reader;
use super::facts::Facts;
use super::links::Network;
use super::metrics::machine::OS_RELEASE;
use super::output::{HOST, garbled, part_key, unreadable};
use super::parse::release::{OsRelease, parse_os_release};
use super::scan::{lines, text, words};

/// What the parts of the inventory share in one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) facts: &'a Facts,
    pub(super) boot_id: &'a str,
    pub(super) network: &'a Network,
    /// Where IP addresses are unique.
    pub(super) realm: &'a Realm,
}

const VIRTUALIZATION: AttrName = AttrName::literal("host.virtualization");
const TIMEZONE: AttrName = AttrName::literal("host.timezone");
const TIME_SYNCHRONIZED: AttrName = AttrName::literal("host.time.synchronized");
const VENDOR: AttrName = AttrName::literal("host.vendor");
const PRODUCT: AttrName = AttrName::literal("host.product");
const SERIAL: AttrName = AttrName::literal("host.serial");
const FQDN: AttrName = AttrName::literal("host.fqdn");

/// The host with its keys and attributes.
pub(super) fn host(reader: &mut Reader, batch: &mut Batch, seen: &Seen<'_>, coverage: &mut Coverage) {
    let facts = seen.facts;
    for fault in &facts.faults {
        batch.fault(fault.what.clone(), fault.kind, fault.message.clone());
    }
    let name = identity::host_name(reader);
    if let Err(error) = &name {
        unreadable(batch, "proc/sys/kernel/hostname", error);
    }
    let name = name.ok().filter(|name| !name.is_empty());
    let fqdn = name.as_deref().and_then(|name| fqdn(reader, name));
    let release = os_release(reader, batch);
    let kernel = reader.line("proc/sys/kernel/osrelease").ok().filter(|text| !text.is_empty());
    let timezone = timezone(reader);
    let synchronized =
        reader.exists("run/systemd/timesync").then(|| reader.exists("run/systemd/timesync/synchronized"));

    let ci = batch.ci(HOST, kind::HOST_LINUX);
    facts.keys.iter().cloned().for_each(|key| {
        ci.key(key);
    });
    ci.key(facts.host.clone()).key(part_key(&facts.realm, HOST));
    seen.network.burned_in().filter_map(|mac| Key::mac(mac).ok()).for_each(|key| {
        ci.key(key);
    });
    for address in seen.network.own_addresses() {
        ci.key(Key::ip(address.ip).in_realm(seen.realm_of(address)));
    }
    if let Some(name) = &name {
        ci.key(Key::host_name(name));
    }
    if let Some(fqdn) = &fqdn {
        ci.key(Key::fqdn(fqdn));
    }

    let get = |name: &str| release.as_ref().and_then(|release| release.get(name)).map(str::to_owned);
    ci.attr(attr::OS_TYPE, "linux")
        .attr(attr::HOST_TYPE, facts.virtualization.host_type())
        .attr(
            attr::HOST_IP,
            Value::text_set(seen.network.own_addresses().map(|address| address.ip.to_string())),
        )
        .attr(attr::HOST_MAC, Value::text_set(seen.network.macs().map(str::to_owned)))
        .attr_opt(attr::NAME, name.clone())
        .attr_opt(attr::HOST_NAME, name)
        .attr_opt(FQDN, fqdn)
        .attr_opt(attr::HOST_ARCH, facts.architecture.clone())
        .attr_opt(attr::HOST_CPU_MODEL_NAME, facts.cpu.model.clone())
        .attr_opt(attr::HOST_CPU_COUNT, i64::try_from(facts.cpu.count).ok().filter(|count| *count > 0))
        .attr_opt(attr::HOST_MEMORY_SIZE, facts.memory)
        .attr_opt(attr::HOST_BOOT_TIME, facts.booted_at)
        .attr_opt(attr::HOST_BOOT_ID, Some(seen.boot_id.to_owned()).filter(|id| !id.is_empty()))
        .attr_opt(VIRTUALIZATION, facts.virtualization.hypervisor)
        .attr_opt(attr::CONTAINER_RUNTIME_NAME, facts.virtualization.container.clone())
        .attr_opt(VENDOR, facts.vendor.clone())
        .attr_opt(PRODUCT, facts.product.clone())
        .attr_opt(SERIAL, facts.serial.clone())
        .attr_opt(attr::OS_NAME, get("NAME"))
        .attr_opt(attr::OS_VERSION, get("VERSION_ID"))
        .attr_opt(attr::OS_DESCRIPTION, get("PRETTY_NAME"))
        .attr_opt(attr::OS_BUILD_ID, get("BUILD_ID"))
        .attr_opt(attr::OS_KERNEL_RELEASE, kernel)
        .attr_opt(TIMEZONE, timezone)
        .attr_opt(TIME_SYNCHRONIZED, synchronized);
    if let Some(id) = facts.keys.iter().find(|key| *key.kind() == itom_core::key_kind::MACHINE_ID) {
        ci.attr(attr::HOST_ID, id.value());
    }
    coverage.add_complete(Scope::cis(kind::HOST_LINUX));
}

fn os_release(reader: &mut Reader, batch: &mut Batch) -> Option<OsRelease> {
    for path in OS_RELEASE {
        match identity::if_present(reader.read(path)) {
            Ok(Some(bytes)) => {
                let (release, parsed) = parse_os_release(bytes);
                if parsed.is_err() {
                    garbled(batch, path);
                }
                return Some(release);
            }
            Ok(None) => {}
            Err(error) => unreadable(batch, path, &error),
        }
    }
    batch.fault("/etc/os-release", ErrorKind::NotFound, "there is none: the operating system stays unknown");
    None
}

/// The host name if it has a domain, else what `/etc/hosts` calls it, as `hostname --fqdn` finds it without asking a
/// name server.
fn fqdn(reader: &mut Reader, name: &str) -> Option<String> {
    let qualified = |name: &str| {
        name.trim_end_matches('.').contains('.')
            && !name.starts_with("localhost")
            && !name.ends_with(".localdomain")
            && name.parse::<std::net::IpAddr>().is_err()
    };
    if qualified(name) {
        return Some(name.to_owned());
    }
    let hosts = reader.read("etc/hosts").ok()?;
    lines(hosts).find_map(|line| {
        let line = line.split(|byte| *byte == b'#').next()?;
        let names: Vec<_> = words(line).skip(1).map(text).collect();
        let is_ours = names.iter().any(|alias| alias.eq_ignore_ascii_case(name));
        let canonical = names.first()?;
        (is_ours && qualified(canonical)).then(|| canonical.to_string())
    })
}

/// The zone's name, from the link `/etc/localtime` or Debian's `/etc/timezone`.
fn timezone(reader: &mut Reader) -> Option<String> {
    if let Ok(target) = reader.link("etc/localtime")
        && let Some((_, zone)) = target.split_once("zoneinfo/")
    {
        return Some(zone.to_owned());
    }
    reader.line("etc/timezone").ok().filter(|zone| !zone.is_empty())
}
