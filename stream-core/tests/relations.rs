//! Joins of tables and what relations are made into: in every mode, through crashes, against oracles from
//! scratch.
#![cfg(feature = "differential")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use stream_core::graph::Class;
use stream_core::ops::aggregate::{collect, count};
use stream_core::prelude::*;
use stream_core::testing::{Input, ModeCheck, Outputs, RecoveryCheck};

/// A change of one of two tables: whether of the second, the key, and its value from now on.
type Row = (bool, u8, Option<i16>);

/// Few keys, and few values, so that most changes take something back, and some say nothing new.
fn changes(seed: u64, many: usize) -> Vec<Row> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut change = |_| {
        let value = (rng.u8(0..4) > 0).then(|| rng.i16(-2..4));
        (rng.bool(), rng.u8(0..9), value)
    };
    (0..many).map(&mut change).collect()
}

fn table(changes: Stream<Row>, second: bool) -> Table<u8, i16> {
    let own = changes.filter(move |change| change.0 == second);
    own.key_by(|change| change.1).table(|change| change.2)
}

fn both(changes: Stream<Row>) -> (Table<u8, i16>, Table<u8, i16>) {
    (table(changes.clone(), false), table(changes, true))
}

type Map<V = i16> = BTreeMap<u8, V>;

/// What the two tables hold in the end.
fn maps(partitions: &[Vec<Row>]) -> (Map, Map) {
    let mut maps = [Map::new(), Map::new()];
    for (second, key, value) in partitions.iter().flatten() {
        let map = &mut maps[usize::from(*second)];
        match value {
            Some(value) => map.insert(*key, *value),
            None => map.remove(key),
        };
    }
    let [first, second] = maps;
    (first, second)
}

/// Checks a pipeline in every mode against an oracle, and through crashes.
fn check<O>(
    oracle: impl Fn(&Map, &Map) -> O::Rows + Clone + 'static,
    pipeline: impl Fn(Stream<Row>) -> O + Clone + Send + Sync + 'static,
) where
    O: Outputs<Rows: Debug + PartialEq>,
{
    for (seed, many, seeds) in [(1, 90, 10), (2, 25, 10), (3, 1, 2), (4, 0, 1)] {
        let input = Input::new(changes(seed, many)).partition_by(|change| change.1);
        let oracle = oracle.clone();
        let expected = move |partitions: &[Vec<Row>]| {
            let (first, second) = maps(partitions);
            oracle(&first, &second)
        };
        let check = ModeCheck::new(input).oracle(move |partitions| expected(partitions));
        check.seeds(seeds).run(pipeline.clone());
    }
    let input = Input::new(changes(5, 80)).partition_by(|change| change.1);
    RecoveryCheck::new(input).seeds(12).run(pipeline);
}

fn entries<K, V>(rows: impl IntoIterator<Item = (K, V)>) -> Vec<Entry<K, V>> {
    let entry = |(key, value)| Entry { key, value };
    rows.into_iter().map(entry).collect()
}

/// The rows of a map in groups.
fn grouped<K: Ord>(map: &Map, key: impl Fn(u8, i16) -> K) -> BTreeMap<K, Vec<(u8, i16)>> {
    let mut groups = BTreeMap::<K, Vec<_>>::new();
    for (id, value) in map {
        groups
            .entry(key(*id, *value))
            .or_default()
            .push((*id, *value));
    }
    groups
}

#[test]
fn changes_make_a_table() {
    check(
        |first, _| entries(first.clone()),
        |changes| table(changes, false),
    );
}

#[test]
fn tables_are_joined_by_key() {
    check(
        |first, second| {
            let keys: BTreeSet<u8> = first.keys().chain(second.keys()).copied().collect();
            let sides = |key| (first.get(key).copied(), second.get(key).copied());
            let inner = keys.iter().filter_map(|key| {
                let (left, right) = sides(key);
                Some((*key, (left?, right?)))
            });
            let left = keys.iter().filter_map(|key| {
                let (left, right) = sides(key);
                Some((*key, (left?, right)))
            });
            let full = keys.iter().map(|key| (*key, sides(key)));
            (entries(inner), entries(left), entries(full))
        },
        |changes| {
            let (first, second) = both(changes);
            let inner = first.clone().join(second.clone());
            let left = first.clone().left_join(second.clone());
            (inner, left, first.full_join(second))
        },
    );
}

#[test]
fn groups_of_a_table_are_counted_and_added_up() {
    let parity = |_: &u8, value: &i16| value.rem_euclid(2);
    check(
        move |first, _| {
            let groups = grouped(first, |id, value| parity(&id, &value));
            let sum = |rows: &[(u8, i16)]| rows.iter().map(|row| i128::from(row.1)).sum::<i128>();
            let counts = groups.iter().map(|(key, rows)| (*key, rows.len() as u64));
            let sums = groups.iter().map(|(key, rows)| (*key, sum(rows)));
            let means = groups.iter().map(|(key, rows)| {
                let mean = sum(rows) as f64 / rows.len() as f64;
                (*key, mean.to_string())
            });
            (entries(counts), entries(sums), entries(means))
        },
        move |changes| {
            let groups = || table(changes.clone(), false).group_by(parity);
            let means = groups().average(|row| row.1);
            let means = means.map_values(|mean| mean.to_string());
            (groups().count(), groups().sum(|row| row.1), means)
        },
    );
}

/// What is not finite counts as long as it is there.
#[test]
fn sums_of_floating_point_numbers_are_exact_though_some_are_taken_back() {
    let number = |value: i16| match value {
        -2 => f64::NAN,
        -1 => f64::INFINITY,
        0 => 1e16,
        1 => -1e16,
        2 => 1.0,
        _ => 0.1,
    };
    check(
        move |first, _| {
            let groups = grouped(first, |id, _| id % 4);
            let totals = groups.iter().map(|(key, rows)| {
                let numbers = rows.iter().map(|row| number(row.1));
                let mut sum = stream_core::ops::aggregate::ExactSum::default();
                numbers.for_each(|number| sum.add(number));
                (*key, sum.total().to_string())
            });
            entries(totals)
        },
        move |changes| {
            let groups = table(changes, false).group_by(|id, _| id % 4);
            let totals = groups.sum(move |row| number(row.1));
            totals.map_values(|total| total.to_string())
        },
    );
}

#[test]
fn the_first_and_the_last_of_a_group_are_followed_by_the_next() {
    let group = |id: &u8, _: &i16| id % 2;
    check(
        move |first, _| {
            let groups = grouped(first, |id, value| group(&id, &value));
            let by_value = |rows: &[(u8, i16)]| {
                let mut rows: Vec<_> = rows.iter().map(|row| (row.1, *row)).collect();
                rows.sort();
                rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>()
            };
            let sorted: Vec<_> = groups
                .iter()
                .map(|(key, rows)| (*key, by_value(rows)))
                .collect();
            let values = sorted.iter().map(|(key, rows)| (*key, rows[0].1));
            let rows = sorted
                .iter()
                .map(|(key, rows)| (*key, rows[rows.len() - 1]));
            let top = sorted.iter().map(|(key, rows)| {
                let top: Vec<_> = rows.iter().rev().take(2).copied().collect();
                (*key, top)
            });
            (entries(values), entries(rows), entries(top))
        },
        move |changes| {
            let groups = || table(changes.clone(), false).group_by(group);
            (
                groups().min(|row| row.1),
                groups().max_by(|row| row.1),
                groups().top(2, |row| row.1),
            )
        },
    );
    check(
        move |first, _| {
            let groups = grouped(first, |id, value| group(&id, &value));
            let greatest = groups.iter().map(|(key, rows)| {
                let values = rows.iter().map(|row| row.1);
                (*key, values.max().unwrap())
            });
            let least = groups.iter().map(|(key, rows)| {
                let least = rows.iter().min_by_key(|row| (row.1, row.0));
                (*key, *least.unwrap())
            });
            (entries(greatest), entries(least))
        },
        move |changes| {
            let groups = || table(changes.clone(), false).group_by(group);
            (groups().max(|row| row.1), groups().min_by(|row| row.1))
        },
    );
}

#[test]
fn an_aggregate_sees_the_rows_that_are_there() {
    let group = |id: &u8, _: &i16| id % 2;
    check(
        move |first, _| {
            let groups = grouped(first, |id, value| group(&id, &value));
            let values = |rows: &[(u8, i16)]| {
                let mut values: Vec<i16> = rows.iter().map(|row| row.1).collect();
                values.sort();
                values
            };
            let all = groups
                .iter()
                .map(|(key, rows)| (*key, (rows.len() as u64, values(rows))));
            let different = groups.iter().map(|(key, rows)| {
                let values: BTreeSet<i16> = rows.iter().map(|row| row.1).collect();
                (*key, values.len() as u64)
            });
            (entries(all), entries(different))
        },
        move |changes| {
            let groups = || table(changes.clone(), false).group_by(group);
            let all = (count(), collect(|row: &(u8, i16)| row.1));
            (
                groups().aggregate(all),
                groups().count_distinct(|row| row.1),
            )
        },
    );
}

/// Of each row how many times it is there, as a table.
fn counted<T: stream_core::ops::relation::Row>(rows: Relation<T>) -> Table<T, u64> {
    rows.group_by(T::clone).count()
}

fn count_of<T: Ord>(rows: impl IntoIterator<Item = T>) -> Vec<Entry<T, u64>> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row).or_default() += 1;
    }
    entries(counts)
}

fn by_value(map: &Map) -> Vec<(i16, u8)> {
    map.iter().map(|(id, value)| (*value, *id)).collect()
}

#[test]
fn rows_are_mapped_and_put_together() {
    let halves = |(id, value): (u8, i16)| [id / 2, value.unsigned_abs() as u8];
    check(
        move |first, second| {
            let rows = first.iter().map(|(id, value)| (*id, *value));
            let others = second.keys().copied();
            let all: Vec<u8> = rows
                .flat_map(halves)
                .filter(|n| *n > 1)
                .chain(others)
                .collect();
            let different: BTreeSet<u8> = all.iter().copied().collect();
            (count_of(all), count_of(different))
        },
        move |changes| {
            let (first, second) = both(changes);
            let others = second.rows().filter_map(|(id, _)| Some(id));
            let all = first
                .rows()
                .flat_map(halves)
                .filter(|n| *n > 1)
                .union(others);
            (counted(all.clone()), counted(all.distinct()))
        },
    );
}

#[test]
fn relations_are_joined_by_any_key() {
    check(
        |first, second| {
            let (left, right) = (by_value(first), by_value(second));
            let pairs = left.iter().flat_map(|(value, id)| {
                let same = right.iter().filter(move |(other, _)| other == value);
                same.map(move |(_, other)| (*value, (*id, *other)))
            });
            let values: BTreeSet<i16> = second.values().copied().collect();
            let (semi, anti): (Vec<_>, Vec<_>) = left
                .iter()
                .copied()
                .partition(|(value, _)| values.contains(value));
            (count_of(pairs), count_of(semi), count_of(anti))
        },
        |changes| {
            let (first, second) = both(changes);
            let left = first.rows().map(|(id, value)| (value, id));
            let right = second.rows().map(|(id, value)| (value, id));
            let values = right.clone().map(|(value, _)| value);
            let pairs = left.clone().join(right);
            let semi = left.clone().semi_join(values.clone());
            (
                counted(pairs),
                counted(semi),
                counted(left.anti_join(values)),
            )
        },
    );
}

#[test]
fn a_relation_is_joined_with_itself() {
    check(
        |first, _| {
            let rows = by_value(first);
            let pairs = rows.iter().flat_map(|(value, id)| {
                let same = rows.iter().filter(move |(other, _)| other == value);
                same.map(move |(_, other)| (*value, (*id, *other)))
            });
            count_of(pairs)
        },
        |changes| {
            let rows = table(changes, false).rows().map(|(id, value)| (value, id));
            counted(rows.clone().join(rows))
        },
    );
}

#[test]
fn rows_are_looked_up_in_another_table() {
    check(
        |first, second| {
            let found = first.iter().filter_map(|(id, value)| {
                let other = second.get(&u8::try_from(*value).ok()?)?;
                Some((*id, (*value, *other)))
            });
            entries(found)
        },
        |changes| {
            let (first, second) = both(changes);
            first.join_on(second, |_, value| u8::try_from(*value).unwrap_or(u8::MAX))
        },
    );
}

/// What is reached from the keys of the second table over links from a key to its value.
#[test]
fn what_can_be_reached_follows_the_links_as_they_change() {
    check(
        |first, second| {
            let mut reached: BTreeSet<u8> = second.keys().copied().collect();
            loop {
                let next = reached
                    .iter()
                    .filter_map(|id| first.get(id))
                    .map(|to| *to as u8);
                let next: BTreeSet<u8> = next.chain(reached.iter().copied()).collect();
                if next == reached {
                    break count_of(reached);
                }
                reached = next;
            }
        },
        |changes| {
            let (first, second) = both(changes);
            let links = first.rows().map(|(from, to)| (from, to as u8));
            let reached = second
                .rows()
                .map(|(id, _)| id)
                .iterate(links, |reached, links| {
                    let from = reached.clone().map(|id| (id, ()));
                    from.join(links)
                        .map(|(_, ((), to))| to)
                        .union(reached)
                        .distinct()
                });
            counted(reached)
        },
    );
}

/// The least key of those that are linked, by links either way.
#[test]
fn the_components_of_a_changing_graph() {
    check(
        |first, _| {
            let ends = first.iter().flat_map(|(from, to)| [*from, *to as u8]);
            let mut labels: BTreeMap<u8, u8> = ends.map(|id| (id, id)).collect();
            for _ in 0..labels.len() {
                for (from, to) in first {
                    let least = labels[from].min(labels[&(*to as u8)]);
                    labels.insert(*from, least);
                    labels.insert(*to as u8, least);
                }
            }
            entries(labels)
        },
        |changes| {
            let links = table(changes, false).rows();
            let links = links.flat_map(|(from, to)| [(from, to as u8), (to as u8, from)]);
            let own = links.clone().map(|(id, _)| (id, id)).distinct();
            let labels = own.iterate(links, |labels, links| {
                let handed_on = labels
                    .clone()
                    .join(links)
                    .map(|(_, (label, to))| (to, label));
                labels.union(handed_on).min()
            });
            labels.group_by(|(id, _)| *id).max(|(_, label)| *label)
        },
    );
}

/// Several loops' inputs, and none.
#[test]
fn a_loop_reads_several_relations_or_none() {
    check(
        |first, second| {
            let mut reached: BTreeSet<u8> = first.keys().copied().collect();
            let blocked: BTreeSet<u8> = second.values().map(|value| *value as u8).collect();
            for _ in 0..20 {
                let next = reached
                    .iter()
                    .flat_map(|id| [second.get(id), first.get(id)]);
                let next = next
                    .flatten()
                    .map(|to| *to as u8)
                    .filter(|to| !blocked.contains(to));
                let next: Vec<u8> = next.collect();
                reached.extend(next);
            }
            let halves = first.keys().flat_map(|id| (0..8).map(move |n| id >> n));
            let halves: BTreeSet<u8> = halves.collect();
            (count_of(reached), count_of(halves))
        },
        |changes| {
            let (first, second) = both(changes);
            let of_first = first.rows().map(|(from, to)| (from, to as u8));
            let of_second = second.rows().map(|(from, to)| (from, to as u8));
            let blocked = of_second.clone().map(|(_, to)| to);
            let start = of_first.clone().map(|(id, _)| id);
            let with = (of_first, of_second, blocked);
            let reached = start
                .clone()
                .iterate(with, |reached, (first, second, blocked)| {
                    let from = reached.clone().map(|id| (id, ()));
                    let to = from.join(first.union(second)).map(|(_, ((), to))| (to, ()));
                    let to = to.anti_join(blocked).map(|(to, ())| to);
                    to.union(reached).distinct()
                });
            let halves = start.iterate((), |halves, ()| {
                halves.clone().map(|n| n / 2).union(halves).distinct()
            });
            (counted(reached), counted(halves))
        },
    );
}

/// A relation of a table of a relation of a table: what is told at the close of a batch is passed on in it.
#[test]
fn tables_and_relations_stand_behind_one_another() {
    check(
        |first, second| {
            let mut highest = BTreeMap::<u8, i16>::new();
            for (id, value) in first {
                let highest = highest.entry(id % 3).or_insert(*value);
                *highest = (*value).max(*highest);
            }
            let found = highest
                .iter()
                .filter_map(|(group, value)| Some((second.get(group)?, *value)));
            let mut totals = BTreeMap::new();
            for (other, value) in found {
                *totals.entry(*other).or_insert(0) += i128::from(value);
            }
            entries(totals)
        },
        |changes| {
            let (first, second) = both(changes);
            let highest = first.group_by(|id, _| id % 3).max(|(_, value)| *value);
            let found = highest.join(second).filter(|group, _| *group < 3);
            found
                .group_by(|_, (_, other)| *other)
                .sum(|(_, (value, _))| *value)
        },
    );
}

#[test]
fn a_table_of_records_in_event_time_order_is_exact() {
    let job = Job::new("tables", |graph: &Graph| {
        let (timed, late) = graph
            .input::<(u8, i64)>("in")
            .event_time(|row| EventTime::secs(row.1), Lateness::secs(1));
        late.discard();
        let by_key = timed.key_by(|row| row.0);
        let in_order = by_key.clone().in_order().table(|row| Some(row.1));
        let as_it_comes = by_key.table(|row| Some(row.1));
        graph.output("in_order", in_order.named("by_time"));
        graph.output("as_it_comes", as_it_comes.named("by_lane"));
    });
    let graph = job.explain().unwrap();
    let class = |name: &str| {
        let mut nodes = graph.nodes.iter();
        nodes
            .find(|node| node.kind == "table" && node.id.ends_with(name))
            .unwrap()
            .class
    };
    assert_eq!(class("/by_time"), Class::Exact);
    assert_eq!(class("/by_lane"), Class::ExactIfKeyInOneLane);
}

#[test]
fn a_loop_that_comes_to_no_end_is_told() {
    let told = Job::new("loops", |graph: &Graph| {
        let numbers = graph.input::<u64>("in").key_by(|n| *n).count().rows();
        let up = numbers
            .map(|(n, _)| n)
            .iterate((), |up, ()| up.map(|n| n + 1));
        graph.output("out", counted(up.named("up")));
    })
    .source("in", io::vec(vec![1_u64]))
    .sink("out", io::collect::<Entry<u64, u64>>().0)
    .run(Mode::PerRecord)
    .unwrap_err()
    .to_string();
    assert!(
        told.contains("`loops/up`") && told.contains("100000 rounds"),
        "{told}"
    );
}
