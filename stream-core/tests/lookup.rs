//! What a stream is looked up in is read to its end before the stream, in every mode, on any number of workers,
//! and through crashes.

mod common;

use std::collections::BTreeMap;

use stream_core::Problem;
use stream_core::prelude::*;
use stream_core::testing::{Input, ModeCheck, RecoveryCheck};

/// A sensor, and where it hangs from now on, if it does.
type Place = (u8, Option<u16>);
/// A sensor, a second, and what it has read.
type Reading = (u8, i64, i16);

fn places(seed: u64, many: usize) -> Vec<Place> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut place = |_| (rng.u8(0..9), (rng.u8(0..4) > 0).then(|| rng.u16(..)));
    (0..many).map(&mut place).collect()
}

fn readings(seed: u64, many: usize) -> Vec<Reading> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut reading = |at| (rng.u8(0..12), at as i64 - rng.i64(0..5), rng.i16(..));
    (0..many).map(&mut reading).collect()
}

type Found = (Reading, Option<u16>);

fn found(readings: &[Vec<Reading>], places: &[Vec<Place>]) -> Vec<Found> {
    let mut rooms = BTreeMap::new();
    for (sensor, room) in places.iter().flatten() {
        rooms.insert(*sensor, *room);
    }
    let room = |reading: &Reading| rooms.get(&reading.0).copied().flatten();
    let readings = readings.iter().flatten();
    readings.map(|reading| (*reading, room(reading))).collect()
}

fn rooms(places: Stream<Place>) -> Table<u8, u16> {
    places.key_by(|place| place.0).table(|place| place.1)
}

fn inputs(many: usize, places_many: usize) -> (Input<Reading>, Input<Place>) {
    let places = Input::new(places(7, places_many)).partition_by(|place| place.0);
    (Input::new(readings(8, many)), places)
}

#[test]
fn each_record_finds_the_table_as_it_is_in_the_end() {
    for (many, places_many) in [(200, 60), (30, 0), (0, 30), (1, 200)] {
        ModeCheck::new(inputs(many, places_many))
            .oracle(|(readings, places)| found(readings, places))
            .run(|(readings, places)| readings.key_by(|reading| reading.0).lookup(rooms(places)));
    }
    RecoveryCheck::new(inputs(60, 40))
        .seeds(60)
        .run(|(readings, places)| readings.key_by(|reading| reading.0).lookup(rooms(places)));
}

/// Records keep their event time, and are not behind the watermark: none is missing from the windows.
#[test]
fn what_is_timed_stays_timed() {
    ModeCheck::new(inputs(200, 60))
        .oracle(|(readings, places)| {
            let mut windows = BTreeMap::new();
            for (reading, room) in found(readings, places) {
                let start = reading.1.div_euclid(10) * 10;
                *windows.entry((room, start)).or_insert(0) += 1;
            }
            let window = |((key, start), value)| Windowed {
                key,
                start: EventTime::secs(start),
                end: EventTime::secs(start + 10),
                value,
            };
            windows.into_iter().map(window).collect()
        })
        .run(|(readings, places)| {
            let (timed, late) =
                readings.event_time(|reading| EventTime::secs(reading.1), Lateness::secs(5));
            late.discard();
            let by_sensor = timed.key_by(|reading| reading.0);
            let by_room = by_sensor.lookup(rooms(places)).key_by(|(_, room)| *room);
            by_room.tumbling(Size::secs(10)).count()
        });
}

/// A table that is made by looking up in another one: each is read when the one before is whole.
#[test]
fn lookups_stand_behind_one_another() {
    let places: Vec<(u8, u16)> = (0..9)
        .map(|sensor| (sensor, u16::from(sensor) % 5))
        .collect();
    let floors: Vec<(u16, u8)> = (0..4).map(|room| (room, room as u8 / 2)).collect();
    ModeCheck::new((readings(9, 150), places, floors))
        .oracle(|(readings, _, _)| {
            let floor = |sensor: u8| (sensor < 9 && sensor % 5 < 4).then_some(sensor % 5 / 2);
            let readings = readings.iter().flatten();
            readings
                .map(|reading| (*reading, floor(reading.0)))
                .collect()
        })
        .run(|(readings, places, floors)| {
            let floors = floors.key_by(|floor| floor.0).table(|floor| Some(floor.1));
            let sensors = places.key_by(|place| place.1).lookup(floors);
            let by_sensor = sensors.key_by(|((sensor, _), _)| *sensor);
            readings
                .key_by(|reading| reading.0)
                .lookup(by_sensor.table(|(_, floor)| floor))
        });
}

/// A table that tells what it holds when a batch closes, in any mode.
#[cfg(feature = "differential")]
#[test]
fn a_table_of_a_relation_is_whole_before_the_first_record() {
    ModeCheck::new(inputs(100, 60))
        .oracle(|(readings, places)| {
            let mut rooms = BTreeMap::new();
            for (sensor, room) in places.iter().flatten() {
                rooms.insert(*sensor, *room);
            }
            let mut counts = BTreeMap::new();
            for (sensor, _) in rooms.iter().filter(|(_, room)| room.is_some()) {
                *counts.entry(sensor % 3).or_insert(0) += 1;
            }
            let count = |reading: &Reading| counts.get(&(reading.0 % 5)).copied();
            let readings = readings.iter().flatten();
            readings.map(|reading| (*reading, count(reading))).collect()
        })
        .run(|(readings, places)| {
            let counts = rooms(places).group_by(|sensor, _| sensor % 3).count();
            readings.key_by(|reading| reading.0 % 5).lookup(counts)
        });
}

fn job(pipeline: fn(Stream<Reading>, Stream<Place>) -> Stream<Found, Mixed>) -> Job {
    Job::new("lookups", move |graph: &Graph| {
        let readings = graph.input("readings");
        graph.output("found", pipeline(readings, graph.input("places")));
    })
}

fn look_up(readings: Stream<Reading>, places: Stream<Place>) -> Stream<Found, Mixed> {
    readings.key_by(|reading| reading.0).lookup(rooms(places))
}

/// The source of the places is closed long after all readings could have been read.
#[test]
fn no_record_is_read_before_the_table_has_ended() {
    for mode in [Mode::Batch, Mode::PerRecord, Mode::PerRecordStrict] {
        let (places, source) = io::channel::<Place>(4);
        let (sink, found) = io::collect::<Found>();
        let readings: Vec<Reading> = (0..1_000).map(|at| (7, at, 0)).collect();
        let handle = job(look_up)
            .source("readings", io::vec(readings))
            .source("places", source)
            .sink("found", sink)
            .workers(2)
            .start(mode)
            .unwrap();
        for room in 0..20 {
            places.send((7, Some(room))).unwrap();
        }
        common::until_read(&handle, "places", 20);
        assert_eq!(handle.counts().read["readings"], 0, "{mode}");
        drop(places);
        handle.wait().unwrap();
        let found = found.take();
        assert!(
            found.len() == 1_000 && found.iter().all(|row| row.1 == Some(19)),
            "{mode}"
        );
    }
}

#[test]
fn what_can_never_begin_is_refused() {
    let of_itself = Job::new("lookups", |graph: &Graph| {
        let readings = graph
            .input::<Reading>("readings")
            .key_by(|reading| reading.0);
        let last = readings.clone().table(|reading| Some(reading.2));
        graph.output("found", readings.lookup(last));
    });
    let told = of_itself.explain().unwrap_err().to_string();
    assert!(
        told.contains("`readings` would wait for itself") && told.contains("as_of_join"),
        "{told}"
    );

    let endless = job(look_up)
        .source("readings", io::vec(Vec::<Reading>::new()))
        .source("places", Endless)
        .sink("found", io::collect::<Found>().0);
    let told = endless.run(Mode::PerRecord).unwrap_err().to_string();
    assert!(
        told.contains("waits for the end of its table") && told.contains("`places`"),
        "{told}"
    );
}

/// A source without end, which is never opened.
struct Endless;

impl io::Source<Place> for Endless {
    fn info(&self) -> io::SourceInfo {
        io::SourceInfo {
            kind: "endless",
            detail: String::new(),
            boundedness: io::Boundedness::Unbounded,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        Ok(vec!["0".into()])
    }

    fn open(&self, _: usize, _: io::Opening) -> Result<Box<dyn io::Reader<Place>>, Problem> {
        Err(Problem::new("it was opened"))
    }
}
