//! Six questions, each answered in one run. Against hand-written timely dataflow: what the
//! pipelines cost in throughput ([`overhead`]), and what they cost in latency ([`latency`]). Against
//! a hand-written loop: what it costs to read files with them ([`files`]).
//! Against themselves: how their cost grows with size ([`growth`]), and what it costs to keep their state
//! ([`state`]). And of any program between two topics of Kafka: its latency and its throughput ([`kafka`]).
//!
//! Every result is checked before its time counts. A timing never decides a test.

mod by_hand;
mod files;
mod growth;
mod kafka;
mod latency;
mod measure;
mod overhead;
mod state;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

/// Both sides of a comparison allocate with it. The system's allocator is slow where one thread frees
/// what another has allocated, as workers do with records, and where many small texts are alive.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Compares pipelines with hand-written code.
#[derive(Parser)]
#[command(name = "benches")]
struct Arguments {
    #[command(subcommand)]
    question: Question,
}

#[derive(Subcommand)]
enum Question {
    /// Throughput: stateless stages, tables, windows, joins; and the longest turn when many windows fire.
    Overhead(overhead::Options),
    /// Latency of single records at a fixed rate, from the planned time to the sink.
    Latency(latency::Options),
    /// Files: a keyed count over CSV, against a loop over the rows.
    Files(files::Options),
    /// Growth: how time and memory grow with lanes, records, keys and sessions.
    Growth(growth::Options),
    /// One row of the growth, for a process of its own.
    #[command(name = growth::ROW, hide = true)]
    GrowthRow(growth::RowOptions),
    /// State: what checkpoints hold up and cost, and how long a large state takes to come back.
    State(state::Options),
    /// One restore, in a process of its own.
    #[command(name = state::ROW, hide = true)]
    StateRow(state::RowOptions),
    /// Kafka to Kafka: latency and throughput of programs, against a bare loop.
    Kafka(kafka::Options),
    /// The bare loop that programs are held against.
    #[command(name = kafka::BARE, hide = true)]
    KafkaBare(kafka::BareOptions),
}

fn main() -> ExitCode {
    let answer: Result<(), Box<dyn Error>> = match Arguments::parse().question {
        Question::Overhead(options) => overhead::run(&options),
        Question::Latency(options) => latency::run(&options),
        Question::Files(options) => files::run(&options),
        Question::Growth(options) => growth::run(&options),
        Question::GrowthRow(options) => growth::run_row(&options),
        Question::State(options) => state::run(&options),
        Question::StateRow(options) => state::run_row(&options),
        Question::Kafka(options) => kafka::run(&options),
        Question::KafkaBare(options) => kafka::run_bare(&options),
    };
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
