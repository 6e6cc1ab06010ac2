//! Temperatures: `/sys/class/hwmon` and `/sys/class/thermal`.

use super::super::output::{HOST, Output, labels, unreadable};
use super::super::scan::signed;
use crate::linux::identity::{if_present, is_absent};
use crate::linux::read::Reader;

/// All of this file. Virtual machines have neither directory.
pub(in super::super) fn collect(reader: &mut Reader, out: &mut Output<'_>) {
    chips(reader, out);
    zones(reader, out);
}

const HWMON: &str = "sys/class/hwmon";
const THERMAL: &str = "sys/class/thermal";

fn chips(reader: &mut Reader, out: &mut Output<'_>) {
    for entry in names(reader, out, HWMON) {
        let directory = format!("{HWMON}/{entry}");
        let chip = chip_name(reader, &directory, &entry);
        if let Ok(name) = reader.line(&format!("{directory}/name"))
            && !name.is_empty()
        {
            out.info("node_hwmon_chip_names", 1.0, labels([("chip", &chip), ("chip_name", &clean(&name))]));
        }
        for file in names(reader, out, &directory) {
            let Some((sensor, property)) = file.split_once('_') else { continue };
            let is_temperature = sensor
                .strip_prefix("temp")
                .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
            let metric = match property {
                "input" => "node_hwmon_temp_celsius",
                "max" => "node_hwmon_temp_max_celsius",
                "crit" => "node_hwmon_temp_crit_celsius",
                _ => continue,
            };
            if !is_temperature {
                continue;
            }
            let Some(value) = millidegrees(reader, out, &format!("{directory}/{file}")) else { continue };
            let tag = out.series.tag(&[b"hwmon", chip.as_bytes(), sensor.as_bytes()], || {
                (HOST.to_owned(), labels([("chip", &chip), ("sensor", sensor)]))
            });
            out.tagged_gauge(metric, value, &tag);
        }
    }
}

/// node_exporter's name of a chip: the bus and name of its device, so that it survives renumbering; else what the
/// driver calls it.
fn chip_name(reader: &mut Reader, directory: &str, entry: &str) -> String {
    if let Ok(device) = std::fs::canonicalize(reader.path(&format!("{directory}/device")))
        && let Some(name) = device.file_name()
        && let Some(kind) = device.parent().and_then(std::path::Path::file_name)
    {
        let (kind, name) = (clean(&kind.to_string_lossy()), clean(&name.to_string_lossy()));
        if !kind.is_empty() && !name.is_empty() {
            return format!("{kind}_{name}");
        }
    }
    let name = reader.line(&format!("{directory}/name")).map(|name| clean(&name)).unwrap_or_default();
    if name.is_empty() { entry.to_owned() } else { name }
}

/// Lower case, with `_` for what a metric name cannot have.
fn clean(name: &str) -> String {
    let lower = name.to_lowercase();
    let replaced: String =
        lower.chars().map(|c| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' }).collect();
    replaced.trim_matches('_').to_owned()
}

fn zones(reader: &mut Reader, out: &mut Output<'_>) {
    for entry in names(reader, out, THERMAL) {
        let Some(zone) = entry.strip_prefix("thermal_zone") else { continue };
        let Some(value) = millidegrees(reader, out, &format!("{THERMAL}/{entry}/temp")) else { continue };
        let kind = reader.line(&format!("{THERMAL}/{entry}/type")).unwrap_or_default();
        let tag = out.series.tag(&[b"zone", zone.as_bytes(), kind.as_bytes()], || {
            (HOST.to_owned(), labels([("type", &kind), ("zone", zone)]))
        });
        out.tagged_gauge("node_thermal_zone_temp", value, &tag);
    }
}

fn names(reader: &Reader, out: &mut Output<'_>, directory: &str) -> Vec<String> {
    match if_present(reader.names(directory)) {
        Ok(names) => names.unwrap_or_default(),
        Err(error) => {
            unreadable(out.batch, directory, &error);
            Vec::new()
        }
    }
}

fn millidegrees(reader: &mut Reader, out: &mut Output<'_>, path: &str) -> Option<f64> {
    match reader.read(path) {
        Ok(bytes) => match signed(bytes.trim_ascii()) {
            Some(value) => Some(value / 1e3),
            None => {
                out.garbled(path);
                None
            }
        },
        Err(error) => {
            // A sensor without a reading just now (a sleeping device) says so with an error of its own.
            let asleep = matches!(
                rustix::io::Errno::from_io_error(&error),
                Some(rustix::io::Errno::NODATA | rustix::io::Errno::AGAIN | rustix::io::Errno::IO)
            );
            if !asleep && !is_absent(&error) {
                unreadable(out.batch, path, &error);
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn chip_names_are_cleaned_as_node_exporter_does() {
        assert_eq!(clean("Coretemp.0"), "coretemp_0");
        assert_eq!(clean("0000:00:18.3"), "0000:00:18_3");
    }
}
