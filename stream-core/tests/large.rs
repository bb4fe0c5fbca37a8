//! A table too large for a near cache, which is folded in a loop of its own and grows while rows
//! are withheld.

use std::collections::BTreeMap;

use stream_core::io::collect;
use stream_core::ops::{Change, Entry};
use stream_core::prelude::*;

#[test]
fn a_large_table_emits_each_key_s_changes_in_order_and_all_of_them() {
    let numbers: Vec<u64> = (0..900_000_u64)
        .map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40)
        .map(|n| n % 300_007)
        .collect();
    let mut expected = BTreeMap::new();
    for n in &numbers {
        *expected.entry(*n).or_insert(0_u64) += 1;
    }
    for workers in [1, 2] {
        for mode in ["batch", "micro-batch=7000records", "per-record"] {
            let (changes, changed) = collect();
            let (content, rows) = collect();
            Job::new("large", |graph: &Graph| {
                let numbers = graph.input::<u64>("in").key_by(|n| *n);
                graph.output("changes", numbers.clone().count().changes());
                graph.output("content", numbers.count());
            })
            .source("in", stream_core::io::vec(numbers.clone()))
            .sink("changes", changes)
            .sink("content", content)
            .workers(workers)
            .run(mode.parse().expect("a mode"))
            .expect("it finishes");
            let mut last = BTreeMap::new();
            let mut told = 0;
            for Change { key, value } in changed.take() {
                let value: Option<u64> = value;
                let before = last.insert(key, value);
                assert!(
                    before.flatten() < value,
                    "{mode}: {key} {before:?} {value:?}"
                );
                told += 1;
            }
            let last: BTreeMap<u64, u64> = last
                .into_iter()
                .filter_map(|(k, v)| Some((k, v?)))
                .collect();
            assert_eq!(last.len(), expected.len(), "{mode} on {workers}");
            assert!(last == expected, "{mode} on {workers}");
            let rows: BTreeMap<u64, u64> = rows
                .take()
                .into_iter()
                .map(|row: Entry<u64, u64>| (row.key, row.value))
                .collect();
            assert!(rows == expected, "{mode} on {workers}: content");
            println!(
                "{mode} on {workers}: {told} changes of {} keys",
                expected.len()
            );
        }
    }
}
