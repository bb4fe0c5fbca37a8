//! The longest time for which a worker does not come back to its loop while one watermark completes many windows.
//!
//! Each worker's partition gives its share of the windows, each of a key of its own, and then, when all is at
//! rest, one record that leaps behind them all. From then on the reader gives nothing, but wants to be asked
//! again at a time that has come already, so the worker asks it once in each turn of its loop, whatever else
//! there is to do. The longest time between two such reads is what counts, by the clock and in CPU time of the
//! worker's thread: what others do on the machine is in the first and not in the second. When all windows are
//! out, the input ends.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use stream_core::graph::Graph;
use stream_core::io::{
    Boundedness, Chunk, Opening, Position, ReadStatus, Reader, Source, SourceInfo,
};
use stream_core::ops::Windowed;
use stream_core::time::Clock;
use stream_core::{EventTime, Job, Lateness, Mode, Problem, Size};

use super::data::{Click, START};
use super::ours::Total;
use crate::measure::{Digest, Row, median};

/// How many windows one watermark completes.
const WINDOWS: u64 = 1_000_000;
/// How long a window is, in microseconds.
const SIZE: u64 = 60_000_000;

/// How long everything rests before the leap, so that a worker that has lagged has taken in what came to it.
const REST: Duration = Duration::from_millis(200);

/// One line of the table, in milliseconds: the medians over the rounds.
#[derive(Serialize)]
pub(super) struct Stall {
    case: String,
    ms_at_most: f64,
    cpu_ms_at_most: f64,
    /// The longest time of all rounds.
    cpu_ms_ever: f64,
}

/// Measures those cases whose names contain a text.
pub(super) fn run(rounds: usize, only: &str) -> Result<Vec<Stall>, Box<dyn Error>> {
    let mut stalls = Vec::new();
    for workers in [1, 2] {
        let s = if workers == 1 { "" } else { "s" };
        let case = format!("stall of 1 M windows, {workers} worker{s}");
        if !case.contains(only) {
            continue;
        }
        if stalls.is_empty() {
            println!(
                "\n{:<44}{:>12}{:>16}{:>13}",
                "longest turn of a worker", "ms at most", "cpu ms at most", "cpu ms ever"
            );
        }
        let turns: Result<Vec<_>, _> = (0..rounds).map(|_| longest_turn(workers)).collect();
        let (wall, cpu): (Vec<_>, Vec<_>) = turns?.into_iter().map(Longest::in_ms).unzip();
        let stall = Stall {
            case,
            cpu_ms_ever: cpu.iter().copied().fold(0.0, f64::max),
            ms_at_most: median(wall),
            cpu_ms_at_most: median(cpu),
        };
        println!(
            "{:<44}{:>12.2}{:>16.2}{:>13.2}",
            stall.case, stall.ms_at_most, stall.cpu_ms_at_most, stall.cpu_ms_ever
        );
        stalls.push(stall);
    }
    Ok(stalls)
}

/// Runs the job once, and checks that all windows have come.
fn longest_turn(workers: u64) -> Result<Longest, Box<dyn Error>> {
    let source = Windows {
        partitions: workers,
        given: Arc::default(),
        seen: Arc::default(),
        longest: Arc::default(),
    };
    let (seen, longest) = (source.seen.clone(), source.longest.clone());
    let total = Total::default();
    Job::new("stall", move |graph: &Graph| {
        let clicks = graph.input::<Click>("in");
        let (timed, _) = clicks.event_time(|click| EventTime::micros(click.at), Lateness::secs(0));
        let windows = timed
            .key_by(|click| click.user)
            .tumbling(Size::micros(SIZE));
        let seen = seen.clone();
        let count = move |_: &_| {
            seen.fetch_add(1, Ordering::Relaxed);
        };
        graph.output("out", windows.count().inspect(count));
    })
    .source("in", source)
    .sink::<Windowed<u64, u64>>("out", total.clone())
    .workers(workers as usize)
    .run(Mode::PerRecord)?;
    let mut expected = Digest::default();
    let leaps = (0..workers).map(|partition| leap(partition).user);
    let windows = (0..WINDOWS)
        .map(|key| (key, 0))
        .chain(leaps.map(|key| (key, 2)));
    windows.for_each(|(key, number)| window(key, number).digest(&mut expected));
    let mut all = Digest::default();
    all.merge(expected);
    if total.digest() != all {
        return Err(format!("{:?}, expected {all:?}", total.digest()).into());
    }
    let longest = *longest.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(longest)
}

/// The window of a key with one click.
fn window(key: u64, number: u64) -> Windowed<u64, u64> {
    let start = EventTime::micros((START + number * SIZE).cast_signed());
    Windowed {
        key,
        start,
        end: start + Duration::from_micros(SIZE),
        value: 1,
    }
}

/// The record that completes all windows, of a key that has no other.
fn leap(partition: u64) -> Click {
    Click {
        user: WINDOWS + partition,
        at: (START + 2 * SIZE).cast_signed(),
    }
}

/// The longest time between two reads.
#[derive(Clone, Copy, Default)]
struct Longest {
    wall: Duration,
    cpu: Duration,
}

impl Longest {
    fn in_ms(self) -> (f64, f64) {
        (self.wall.as_secs_f64() * 1e3, self.cpu.as_secs_f64() * 1e3)
    }
}

struct Windows {
    partitions: u64,
    /// How many partitions have given their windows.
    given: Arc<AtomicU64>,
    /// How many windows have come out.
    seen: Arc<AtomicU64>,
    longest: Arc<Mutex<Longest>>,
}

impl Source<Click> for Windows {
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "windows",
            detail: format!("{WINDOWS} windows"),
            boundedness: Boundedness::Bounded,
            repeatable: true,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        Ok((0..self.partitions).map(|name| name.to_string()).collect())
    }

    fn open(&self, partition: usize, opening: Opening) -> Result<Box<dyn Reader<Click>>, Problem> {
        let partition = partition as u64;
        Ok(Box::new(WindowReader {
            partition,
            partitions: self.partitions,
            next: opening.from.read::<u64>()?.max(partition),
            clock: opening.clock,
            given: self.given.clone(),
            leaps_at: None,
            last: None,
            seen: self.seen.clone(),
            longest: self.longest.clone(),
        }))
    }
}

struct WindowReader {
    partition: u64,
    partitions: u64,
    /// The key of the next window; behind the last one, the leap comes.
    next: u64,
    clock: Clock,
    given: Arc<AtomicU64>,
    /// When the leap comes, by the clock, once all partitions have given their windows.
    leaps_at: Option<Duration>,
    /// When the last read was, once the leap has been read.
    last: Option<(Instant, Duration)>,
    seen: Arc<AtomicU64>,
    longest: Arc<Mutex<Longest>>,
}

impl WindowReader {
    /// Gives the leap when it is time, and tells when to read again.
    fn rest_or_leap(&mut self, into: &mut Chunk<Click>) -> Duration {
        let now = self.clock.elapsed();
        let have_all = self.given.load(Ordering::Relaxed) == self.partitions;
        let leaps_at = match self.leaps_at {
            Some(leaps_at) => leaps_at,
            None if have_all => *self.leaps_at.insert(now + REST),
            None => return now,
        };
        if leaps_at > now {
            return leaps_at;
        }
        into.extend([leap(self.partition)]);
        self.note_turn();
        now
    }

    /// Notes how long the turn was that ends here.
    fn note_turn(&mut self) {
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        let cpu = Duration::new(cpu.tv_sec.unsigned_abs(), cpu.tv_nsec as u32);
        let now = Instant::now();
        if let Some((last, last_cpu)) = self.last.replace((now, cpu)) {
            let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
            longest.wall = longest.wall.max(now - last);
            longest.cpu = longest.cpu.max(cpu.saturating_sub(last_cpu));
        }
    }
}

impl Reader<Click> for WindowReader {
    fn read(&mut self, max: usize, into: &mut Chunk<Click>) -> Result<ReadStatus, Problem> {
        if self.last.is_some() {
            self.note_turn();
            return Ok(match self.seen.load(Ordering::Relaxed) {
                0..WINDOWS => ReadStatus::Until(self.clock.elapsed()),
                _ => ReadStatus::Ended,
            });
        }
        if self.next >= WINDOWS {
            return Ok(ReadStatus::Until(self.rest_or_leap(into)));
        }
        let (next, step) = (self.next, self.partitions);
        let users = (next..WINDOWS).step_by(step as usize).take(max);
        let at = START.cast_signed();
        into.extend(users.map(|user| Click { user, at }));
        self.next += step * max as u64;
        if self.next >= WINDOWS {
            self.given.fetch_add(1, Ordering::Relaxed);
        }
        Ok(ReadStatus::More)
    }

    fn position(&self) -> Result<Position, Problem> {
        Position::of(&self.next)
    }
}
