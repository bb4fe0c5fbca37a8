//! What tests of pipelines and connectors are written with.

pub mod contract;
mod faults;
mod keeping;
mod modes;
#[cfg(feature = "proptest")]
mod operator;
mod ports;
#[cfg(all(test, feature = "files"))]
mod power;
mod recovery;

#[doc(hidden)]
pub use faults::Faults;
#[doc(hidden)]
pub use modes::Interleaving;
pub use modes::{ModeCheck, check_modes};
#[cfg(feature = "proptest")]
pub use operator::OperatorCheck;
pub use ports::{Input, Inputs, Outputs};
#[doc(hidden)]
pub use ports::{Keep, KeptRows};
pub use recovery::{RecoveryCheck, Steps, check_recovery};

use std::fmt::Debug;

use crate::graph::{Output, Stream};
use crate::time::Clock;
use crate::{Job, Mode, io};

/// Runs a pipeline in batch mode and gives its rows, sorted. For short examples; [`check_modes`] is
/// for tests.
///
/// # Panics
/// When the job fails.
///
/// ```
/// use stream_core::graph::Stream;
///
/// let lengths = |words: Stream<&'static str>| words.map(str::len);
/// assert_eq!(stream_core::testing::rows(lengths, ["begin", "to"]), [2, 5]);
/// ```
pub fn rows<T, O>(
    pipeline: impl Fn(Stream<T>) -> O + Send + Sync + 'static,
    input: impl IntoIterator<Item = T>,
) -> Vec<O::Row>
where
    T: Clone + Send + Sync + 'static,
    O: Output<Row: Send + Ord>,
{
    let (sink, rows) = io::collect();
    let job = Job::new("rows", move |graph| {
        graph.output("out", pipeline(graph.input("in")));
    })
    .clock(Clock::by_hand())
    .source("in", io::vec(input.into_iter().collect()))
    .sink("out", sink);
    if let Err(error) = job.run(Mode::Batch) {
        panic!("the job failed: {error}");
    }
    let mut rows = rows.take();
    rows.sort();
    rows
}

/// What the examples in the documentation of stateless stages run in.
#[doc(hidden)]
pub fn doc<O: Output<Row: Send + Ord + Debug>>(
    pipeline: impl Fn(Stream<u64>) -> O + Send + Sync + 'static,
    input: impl IntoIterator<Item = u64>,
    expected: impl IntoIterator<Item = O::Row>,
) {
    assert_eq!(
        rows(pipeline, input),
        expected.into_iter().collect::<Vec<_>>()
    );
}
