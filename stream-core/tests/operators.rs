//! Operators of a user's own: in every mode, through crashes, against oracles from scratch.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;
use stream_core::testing::{Inputs, ModeCheck, Outputs, RecoveryCheck, check_modes};
use stream_core::time::Clock;

/// A reading as far as the tests care: sensor, second, value.
type Reading = (u8, i64, i16);

/// Readings of a few sensors, mostly in order, with some that come late; several of one second.
fn readings(seed: u64, many: usize) -> Vec<Reading> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut now = -300; // some lie before 1970
    let mut reading = |_| {
        now += rng.i64(0..4);
        let behind = match rng.u8(0..10) {
            0 => rng.i64(0..40),
            _ => rng.i64(0..9),
        };
        (rng.u8(0..4), now - behind, rng.i16(-3..4))
    };
    (0..many).map(&mut reading).collect()
}

const LATENESS: i64 = 10;

fn timed(readings: Stream<Reading>) -> Timed<Reading> {
    let (timed, late) = readings.event_time(at, Lateness::secs(LATENESS as u64));
    late.discard();
    timed
}

fn at(reading: &Reading) -> EventTime {
    EventTime::secs(reading.1)
}

/// By the definition: late is what lies behind the highest seen earlier in its own partition. Gives the rest
/// by sensor in the order of time, then of the encoding, and the last watermark.
fn in_order(partitions: &[Vec<Reading>]) -> (BTreeMap<u8, Vec<Reading>>, i64) {
    let (mut by_key, mut last) = (BTreeMap::<u8, Vec<Reading>>::new(), i64::MIN);
    for partition in partitions {
        let mut high = i64::MIN + LATENESS;
        for reading in partition {
            if reading.1 >= high - LATENESS {
                by_key.entry(reading.0).or_default().push(*reading);
            }
            high = high.max(reading.1);
            last = last.max(high - LATENESS);
        }
    }
    let bytes = |reading: &Reading| {
        bincode::serde::encode_to_vec(reading, bincode::config::standard()).unwrap()
    };
    for readings in by_key.values_mut() {
        readings.sort_by_key(|reading| (reading.1, bytes(reading)));
    }
    (by_key, last)
}

/// Tells when a sensor has been above 0 for a while without a pause.
struct Debounced {
    hold: Duration,
}

impl KeyedOperator for Debounced {
    type Key = u8;
    type In = Reading;
    type State = Option<EventTime>;
    type Out = (u8, EventTime, EventTime);

    fn record(&self, _: &u8, reading: Reading, since: &mut Self::State, cx: &mut Cx<Self::Out>) {
        if reading.2 <= 0 {
            cx.cancel_timers();
            *since = None;
        } else if since.is_none() {
            *since = Some(cx.time());
            cx.set_timer(cx.time() + self.hold);
        }
    }

    fn timer(&self, key: &u8, at: EventTime, since: &mut Self::State, cx: &mut Cx<Self::Out>) {
        cx.emit((*key, since.unwrap_or(EventTime::MIN), at));
    }
}

fn debounced(readings: Stream<Reading>) -> Timed<(u8, EventTime, EventTime)> {
    let hold = Duration::from_secs(7);
    let keyed = timed(readings).key_by(|reading| reading.0);
    keyed.in_order().apply(Debounced { hold })
}

#[test]
fn a_debounced_alert() {
    ModeCheck::new(readings(1, 300))
        .oracle(|partitions| {
            let mut alerts = Vec::new();
            for (key, readings) in in_order(partitions).0 {
                let mut since = None;
                for (_, second, value) in readings.into_iter().chain([(0, i64::MAX, 0)]) {
                    if let Some((begin, false)) = since
                        && begin + 7 <= second
                    {
                        let times = [begin, begin + 7].map(EventTime::secs);
                        alerts.push((key, times[0], times[1]));
                        since = Some((begin, true));
                    }
                    since = match value > 0 {
                        true => since.or(Some((second, false))),
                        false => None,
                    };
                }
            }
            alerts
        })
        .run(debounced);
}

#[test]
fn a_debounced_alert_through_crashes() {
    RecoveryCheck::new(readings(2, 120)).run(debounced);
}

/// Tells of every ten seconds in which there was nothing, and at the end of what is left open.
struct Heartbeat;

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
struct Beats {
    records: u64,
    silent: u64,
}

impl KeyedOperator for Heartbeat {
    type Key = u8;
    type In = Reading;
    type State = Beats;
    type Out = (u8, Option<EventTime>, u64, u64);

    fn record(&self, _: &u8, _: Reading, beats: &mut Beats, cx: &mut Cx<Self::Out>) {
        beats.records += 1;
        cx.move_timers(cx.time() + Duration::from_secs(10));
        assert_eq!(cx.timers().len(), 1);
    }

    fn timer(&self, key: &u8, at: EventTime, beats: &mut Beats, cx: &mut Cx<Self::Out>) {
        beats.silent += 1;
        cx.emit((*key, Some(at), beats.records, beats.silent));
        cx.set_timer(at + Duration::from_secs(10));
    }

    fn end(&self, key: &u8, beats: &mut Beats, cx: &mut Cx<Self::Out>) {
        assert_eq!(cx.time(), EventTime::MAX);
        cx.emit((*key, None, beats.records, beats.silent));
    }
}

fn heartbeats(readings: Stream<Reading>) -> Timed<(u8, Option<EventTime>, u64, u64)> {
    let keyed = timed(readings).key_by(|reading| reading.0);
    keyed.in_order().apply(Heartbeat)
}

#[test]
fn timers_that_set_themselves_anew_and_the_end() {
    ModeCheck::new(readings(3, 250))
        .oracle(|partitions| {
            let (by_key, watermark) = in_order(partitions);
            let mut told = Vec::new();
            for (key, readings) in by_key {
                let (mut records, mut silent, mut due) = (0, 0, i64::MAX);
                let mut beat = |until: i64, once: bool, due: &mut i64, records: u64| {
                    while *due <= until {
                        silent += 1;
                        told.push((key, Some(EventTime::secs(*due)), records, silent));
                        if once {
                            break;
                        }
                        *due += 10;
                    }
                    silent
                };
                for (_, second, _) in readings {
                    beat(second, false, &mut due, records);
                    records += 1;
                    due = second + 10;
                }
                beat(watermark, false, &mut due, records);
                let silent = beat(i64::MAX, true, &mut due, records);
                told.push((key, None, records, silent));
            }
            told
        })
        .run(heartbeats);
}

#[test]
fn timers_that_set_themselves_anew_through_crashes() {
    RecoveryCheck::new(readings(4, 120)).run(heartbeats);
}

#[test]
fn what_one_operator_emits_another_takes_in() {
    let twice = |readings: Stream<Reading>| {
        let beats = heartbeats(readings).filter_map(|(key, at, ..)| Some((key % 2, at?, 1)));
        let beats = beats.map(|(key, at, value)| (key, at.as_millis() / 1_000, value));
        beats
            .key_by(|reading| reading.0)
            .in_order()
            .apply(Debounced {
                hold: Duration::from_secs(3),
            })
    };
    check_modes(readings(5, 200), twice);
    RecoveryCheck::new(readings(6, 80)).seeds(20).run(twice);
}

#[test]
fn records_in_order_are_in_the_order_of_time_and_of_what_is_in_them() {
    ModeCheck::new(readings(7, 300))
        .oracle(|partitions| {
            let (by_key, _) = in_order(partitions);
            let numbered = by_key.into_values().flat_map(|readings| {
                let numbered = readings.into_iter().enumerate();
                numbered.map(|(number, reading)| (reading, number as u64))
            });
            numbered.collect()
        })
        .run(|readings: Stream<Reading>| {
            let keyed = timed(readings).key_by(|reading| reading.0);
            let numbered = keyed.in_order().scan(u64::default, |next, reading| {
                *next += 1;
                (reading, *next - 1)
            });
            numbered.map(|(_, row)| row)
        });
}

#[test]
fn a_timer_is_set_once_and_can_be_taken_back() {
    struct Often;
    impl KeyedOperator for Often {
        type Key = u8;
        type In = Reading;
        type State = BTreeSet<EventTime>;
        type Out = (u8, EventTime);

        fn record(&self, _: &u8, reading: Reading, set: &mut Self::State, cx: &mut Cx<Self::Out>) {
            let at = at(&reading) + Duration::from_secs(reading.2.unsigned_abs().into());
            match reading.2 {
                ..0 => assert_eq!(cx.cancel_timer(at), set.remove(&at)),
                _ => {
                    cx.set_timer(at);
                    // Not sooner than what sets it, and once.
                    set.insert(at.max(cx.time() + Duration::from_micros(1)));
                    cx.set_timer(at);
                }
            }
            assert!(cx.timers().eq(set.iter().copied()));
        }

        fn timer(&self, key: &u8, at: EventTime, set: &mut Self::State, cx: &mut Cx<Self::Out>) {
            assert_eq!(set.pop_first(), Some(at));
            cx.emit((*key, at));
        }
    }
    check_modes(readings(8, 300), |readings: Stream<Reading>| {
        let keyed = timed(readings).key_by(|reading| reading.0);
        keyed.in_order().apply(Often)
    });
}

/// What the check of modes says of a pipeline that depends on the mode.
fn found_out<I: Inputs, O: Outputs>(
    inputs: I,
    pipeline: impl Fn(I::Streams) -> O + Send + Sync + 'static,
) -> String {
    let check = || ModeCheck::new(inputs).run(pipeline);
    let panic = catch_unwind(AssertUnwindSafe(check)).expect_err("the check has found nothing");
    let text = panic.downcast_ref::<String>();
    text.expect("the check says what it has found").clone()
}

#[test]
fn an_operator_that_looks_at_the_watermark_is_found_out() {
    struct Peeks;
    impl KeyedOperator for Peeks {
        type Key = u8;
        type In = Reading;
        type State = ();
        type Out = (Reading, EventTime);

        fn record(&self, _: &u8, reading: Reading, _: &mut (), cx: &mut Cx<Self::Out>) {
            cx.emit((reading, cx.watermark()));
        }
    }
    let told = found_out(readings(9, 200), |readings: Stream<Reading>| {
        timed(readings).key_by(|reading| reading.0).apply(Peeks)
    });
    assert!(told.contains("apply"), "{told}");
}

#[test]
fn an_operator_that_depends_on_the_order_of_arrival_is_found_out() {
    struct Last;
    impl KeyedOperator for Last {
        type Key = u8;
        type In = Reading;
        type State = i16;
        type Out = (Reading, i16);

        fn record(&self, _: &u8, reading: Reading, last: &mut i16, cx: &mut Cx<Self::Out>) {
            cx.emit((reading, std::mem::replace(last, reading.2)));
        }
    }
    let told = found_out(readings(10, 200), |readings: Stream<Reading>| {
        timed(readings).key_by(|reading| reading.0).apply(Last)
    });
    assert!(
        told.contains("exact if its functions are pure and order-free"),
        "{told}"
    );
    assert!(told.contains("exact behind `.in_order()`"), "{told}");
    // The same behind `in_order` is exact.
    check_modes(readings(10, 200), |readings: Stream<Reading>| {
        timed(readings)
            .key_by(|reading| reading.0)
            .in_order()
            .apply(Last)
    });
}

#[test]
fn an_operator_that_keeps_what_is_not_in_its_state_is_found_out() {
    /// How often it was called on this worker since the start.
    struct Counts(AtomicU64);
    impl KeyedOperator for Counts {
        type Key = u8;
        type In = Reading;
        type State = ();
        type Out = (Reading, u64);

        fn record(&self, _: &u8, reading: Reading, _: &mut (), cx: &mut Cx<Self::Out>) {
            cx.emit((reading, self.0.fetch_add(1, Ordering::Relaxed) / 20));
        }
    }
    found_out(readings(11, 200), |readings: Stream<Reading>| {
        let keyed = timed(readings).key_by(|reading| reading.0);
        keyed.in_order().apply(Counts(AtomicU64::new(0)))
    });
}

#[test]
fn an_operator_that_looks_at_the_clock_is_found_out() {
    struct Clocked(Instant);
    impl KeyedOperator for Clocked {
        type Key = u8;
        type In = Reading;
        type State = ();
        type Out = (Reading, u128);

        fn record(&self, _: &u8, reading: Reading, _: &mut (), cx: &mut Cx<Self::Out>) {
            cx.emit((reading, self.0.elapsed().as_micros() / 50));
        }
    }
    found_out(readings(12, 200), |readings: Stream<Reading>| {
        let keyed = timed(readings).key_by(|reading| reading.0);
        keyed.in_order().apply(Clocked(Instant::now()))
    });
}

#[test]
fn a_lane_that_ends_with_its_last_records_ends_behind_its_last_watermark() {
    let beats = |mode| {
        let (sink, rows) = io::collect::<(u8, Option<EventTime>, u64, u64)>();
        let job = Job::new("beats", |graph| {
            graph.output("out", heartbeats(graph.input("in")));
        });
        let readings: Vec<Reading> = vec![(1, 0, 1), (2, 105, 1)];
        let job = job.source("in", io::vec(readings)).clock(Clock::by_hand());
        job.sink("out", sink).run(mode).unwrap();
        let mut rows = rows.take();
        rows.sort();
        rows
    };
    let rows = beats(Mode::Batch);
    // The last watermark is 95: it has called the timers up to 90, and the end those at 100 and 115.
    assert_eq!(rows.len(), 10 + 1 + 2, "{rows:?}");
    assert_eq!(beats(Mode::PerRecord), rows);
}

/// Operators without a job around them.
#[cfg(feature = "proptest")]
mod alone {
    use proptest::strategy::Strategy;
    use stream_core::testing::OperatorCheck;

    use super::*;

    fn reading() -> impl Strategy<Value = Reading> + Clone {
        (0..3_u8, -40..40_i64, -1..3_i16)
    }

    fn check<O>(make: impl Fn() -> O + 'static) -> OperatorCheck<O>
    where
        O: KeyedOperator<Key = u8, In = Reading, Out: std::fmt::Debug>,
    {
        OperatorCheck::new(make, |reading| reading.0, at)
    }

    /// What the check says of an operator that does not give the same in every way.
    fn told<O>(check: OperatorCheck<O>) -> String
    where
        O: KeyedOperator<In = Reading, Out: std::fmt::Debug>,
    {
        let panic = catch_unwind(AssertUnwindSafe(|| check.run(reading()))).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    }

    #[test]
    fn operators_give_the_same_however_they_are_cut() {
        let hold = Duration::from_secs(7);
        check(move || Debounced { hold }).in_order().run(reading());
        check(|| Heartbeat).in_order().run(reading());
        check(|| Heartbeat)
            .in_order()
            .lateness(Lateness::secs(0))
            .run(reading());
    }

    /// How many records of a key lie in each ten seconds; a timer tells it, and forgets it.
    struct TensOf;

    impl KeyedOperator for TensOf {
        type Key = u8;
        type In = Reading;
        type State = BTreeMap<i64, u64>;
        type Out = (u8, i64, u64);

        fn record(&self, _: &u8, reading: Reading, tens: &mut Self::State, cx: &mut Cx<Self::Out>) {
            let ten = reading.1.div_euclid(10);
            *tens.entry(ten).or_default() += 1;
            cx.set_timer(EventTime::secs(10 * ten + 10));
        }

        fn timer(&self, key: &u8, at: EventTime, tens: &mut Self::State, cx: &mut Cx<Self::Out>) {
            let ten = at.as_millis() / 10_000 - 1;
            cx.emit((*key, ten, tens.remove(&ten).unwrap()));
        }
    }

    #[test]
    fn an_operator_that_needs_no_order_is_what_its_oracle_says() {
        let oracle = |by_key: &BTreeMap<u8, Vec<Reading>>| {
            let mut tens = BTreeMap::new();
            for (sensor, second, _) in by_key.values().flatten() {
                *tens.entry((*sensor, second.div_euclid(10))).or_default() += 1;
            }
            let row = |((sensor, ten), count)| (sensor, ten, count);
            tens.into_iter().map(row).collect()
        };
        check(|| TensOf).oracle(oracle).run(reading());
        check(|| TensOf).oracle(oracle).in_order().run(reading());
        check(|| TensOf).oracle(oracle).example(vec![
            vec![(1, 0, 0), (1, 9, 0), (1, 10, 0), (1, 4, 0)],
            vec![],
            vec![(1, -1, 0)],
        ]);
    }

    #[test]
    fn what_is_not_in_the_state_is_missed_where_it_is_restored() {
        struct Forgetful(std::cell::Cell<u64>);
        impl KeyedOperator for Forgetful {
            type Key = u8;
            type In = Reading;
            type State = ();
            type Out = u64;

            fn record(&self, _: &u8, _: Reading, _: &mut (), cx: &mut Cx<u64>) {
                self.0.set(self.0.get() + 1);
                cx.emit(self.0.get());
            }
        }
        let told = told(check(|| Forgetful(std::cell::Cell::new(0))).in_order());
        assert!(told.contains("restored"), "{told}");
        assert!(told.contains("not saved with its state"), "{told}");
        // Two records are enough.
        let test = told.split_once("example(vec![").unwrap().1;
        assert_eq!(test.matches("(0, ").count(), 2, "{told}");
    }

    #[test]
    fn an_operator_that_depends_on_the_order_of_arrival_is_shown_by_a_test() {
        struct Last;
        impl KeyedOperator for Last {
            type Key = u8;
            type In = Reading;
            type State = i64;
            type Out = (i64, i64);

            fn record(&self, _: &u8, reading: Reading, last: &mut i64, cx: &mut Cx<Self::Out>) {
                cx.emit((reading.1, std::mem::replace(last, reading.1)));
            }
        }
        let told = told(check(|| Last));
        assert!(
            told.contains("the last lane first") || told.contains("in turns"),
            "{told}"
        );
        assert!(told.contains("check().example(vec![vec![(0, "), "{told}");
        assert!(told.contains("`.in_order()` in this check"), "{told}");
        check(|| Last).in_order().run(reading());
    }
}

mod raw {
    use stream_core::raw::Raw;
    use stream_core::raw::timely::dataflow::channels::pact::Exchange;
    use stream_core::raw::timely::dataflow::operators::Operator as _;
    use stream_core::raw::timely::dataflow::operators::vec::Map;

    use super::*;

    /// Sums by sensor and epoch, with an exchange of its own; then a table adds them up.
    fn sums(readings: Stream<Reading>) -> Table<u8, i64> {
        let sums = readings.raw(|readings| {
            let by_sensor = Exchange::new(|reading: &Reading| reading.0.into());
            readings
                .map(|(sensor, second, _)| (sensor, second, 0))
                .unary_frontier(by_sensor, "sums", |_, _| {
                    let mut open = BTreeMap::<u64, (_, BTreeMap<u8, i64>)>::new();
                    move |(input, frontier), output| {
                        input.for_each(|capability, readings| {
                            let capability = capability.retain_least(0).unwrap();
                            let epoch = *capability.time();
                            let (_, sums) = open
                                .entry(epoch)
                                .or_insert_with(|| (capability, BTreeMap::new()));
                            for (sensor, second, _) in readings.drain(..) {
                                *sums.entry(sensor).or_default() += second;
                            }
                        });
                        while let Some(first) = open.first_entry()
                            && !frontier.less_equal(first.key())
                        {
                            let (capability, sums) = first.remove();
                            output.session(&capability).give_iterator(sums.into_iter());
                        }
                    }
                })
        });
        let summed = sums.key_by(|(sensor, _)| *sensor);
        summed.fold(|| 0, |sum, (_, part)| *sum += part)
    }

    #[test]
    fn operators_of_timely_are_a_stage_like_others() {
        ModeCheck::new(readings(20, 300))
            .oracle(|partitions| {
                let mut sums = BTreeMap::<u8, i64>::new();
                for (sensor, second, _) in partitions.concat() {
                    *sums.entry(sensor).or_default() += second;
                }
                let entry = |(key, value)| Entry { key, value };
                sums.into_iter().map(entry).collect()
            })
            .run(sums);
    }

    #[test]
    fn what_keeps_nothing_behind_an_epoch_goes_through_crashes() {
        RecoveryCheck::new(readings(21, 80)).run(sums);
    }
}
