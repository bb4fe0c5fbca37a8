//! The ids of stages are the same in `GRAPH`, which the macro writes, and in the graph that is built.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::collections::BTreeSet;

use stream_core::graph::{GraphSpec, Outline};
use stream_core::prelude::*;

#[pipeline]
#[allow(clippy::type_complexity)]
fn forms(
    words: Stream<String>,
    more: Stream<String>,
    gap: Gap,
) -> (
    Timed<Windowed<usize, u64>>,
    Table<usize, u64>,
    Changes<String, u64>,
    Stream<(usize, u64), Mixed>,
    Stream<String>,
) {
    let all = words.union(
        more.map(|word| word.to_lowercase())
            .filter(|word| word != "a"),
    );
    let (long, _) = all.split(|word| word.len() > 3);
    let (timed, late) = long.event_time(|_| EventTime::secs(0), Lateness::secs(1));
    let windows = timed.key_by(String::len).session(gap).count();
    let sizes = all
        .map(|word| word.len())
        .map(|n| n + 1)
        .key_by(|n| *n)
        .count();
    let changes = all.key_by(String::clone).count().changes();
    let numbered = all.inspect(|_| ()).named("seen").key_by(String::len).scan(
        || 0,
        |count, _| {
            *count += 1;
            *count
        },
    );
    all.filter(|word| word.len() > 9).discard();
    late.inspect(|_| ()).discard();
    let named = all
        .filter(|_| true)
        .filter(|_| true)
        .named("twice")
        .filter(|_| true);
    (windows, sizes, changes, numbered, named)
}

#[pipeline(name = "renamed")]
fn short(r#in: Stream<u64>) -> Stream<u64> {
    r#in.map(|n| n + 1).filter(|n| *n > 1)
}

/// Inputs may be named, too.
#[pipeline]
fn named(clicks: Stream<u64>, others: Stream<u64>) -> (Stream<u64>, Stream<u64>) {
    let read = clicks.named("source").map(|n| n + 1);
    let both = read.union(others.named("others#2"));
    let kept = clicks.filter(|n| *n > 1);
    (both, kept)
}

#[pipeline(name = "joined")]
#[allow(clippy::type_complexity)]
fn without(clicks: Stream<u64>) -> (Timed<(u64, u64)>, Timed<Windowed<u64, (u64, u64)>>) {
    let (timed, late) = clicks.event_time(|_| EventTime::secs(0), Lateness::secs(1));
    late.discard();
    let first = timed.key_by(|n| *n).dedup(Gap::secs(1));
    let once = first.key_by(|n| *n);
    let keyed = timed.key_by(|n| *n).in_order();
    let near = once
        .clone()
        .interval_join(keyed.clone(), Gap::secs(1), Gap::secs(1));
    let pairs = once.tumbling(Size::secs(1)).window_join(keyed);
    (near, pairs)
}

/// The same with what was overtaken.
#[pipeline(name = "joined")]
#[allow(clippy::type_complexity)]
fn with_overtaken(
    clicks: Stream<u64>,
) -> (
    Timed<(u64, u64)>,
    Timed<Windowed<u64, (u64, u64)>>,
    Stream<(EventTime, u64, Either<u64, u64>), Mixed>,
    Stream<(EventTime, u64, u64), Mixed>,
) {
    let (timed, late) = clicks.event_time(|_| EventTime::secs(0), Lateness::secs(1));
    late.discard();
    let (first, of_dedup) = timed.key_by(|n| *n).dedup_with_overtaken(Gap::secs(1));
    let once = first.key_by(|n| *n);
    let (keyed, of_order) = timed.key_by(|n| *n).in_order_with_overtaken();
    let (near, of_near) =
        once.clone()
            .interval_join_with_overtaken(keyed.clone(), Gap::secs(1), Gap::secs(1));
    let (pairs, of_pairs) = once
        .tumbling(Size::secs(1))
        .window_join_with_overtaken(keyed);
    let missed = of_near.union(of_pairs);
    let lost = of_dedup.union(of_order);
    (near, pairs, missed, lost)
}

fn differences(outline: &Outline, graph: &GraphSpec) -> Vec<String> {
    let of_outline = outline.inputs.iter().map(|input| input.id);
    let of_outline: BTreeSet<_> = of_outline
        .chain(outline.stages.iter().map(|stage| stage.id))
        .collect();
    // What is bound to an output is no stage of the function.
    let of_ports = ["output", "final_content"];
    let nodes = graph.nodes.iter();
    let of_graph = nodes.filter(|node| !of_ports.contains(&node.kind.as_str()));
    let of_graph: BTreeSet<_> = of_graph.map(|node| node.id.as_str()).collect();
    let only = of_outline.symmetric_difference(&of_graph);
    only.map(|id| (*id).to_owned()).collect()
}

#[test]
fn are_the_same_in_the_constant_and_in_the_graph() {
    let graph = forms::job().gap(Gap::secs(1)).explain().unwrap();
    assert_eq!(differences(&forms::GRAPH, &graph), Vec::<String>::new());
    let graph = short::job().explain().unwrap();
    assert_eq!(differences(&short::GRAPH, &graph), Vec::<String>::new());
    let graph = named::job().explain().unwrap();
    assert_eq!(differences(&named::GRAPH, &graph), Vec::<String>::new());
    assert_eq!(named::GRAPH.inputs[0].id, "named/source");
}

#[test]
fn a_stage_is_the_same_whether_or_not_it_hands_over_what_was_overtaken() {
    let graphs = [
        without::job().explain().unwrap(),
        with_overtaken::job().explain().unwrap(),
    ];
    let outlines = [&without::GRAPH, &with_overtaken::GRAPH];
    let states = std::array::from_fn::<_, 2, _>(|which| {
        assert_eq!(
            differences(outlines[which], &graphs[which]),
            Vec::<String>::new()
        );
        let nodes = graphs[which].nodes.iter();
        let states = nodes.map(|node| (node.id.clone(), node.fingerprint()));
        states
            .filter(|(_, state)| state.is_some())
            .collect::<Vec<_>>()
    });
    assert_eq!(states[0], states[1]);
    assert_eq!(states[0].len(), 5);
}
