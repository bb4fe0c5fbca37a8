//! A graph that changes: which airports hang together, while routes are taken up and given up.

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;

/// One row of `examples/data/airports/routes.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The code of the airport that it leads from.
    pub origin: String,
    /// The code of the one that it leads to.
    pub destination: String,
    /// How many flights a year there are from now on; none if it is given up.
    pub flights: Option<u64>,
}

/// One row of `examples/data/airports/airports.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Airport {
    /// Its code.
    pub iata: String,
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub city: String,
}

/// Airports between which one can fly, by however many flights, and not to any other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Component {
    /// How many they are.
    pub airports: u64,
    /// The city of the first of them.
    pub city: String,
}

/// The connected components of the routes that are flown often enough, by the code of the first airport of
/// each.
#[pipeline]
pub fn airports(
    routes: Stream<Route>,
    airports: Stream<Airport>,
    #[default(365)] flights_min: u64,
) -> Table<String, Component> {
    let flown = routes
        .key_by(|route| (route.origin.clone(), route.destination.clone()))
        .table(|route| route.flights)
        .filter(|_, flights| *flights >= flights_min);
    let links = flown
        .rows()
        .flat_map(|((from, to), _)| [(from.clone(), to.clone()), (to, from)]);
    // Each airport begins as its own first one; then it is told of others along its routes.
    let alone = links
        .clone()
        .map(|(airport, _)| (airport.clone(), airport))
        .distinct();
    let first = alone.iterate(links, |first, links| {
        let told = first
            .clone()
            .join(links)
            .map(|(_, (first, to))| (to, first));
        first.union(told).min()
    });
    let cities = airports
        .key_by(|airport| airport.iata.clone())
        .table(|airport| Some(airport.city));
    let components = first
        .group_by(|(_, first)| first.clone())
        .count()
        .join_on(cities, |first, _| first.clone())
        .map_values(|(airports, city)| Component { airports, city });
    components
}
