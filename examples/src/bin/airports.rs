//! Prints the groups of airports between which one can fly, once all changes of routes are through.
//! `--set flights_min=2000` asks for routes that are flown more often.

use std::process::ExitCode;

use examples::airports::{Airport, Route, airports};
use examples::data;
use stream_core::io::{at, files, stdout};
use stream_core::prelude::*;

fn main() -> ExitCode {
    airports::job()
        .routes(at(data("airports/routes.csv"), |path| {
            files::csv::<Route>(path)
        }))
        .airports(at(data("airports/airports.csv"), |path| {
            files::csv::<Airport>(path)
        }))
        .components(stdout::json())
        .main()
}
