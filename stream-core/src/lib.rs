//! Typed streaming pipelines that run the same in batch, in micro-batches and record by record.
//!
//! A pipeline is a function over typed handles ([`graph::Stream`] and its kin). A [`Job`] binds
//! its ports to [sources and sinks](io) and runs it in a [`Mode`]; the results are the same in
//! every mode. The engine is timely dataflow.

#![warn(missing_debug_implementations)]

#[cfg(feature = "cli")]
mod cli;
pub(crate) mod codec;
pub(crate) mod engine;
pub mod error;
#[allow(
    missing_debug_implementations,
    reason = "what the code of `#[pipeline]` holds is no part of the API"
)]
mod expanded;
pub mod graph;
pub mod io;
pub(crate) mod job;
pub(crate) mod observe;
pub mod ops;
pub(crate) mod shape;
pub(crate) mod state;
pub mod testing;
pub mod time;

/// Timely dataflow itself, for what no operator of this library can say: the only place where its types are
/// seen. Whoever uses it owes what the library does for operators else; `docs/EXTENDING.md` says what that is.
pub mod raw {
    pub use crate::ops::raw::{Raw, Records};
    #[doc(no_inline)]
    pub use timely;
}

/// Running a job: its modes, its workers, and how it ends.
pub mod run {
    pub use crate::engine::{BatchCut, Mode, ParseModeError, ParseWaitError, Wait};
    pub use crate::job::{Counts, Handle, Job, Outcome, Report, Stop};
    pub use crate::job::{Guarantee, Restarts, StateReport};
    pub use crate::job::{Lost, ParseShareError, Share, Warning};
    pub use crate::observe::Slowest;
    pub use crate::state::StateStore;

    // What compile errors speak of, by a short path.
    #[doc(hidden)]
    pub use crate::expanded::{
        Bound, CheckedRow, ConnectedJob, FreeInput, FreeOutput, NotBound, RunsAlone, TestRecord,
        TestRow, is_setting,
    };
}

pub use error::{Error, Problem};
pub use expanded::{PipelineJob, PipelineTest, ReadyJob, ReadyTest};
pub use run::{Job, Mode};
pub use state::Snapshot;
/// Makes an operator a method of streams: stands on a function that makes it.
///
/// Beside the function `alarm` stands a trait of the same name, so that one `use` brings both: what
/// [`apply(alarm(80.0))`](graph::Keyed::apply) does, `.alarm(80.0)` does in a chain, and the stage is called
/// `alarm` in the graph, in its id and in errors.
///
/// ```
/// use stream_core::prelude::*;
///
/// /// The numbers from a limit on.
/// pub struct AtLeast { limit: u64 }
///
/// impl Operator for AtLeast {
///     type In = u64;
///     type Out = u64;
///
///     fn record(&self, number: u64, emit: &mut impl FnMut(u64)) {
///         if number >= self.limit {
///             emit(number);
///         }
///     }
/// }
///
/// /// Keeps the numbers from a limit on.
/// #[operator]
/// pub fn at_least(limit: u64) -> AtLeast {
///     AtLeast { limit }
/// }
///
/// #[pipeline]
/// fn large(numbers: Stream<u64>, limit: u64) -> Stream<u64> {
///     let large = numbers.at_least(limit);
///     large
/// }
///
/// assert_eq!(large::test().numbers([1, 5, 9]).limit(5).rows().large, [5, 9]);
/// ```
///
/// `#[operator(crate = "streams")]` says that the library has another name in `Cargo.toml`.
pub use stream_macros::operator;
/// Makes a pipeline of a function from streams to streams.
///
/// The function stays a function, which other pipelines can call. Beside it, under the same name,
/// stands a type with three things: `job()`, which is given sources, sinks and settings and is run;
/// `test()`, which is given vectors and gives rows; and `GRAPH`, the stages as a constant.
///
/// ```
/// use stream_core::io;
/// use stream_core::prelude::*;
///
/// /// Counts words, apart from those that are too short.
/// #[pipeline]
/// fn words(lines: Stream<String>, #[default(1)] shortest: usize) -> (Table<String, u64>, Stream<String>) {
///     let words = lines.flat_map(|line| line.split(' ').map(String::from).collect::<Vec<_>>());
///     let (long, short) = words.split(|word| word.len() >= shortest);
///     let counts = long.key_by(|word| word.clone()).count();
///     (counts, short)
/// }
///
/// // A job has a method for each port and each setting. Outputs are named by what is returned.
/// let (rows, counts) = io::collect();
/// words::job()
///     .lines(io::vec(vec!["to be or not to be".to_string()]))
///     .shortest(3)
///     .counts(rows)
///     .short(io::discard())
///     .run(Mode::PerRecord)?;
/// assert_eq!(counts.take().len(), 1);
///
/// // A test has vectors in place of sources, and rows in place of sinks; `check_modes()` in the place of
/// // `rows()` compares the modes, `check_recovery()` lets it crash.
/// let rows = words::test().lines(["a rose is a rose".to_string()]).shortest(3).rows();
/// assert_eq!(rows.short, ["a", "is", "a"]);
/// # Ok::<(), stream_core::Error>(())
/// ```
///
/// # What a function may say
/// `let` bindings of a name or a tuple of names (or of arrays of them), method chains, calls of other
/// pipelines, and at the end the outputs: a name, a tuple of names, or a chain, whose port is called `output`. What
/// names no stream is plain Rust, and so is everything in the closures. Type parameters, `where`
/// clauses, visibility and documentation are as for any function.
///
/// A parameter of the type `Stream<T>` is an input. One of another handle ([`Timed`](graph::Timed),
/// [`Keyed`](graph::Keyed) …) makes the function a part, which only other pipelines can call. All
/// others are settings. A setting is given by a method of the job, or on the command line, as
/// `--set name=value`, if its type can be read from text; `#[default(…)]` says what it is otherwise.
/// A closure that names a setting is given a copy of it. What is not a stream is Rust as always: values
/// may be shadowed, a setting may be `mut`, parameters may have `#[cfg(…)]` and documentation, the body
/// may hold `const`, `use` and `fn`, and one that ends with `todo!()` compiles.
///
/// `#[pipeline(crate = "streams")]` says that the library has another name in `Cargo.toml`.
///
/// # What the attribute does
/// * Stateless stages that follow one another are fused into one loop, from one binding to the next
///   where a name is read once. The graph does not show it.
/// * A name that is read twice is cloned, and one that is never read is an error. `.discard()` ends
///   a stream on purpose.
/// * Each stage has an id that stays: `pipeline/binding/method`, with `#2` for a second one. State
///   is found by it, so a name is bound only once. `.named("x")` gives a stage the id
///   `pipeline/x`. A binding that is renamed says its old name, `#[was("old")]`, and a pipeline that
///   is renamed keeps its name by `#[pipeline(name = "old")]`. What a pipeline calls has a place of
///   its own: `outer/binding/inner/binding/method`.
/// * The documentation of the function gets a picture of the graph, in the language of Mermaid.
///
/// What it refuses, and why, is told in `docs/ERRORS.md`.
pub use stream_macros::pipeline;
pub use time::{Calendar, EventTime, Gap, Lateness, Leap, Size};

/// What the code that `#[pipeline]` writes names. No part of the API: it may change with any version.
#[doc(hidden)]
pub mod __private {
    pub use crate::Problem;
    pub use crate::expanded::*;
    pub use crate::graph::Outline;
    pub use crate::graph::outline;
    pub use crate::graph::{Graph, Output, Scope, Setting};
    pub use crate::graph::{Keyed, Kind, Stream};
    pub use crate::io::{Sink, Source};
    pub use crate::ops::{Apply, Divided, Outputs, Parts};
    pub use crate::run::Mode;
}

/// What a pipeline is written with, and what its job is usually given.
pub mod prelude {
    pub use crate::graph::{Changes, Graph, Keyed, Mixed, Stream, Table, Timed};
    pub use crate::io::{self, SourceExt};
    #[cfg(feature = "differential")]
    pub use crate::ops::Relation;
    pub use crate::ops::{Change, Cx, Either, Entry, KeyedOperator, Operator, Outputs, Windowed};
    pub use crate::run::{Job, Mode, Outcome, Report, Wait};
    pub use crate::time::{Calendar, EventTime, Gap, Lateness, Leap, Size};
    pub use crate::{PipelineJob, PipelineTest, ReadyJob, ReadyTest};
    pub use crate::{operator, pipeline};
}
