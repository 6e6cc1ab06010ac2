//! The default pack: what most estates consist of, named as OpenTelemetry names it.

use std::time::Duration;

use itom_core::{AttrName, CiKind, RelationKind, attr, key_kind, kind, relation};

use super::{AttributeRule, AttributeType, KindRule, Lease, Reducer, RelationRule, RuleSet};
use crate::graph::RelationModel;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

const fn own(name: &'static str) -> CiKind {
    CiKind::literal(name)
}

fn text(rule: KindRule, names: &[&'static str]) -> KindRule {
    names.iter().fold(rule, |rule, name| {
        rule.attribute(AttrName::literal(name), AttributeRule::optional(AttributeType::Text))
    })
}

/// A kind that people name: it stays until somebody takes it away.
fn lasting(title: &'static str) -> KindRule {
    KindRule::new(title)
        .attribute(attr::NAME, AttributeRule::recommended(AttributeType::Text))
        .lease(Lease::Never)
}

impl RuleSet {
    /// The default pack: hosts, processes, services, software, network, containers, Kubernetes, cloud resources,
    /// applications and business services, people, teams and places, and the relations between them. It derives what the
    /// default [`CmdbConfig`](crate::CmdbConfig) derives for the kinds that collectors of this SDK report, and knows more.
    #[must_use]
    pub fn default_pack() -> Self {
        let set = Self::new("default", env!("CARGO_PKG_VERSION"));
        let set = crate::config::documents().fold(set, |set, family| set.source_lease(family, Lease::Never));
        expected(aged(relations(places(catalogue(platforms(network(machines(set))))))))
    }
}

/// When what is not seen is stale (after a quarter of its lease what comes and goes, after a day what stays), and when what
/// is gone leaves the lists. What people name does neither.
fn aged(mut set: RuleSet) -> RuleSet {
    let ages = [
        (kind::HOST, DAY, 90 * DAY),
        (kind::DEVICE, DAY, 90 * DAY),
        (kind::PROCESS, 15 * MINUTE, DAY),
        (kind::CONTAINER, 15 * MINUTE, DAY),
        (own("k8s"), DAY, 30 * DAY),
        (own("k8s.pod"), 15 * MINUTE, DAY),
        (own("cloud"), DAY, 30 * DAY),
        (own("container_image"), DAY, 30 * DAY),
        (kind::SERVICE, 6 * HOUR, 30 * DAY),
        (kind::UNIT, 6 * HOUR, 30 * DAY),
        (kind::DISK, 6 * HOUR, 30 * DAY),
        (kind::FILESYSTEM, 6 * HOUR, 30 * DAY),
        (kind::NETWORK_INTERFACE, 6 * HOUR, 30 * DAY),
        (kind::SOFTWARE, 2 * DAY, 30 * DAY),
        (kind::CERTIFICATE, 6 * HOUR, 30 * DAY),
    ];
    for (kind, stale, purge) in ages {
        if let Some(rule) = set.kinds.get_mut(&kind) {
            rule.stale_after = Some(Lease::After(stale));
            rule.purge_after = Some(Lease::After(purge));
        }
    }
    set
}

/// What is expected of items beside their attributes.
fn expected(mut set: RuleSet) -> RuleSet {
    let related = [
        (kind::SERVICE, vec![relation::PROVIDED_BY, relation::RUNS_ON, relation::DEPENDS_ON]),
        (kind::APPLICATION, vec![relation::DEPENDS_ON, relation::MEMBER_OF, relation::CONTAINS]),
        (kind::BUSINESS_SERVICE, vec![relation::DEPENDS_ON, relation::CONTAINS]),
    ];
    for (kind, relations) in related {
        if let Some(rule) = set.kinds.get_mut(&kind) {
            rule.related_by = Some(relations.into_iter().collect());
        }
    }
    for kind in [kind::HOST, kind::DEVICE, kind::APPLICATION, kind::BUSINESS_SERVICE, kind::TEAM] {
        if let Some(rule) = set.kinds.get_mut(&kind) {
            rule.unique_name = true;
        }
    }
    set
}

fn machines(set: RuleSet) -> RuleSet {
    let optional = AttributeRule::optional;
    let host = text(
        KindRule::new("A machine with an operating system, physical or virtual"),
        &["host.id", "host.arch", "host.cpu.model.name", "host.boot.id", "os.description", "os.build_id"],
    )
    .attribute(attr::HOST_NAME, AttributeRule::required(AttributeType::Text))
    .attribute(attr::HOST_TYPE, AttributeRule::recommended(AttributeType::Text))
    .attribute(attr::OS_TYPE, AttributeRule::recommended(AttributeType::Text))
    .attribute(attr::OS_NAME, AttributeRule::recommended(AttributeType::Text))
    .attribute(attr::OS_VERSION, AttributeRule::recommended(AttributeType::Text))
    .attribute(attr::HOST_IP, optional(AttributeType::List).reduced(Reducer::Union))
    .attribute(attr::HOST_MAC, optional(AttributeType::List).reduced(Reducer::Union))
    .attribute(attr::HOST_CPU_COUNT, optional(AttributeType::Int))
    .attribute(attr::HOST_MEMORY_SIZE, optional(AttributeType::Int))
    .attribute(attr::HOST_BOOT_TIME, optional(AttributeType::Time))
    .attribute(attr::OS_UPDATE_TIME, optional(AttributeType::Time))
    .lease(Lease::Never);
    set.kind(kind::HOST, host)
        .kind(
            kind::HOST_LINUX,
            KindRule::new("A machine that runs Linux")
                .attribute(attr::OS_KERNEL_RELEASE, AttributeRule::recommended(AttributeType::Text)),
        )
        .kind(own("host.windows"), KindRule::new("A machine that runs Windows"))
        .kind(own("host.bsd"), KindRule::new("A machine that runs a BSD"))
        .kind(own("host.hypervisor"), KindRule::new("A machine that runs virtual machines"))
        .kind(
            own("host.cloud"),
            text(
                KindRule::new("A machine of a cloud"),
                &["cloud.provider", "cloud.region", "cloud.availability_zone"],
            ),
        )
        .kind(
            kind::PROCESS,
            text(
                KindRule::new("A running process"),
                &[
                    "process.executable.name",
                    "process.executable.path",
                    "process.command_line",
                    "process.owner",
                ],
            )
            .attribute(attr::PROCESS_PID, AttributeRule::required(AttributeType::Int))
            .identified_by([key_kind::PROCESS, key_kind::NATIVE])
            .lease(Lease::After(HOUR)),
        )
        .kind(
            kind::SERVICE,
            text(
                KindRule::new("Something that serves on an address and port"),
                &["service.version", "service.type", "server.address"],
            )
            .attribute(attr::SERVICE_NAME, AttributeRule::recommended(AttributeType::Text))
            .attribute(attr::SERVER_PORT, optional(AttributeType::Int)),
        )
        .kind(
            own("service.database"),
            text(KindRule::new("A database server"), &["db.system.name", "db.namespace"]),
        )
        .kind(own("service.web"), KindRule::new("A web server"))
        .kind(own("service.queue"), text(KindRule::new("A message broker"), &["messaging.system"]))
        .kind(
            kind::SOFTWARE,
            text(
                KindRule::new("One package in one version on one host"),
                &["package.architecture", "package.purl"],
            )
            .attribute(attr::PACKAGE_NAME, AttributeRule::required(AttributeType::Text))
            .attribute(attr::PACKAGE_VERSION, AttributeRule::recommended(AttributeType::Text))
            .lease(Lease::After(WEEK)),
        )
        .kind(
            kind::UNIT,
            text(
                KindRule::new("A unit of the service manager"),
                &["systemd.unit", "systemd.load_state", "systemd.active_state", "systemd.sub_state"],
            ),
        )
        .kind(
            kind::DISK,
            text(KindRule::new("A block device"), &["system.device"])
                .attribute(attr::SIZE, optional(AttributeType::Int)),
        )
        .kind(
            kind::FILESYSTEM,
            text(
                KindRule::new("A mounted file system"),
                &["system.filesystem.mountpoint", "system.filesystem.type"],
            ),
        )
        .kind(
            kind::CERTIFICATE,
            text(KindRule::new("A certificate"), &["tls.server.subject", "tls.server.issuer"])
                .attribute(attr::TLS_SERVER_NOT_AFTER, AttributeRule::required(AttributeType::Time)),
        )
}

fn network(set: RuleSet) -> RuleSet {
    let part = |title: &'static str| KindRule::new(title);
    set.kind(
        kind::DEVICE,
        text(
            lasting("A network device or other appliance"),
            &["device.manufacturer", "device.model.name", "os.version"],
        ),
    )
    .kind(own("device.switch"), part("A switch"))
    .kind(own("device.router"), part("A router"))
    .kind(own("device.firewall"), part("A firewall"))
    .kind(own("device.load_balancer"), part("A load balancer"))
    .kind(own("device.wireless"), part("A wireless access point or its controller"))
    .kind(own("device.storage"), part("A storage array"))
    .kind(own("device.power"), part("A power distribution unit or uninterruptible supply"))
    .kind(
        kind::NETWORK_INTERFACE,
        text(KindRule::new("A network interface"), &["network.interface.state"])
            .attribute(attr::NETWORK_INTERFACE_NAME, AttributeRule::required(AttributeType::Text))
            .attribute(attr::NETWORK_INTERFACE_SPEED, AttributeRule::optional(AttributeType::Number)),
    )
    .kind(kind::NETWORK_ADDRESS, KindRule::new("An address whose owner is not known yet"))
    .kind(kind::NETWORK_SUBNET, KindRule::new("An IP network"))
    .kind(own("network.vlan"), KindRule::new("A virtual LAN"))
}

fn platforms(set: RuleSet) -> RuleSet {
    let platform = |title: &'static str| {
        KindRule::new(title)
            .attribute(attr::NAME, AttributeRule::recommended(AttributeType::Text))
            .lease(Lease::After(WEEK))
    };
    let refined = |title: &'static str| KindRule::new(title);
    let set = set
        .kind(
            kind::CONTAINER,
            text(
                KindRule::new("A container"),
                &["container.id", "container.runtime.name", "container.image.name"],
            )
            .attribute(
                AttrName::literal("container.image.tags"),
                AttributeRule::optional(AttributeType::List).reduced(Reducer::Replace),
            )
            .identified_by([key_kind::CONTAINER_ID, key_kind::NATIVE])
            .lease(Lease::After(HOUR)),
        )
        .kind(own("container_image"), platform("An image that containers are started from"))
        .kind(
            own("k8s"),
            platform("Something of Kubernetes")
                .attribute(AttrName::literal("k8s.labels"), AttributeRule::optional(AttributeType::Map)),
        )
        .kind(
            own("k8s.cluster"),
            text(refined("A cluster"), &["k8s.cluster.name", "k8s.cluster.uid"]).lease(Lease::Never),
        )
        .kind(own("k8s.node"), text(refined("A node of a cluster"), &["k8s.node.name", "k8s.node.uid"]))
        .kind(own("k8s.namespace"), text(refined("A namespace"), &["k8s.namespace.name"]))
        .kind(own("k8s.workload"), text(refined("What keeps pods running"), &["k8s.workload.kind"]))
        .kind(own("k8s.workload.deployment"), refined("A deployment"))
        .kind(own("k8s.workload.statefulset"), refined("A stateful set"))
        .kind(own("k8s.workload.daemonset"), refined("A daemon set"))
        .kind(own("k8s.workload.job"), refined("A job"))
        .kind(
            own("k8s.pod"),
            text(refined("A pod"), &["k8s.pod.name", "k8s.pod.uid"])
                .identified_by([key_kind::K8S_UID, key_kind::NATIVE])
                .lease(Lease::After(HOUR)),
        )
        .kind(own("k8s.service"), text(refined("A service"), &["k8s.service.name"]))
        .kind(own("k8s.ingress"), refined("An entry from outside"))
        .kind(own("k8s.volume"), refined("A volume"));
    set.kind(
        own("cloud"),
        text(
            platform("Something of a cloud"),
            &["cloud.provider", "cloud.account.id", "cloud.region", "cloud.resource_id"],
        )
        .attribute(AttrName::literal("cloud.tags"), AttributeRule::optional(AttributeType::Map)),
    )
    .kind(own("cloud.account"), refined("An account, subscription or project").lease(Lease::Never))
    .kind(own("cloud.region"), refined("A region").lease(Lease::Never))
    .kind(own("cloud.zone"), refined("An availability zone").lease(Lease::Never))
    .kind(own("cloud.network"), refined("A virtual network"))
    .kind(own("cloud.volume"), refined("A volume"))
    .kind(own("cloud.bucket"), refined("An object store"))
    .kind(own("cloud.database"), refined("A managed database"))
    .kind(own("cloud.load_balancer"), refined("A load balancer"))
    .kind(own("cloud.function"), refined("A function"))
    .kind(own("cloud.queue"), refined("A managed queue"))
}

/// What bills of materials, catalogues of software and inventories name beside the rest.
fn catalogue(set: RuleSet) -> RuleSet {
    let part = |title: &'static str| KindRule::new(title);
    set.kind(own("software.application"), part("A program as it is delivered"))
        .kind(own("software.framework"), part("A framework"))
        .kind(own("software.library"), part("A library in one version"))
        .kind(own("software.platform"), part("A system or runtime that software is delivered with"))
        .kind(own("software.firmware"), part("Firmware or a driver"))
        .kind(own("software.model"), part("A model made by machine learning"))
        .kind(
            own("api"),
            text(lasting("An interface that software offers"), &["catalog.type", "catalog.lifecycle"]),
        )
        .kind(own("resource"), text(lasting("Something that software needs to run"), &["catalog.type"]))
        .kind(own("catalog"), lasting("A part of a catalogue, by where it is kept"))
        .kind(own("cluster"), text(lasting("Machines that stand in for each other"), &["cluster.type"]))
}

fn places(set: RuleSet) -> RuleSet {
    set.kind(
        kind::APPLICATION,
        text(
            lasting("A program that a team runs for users"),
            &["service.namespace", "deployment.environment.name"],
        )
        .attribute(AttrName::literal("application.owner"), AttributeRule::recommended(AttributeType::Text)),
    )
    .kind(
        kind::BUSINESS_SERVICE,
        lasting("What the business calls a service").attribute(
            AttrName::literal("business.criticality"),
            AttributeRule::recommended(AttributeType::Text),
        ),
    )
    .kind(kind::TEAM, lasting("A group of people"))
    .kind(own("person"), text(lasting("A person"), &["person.email"]))
    .kind(kind::LOCATION, lasting("A place"))
    .kind(own("location.site"), KindRule::new("A site"))
    .kind(own("location.building"), KindRule::new("A building"))
    .kind(own("location.room"), KindRule::new("A room"))
    .kind(own("location.rack"), KindRule::new("A rack"))
}

fn relations(set: RuleSet) -> RuleSet {
    let model = RelationModel::default();
    let rule = |kind: &itom_core::RelationKind| RelationRule::new(model.spec(kind));
    let set = relation::ALL.iter().fold(set, |set, kind| set.relation(kind.clone(), rule(kind)));
    set.relation(
        relation::RUNS_ON,
        rule(&relation::RUNS_ON).joining(
            [
                kind::PROCESS,
                kind::UNIT,
                kind::CONTAINER,
                kind::SERVICE,
                kind::HOST,
                own("k8s"),
                kind::APPLICATION,
            ],
            [kind::HOST, kind::DEVICE, kind::CONTAINER, own("k8s"), own("cloud"), own("cluster")],
        ),
    )
    .relation(
        relation::INSTALLED_ON,
        rule(&relation::INSTALLED_ON)
            .joining([kind::SOFTWARE], [kind::HOST, kind::CONTAINER, own("container_image"), kind::DEVICE])
            .one_per_source(),
    )
    .relation(relation::CONTAINS, rule(&relation::CONTAINS).containing())
    .relation(
        relation::CHILD_OF,
        rule(&relation::CHILD_OF).joining([kind::PROCESS], [kind::PROCESS]).one_per_source(),
    )
    .relation(RelationKind::literal("built_with"), RelationRule::default())
    .relation(relation::LOCATED_IN, rule(&relation::LOCATED_IN).joining([], [kind::LOCATION]))
    .relation(relation::OWNED_BY, rule(&relation::OWNED_BY).joining([], [kind::TEAM, own("person")]))
}
