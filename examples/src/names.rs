//! What people call things: names, amounts and endpoints as they are read, not as they are stored.

use std::net::IpAddr;

use itom::cmdb::view::{Ci, View};
use itom::core::{CiId, RelationKind, Text, relation};

/// The name of an item. A listener whose program cannot be read has only the id that its source gave it: said in words.
pub fn name(ci: &Ci) -> Text {
    clear(ci.name())
}

/// The name of an item that may be gone or merged since.
pub fn name_of(view: &View, id: CiId) -> Text {
    let known = view.current(id).and_then(|id| view.ci(id));
    known.map_or_else(|| Text::from(format!("gone item {}", short(id))), name)
}

/// Enough of an id to tell two apart.
fn short(id: CiId) -> String {
    id.to_string().chars().take(8).collect()
}

/// A name as it is read: the id of a listener whose program cannot be seen becomes words.
#[must_use]
pub fn clear(name: &Text) -> Text {
    let unseen =
        name.as_str().strip_prefix("svc:?:").and_then(|rest| rest.split('@').next()?.split_once(':'));
    unseen.map_or_else(
        || name.clone(),
        |(transport, endpoint)| Text::from(format!("unknown program ({transport} {endpoint})")),
    )
}

/// `[::]:9100`, `127.0.0.1:9100`.
pub fn endpoint(address: &str, port: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{address}:{port}"),
    }
}

/// 25276518400 as `23.5 GiB`.
pub fn bytes(count: i64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut size = count as f64;
    let mut unit = "B";
    for next in UNITS {
        if size.abs() < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{count} B") } else { format!("{size:.1} {unit}") }
}

/// Whether the relation leads from `from` to `to`; a failure may travel either way along it.
pub fn leads(view: &View, kind: &RelationKind, from: CiId, to: CiId) -> bool {
    view.relations_of(from).any(|edge| edge.kind == *kind && edge.from == from && edge.to == to)
}

/// Why `ci` feels the failure of `via`: `depends on postgres`, `is part of web-1`.
pub fn reason(view: &View, kind: &RelationKind, ci: CiId, via: CiId) -> String {
    let other = name_of(view, via);
    let words = kind.as_str().replace('_', " ");
    if leads(view, kind, ci, via) {
        format!("{words} {other}")
    } else if *kind == relation::CONTAINS {
        format!("is part of {other}")
    } else {
        format!("{other} {words} it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unread_program_is_named_in_words() {
        for (stored, read) in [
            ("svc:?:tcp:0.0.0.0:2024", "unknown program (tcp 0.0.0.0:2024)"),
            ("svc:?:udp:[::]:53@netns:4026532180", "unknown program (udp [::]:53)"),
            ("svc:nginx:tcp:0.0.0.0:80", "svc:nginx:tcp:0.0.0.0:80"),
            ("nginx", "nginx"),
        ] {
            assert_eq!(clear(&Text::from(stored)).as_str(), read);
        }
    }

    #[test]
    fn an_endpoint_of_version_six_has_brackets() {
        assert_eq!(endpoint("::", "9100"), "[::]:9100");
        assert_eq!(endpoint("127.0.0.1", "80"), "127.0.0.1:80");
        assert_eq!(endpoint("", "80"), ":80");
    }

    #[test]
    fn amounts_have_one_decimal_and_a_unit() {
        assert_eq!(bytes(25_276_518_400), "23.5 GiB");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
    }
}
