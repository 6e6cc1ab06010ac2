//! Containers and units, from the path of a control group.

use itom_core::Text;

/// Where a process is in the control groups, and what follows from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cgroup {
    /// The path of the unified hierarchy, else of the `name=systemd` one, else the longest of the others.
    pub(crate) path: Option<Text>,
    /// The id the container runtime gave.
    pub(crate) container: Option<Container>,
    /// The uid of the Kubernetes pod.
    pub(crate) pod_uid: Option<Text>,
    /// The systemd unit: the last path segment that names a service, scope, socket or slice of a machine.
    pub(crate) unit: Option<Text>,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Container {
    pub(crate) id: Text,
    pub(crate) runtime: Option<Text>,
}

/// Reads `/proc/PID/cgroup`: `id:controllers:path` lines, version 1, 2 or both.
pub(crate) fn parse(bytes: &[u8]) -> Cgroup {
    let text = String::from_utf8_lossy(bytes);
    let mut best: Option<(u8, &str)> = None;
    let mut container = None;
    let mut pod_uid = None;
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let rank = match (id, controllers) {
            ("0", "") if path != "/" => 3,
            (_, "name=systemd") if path != "/" => 2,
            _ if path != "/" => 1,
            _ => 0,
        };
        if best.is_none_or(|(known, longest)| rank > known || (rank == known && path.len() > longest.len())) {
            best = Some((rank, path));
        }
        container = container.or_else(|| find_container(path));
        pod_uid = pod_uid.or_else(|| find_pod(path));
    }
    let path = best.map(|(_, path)| path);
    Cgroup {
        path: path.map(Text::from),
        unit: path.filter(|_| container.is_none()).and_then(find_unit),
        container,
        pod_uid,
    }
}

fn find_container(path: &str) -> Option<Container> {
    // The innermost container counts: containers run in containers.
    path.rsplit('/').enumerate().find_map(|(depth, segment)| {
        let parent = || path.rsplit('/').nth(depth + 1).unwrap_or("");
        let bare = segment.strip_suffix(".scope").unwrap_or(segment);
        // systemd cgroup drivers: docker-<id>.scope, cri-containerd-<id>.scope, crio-<id>.scope, libpod-<id>.scope
        for (prefix, runtime) in [
            ("docker-", "docker"),
            ("cri-containerd-", "containerd"),
            ("nerdctl-", "containerd"),
            ("crio-conmon-", ""),
            ("libpod-conmon-", ""),
            ("crio-", "cri-o"),
            ("libpod-", "podman"),
        ] {
            if let Some(rest) = bare.strip_prefix(prefix) {
                // The monitor of a container runs outside of it.
                return (!runtime.is_empty() && is_id(rest)).then(|| made(rest, Some(runtime)));
            }
        }
        // containerd with the systemd driver and nested names: kubepods-…slice:cri-containerd:<id>
        if let Some((_, id)) = bare.rsplit_once(':')
            && is_id(id)
        {
            let runtime = if bare.contains("containerd") { Some("containerd") } else { None };
            return Some(made(id, runtime));
        }
        if let Some(name) = bare.strip_prefix("lxc.payload.") {
            return (!name.is_empty()).then(|| made(name, Some("lxc")));
        }
        if parent() == "lxc" && !bare.is_empty() {
            return Some(made(bare, Some("lxc")));
        }
        if is_id(bare) {
            let runtime = match parent() {
                "docker" => Some("docker"),
                above if above.starts_with("libpod") => Some("podman"),
                "default" | "k8s.io" | "moby" => Some("containerd"),
                _ => None,
            };
            return Some(made(bare, runtime));
        }
        None
    })
}

fn made(id: &str, runtime: Option<&str>) -> Container {
    Container { id: Text::from(id), runtime: runtime.map(Text::from) }
}

/// Docker, containerd, CRI-O and podman use 64 hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
}

/// `pod<uid>`, with `_` for `-` under the systemd driver: `kubepods-burstable-pod2c48913c_b29f_….slice`.
fn find_pod(path: &str) -> Option<Text> {
    path.split('/').find_map(|segment| {
        let bare = segment.strip_suffix(".slice").unwrap_or(segment);
        let at = bare.rfind("pod")?;
        let uid = bare.get(at + 3..)?.replace('_', "-");
        let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
        (uid.len() == 36 && digits == 32).then(|| Text::from(uid))
    })
}

fn find_unit(path: &str) -> Option<Text> {
    let is_unit = |segment: &&str| {
        [".service", ".scope", ".socket", ".mount", ".swap"]
            .iter()
            .any(|suffix| segment.len() > suffix.len() && segment.ends_with(suffix))
    };
    // The innermost one: a user's service lies below user@1000.service.
    path.rsplit('/').find(is_unit).map(unescape)
}

/// Unit names in paths carry a leading `_` where they would clash with a controller's file, and `\x2d` for `-`.
fn unescape(segment: &str) -> Text {
    Text::from(segment.strip_prefix('_').unwrap_or(segment))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn container(path: &str) -> Option<(String, Option<String>)> {
        let found = parse(format!("0::{path}\n").as_bytes()).container?;
        Some((found.id.to_string(), found.runtime.map(|runtime| runtime.to_string())))
    }

    #[test]
    fn containers_of_each_runtime() {
        let hex = |runtime: &str| Some((ID.to_owned(), Some(runtime.to_owned())));
        assert_eq!(container(&format!("/system.slice/docker-{ID}.scope")), hex("docker"));
        assert_eq!(container(&format!("/docker/{ID}")), hex("docker"));
        assert_eq!(container(&format!("/machine.slice/libpod-{ID}.scope/container")), hex("podman"));
        assert_eq!(container(&format!("/kubepods.slice/x.slice/crio-{ID}.scope")), hex("cri-o"));
        assert_eq!(container(&format!("/machine.slice/libpod-conmon-{ID}.scope")), None);
        assert_eq!(
            container(&format!("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}")),
            hex("containerd")
        );
        assert_eq!(container("/lxc.payload.web/init.scope"), Some(("web".into(), Some("lxc".into()))));
        assert_eq!(container("/lxc/web"), Some(("web".into(), Some("lxc".into()))));
        assert_eq!(container("/user.slice/session-3.scope"), None);
    }

    #[test]
    fn pods_and_units() {
        let path = format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2c48913c_b29f_11e7_9350_020968147796.slice/cri-containerd-{ID}.scope"
        );
        let group = parse(format!("0::{path}").as_bytes());
        assert_eq!(group.pod_uid.as_deref(), Some("2c48913c-b29f-11e7-9350-020968147796"));
        assert_eq!(group.unit, None);
        let group = parse(b"0::/user.slice/user-1000.slice/user@1000.service/app.slice/db.service\n");
        assert_eq!(group.unit.as_deref(), Some("db.service"));
    }

    #[test]
    fn version_one_and_hybrid() {
        let lines = format!("12:cpuset:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/\n");
        assert_eq!(parse(lines.as_bytes()).container.map(|found| found.id.to_string()), Some(ID.to_owned()));
        let hybrid = parse(b"3:memory:/\n1:name=systemd:/system.slice/ssh.service\n0::/\n");
        assert_eq!(hybrid.unit.as_deref(), Some("ssh.service"));
    }

    proptest! {
        #[test]
        fn l10_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
        }
        #[test]
        fn l10_any_path(path in "(/[a-z0-9.:@_-]{0,70}){0,6}") {
            let _ = parse(format!("0::{path}").as_bytes());
        }
    }
}
