//! The operators of `sensors`, alone and together, against loops over sorted records.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::collections::BTreeMap;
use std::time::Duration;

use examples::data;
use examples::sensors::{Alert, Crossing, Place, Reading, Rule, debounce, sensors};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use stream_core::prelude::*;
use stream_core::testing::{OperatorCheck, check_modes, check_recovery};

fn rows<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let mut reader = csv::Reader::from_path(data(&format!("sensors/{name}.csv"))).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

/// What the pipeline should say: everything sorted by time, one loop.
fn expected(
    readings: &[Reading],
    places: &[Place],
    rules: &[Rule],
    hold: Duration,
) -> (Vec<Alert>, Vec<Reading>) {
    enum Event<'e> {
        Place(&'e Place),
        Rule(&'e Rule),
        Reading(&'e Reading),
    }
    let places = places
        .iter()
        .map(|place| (place.at, 0, Event::Place(place)));
    let rules = rules.iter().map(|rule| (rule.at, 1, Event::Rule(rule)));
    let readings = readings
        .iter()
        .map(|reading| (reading.at, 2, Event::Reading(reading)));
    let mut events: Vec<_> = places.chain(rules).chain(readings).collect();
    let sensor = |event: &Event<'_>| match event {
        Event::Reading(reading) => reading.sensor,
        _ => 0,
    };
    events.sort_by_key(|(at, order, event)| (*at, *order, sensor(event)));
    let (mut rooms, mut limits, mut warmth) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let (mut hot_until, mut alerts, mut unknown) = (BTreeMap::new(), Vec::new(), Vec::new());
    let due = |hot_until: &mut BTreeMap<String, EventTime>, alerts: &mut Vec<Alert>, now| {
        hot_until.retain(|room, at| {
            let is_due = *at <= now && *at > EventTime::MIN;
            if is_due {
                alerts.push(Alert {
                    at: *at,
                    room: room.clone(),
                });
                *at = EventTime::MIN; // told
            }
            true
        });
    };
    for (at, _, event) in events {
        due(&mut hot_until, &mut alerts, at);
        let room = match event {
            Event::Place(place) => {
                rooms.insert(place.sensor, place.room.clone());
                continue;
            }
            Event::Rule(rule) => {
                limits.insert(rule.room.clone(), rule.limit);
                rule.room.clone()
            }
            Event::Reading(reading) => match rooms.get(&reading.sensor) {
                Some(room) => {
                    warmth.insert(room.clone(), reading.celsius);
                    room.clone()
                }
                None => {
                    unknown.push(reading.clone());
                    continue;
                }
            },
        };
        match (warmth.get(&room), limits.get(&room)) {
            (Some(warmth), Some(limit)) if warmth > limit => {
                hot_until.entry(room).or_insert(at + hold);
            }
            _ => drop(hot_until.remove(&room)),
        }
    }
    due(&mut hot_until, &mut alerts, EventTime::MAX);
    (alerts, unknown)
}

#[test]
fn a_day_of_ten_sensors() {
    let (readings, places, rules) = (rows("readings"), rows("places"), rows("rules"));
    let (mut alerts, mut unknown) = expected(&readings, &places, &rules, Duration::from_secs(300));
    assert!(alerts.len() > 20 && unknown.len() > 100);
    let test = sensors::test()
        .readings(readings)
        .places(places)
        .rules(rules);
    let mut rows = test.rows();
    let by_text = |alert: &Alert| format!("{alert:?}");
    alerts.sort_by_key(by_text);
    rows.alerts.sort_by_key(by_text);
    assert_eq!(rows.alerts, alerts);
    let by_text = |reading: &Reading| format!("{reading:?}");
    unknown.sort_by_key(by_text);
    rows.unknown.sort_by_key(by_text);
    assert_eq!(rows.unknown, unknown);
}

#[test]
fn the_modes_agree_and_crashes_change_nothing() {
    // An hour in which it becomes too warm.
    let hour = |at: EventTime| (9..11).contains(&(at.as_millis() / 3_600_000 % 24));
    let readings = rows::<Reading>("readings").into_iter();
    let readings: Vec<_> = readings.filter(|reading| hour(reading.at)).collect();
    let inputs = || {
        (
            readings.clone(),
            rows::<Place>("places"),
            rows::<Rule>("rules"),
        )
    };
    let pipeline = |(readings, places, rules): (Stream<Reading>, Stream<Place>, Stream<Rule>)| {
        sensors(readings, places, rules, Gap::mins(5))
    };
    check_modes(inputs(), pipeline);
    let few: Vec<_> = readings.iter().take(60).cloned().collect();
    check_recovery((few, rows("places"), rows("rules")), pipeline);
}

#[test]
fn a_crossing_is_told_when_it_has_held() {
    let crossing = (0..2_u8, any::<bool>());
    let crossing =
        (crossing, 0..60_i64).prop_map(|((room, is_hot), second)| (room, is_hot, second));
    let records = crossing.prop_map(|(room, is_hot, second)| {
        let room = format!("{room} at {second}");
        Crossing { room, is_hot }
    });
    // The room's name says when, for a crossing has no time of its own.
    let second = |crossing: &Crossing| crossing.room.split(' ').nth(2).unwrap().parse().unwrap();
    let room = |crossing: &Crossing| crossing.room.split(' ').next().unwrap().to_owned();
    let make = || debounce(Duration::from_secs(7));
    let at = move |crossing: &Crossing| EventTime::secs(second(crossing));
    let check = OperatorCheck::new(make, room, at).in_order();
    let oracle = move |by_room: &BTreeMap<String, Vec<Crossing>>| {
        let mut alerts = Vec::new();
        for (room, crossings) in by_room {
            for (n, crossing) in crossings.iter().enumerate().filter(|(_, one)| one.is_hot) {
                let at = EventTime::secs(second(crossing)) + Duration::from_secs(7);
                let cold = crossings[n + 1..].iter().find(|later| !later.is_hot);
                let has_held = cold.is_none_or(|cold| EventTime::secs(second(cold)) >= at);
                let alert = Alert {
                    at,
                    room: room.clone(),
                };
                if has_held && !alerts.contains(&alert) {
                    alerts.push(alert);
                }
            }
        }
        alerts
    };
    check.oracle(oracle).run(records);
}
