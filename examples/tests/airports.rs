//! The components of a graph that changes, against a union-find over what is left of it.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::collections::BTreeMap;

use examples::airports::{Airport, Component, Route, airports};
use examples::data;
use serde::de::DeserializeOwned;
use stream_core::prelude::*;
use stream_core::testing::{Input, ModeCheck, RecoveryCheck};

fn rows<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let mut reader = csv::Reader::from_path(data(&format!("airports/{name}.csv"))).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

/// For each airport another one of its component, or itself if it is the first.
struct UnionFind(BTreeMap<String, String>);

impl UnionFind {
    fn first(&mut self, airport: &str) -> String {
        let next = self
            .0
            .entry(airport.into())
            .or_insert_with(|| airport.into())
            .clone();
        match next == airport {
            true => next,
            false => self.first(&next),
        }
    }

    fn unite(&mut self, one: &str, other: &str) {
        let (one, other) = (self.first(one), self.first(other));
        self.0
            .insert((&one).max(&other).clone(), (&one).min(&other).clone());
    }
}

fn expected(
    routes: &[Route],
    airports: &[Airport],
    flights_min: u64,
) -> Vec<Entry<String, Component>> {
    let mut left = BTreeMap::new();
    for route in routes {
        left.insert((&route.origin, &route.destination), route.flights);
    }
    let mut graph = UnionFind(BTreeMap::new());
    for ((origin, destination), flights) in left {
        if flights.is_some_and(|flights| flights >= flights_min) {
            graph.unite(origin, destination);
        }
    }
    let mut sizes = BTreeMap::new();
    for airport in graph.0.keys().cloned().collect::<Vec<_>>() {
        *sizes.entry(graph.first(&airport)).or_default() += 1;
    }
    let cities = airports
        .iter()
        .map(|airport| (&airport.iata, &airport.city));
    let cities: BTreeMap<_, _> = cities.collect();
    let component = |(key, airports): (String, u64)| {
        let city = cities.get(&key)?.to_string();
        Some(Entry {
            key,
            value: Component { airports, city },
        })
    };
    sizes.into_iter().filter_map(component).collect()
}

/// All routes, those that are often flown, and the few that all but fall apart.
#[test]
fn the_components_are_those_that_a_union_find_says() {
    let (routes, places) = (rows::<Route>("routes"), rows::<Airport>("airports"));
    let mut sizes = Vec::new();
    for flights_min in [0, 365, 4_000, 8_000] {
        let test = airports::test()
            .routes(routes.clone())
            .airports(places.clone());
        let mut components = test.flights_min(flights_min).rows().components;
        components.sort();
        assert_eq!(components, expected(&routes, &places, flights_min));
        sizes.push(components.len());
    }
    assert!(sizes.is_sorted() && sizes[3] > 3, "{sizes:?}");
}

#[test]
fn every_mode_finds_the_same_components_through_crashes() {
    let routes: Vec<Route> = rows("routes");
    let some = routes
        .into_iter()
        .filter(|route| route.flights.is_none_or(|flights| flights > 3_000));
    let by_route = |route: &Route| (route.origin.clone(), route.destination.clone());
    let input = |many| {
        let routes = Input::new(some.clone().take(many).collect()).partition_by(by_route);
        (
            routes,
            Input::new(rows::<Airport>("airports")).partition_by(|airport| airport.iata.clone()),
        )
    };
    ModeCheck::new(input(600))
        .oracle(|(routes, places)| expected(&routes.concat(), &places.concat(), 4_000))
        .run(|(routes, places)| airports(routes, places, 4_000));
    RecoveryCheck::new(input(150))
        .seeds(10)
        .run(|(routes, places)| airports(routes, places, 4_000));
}
