//! Latency at a rate: from when a record was planned until the sinks have what follows from it.
//!
//! *Definition.* The loop is open: the records of an input come at planned times, whatever the job
//! does meanwhile. The latency of a record is the time from then until every sink has what its
//! epoch gave, so a job that falls behind is charged for the wait (no coordinated omission). A
//! table withholds its rows until its batch is closed, in batch mode until the input has ended, and
//! latency lasts as long. What a window holds follows from the record that completes it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::engine::timing::Timing;
use crate::engine::{Emission, Mode};
use crate::graph::GraphSpec;
use crate::graph::sides::{LOOKUP, LOOKUP_ARRIVAL};
use crate::io::Planned;
use crate::ops::table;
use crate::time::epoch::{Align, FOREVER};

/// How far apart latencies are told that follow each other in a run.
const MOMENT: Duration = Duration::from_millis(1);

/// How far the frontier must have come before what follows from an epoch's records is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Behind the epoch.
    Slice,
    /// Behind its batch.
    Batch,
    /// To the end.
    End,
}

impl Hold {
    /// What a pipeline withholds in a mode.
    pub(super) fn of(spec: &GraphSpec, mode: Mode) -> Self {
        // What a table withholds that is only looked up in holds back no record that looks it up.
        let mut is_waited_for = vec![false; spec.nodes.len()];
        let mut has_table = false;
        for (index, node) in spec.nodes.iter().enumerate().rev() {
            let kind = node.kind.as_str();
            if is_waited_for[index] || kind == "output" {
                has_table |= table::KINDS.contains(&kind);
                let is_lookup = [LOOKUP, LOOKUP_ARRIVAL].contains(&kind);
                let inputs = if is_lookup { 1 } else { node.inputs.len() };
                for input in node.inputs.iter().take(inputs) {
                    is_waited_for[input.node] = true;
                }
            }
        }
        if !has_table {
            return Hold::Slice;
        }
        match mode.table_emission() {
            Emission::AtOnce => Hold::Slice,
            Emission::BatchClose => Hold::Batch,
            Emission::End => Hold::End,
        }
    }

    fn is_over(self, epoch: u64, acknowledged: u64) -> bool {
        match self {
            Hold::Slice => epoch < acknowledged,
            Hold::Batch => Align::Batch.end(Align::Batch.run(epoch)) <= acknowledged,
            Hold::End => acknowledged == FOREVER,
        }
    }
}

/// The latencies of one run or several.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    /// In nanoseconds.
    histogram: Histogram<u64>,
    /// By moment of the plan: the highest latency of its records, in nanoseconds.
    course: BTreeMap<u64, u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies {
            histogram: Histogram::new(3).expect("three digits are a precision"),
            course: BTreeMap::new(),
        }
    }
}

impl Latencies {
    fn note(&mut self, planned: Planned, now: Duration) {
        for number in 0..planned.count {
            let after = (number as f64 * planned.micros_between) as u64;
            let due = planned.first + Duration::from_micros(after);
            let latency = now.saturating_sub(due).as_nanos();
            let latency = u64::try_from(latency).unwrap_or(u64::MAX);
            self.histogram += latency;
            let moment = (due.as_micros() / MOMENT.as_micros()) as u64;
            let highest = self.course.entry(moment).or_default();
            *highest = latency.max(*highest);
        }
    }

    /// Adds those of another run.
    pub(super) fn merge(&mut self, other: &Latencies) {
        self.histogram += &other.histogram;
        for (moment, latency) in &other.course {
            let highest = self.course.entry(*moment).or_default();
            *highest = (*highest).max(*latency);
        }
    }

    /// How many records there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that so great a share of the records did not exceed.
    pub(super) fn at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_quantile(share))
    }

    /// The highest of all.
    pub(super) fn max(&self) -> Duration {
        Duration::from_nanos(self.histogram.max())
    }

    /// The highest latency in each of so many equal parts of the run; `None` where no record was
    /// planned.
    pub(super) fn course(&self, parts: usize) -> Vec<Option<Duration>> {
        let mut course = vec![None; parts];
        let moments = || self.course.keys().copied();
        let (Some(first), Some(last)) = (moments().next(), moments().next_back()) else {
            return course;
        };
        for (moment, latency) in &self.course {
            let part = (moment - first) as usize * parts / (last - first + 1) as usize;
            let latency = Some(Duration::from_nanos(*latency));
            course[part] = latency.max(course[part]);
        }
        course
    }
}

/// Listens to one run.
pub(super) struct Watch {
    hold: Hold,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// By epoch: what was sent in it and is not yet through.
    sent: BTreeMap<u64, Vec<Planned>>,
    latencies: Latencies,
}

impl Watch {
    pub(super) fn new(hold: Hold) -> Self {
        Watch {
            hold,
            heard: Mutex::default(),
        }
    }

    /// The latencies of the run; to be asked when it has ended.
    pub(super) fn latencies(&self) -> Latencies {
        self.heard().latencies.clone()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timing for Watch {
    fn sent(&self, epoch: u64, planned: Planned) {
        self.heard().sent.entry(epoch).or_default().push(planned);
    }

    fn passed(&self, acknowledged: u64, now: Duration) {
        let mut heard = self.heard();
        while let Some(first) = heard.sent.first_entry()
            && self.hold.is_over(*first.key(), acknowledged)
        {
            for planned in first.remove() {
                heard.latencies.note(planned, now);
            }
        }
    }
}

/// The blocks of a sparkline, from low to high.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One character a value, on a logarithmic scale between two durations.
pub(super) fn sparkline(values: &[Option<Duration>], low: Duration, high: Duration) -> String {
    let log = |time: Duration| time.as_secs_f64().max(1e-9).log2();
    let range = (log(high) - log(low)).max(1e-9);
    let block = |value: &Option<Duration>| {
        let Some(value) = value else {
            return ' ';
        };
        let share = (log(*value) - log(low)) / range;
        let index = (share * BLOCKS.len() as f64) as usize; // `as` saturates
        BLOCKS[index.min(BLOCKS.len() - 1)]
    };
    values.iter().map(block).collect()
}

/// A time of any length in three digits, with its unit.
pub(super) fn short(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (value, unit) = match seconds {
        _ if seconds < 1e-3 => (seconds * 1e6, "µs"),
        _ if seconds < 1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    match value {
        _ if value < 10.0 => format!("{value:.2} {unit}"),
        _ if value < 100.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Job;
    use crate::graph::{Graph, Keyed};
    use crate::time::epoch::{FIRST, next_batch};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// One record at 10 ms, one at 11 ms.
    const TWO: Planned = Planned {
        first: Duration::from_millis(10),
        micros_between: 1_000.0,
        count: 2,
    };

    /// The lowest and the highest latency of the two, once the frontier has come to `acknowledged`
    /// at 15 ms, in milliseconds; the end comes at 100 ms.
    fn lowest_and_highest(hold: Hold, acknowledged: u64) -> [u128; 2] {
        let watch = Watch::new(hold);
        watch.sent(FIRST, TWO);
        watch.passed(FIRST, MS(12));
        watch.passed(acknowledged, MS(15));
        watch.passed(FOREVER, MS(100));
        let latencies = watch.latencies();
        assert_eq!(latencies.count(), 2);
        [latencies.at(0.0), latencies.max()].map(|time| time.as_micros().div_ceil(1_010))
    }

    #[test]
    fn what_a_pipeline_withholds_is_what_its_outputs_wait_for() {
        let hold = |build: fn(Keyed<u64, u64>, Keyed<u64, u64>, &Graph)| {
            let job = Job::new("holds", move |graph: &Graph| {
                let [left, right] = ["left", "right"].map(|port| graph.input::<u64>(port));
                build(left.key_by(|n| *n), right.key_by(|n| *n), graph);
            });
            Hold::of(&job.explain().unwrap(), "micro-batch=1s".parse().unwrap())
        };
        let counted = hold(|left, _, graph| graph.output("out", left.count().changes()));
        assert_eq!(counted, Hold::Batch);
        let joined = hold(|left, right, graph| {
            graph.output("out", left.table(Some).join(right.table(Some)).changes());
        });
        assert_eq!(joined, Hold::Batch);
        let looked_up = hold(|left, right, graph| {
            graph.output("out", left.lookup_arrival(right.table(Some)));
        });
        assert_eq!(looked_up, Hold::Slice);
    }

    #[test]
    fn latency_lasts_from_the_plan_until_the_frontier_has_passed_what_is_withheld() {
        assert_eq!(lowest_and_highest(Hold::Slice, FIRST + 1), [4, 5]);
        assert_eq!(lowest_and_highest(Hold::Batch, FIRST + 1), [89, 90]);
        assert_eq!(lowest_and_highest(Hold::Batch, next_batch(FIRST)), [4, 5]);
        assert_eq!(lowest_and_highest(Hold::End, next_batch(FIRST)), [89, 90]);
    }

    #[test]
    fn a_sparkline_tells_the_course_of_a_run() {
        let mut latencies = Latencies::default();
        latencies.note(TWO, MS(12));
        let late = Planned {
            first: MS(19),
            ..TWO
        };
        latencies.note(late, MS(219));
        let course = latencies.course(4);
        assert_eq!(course[1..3], [None, None]);
        assert_eq!(sparkline(&course, MS(1), MS(200)), "▂  █");
    }

    #[test]
    fn times_are_told_in_three_digits() {
        let told = [1_234, 45_678, 1_234_567, 999_000_000, 61_500_000_000];
        let told = told.map(|nanos| short(Duration::from_nanos(nanos)));
        assert_eq!(told, ["1.23 µs", "45.7 µs", "1.23 ms", "999 ms", "61.5 s"]);
    }
}
