//! The programming interface of a cluster.

use itom_core::{AttrName, CiKind, Key, Realm, Scope, Strength, Text, attr, key_kind, kind, relation};

use super::super::dice::{Topic, pair};
use super::super::entity::{Class, Entity};
use super::super::world::{World, address_text};
use super::pen::Pen;
use super::{host_key, literal, short};

const CLUSTER: CiKind = CiKind::literal("k8s.cluster");
const POD: CiKind = CiKind::literal("k8s.pod");
const SERVICE: CiKind = CiKind::literal("k8s.service");
const PHASE: AttrName = AttrName::literal("k8s.pod.phase");
const POD_NAME: AttrName = AttrName::literal("k8s.pod.name");
pub(super) const SCOPES: &[Scope] = &[
    Scope::cis(kind::HOST),
    Scope::cis(POD),
    Scope::cis(kind::CONTAINER),
    Scope::cis(SERVICE),
    Scope::relations(relation::RUNS_ON),
    Scope::relations(relation::CONTAINS),
    Scope::relations(relation::PROVIDED_BY),
    Scope::relations(relation::MEMBER_OF),
];

fn uid(pen: &mut Pen, world: &World, what: u64) -> (Text, Option<Key>) {
    let uid = uuid::Uuid::from_u128(world.dice.wide(Topic::Pod, what));
    let key = pen.key(key_kind::K8S_UID, Realm::GLOBAL, Strength::Issued, format_args!("{uid}"));
    (pen.text(format_args!("{uid}")), key)
}

pub(super) fn write(world: &World, cluster: u64, round: u32, pen: &mut Pen) {
    let realm = pen.realm(format_args!("cluster-{cluster}"));
    let whole = Entity::first(Class::Cluster, cluster);
    let name = pen.text(format_args!("cluster-{cluster}"));
    let key = pen.native(&Realm::GLOBAL, format_args!("k8s:{name}"));
    pen.ci(name.clone(), &CLUSTER, whole, |ci| {
        ci.key(key).attr(attr::NAME, name.clone());
    });
    let first = cluster * world.cluster_services();
    for service in first..first + world.cluster_services() {
        let (native, key) = uid(pen, world, service | 3 << 50);
        let title = pen.text(format_args!("svc-{service}"));
        pen.ci(native.clone(), &SERVICE, Entity::first(Class::ClusterService, service), |ci| {
            if let Some(key) = key {
                ci.key(key);
            }
            ci.attr(attr::NAME, title);
        });
        pen.relation(
            &relation::MEMBER_OF,
            native,
            name.clone(),
            (Entity::first(Class::ClusterService, service), whole),
        );
    }
    for machine in world.of_cluster(cluster) {
        if !world.is_alive(machine, round) {
            continue;
        }
        let own = world.machine(machine, round);
        let (node, key) = uid(pen, world, machine | 1 << 50);
        let uuid = uuid::Uuid::from_u128(own.uuid);
        let uuid = pen.key(key_kind::SMBIOS_UUID, Realm::GLOBAL, Strength::Hardware, format_args!("{uuid}"));
        let site = pen.realm(format_args!("site-{}", own.site));
        let address = Key::ip(address_text(own.address).into()).in_realm(site);
        let title = short(&own.name);
        let machine_id = host_key(own.machine_id);
        pen.ci(node.clone(), &kind::HOST, own.entity(), |ci| {
            for key in key.into_iter().chain(uuid).chain(machine_id) {
                ci.key(key);
            }
            ci.key(address).key(Key::host_name(&title)).attr(attr::HOST_NAME, title.as_str());
        });
        pen.relation(&relation::MEMBER_OF, node.clone(), name.clone(), (own.entity(), whole));
        for pod in World::pods(machine) {
            let generation = world.pod_generation(pod, round);
            let number = pair(pod, u64::from(generation));
            let (pod_native, key) = uid(pen, world, number | 2 << 50);
            let pod_entity = Entity::new(Class::Pod, pod, generation);
            // Addresses of pods are used again at once.
            let address = 10 << 24 | 244 << 16 | (pod as u32 / world.clusters as u32) & 0xffff;
            let address = Key::ip(address_text(address).into()).in_realm(realm.clone());
            let title = pen.text(format_args!("pod-{pod}-{generation}"));
            pen.ci(pod_native.clone(), &POD, pod_entity, |ci| {
                if let Some(key) = key {
                    ci.key(key);
                }
                ci.key(address).attr(POD_NAME, title).attr(PHASE, literal("Running"));
            });
            pen.relation(&relation::RUNS_ON, pod_native.clone(), node.clone(), (pod_entity, own.entity()));
            let id = world.dice.wide(Topic::Pod, number | 4 << 50);
            let container = pen.text(format_args!("{id:032x}{id:032x}"));
            let key = Key::new(key_kind::CONTAINER_ID, Realm::GLOBAL, &container, Strength::Issued).ok();
            let container_entity = Entity::new(Class::Container, pod, generation);
            pen.ci(container.clone(), &kind::CONTAINER, container_entity, |ci| {
                if let Some(key) = key {
                    ci.key(key);
                }
                ci.attr(attr::CONTAINER_RUNTIME_NAME, literal("containerd"));
            });
            pen.relation(&relation::CONTAINS, pod_native.clone(), container, (pod_entity, container_entity));
            let service = world.service_of_pod(pod);
            let (service_native, _) = uid(pen, world, service | 3 << 50);
            pen.relation(
                &relation::PROVIDED_BY,
                service_native,
                pod_native,
                (Entity::first(Class::ClusterService, service), pod_entity),
            );
        }
    }
}
