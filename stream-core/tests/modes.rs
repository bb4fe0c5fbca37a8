//! Every operator gives the same in every mode, for every cut, worker count and interleaving and
//! after a stop in the middle, and it is what an oracle from scratch says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use stream_core::prelude::*;
use stream_core::testing::{Input, ModeCheck, check_modes};

/// A click as far as the tests care: user, second, number.
type Click = (u8, i64, u64);

/// Clicks of a few users, mostly in order, with some that come late.
fn clicks(seed: u64, many: usize) -> Vec<Click> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut now = -500; // some lie before 1970
    let mut click = |number| {
        now += rng.i64(0..4);
        let behind = if rng.u8(0..10) == 0 {
            rng.i64(0..60)
        } else {
            rng.i64(0..8)
        };
        (rng.u8(0..6), now - behind, number)
    };
    (0..many as u64).map(&mut click).collect()
}

fn second(click: &Click) -> EventTime {
    EventTime::secs(click.1)
}

const LATENESS: i64 = 10;

fn timed(clicks: Stream<Click>) -> (Timed<Click>, Stream<Click>) {
    clicks.event_time(second, Lateness::secs(LATENESS as u64))
}

/// By the definition: late is what lies behind the highest seen earlier in its own partition.
fn divide(partitions: &[Vec<Click>]) -> (Vec<Click>, Vec<Click>) {
    let (mut on_time, mut late) = (Vec::new(), Vec::new());
    for partition in partitions {
        let mut high = i64::MIN + LATENESS;
        for click in partition {
            if click.1 < high - LATENESS {
                late.push(*click);
            } else {
                on_time.push(*click);
            }
            high = high.max(click.1);
        }
    }
    (on_time, late)
}

/// What is folded in windows: count, sum and the last by (second, number); order-free.
type Summary = (u64, u64, (i64, u64));

fn nothing() -> Summary {
    (0, 0, (i64::MIN, 0))
}

fn start((_, second, number): Click) -> Summary {
    (1, number, (second, number))
}

fn merge(summary: &mut Summary, other: Summary) {
    *summary = (
        summary.0 + other.0,
        summary.1 + other.1,
        summary.2.max(other.2),
    );
}

fn extend(summary: &mut Summary, click: Click) {
    merge(summary, start(click));
}

fn windowed(key: u8, start: i64, end: i64, value: Summary) -> Windowed<u8, Summary> {
    Windowed {
        key,
        start: EventTime::secs(start),
        end: EventTime::secs(end),
        value,
    }
}

fn entries<V>(values: BTreeMap<u8, V>) -> Vec<Entry<u8, V>> {
    values
        .into_iter()
        .map(|(key, value)| Entry { key, value })
        .collect()
}

#[test]
fn stateless_stages() {
    ModeCheck::new(clicks(1, 300))
        .oracle(|partitions| {
            let all = partitions.concat().into_iter().filter(|click| click.0 != 3);
            let doubled = all.flat_map(|click| vec![click.2; (click.2 % 3) as usize]);
            doubled
                .filter_map(|number| number.checked_sub(5))
                .map(|n| n * 7)
                .collect()
        })
        .run(|clicks: Stream<Click>| {
            clicks
                .filter(|click| click.0 != 3)
                .flat_map(|click| vec![click.2; (click.2 % 3) as usize])
                .filter_map(|number| number.checked_sub(5))
                .inspect(|_| {})
                .map(|n| n * 7)
        });
}

#[test]
fn union_and_split() {
    ModeCheck::new((clicks(2, 200), clicks(3, 100)))
        .oracle(|(left, right)| {
            let all = [left.concat(), left.concat(), right.concat()].concat();
            all.into_iter().partition(|click| click.2 % 3 == 0)
        })
        .run(|(left, right): (Stream<Click>, Stream<Click>)| {
            left.clone()
                .union(right)
                .union(left)
                .split(|click| click.2 % 3 == 0)
        });
}

#[test]
fn event_time_divides_by_lane() {
    ModeCheck::new(clicks(4, 400))
        .oracle(|partitions| divide(partitions))
        .run(|clicks: Stream<Click>| timed(clicks));
}

#[test]
fn lateness_behind_a_union_is_by_the_way_a_lane_took() {
    let fast = |clicks: Stream<Click>| clicks.map(|(user, second, n)| (user, second + 100, n));
    ModeCheck::new(clicks(5, 200))
        .oracle(|partitions| {
            let ahead: Vec<Vec<_>> = partitions
                .iter()
                .map(|partition| partition.iter().map(|c| (c.0, c.1 + 100, c.2)).collect())
                .collect();
            divide(&[partitions.to_vec(), ahead].concat())
        })
        .run(move |clicks: Stream<Click>| timed(clicks.clone().union(fast(clicks))));
}

#[test]
fn count() {
    ModeCheck::new(clicks(6, 300))
        .oracle(|partitions| {
            let mut counts = BTreeMap::new();
            partitions
                .concat()
                .iter()
                .for_each(|c| *counts.entry(c.0).or_insert(0) += 1);
            entries(counts)
        })
        .run(|clicks: Stream<Click>| clicks.key_by(|click| click.0).count());
}

#[test]
fn fold_and_the_changes_of_a_table() {
    let oracle = |partitions: &[Vec<Click>]| {
        let mut sums: BTreeMap<u8, u64> = BTreeMap::new();
        partitions
            .concat()
            .iter()
            .for_each(|c| *sums.entry(c.0).or_default() += c.2);
        sums
    };
    ModeCheck::new(clicks(7, 300))
        .oracle(move |partitions| {
            let change = |(key, value)| Change {
                key,
                value: Some(value),
            };
            let sums = oracle(partitions);
            (
                entries(sums.clone()),
                sums.into_iter().map(change).collect(),
            )
        })
        .run(|clicks: Stream<Click>| {
            let table = clicks
                .key_by(|c| c.0)
                .fold(|| 0, |sum, c: Click| *sum += c.2);
            (table.clone(), table.changes())
        });
}

#[test]
fn sliding_windows() {
    for (number, size, step) in [(40, 25, 10), (41, 12, 3), (42, 7, 7), (43, 9, 2)] {
        let oracle = move |on_time: Vec<Click>| {
            let mut windows = BTreeMap::<(u8, i64), Summary>::new();
            for click in on_time {
                // Every window is tried.
                for n in -1_000..2_000 {
                    if (n * step..n * step + size).contains(&click.1) {
                        extend(
                            windows.entry((click.0, n * step)).or_insert_with(nothing),
                            click,
                        );
                    }
                }
            }
            let windows = windows.into_iter();
            let row = |((key, start), value)| windowed(key, start, start + size, value);
            windows.map(row).collect::<Vec<_>>()
        };
        ModeCheck::new(clicks(number, 200))
            .oracle(move |partitions| {
                let windows = oracle(divide(partitions).0);
                let counts = windows.iter().map(|window| Windowed {
                    key: window.key,
                    start: window.start,
                    end: window.end,
                    value: window.value.0,
                });
                (counts.collect(), windows.clone())
            })
            .run(move |clicks: Stream<Click>| {
                let (timed, late) = timed(clicks);
                late.discard();
                let [size, step] = [size, step].map(|secs| Size::secs(secs as u64));
                let windows = timed.key_by(|click| click.0).sliding(size, step);
                (
                    windows.clone().count(),
                    windows.fold(nothing, extend, merge),
                )
            });
    }
}

#[test]
fn tumbling_windows() {
    ModeCheck::new(clicks(8, 400))
        .oracle(|partitions| {
            let mut windows = BTreeMap::new();
            for click in divide(partitions).0 {
                let at = click.1.div_euclid(25) * 25;
                let add = |summary: &mut Summary| extend(summary, click);
                windows
                    .entry((click.0, at))
                    .and_modify(add)
                    .or_insert_with(|| start(click));
            }
            let rows = windows.into_iter();
            rows.map(|((user, at), value)| windowed(user, at, at + 25, value))
                .collect()
        })
        .run(|clicks: Stream<Click>| {
            timed(clicks)
                .0
                .key_by(|c| c.0)
                .tumbling(Size::secs(25))
                .fold(nothing, extend)
        });
}

/// The counts of each user, mapped, without those that are over 40 or of an odd user.
fn few(clicks: Stream<Click>) -> Table<u8, u64> {
    let counts = clicks.key_by(|click| click.0).count();
    let few = counts.filter(|_, count| *count <= 40);
    few.map_values(|count| count * 3)
        .filter(|user, _| user % 2 == 0)
}

/// How often each user clicked.
fn counted(partitions: &[Vec<Click>]) -> BTreeMap<u8, u64> {
    let mut counts = BTreeMap::new();
    for click in partitions.concat() {
        *counts.entry(click.0).or_insert(0) += 1;
    }
    counts
}

#[test]
fn the_rows_of_a_table_that_pass_and_are_mapped() {
    ModeCheck::new(clicks(82, 240))
        .oracle(|partitions| {
            let mut counts = counted(partitions);
            counts.retain(|user, count| *count <= 40 && user % 2 == 0);
            counts.values_mut().for_each(|count| *count *= 3);
            entries(counts)
        })
        .run(few);
}

#[test]
fn a_row_that_stops_passing_is_a_deletion() {
    ModeCheck::new(clicks(83, 240))
        .oracle(|partitions| {
            let counts = counted(partitions).into_iter();
            let passes = |user, count| count <= 40 && user % 2 == 0;
            let change = |(key, count)| Change {
                key,
                value: passes(key, count).then_some(count * 3),
            };
            counts.map(change).collect()
        })
        .run(|clicks: Stream<Click>| few(clicks).changes());
}

#[test]
fn windows_of_records_in_no_order_wait_for_the_end() {
    let mut records = clicks(81, 400);
    fastrand::Rng::with_seed(81).shuffle(&mut records);
    ModeCheck::new(records)
        .oracle(|partitions| {
            let mut windows = BTreeMap::new();
            for click in partitions.concat() {
                let at = click.1.div_euclid(25) * 25;
                *windows.entry((click.0, at)).or_insert(0) += 1;
            }
            let rows = windows.into_iter();
            let rows = rows.map(|((user, at), value)| Windowed {
                key: user,
                start: EventTime::secs(at),
                end: EventTime::secs(at + 25),
                value,
            });
            (rows.collect(), Vec::new())
        })
        .run(|clicks: Stream<Click>| {
            let (timed, late) = clicks.event_time(second, Lateness::unbounded());
            (timed.key_by(|c| c.0).tumbling(Size::secs(25)).count(), late)
        });
}

#[test]
fn session_windows() {
    const GAP: i64 = 7;
    ModeCheck::new(clicks(9, 400))
        .oracle(|partitions| {
            let mut users: BTreeMap<u8, Vec<Click>> = BTreeMap::new();
            divide(partitions)
                .0
                .into_iter()
                .for_each(|c| users.entry(c.0).or_default().push(c));
            let mut sessions = Vec::new();
            for (user, mut clicks) in users {
                clicks.sort_by_key(|click| click.1);
                for session in clicks.chunk_by(|a, b| b.1 - a.1 < GAP) {
                    let mut value = start(session[0]);
                    session[1..]
                        .iter()
                        .for_each(|click| extend(&mut value, *click));
                    let (first, last) = (session[0].1, session[session.len() - 1].1);
                    sessions.push(windowed(user, first, last + GAP, value));
                }
            }
            sessions
        })
        .run(|clicks: Stream<Click>| {
            let clicks = timed(clicks).0.key_by(|click| click.0);
            clicks
                .session(Gap::secs(GAP as u64))
                .fold(nothing, extend, merge)
        });
}

#[test]
fn scan_where_each_key_lives_in_one_lane() {
    ModeCheck::new(Input::new(clicks(10, 300)).partition_by(|click| click.0))
        .oracle(|partitions| {
            let mut digests: BTreeMap<u8, u64> = BTreeMap::new();
            let mut said = Vec::new();
            for (user, _, number) in partitions.concat() {
                let digest = digests.entry(user).or_default();
                *digest = digest.wrapping_mul(31).wrapping_add(number);
                said.push((user, *digest));
            }
            said
        })
        .run(|clicks: Stream<Click>| {
            clicks.key_by(|click| click.0).scan(
                || 0_u64,
                |digest, click| {
                    *digest = digest.wrapping_mul(31).wrapping_add(click.2);
                    *digest
                },
            )
        });
}

#[test]
fn windows_of_windows() {
    ModeCheck::new(clicks(11, 400))
        .oracle(|partitions| {
            let mut small = BTreeMap::new();
            for click in divide(partitions).0 {
                *small
                    .entry((click.0, click.1.div_euclid(5)))
                    .or_insert(0_u64) += 1;
            }
            let mut large: BTreeMap<_, u64> = BTreeMap::new();
            for ((_, at), count) in small {
                let most = large.entry(at.div_euclid(6) * 30).or_default();
                *most = count.max(*most);
            }
            large.into_iter().collect()
        })
        .run(|clicks: Stream<Click>| {
            let small = timed(clicks)
                .0
                .key_by(|click| click.0)
                .tumbling(Size::secs(5))
                .count();
            let counts = small.map(|window| window.value).key_by(|_| ());
            let most = |most: &mut u64, count: u64| *most = count.max(*most);
            let large = counts.tumbling(Size::secs(30)).fold(|| 0, most);
            large.map(|window| (window.start.as_millis() / 1_000, window.value))
        });
}

#[test]
fn a_table_of_what_a_scan_of_timed_records_says() {
    let clicks = Input::new(clicks(12, 300)).partition_by(|click| click.0);
    check_modes(clicks, |clicks: Stream<Click>| {
        let said = timed(clicks).0.key_by(|c| c.0).scan(
            || 0_u64,
            |n, _| {
                *n += 1;
                *n
            },
        );
        let (low, high) = said.split(|(_, n)| n % 2 == 0);
        (
            low.key_by(|(user, _)| *user).count(),
            high.key_by(|(u, _)| *u).session(Gap::secs(3)).count(),
        )
    });
}

#[test]
#[should_panic(expected = "stages to look at:\n  checked/fold is exact if")]
fn a_pipeline_that_depends_on_the_order_is_found_out_and_the_stage_named() {
    check_modes(clicks(13, 300), |clicks: Stream<Click>| {
        clicks
            .key_by(|click| click.0)
            .fold(|| 0, |last, click: Click| *last = click.2)
    });
}

#[pipeline]
fn last(clicks: Stream<Click>) -> (Stream<Click>, Table<u8, u64>) {
    let all = clicks.clone();
    let latest = clicks
        .key_by(|click| click.0)
        .fold(|| 0, |last, click: Click| *last = click.2);
    (all, latest)
}

#[test]
#[should_panic(expected = "the output of `checked/last/latest/fold` differs (STREAM_SEED=")]
fn the_output_that_differs_is_named_by_its_binding() {
    check_modes(clicks(13, 300), last);
}

#[test]
#[should_panic(expected = "the output of late records of `checked/event_time` differs")]
fn late_records_that_differ_are_named() {
    static CALLS: AtomicI64 = AtomicI64::new(0);
    check_modes((0..200).collect::<Vec<_>>(), |seconds: Stream<i64>| {
        let is_late = |n: i64| n % 7 == 0;
        let at = move |_: &i64| match is_late(CALLS.fetch_add(1, Ordering::Relaxed)) {
            true => EventTime::secs(0),
            false => EventTime::secs(100),
        };
        seconds.event_time(at, Lateness::secs(0)).1
    });
}
