//! What is kept between two turns of an operator stays with its lane, and in its order.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod common;

use common::sorted;
use stream_core::io::{self, collect};
use stream_core::prelude::*;

/// Expands a union of the numbers below `inputs`, half of them from each side, and checks that the
/// numbers below `outputs` come of it.
fn check_union(
    inputs: u64,
    outputs: u64,
    expand: impl Fn(Stream<u64>) -> Stream<u64> + Copy + Send + Sync + 'static,
) {
    for workers in [1, 2] {
        let (sink, rows) = collect::<u64>();
        Job::new("job", move |graph: &Graph| {
            let both = graph.input("left").union(graph.input("right"));
            graph.output("out", expand(both));
        })
        .source("left", io::vec((0..inputs / 2).collect()))
        .source("right", io::vec((inputs / 2..inputs).collect()))
        .sink("out", sink)
        .workers(workers)
        .run(Mode::Batch)
        .unwrap();
        assert!(sorted(rows.take()).into_iter().eq(0..outputs));
    }
}

#[test]
fn two_inputs_of_a_union_may_both_expand_beyond_a_turn() {
    check_union(8_000, 1_600_000, |both| {
        both.flat_map(|n| (0..200).map(move |m| n * 200 + m))
    });
}

#[test]
fn nothing_is_lost_where_one_stage_behind_a_union_waits_for_another() {
    check_union(24_000, 2_400_000, |both| {
        let pairs = both.flat_map(|n| (0..2).map(move |m| n * 2 + m));
        pairs.flat_map(|n| (0..50).map(move |m| n * 50 + m))
    });
}

#[test]
fn records_that_wait_are_folded_before_those_that_come_after_them() {
    const KEYS: u64 = 300_000;
    for workers in [1, 2] {
        let (sink, rows) = collect();
        Job::new("job", |graph: &Graph| {
            let blocks = graph.input::<u64>("in").flat_map(|n| {
                let rounds = n * 4..=n * 8;
                rounds.flat_map(|round| (0..KEYS / 100).map(move |block| (block, round)))
            });
            let numbers = blocks
                .flat_map(|(block, round)| (0..100).map(move |key| (block * 100 + key, round)));
            let last = numbers.key_by(|(key, _)| *key).fold(
                || (0, 0),
                |(last, back): &mut (u64, u64), (_, n)| {
                    *back += u64::from(n < *last);
                    *last = n;
                },
            );
            graph.output("last", last);
        })
        .source("in", io::vec(vec![0_u64, 1]))
        .sink("last", sink)
        .workers(workers)
        .run("micro-batch=1records".parse().unwrap())
        .unwrap();
        let rows: Vec<Entry<u64, (u64, u64)>> = rows.take();
        assert_eq!(rows.len() as u64, KEYS);
        let wrong = rows.iter().filter(|row| row.value != (8, 0)).count();
        assert_eq!(wrong, 0);
    }
}
