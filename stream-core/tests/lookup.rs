//! What a stream is looked up in is read to its end before the stream, in every mode, on any number of workers,
//! and through crashes.

mod common;

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;

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

fn look_up_now(readings: Stream<Reading>, places: Stream<Place>) -> Stream<Found, Mixed> {
    let readings = readings.key_by(|reading| reading.0);
    readings.lookup_arrival(rooms(places))
}

/// Gives the same reading again and again until it finds this.
fn until_found(readings: &io::Sender<Reading>, found: &Receiver<Found>, expected: Option<u16>) {
    let mut found_before = None;
    for _ in 0..2_000 {
        readings.send((7, 0, 0)).expect("the job runs");
        let row = found.recv().expect("the job runs");
        if row.1 == expected {
            return;
        }
        found_before = Some(row);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("{expected:?} is never found, but {found_before:?}");
}

#[test]
fn what_arrives_finds_the_table_as_it_is_then() {
    for mode in ["per-record", "per-record=strict", "micro-batch=2ms"] {
        common::within(mode, move || {
            let (places, places_source) = io::channel::<Place>(4);
            let (readings, readings_source) = io::channel::<Reading>(4);
            let (sink, found) = io::to_channel::<Found>(4);
            let handle = job(look_up_now)
                .source("readings", readings_source)
                .source("places", places_source)
                .sink("found", sink)
                .workers(2)
                .start(mode.parse().unwrap())
                .unwrap();
            until_found(&readings, &found, None);
            for room in [Some(1), Some(2), None, Some(3)] {
                places.send((7, room)).unwrap();
                until_found(&readings, &found, room);
            }
            // What the table has to say no more, it still has.
            drop(places);
            until_found(&readings, &found, Some(3));
            drop(readings);
            handle.wait().unwrap();
        });
    }
}

#[test]
fn in_batch_mode_what_arrives_finds_the_table_as_it_is_in_the_end() {
    let (readings, places) = (readings(8, 200), places(7, 60));
    for workers in [1, 2] {
        let (sink, rows) = io::collect::<Found>();
        let job = job(look_up_now)
            .source("readings", io::vec(readings.clone()))
            .source("places", io::vec(places.clone()))
            .sink("found", sink);
        job.workers(workers).run(Mode::Batch).unwrap();
        let mut rows = rows.take();
        rows.sort_unstable();
        let mut expected = found(
            std::slice::from_ref(&readings),
            std::slice::from_ref(&places),
        );
        expected.sort_unstable();
        assert_eq!(rows, expected);
    }
}

/// A table that may go on changing for ever holds no window back.
#[test]
fn a_table_without_end_holds_no_watermark_back() {
    common::within("watermark", || {
        let (places, places_source) = io::channel::<Place>(4);
        let (readings, readings_source) = io::channel::<Reading>(4);
        let (sink, windows) = io::to_channel::<u64>(4);
        let job = Job::new("windows", |graph: &Graph| {
            let at = |reading: &Reading| EventTime::secs(reading.1);
            let (timed, _) = graph.input("readings").event_time(at, Lateness::secs(0));
            let rooms = rooms(graph.input("places"));
            let found = timed.key_by(|reading| reading.0).lookup_arrival(rooms);
            let windows = found.key_by(|_| ()).tumbling(Size::secs(10)).count();
            graph.output("windows", windows.map(|window| window.value));
        });
        let job = job
            .source("readings", readings_source)
            .source("places", places_source)
            .sink("windows", sink)
            .max_leap(Leap::ANY);
        let handle = job.workers(2).start(Mode::PerRecord).unwrap();
        for second in [1, 2, 11] {
            readings.send((7, second, 0)).unwrap();
        }
        assert_eq!(windows.recv(), Ok(2));
        drop((places, readings));
        assert_eq!(windows.recv(), Ok(1));
        handle.wait().unwrap();
    });
}

/// What was found before a stop is found behind it, on other workers too.
#[test]
fn what_the_table_has_is_kept() {
    common::within("kept", || {
        let (places, places_source) = io::channel::<Place>(4);
        let (readings, readings_source) = io::channel::<Reading>(4);
        let (sink, rows) = io::to_channel::<Found>(4);
        let first = job(look_up_now)
            .source("readings", readings_source)
            .source("places", places_source)
            .sink("found", sink);
        let handle = first.workers(3).start(Mode::PerRecord).unwrap();
        for room in [Some(9), Some(5)] {
            places.send((7, room)).unwrap();
            until_found(&readings, &rows, room);
        }
        handle.stop();
        let snapshot = handle.wait().unwrap().snapshot.unwrap();
        let (readings, readings_source) = io::channel::<Reading>(4);
        let (_places, places_source) = io::channel::<Place>(4);
        let (sink, rows) = io::to_channel::<Found>(4);
        let again = job(look_up_now)
            .source("readings", readings_source)
            .source("places", places_source)
            .sink("found", sink);
        let handle = again.workers(2).start_from(snapshot).start(Mode::PerRecord);
        let handle = handle.unwrap();
        readings.send((7, 0, 0)).unwrap();
        assert_eq!(rows.recv(), Ok(((7, 0, 0), Some(5))));
        handle.stop();
        handle.wait().unwrap();
    });
}

#[test]
fn what_depends_on_arrival_says_so() {
    let graph = job(look_up_now).explain().unwrap();
    let stage = graph
        .nodes
        .iter()
        .find(|node| node.kind == "lookup_arrival");
    assert_eq!(stage.unwrap().class, stream_core::graph::Class::Arrival);
    assert!(
        graph.to_string().contains("[depends on what has arrived]"),
        "{graph}"
    );
}

#[test]
#[should_panic(
    expected = "lookup_arrival depends on what has arrived\n(`lookup`, of a table that ends, and `as_of_join`, by event"
)]
fn a_check_names_what_is_the_same_in_every_mode() {
    ModeCheck::new((readings(7, 200), places(7, 40)))
        .run(|(readings, places)| look_up_now(readings, places));
}

#[test]
fn what_does_not_depend_on_arrival_is_compared_beside_what_does() {
    let input = || (readings(7, 200), places(7, 40));
    ModeCheck::new(input()).seeds(3).run(|(readings, places)| {
        let rooms = readings.clone().key_by(|reading| reading.0).count();
        (look_up_now(readings, places), rooms)
    });
    let refused = std::panic::catch_unwind(|| {
        ModeCheck::new(input()).run(|(readings, places)| {
            let by_room = readings.clone().key_by(|_| ());
            let first = by_room.scan(
                || 0,
                |n: &mut u64, reading| (std::mem::replace(n, *n + 1), reading),
            );
            (look_up_now(readings, places), first)
        });
    });
    let told = refused.unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert!(told.contains("the output of `checked/scan`"), "{told}");
}
