//! What people keep by hand: the asset spreadsheet and the catalogue of applications.

use itom_core::{AttrName, CiKind, Key, Realm, Scope, Strength, Subject, attr, key_kind, kind, relation};

use super::super::Hazard;
use super::super::dice::{Topic, pair};
use super::super::entity::{Class, Entity};
use super::super::world::{Role, Serial, World, address_text, service_type};
use super::agent::serial_text;
use super::pen::Pen;
use super::{full, literal};

const RACK: CiKind = CiKind::literal("location.rack");
const OWNER: AttrName = AttrName::literal("owner");
pub(super) const SHEET_SCOPES: &[Scope] =
    &[Scope::cis(kind::HOST), Scope::cis(kind::LOCATION), Scope::relations(relation::LOCATED_IN)];
pub(super) const CATALOG_SCOPES: &[Scope] = &[
    Scope::cis(kind::APPLICATION),
    Scope::cis(kind::BUSINESS_SERVICE),
    Scope::cis(kind::TEAM),
    Scope::relations(relation::DEPENDS_ON),
    Scope::relations(relation::OWNED_BY),
];

/// Rounds until a row is corrected, at most.
const LAG: u64 = 6;
/// Rounds after which somebody merges rows that mean one machine.
const MERGED_AFTER: u32 = 8;

/// The rows of a site. A row says what was so when somebody last looked at it.
pub(super) fn sheet(world: &World, site: u64, round: u32, pen: &mut Pen) {
    let place = Entity::first(Class::Site, site);
    let place_native = pen.text(format_args!("SITE-{site}"));
    let key = pen.native(&Realm::GLOBAL, format_args!("site:{site}"));
    pen.ci(place_native.clone(), &kind::LOCATION, place, |ci| {
        ci.key(key).attr(attr::NAME, place_native.clone());
    });
    for rack in world.racks(site) {
        let native = pen.text(format_args!("RACK-{rack}"));
        let entity = Entity::first(Class::Rack, rack);
        pen.ci(native.clone(), &RACK, entity, |ci| {
            ci.attr(attr::NAME, native.clone());
        });
        pen.relation(&relation::LOCATED_IN, native, place_native.clone(), (entity, place));
    }
    let ranges = [
        (world.range(Role::Hypervisor).start..world.range(Role::Virtual).end, 0.8),
        (world.range(Role::Laptop), 0.9),
    ];
    for (range, listed) in ranges {
        for machine in world.at_site(range, site) {
            if world.dice.share(Topic::Listed, machine, listed) {
                row(world, machine, round, pen);
            }
        }
    }
}

fn row(world: &World, machine: u64, round: u32, pen: &mut Pen) {
    let dice = &world.dice;
    let lag = dice.below(Topic::Lag, machine, LAG) as u32;
    let (born, died) = world.life(machine);
    let Some(looked) = round.checked_sub(lag).or(Some(0)).filter(|looked| born <= *looked) else { return };
    if died.is_some_and(|died| died <= looked) && !dice.strikes(Hazard::StaleRow, machine) {
        return;
    }
    let looked = died.map_or(looked, |died| looked.min(died.saturating_sub(1)));
    let own = world.machine(machine, looked);
    let mut serial = own.serial;
    if let Serial::Own { number, .. } = &mut serial
        && dice.strikes(Hazard::Typo, machine)
    {
        *number = mistyped(*number, dice.roll(Topic::Typo, machine));
    }
    // Copied by hand: it says no more than any text that people keep.
    let serial = serial_text(serial)
        .and_then(|serial| Key::new(key_kind::SERIAL, Realm::GLOBAL, &serial, Strength::Administrative).ok());
    let twice = dice.strikes(Hazard::DuplicateRow, machine) && round < MERGED_AFTER;
    let name = full(&own.name);
    for copy in 0..1 + u64::from(twice) {
        let tag = machine * 10 + u64::from(own.generation) * 2 + copy;
        let native = pen.text(format_args!("ASSET-{tag:07}"));
        let tag =
            pen.key(key_kind::ASSET_TAG, Realm::GLOBAL, Strength::Administrative, format_args!("{native}"));
        let owner = pen.text(format_args!("team-{}", dice.below(Topic::Team, machine, world.teams())));
        let serial = serial.clone();
        pen.ci(native.clone(), &kind::HOST, own.entity(), |ci| {
            for key in tag.into_iter().chain(serial) {
                ci.key(key);
            }
            ci.key(Key::fqdn(&name));
            ci.attr(attr::HOST_NAME, name.as_str())
                .attr(OWNER, owner)
                .attr(attr::OS_NAME, literal(if copy == 0 { "Debian" } else { "Debian 11" }));
        });
        if let Some(rack) = world.rack_of(machine) {
            let to = pen.text(format_args!("RACK-{rack}"));
            pen.relation(&relation::LOCATED_IN, native, to, (own.entity(), Entity::first(Class::Rack, rack)));
        }
    }
}

/// One digit wrong.
fn mistyped(number: u64, roll: u64) -> u64 {
    let place = 10_u64.pow((roll % 4) as u32);
    let digit = number / place % 10;
    let wrong = (digit + 1 + (roll >> 8) % 9) % 10;
    number - digit * place + wrong * place
}

pub(super) fn catalog(world: &World, pen: &mut Pen) {
    for team in 0..world.teams() {
        let native = pen.text(format_args!("team-{team}"));
        pen.ci(native.clone(), &kind::TEAM, Entity::first(Class::Team, team), |ci| {
            ci.attr(attr::NAME, native.clone());
        });
    }
    for application in 0..world.applications() {
        let native = pen.text(format_args!("app-{application}"));
        let entity = Entity::first(Class::Application, application);
        pen.ci(native.clone(), &kind::APPLICATION, entity, |ci| {
            ci.attr(attr::NAME, native.clone());
        });
        let team = world.team_of(application);
        let to = pen.text(format_args!("team-{team}"));
        pen.relation(&relation::OWNED_BY, native.clone(), to, (entity, Entity::first(Class::Team, team)));
        for service in world.parts(application) {
            let machine = World::machine_of_service(service);
            let realm = pen.realm(format_args!("site-{}", world.site_of(machine)));
            let address = address_text(world.address(machine, 0));
            let to = Key::endpoint("tcp", address.into(), service_type(world, service).1).in_realm(realm);
            let means = (entity, Entity::first(Class::Service, service));
            pen.relation(&relation::DEPENDS_ON, native.clone(), Subject::Key(to), means);
        }
    }
    for business in 0..world.business_services() {
        let native = pen.text(format_args!("business-{business}"));
        let entity = Entity::first(Class::BusinessService, business);
        let roll = world.dice.below(Topic::Attribute, pair(business, 1), 3);
        pen.ci(native.clone(), &kind::BUSINESS_SERVICE, entity, |ci| {
            ci.attr(attr::NAME, native.clone()).attr(AttrName::literal("criticality"), roll);
        });
        for application in world.needs(business) {
            let to = pen.text(format_args!("app-{application}"));
            let means = (entity, Entity::first(Class::Application, application));
            pen.relation(&relation::DEPENDS_ON, native.clone(), to, means);
        }
    }
}
