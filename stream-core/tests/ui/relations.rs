//! What relations are not: rows of floating-point numbers; and what a loop may not reach around itself.
//! Errors: 4

use stream_core::prelude::*;

#[pipeline]
fn floats(prices: Stream<(u32, f64)>) -> Table<u32, u64> {
    let last = prices.key_by(|price| price.0).table(|price| Some(price.1));
    let shops = last.rows().group_by(|(shop, _)| *shop).count();
    shops
}

#[pipeline]
fn reached_around(links: Stream<(u32, u32)>, roots: Stream<u32>) -> Table<u32, u64> {
    let edges = links.key_by(|link| *link).count().rows().map(|(link, _)| link);
    let start = roots.key_by(|root| *root).count().rows().map(|(root, _)| root);
    let reached = start
        .iterate((), |reached, ()| {
            let from = reached.clone().map(|node| (node, ()));
            from.join(edges.clone()).map(|(_, ((), to))| to).union(reached).distinct()
        })
        .group_by(|node| *node)
        .count();
    reached
}

#[pipeline]
fn table_in_a_loop(links: Stream<(u32, u32)>, roots: Stream<u32>) -> Table<u32, u64> {
    let edges = links.key_by(|link| link.0).table(|link| Some(link.1));
    let start = roots.key_by(|root| *root).count().rows().map(|(root, _)| root);
    let reached = start
        .iterate(edges, |reached, links| reached)
        .group_by(|node| *node)
        .count();
    reached
}

fn main() {}
