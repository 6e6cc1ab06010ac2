use std::sync::Arc;
use std::time::Duration;

use itom_core::machine::testing::assert_laws;
use itom_core::{Labels, Machine as _, RuleLanguage, SampleValue, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::prometheus::testing::{World, labels};
use crate::prometheus::{FileOptions, GroupPorts, RuleFile, carry_out};

const START: i64 = 1_700_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn parse(text: &str) -> Vec<crate::prometheus::RuleGroup> {
    RuleFile::parse(text, "test.yml", &World::default(), FileOptions::default())
        .expect("the file is good")
        .groups
}

/// Groups over a world, evaluated at whole minutes from 0 on by hand.
struct Bench {
    world: Arc<World>,
    groups: RuleGroups,
    news: Vec<GroupOutput>,
}

impl Bench {
    fn new(config: GroupConfig, file: &str) -> Self {
        let mut groups = RuleGroups::new(config);
        groups.handle(at(0), GroupInput::Load(parse(file)));
        Self { world: Arc::new(World::default()), groups, news: Vec::new() }
    }

    fn over(file: &str) -> Self {
        Self::new(GroupConfig { restore: false, ..GroupConfig::default() }, file)
    }

    fn step(&mut self, seconds: i64) {
        let keys: Vec<GroupKey> = self.groups.keys().cloned().collect();
        for key in keys {
            self.groups.evaluate_at(at(seconds), &key);
            self.carry(seconds);
        }
    }

    fn carry(&mut self, seconds: i64) {
        let world = Arc::clone(&self.world);
        let mut ports = GroupPorts::new(Arc::clone(&world) as Arc<dyn RuleLanguage>, world.as_ref());
        ports.stored = Some(world.as_ref());
        self.news.extend(carry_out(&mut self.groups, at(seconds), &ports));
    }

    fn up(&self, seconds: i64, value: f64) {
        self.world.set(&[("__name__", "up"), ("job", "a")], at(seconds), value);
    }

    /// `state@active` of each alert of a rule.
    fn alerts(&self, rule: usize) -> Vec<String> {
        let status = self.groups.status();
        let alerts = status.iter().flat_map(|group| group.rules.get(rule)).flat_map(|rule| &rule.alerts);
        alerts.map(|alert| format!("{}@{}", alert.state.as_str(), alert.active_at.as_secs())).collect()
    }

    fn health(&self, rule: usize) -> Health {
        self.groups.status()[0].rules[rule].health.clone()
    }
}

#[test]
fn an_alert_is_pending_then_fires_then_is_kept_then_over() {
    let mut bench = Bench::over(
        "groups: [{name: g, rules: [{alert: Up, expr: 'up > 0', for: 2m, keep_firing_for: 3m, labels: {sev: 'v{{ $value }}'}}]}]",
    );
    let mut seen = Vec::new();
    for minute in 0..12 {
        bench.up(minute * 60, if minute < 5 { 1.0 } else { 0.0 });
        bench.step(minute * 60);
        seen.push(bench.alerts(0).join(","));
    }
    let fires = "firing@0".to_owned();
    assert_eq!(seen[..2], ["pending@0".to_owned(), "pending@0".to_owned()]);
    assert!(seen[2..8].iter().all(|state| *state == fires), "{seen:?}");
    assert!(seen[8..].iter().all(|state| state == "inactive@0"), "{seen:?}");
    assert_eq!(
        bench.world.dump("ALERTS"),
        [
            r#"{alertname="Up",alertstate="firing",job="a",sev="v1"} 120=1 180=1 240=1 300=1 360=1 420=1 480=stale"#,
            r#"{alertname="Up",alertstate="pending",job="a",sev="v1"} 0=1 60=1 120=stale"#,
        ]
    );
    let state = bench.world.dump("ALERTS_FOR_STATE");
    assert_eq!(
        state,
        [r#"{alertname="Up",job="a",sev="v1"} 0=0 60=0 120=0 180=0 240=0 300=0 360=0 420=0 480=stale"#]
    );
    let sent = bench.news.iter().filter(|news| matches!(news, GroupOutput::Send(_))).count();
    // Resent a minute after the last time, which is the second evaluation after; once resolved, at once.
    assert_eq!(sent, 5, "{:?}", bench.news);
}

#[test]
fn a_resolved_alert_is_remembered_for_a_quarter_of_an_hour() {
    let mut bench = Bench::over("groups: [{name: g, rules: [{alert: Up, expr: 'up > 0'}]}]");
    for minute in 0..20 {
        bench.up(minute * 60, if minute == 0 { 1.0 } else { 0.0 });
        bench.step(minute * 60);
        let wanted = match minute {
            0 => 1,
            1..=16 => 1,
            _ => 0,
        };
        assert_eq!(bench.alerts(0).len(), wanted, "minute {minute}");
    }
}

#[test]
fn a_raised_for_makes_a_firing_alert_pending_again() {
    let file =
        |hold: &str| format!("groups: [{{name: g, rules: [{{alert: Up, expr: 'up > 0', for: {hold}}}]}}]");
    let mut bench = Bench::over(&file("1m"));
    for minute in 0..3 {
        bench.up(minute * 60, 1.0);
        bench.step(minute * 60);
    }
    assert_eq!(bench.alerts(0), ["firing@0"]);
    bench.groups.handle(at(130), GroupInput::Load(parse(&file("10m"))));
    bench.up(180, 1.0);
    bench.step(180);
    assert_eq!(bench.alerts(0), ["pending@0"]);
    assert_eq!(bench.groups.status()[0].rules[0].alerts[0].fired_at, None);
    let pending = &bench.world.dump("ALERTS")[1];
    assert!(pending.ends_with("0=1 60=stale 180=1"), "{pending}");
}

#[test]
fn an_error_leaves_everything_as_it_was() {
    let mut bench = Bench::over(
        "groups: [{name: g, rules: [{alert: Up, expr: 'up > 0'}, {record: r, expr: 'up'}, {record: n, expr: 'count up'}]}]",
    );
    bench.up(0, 1.0);
    bench.step(0);
    let file = "groups: [{name: g, rules: [{alert: Up, expr: 'fail up'}, {record: r, expr: 'fail up'}, {record: n, expr: 'count up'}]}]";
    bench.groups.handle(at(1), GroupInput::Load(parse(file)));
    bench.step(60);
    assert_eq!(bench.alerts(0), ["firing@0"]);
    assert!(matches!(bench.health(0), Health::Bad(reason) if reason.contains("more than 1 samples")));
    assert_eq!(bench.world.dump("r"), [r#"{job="a"} 0=1"#]);
    assert_eq!(bench.world.dump("n"), ["{} 0=1 60=1"]);
    assert_eq!(bench.world.dump("ALERTS").len(), 1);
    assert!(
        bench.news.iter().any(
            |news| matches!(news, GroupOutput::Alerts { error: Some(_), alerts, .. } if alerts.len() == 1)
        )
    );
}

#[test]
fn limits_and_duplicates_fail_a_rule_with_prometheus_words() {
    let mut bench = Bench::over(
        "groups: [{name: g, limit: 1, rules: [{alert: A, expr: 'up >= 0'}, {record: r, expr: 'up'}, \
         {alert: D, expr: 'up >= 0', labels: {job: same}}, {record: d, expr: 'up', labels: {job: ''}}]}]",
    );
    bench.up(0, 1.0);
    bench.step(0);
    assert_eq!(bench.health(0), Health::Good);
    bench.up(60, 1.0);
    bench.world.set(&[("__name__", "up"), ("job", "b")], at(60), 1.0);
    bench.step(60);
    assert_eq!(bench.health(0), Health::Bad("exceeded limit of 1 with 2 alerts".into()));
    assert_eq!(bench.alerts(0), Vec::<String>::new());
    assert_eq!(bench.health(1), Health::Bad("exceeded limit of 1 with 2 series".into()));
    let words = "vector contains metrics with the same labelset after applying";
    assert_eq!(bench.health(2), Health::Bad(format!("{words} alert labels").into()));
    assert_eq!(bench.health(3), Health::Bad(format!("{words} rule labels").into()));
    // No markers: nothing is known.
    assert_eq!(bench.world.dump("r"), [r#"{job="a"} 0=1"#]);
    assert_eq!(bench.alerts(2), ["firing@0"]);
}

#[test]
fn what_a_rule_records_is_seen_by_the_next_and_ends_with_a_marker() {
    let mut bench = Bench::over(
        "groups: [{name: g, query_offset: 30s, rules: [{record: a, expr: up, labels: {x: y}}, {record: b, expr: 'a > 0'}, \
         {record: c, expr: 'count up'}]}]",
    );
    assert_eq!(bench.groups.status()[0].steps, 2);
    bench.up(0, 1.0);
    bench.step(30);
    bench.up(60, 0.0);
    bench.step(90);
    assert_eq!(bench.world.dump("a"), [r#"{job="a",x="y"} 0=1 60=0"#]);
    assert_eq!(bench.world.dump("b"), [r#"{job="a",x="y"} 0=1 60=stale"#]);
}

#[test]
fn a_reload_keeps_state_and_ends_what_is_gone() {
    let mut bench = Bench::over(
        "groups: [{name: g, rules: [{alert: A, expr: 'up > 0'}, {alert: A, expr: 'up >= 0', for: 5m}, {record: r, expr: up}]}, \
         {name: h, rules: [{record: s, expr: up}, {alert: H, expr: up}]}]",
    );
    bench.up(0, 1.0);
    bench.step(0);
    bench.groups.handle(
        at(10),
        GroupInput::Load(parse(
            "groups: [{name: g, rules: [{record: new, expr: up}, {alert: A, expr: 'up > 0'}, {alert: A, expr: 'up >= 0', for: 9m}]}]",
        )),
    );
    bench.carry(10);
    let removed: Vec<&str> = bench
        .news
        .iter()
        .filter_map(|news| match news {
            GroupOutput::Removed { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(removed, ["H"]);
    assert_eq!(bench.alerts(1), ["firing@0"]);
    assert_eq!(bench.alerts(2), ["pending@0"]);
    bench.up(60, 1.0);
    bench.step(60);
    assert_eq!(bench.alerts(2), ["pending@0"]);
    assert_eq!(bench.world.dump("r"), [r#"{job="a"} 0=1 60=stale"#]);
    assert_eq!(bench.world.dump("s"), [r#"{job="a"} 0=1"#]);
    // Two intervals after it was removed.
    let due = bench.groups.poll_deadline().expect("something is due").at;
    assert!(due <= at(130));
    bench.groups.handle_deadline(at(130));
    bench.carry(130);
    assert!(bench.world.dump("s")[0].ends_with("10=stale"), "{:?}", bench.world.dump("s"));
}

#[test]
fn pending_times_are_restored_after_a_restart() {
    // for, active since, down at, now → active at.
    for (hold, since, down, wanted) in [
        (1800, 0, 600, Some(1200)), // ten minutes spent, twenty left: moved by the outage of twenty minutes
        (1800, 0, 1500, Some(600)), // five minutes left, ten of grace: 1800 + 600 - 1800
        (1800, -3600, 1500, Some(-3600)), // it fired
        (300, 0, 100, None),        // waits less than the grace: starts anew
    ] {
        let config = GroupConfig::default();
        let file = format!("groups: [{{name: g, rules: [{{alert: A, expr: 'up > 0', for: {hold}s}}]}}]");
        let mut bench = Bench::new(config, &file);
        let base = 1_000_000;
        let state = [("__name__", "ALERTS_FOR_STATE"), ("alertname", "A"), ("job", "a")];
        bench.world.set(&state, at(base + down), (base + since) as f64);
        bench.up(base + 1740, 1.0);
        bench.step(base + 1740);
        assert!(bench.world.dump("ALERTS").is_empty());
        bench.step(base + 1800);
        let wanted = base + wanted.unwrap_or(1740);
        let active = bench.groups.status()[0].rules[0].alerts[0].active_at;
        assert_eq!(active, at(wanted), "for {hold} since {since} down {down}");
        bench.step(base + 1860);
        assert_eq!(bench.world.dump("ALERTS").len(), 1);
    }
}

#[test]
fn an_ended_or_old_state_is_not_restored() {
    for (down, value) in [(1000, f64::from_bits(0x7ff0_0000_0000_0002)), (-7200, 0.0)] {
        let mut bench = Bench::new(
            GroupConfig::default(),
            "groups: [{name: g, rules: [{alert: A, expr: 'up > 0', for: 1h}]}]",
        );
        let state = [("__name__", "ALERTS_FOR_STATE"), ("alertname", "A"), ("job", "a")];
        bench.world.set(&state, at(START + down), value);
        bench.up(START + 1740, 1.0);
        bench.step(START + 1740);
        bench.step(START + 1800);
        assert_eq!(bench.groups.status()[0].rules[0].alerts[0].active_at, at(START + 1740));
    }
}

#[test]
fn slots_are_an_interval_apart_and_missed_ones_are_counted() {
    let mut groups = RuleGroups::new(GroupConfig { restore: false, ..GroupConfig::default() });
    groups.handle(
        at(START),
        GroupInput::Load(parse(
            "groups: [{name: g, interval: 30s, rules: [{record: r, expr: up}]}, {name: h, interval: 30s}]",
        )),
    );
    let world = Arc::new(World::default());
    let ports = GroupPorts::new(Arc::clone(&world) as Arc<dyn RuleLanguage>, world.as_ref());
    let mut slots = Vec::new();
    let mut now = groups.poll_deadline().expect("a group is due").at;
    for turn in 0..8 {
        if turn == 4 {
            now = now + Duration::from_secs(95);
        }
        groups.handle_deadline(now);
        for news in carry_out(&mut groups, now, &ports) {
            if let GroupOutput::Finished { group, slot, missed } = news
                && group.name.as_str() == "g"
            {
                slots.push((slot, missed));
            }
        }
        let next = groups.poll_deadline().expect("a group is due").at;
        assert!(next > now);
        now = next;
    }
    for pair in slots.windows(2) {
        let apart = pair[1].0.since(pair[0].0);
        assert_eq!(apart, Duration::from_secs(30) * (1 + pair[1].1 as u32), "{slots:?}");
    }
    assert_eq!(slots.iter().map(|(_, missed)| missed).sum::<u64>(), 3);
    // Groups spread.
    let status = groups.status();
    assert_ne!(status[0].last, status[1].last);
}

#[test]
fn groups_obey_the_machine_laws() {
    let files = [
        "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: 'up > 0', for: 15m}, {record: r, expr: ALERTS}]}, {name: h, interval: 17s, rules: [{record: s, expr: up}]}]",
        "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: 'up > 0', for: 2m}]}, {name: i, rules: [{record: t, expr: up}]}]",
        "groups: []",
    ];
    let script: Vec<_> = files
        .iter()
        .zip([0, 1900, 4000])
        .map(|(file, seconds)| (at(START + seconds), GroupInput::Load(parse(file))))
        .collect();
    let found = |slot: Timestamp| {
        let up = slot.as_secs() % 600 < 300;
        let labels = labels(&[("job", "a")]);
        let value = SampleValue::Float(1.0);
        up.then(|| Found { labels, subject: None, value, annotations: Default::default() })
            .into_iter()
            .collect::<Vec<_>>()
    };
    assert_laws(
        || RuleGroups::new(GroupConfig::default()),
        &script,
        |output| match output {
            GroupOutput::Evaluate(ask) => {
                let one = |(rule, _): &(usize, _)| Evaluated {
                    rule: *rule,
                    found: Ok(found(ask.slot)),
                    annotations: Default::default(),
                    samples_read: 1,
                };
                let results = ask.rules.iter().map(one).collect();
                let answer = GroupInput::Evaluated { group: ask.group.clone(), slot: ask.slot, results };
                vec![(Duration::from_millis(ask.slot.as_secs().rem_euclid(3) as u64 * 700), answer)]
            }
            GroupOutput::Write { group, rule, .. } => {
                vec![(
                    Duration::ZERO,
                    GroupInput::Written { group: group.clone(), rule: *rule, refused: Vec::new() },
                )]
            }
            GroupOutput::ReadState { group, .. } => {
                vec![(Duration::ZERO, GroupInput::Restored { group: group.clone(), states: Vec::new() })]
            }
            _ => Vec::new(),
        },
    );
}

/// What an alert is after some minutes, told from the whole past: the naive model.
fn naive(past: &[bool], hold: usize, keep: usize) -> &'static str {
    let (mut since, mut firing, mut gone): (Option<usize>, bool, Option<usize>) = (None, false, None);
    let mut resolved = false;
    for (minute, present) in past.iter().enumerate() {
        if *present {
            gone = None;
            let since = *since.get_or_insert(minute);
            firing |= minute - since >= hold;
            resolved = false;
        } else if since.is_some() {
            let first = *gone.get_or_insert(minute);
            if !(firing && minute - first < keep) {
                resolved = firing;
                (since, firing, gone) = (None, false, None);
            }
        }
    }
    match (since, firing) {
        (Some(_), true) => "firing",
        (Some(_), false) => "pending",
        (None, _) if resolved => "inactive",
        (None, _) => "",
    }
}

proptest! {
    #[test]
    fn l2_alert_states_are_those_of_the_naive_model(
        past in prop::collection::vec(any::<bool>(), 1..40), hold in 0usize..5, keep in 0usize..5,
    ) {
        let file = format!("groups: [{{name: g, rules: [{{alert: A, expr: 'up > 0', for: {hold}m, keep_firing_for: {keep}m}}]}}]");
        let mut bench = Bench::over(&file);
        for (minute, present) in past.iter().enumerate() {
            let seconds = minute as i64 * 60;
            bench.up(seconds, f64::from(u8::from(*present)));
            bench.step(seconds);
            let have = bench.groups.status()[0].rules[0].alerts.first().map_or("", |alert| alert.state.as_str());
            let wanted = naive(&past[..=minute], hold, keep);
            // Remembered for a while, then forgotten.
            prop_assert!(have == wanted || (have.is_empty() && wanted == "inactive"), "{have} instead of {wanted}");
        }
    }

    #[test]
    fn l2_steps_give_what_one_rule_after_the_other_gives(
        rules in prop::collection::vec((0usize..4, 0usize..5, any::<bool>()), 1..8),
        ups in prop::collection::vec(0u8..3, 3..6),
    ) {
        let names = ["a", "b", "c", "d", "up"];
        let mut file = String::from("groups: [{name: g, rules: [");
        for (name, reads, count) in &rules {
            let verb = if *count { "count " } else { "" };
            file.push_str(&format!("{{record: {}, expr: '{verb}{}'}},", names[*name], names[*reads]));
        }
        file.push_str("]}]");
        let mut together = Bench::over(&file);
        let parsed = parse(&file);
        let alone = World::default();
        let mut written: Vec<std::collections::BTreeSet<Labels>> = vec![Default::default(); rules.len()];
        for (minute, up) in ups.iter().enumerate() {
            let seconds = minute as i64 * 60;
            if *up > 0 {
                together.up(seconds, f64::from(*up));
                alone.set(&[("__name__", "up"), ("job", "a")], at(seconds), f64::from(*up));
            }
            together.step(seconds);
            for (index, rule) in parsed[0].rules.iter().enumerate() {
                let result = alone.evaluate(&[Arc::clone(&rule.expression)], at(seconds)).pop().unwrap().unwrap();
                let samples: Vec<_> = result.samples.into_iter().map(|sample| {
                    let labels = sample.labels.to_builder().set(itom_core::LabelName::literal("__name__"), rule.name.clone()).build();
                    itom_core::WrittenSample::new(labels, at(seconds), sample.value)
                }).collect();
                let now: std::collections::BTreeSet<Labels> = samples.iter().map(|sample| sample.labels.clone()).collect();
                let ended = written[index].difference(&now).map(|labels| itom_core::WrittenSample::new(labels.clone(), at(seconds), SampleValue::STALE)).collect::<Vec<_>>();
                let all: Vec<_> = samples.into_iter().chain(ended).collect();
                itom_core::RuleSink::write(&alone, at(seconds), &all);
                written[index] = now;
            }
        }
        for name in names {
            prop_assert_eq!(together.world.dump(name), alone.dump(name), "{} of {}", name, file);
        }
    }
}
