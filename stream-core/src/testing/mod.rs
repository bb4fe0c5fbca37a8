//! What tests of pipelines and connectors are written with.

pub mod contract;

use std::fmt::Debug;

use crate::graph::{Graph, Kind, Stream};
use crate::{Job, Mode, io};

/// Runs a pipeline in batch mode from the input `in` to the output `out`, and gives its rows,
/// sorted. For short examples; `check_modes` is for tests.
///
/// # Panics
/// When the job fails.
pub fn rows<T, O>(
    pipeline: impl Fn(&Graph) + Send + Sync + 'static,
    input: impl IntoIterator<Item = T>,
) -> Vec<O>
where
    T: Clone + Send + Sync + 'static,
    O: Send + Ord + 'static,
{
    let (sink, rows) = io::collect();
    let job = Job::new("rows", pipeline).source("in", io::vec(input.into_iter().collect()));
    if let Err(error) = job.sink("out", sink).run(Mode::Batch) {
        panic!("the job failed: {error}");
    }
    let mut rows = rows.take();
    rows.sort();
    rows
}

/// What the examples in the documentation of stateless stages run in.
#[doc(hidden)]
pub fn doc<T: Ord + Debug + Send + 'static, K: Kind>(
    pipeline: impl Fn(&Graph, Stream<u64>) -> Stream<T, K> + Send + Sync + 'static,
    input: impl IntoIterator<Item = u64>,
    expected: impl IntoIterator<Item = T>,
) {
    let run = move |graph: &Graph| graph.output("out", pipeline(graph, graph.input("in")));
    assert_eq!(rows::<u64, T>(run, input), expected.into_iter().collect::<Vec<_>>());
}
