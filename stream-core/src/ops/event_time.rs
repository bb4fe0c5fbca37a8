//! `event_time`: reads event times, tells late records apart, and makes the lanes' watermarks.
//!
//! Definition. Let h be the highest event time seen earlier in a record's own lane. The record is
//! *late* when its event time is less than h − lateness. After each segment the lane promises
//! h − lateness: no record behind it that is on time will be older. h is state: it is part of a
//! snapshot, by lane, so lateness is the same after a restart.
//!
//! A record is *bad* when its event time is more than the leap ahead of h. Where there is no h yet,
//! nothing is known but the wall clock w: then it is bad when it does not lie in
//! [w − max(50 years, leap), w + leap]. A bad record does not become h. So one record with a wrong
//! time costs the others nothing: one from the year 9999 makes none of them late, and one from 1970
//! at the head makes none of them leap. Which records are bad depends on the lane alone, and for
//! its head on the day, but on no cut and no mode.
//!
//! Where the lateness is unbounded, nothing is late, and a lane promises nothing before its end.
//!
//! What it leaves out: a lane that has truly leapt, so that all its records from then on agree, is
//! not followed. Each of them is bad until the job is given a greater leap.

use std::rc::Rc;

use crate::engine::batch::Segment;
use crate::engine::flow::{Flow, epoch_of, least};
use crate::engine::lane::{LaneName, Progress};
use crate::engine::lane_state::LaneState;
use crate::engine::local::Local;
use crate::error::Error;
use crate::graph::context::Context;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Kind, KnowsLane, PortSpec, Stream, Timed};
use crate::io::BadRecord;
use crate::observe::{Counter, Examples};
use crate::time::epoch::FOREVER;
use crate::time::{Clock, EventTime, Lateness, Leap, TimeBounds};

/// How far behind the wall clock a lane may begin, if the leap is not more: decades of history, but
/// not 1970, which is what a time that is missing or in the wrong unit comes to.
const AGE_MAX: Leap = Leap::years(50);

/// What the stage is called.
pub(crate) const KIND: &str = "event_time";

impl<T: 'static, K: Kind> Stream<T, K> {
    /// Reads each record's event time, and divides the records that are on time from the late
    /// ones.
    ///
    /// A record is late exactly when it lies behind the highest event time seen *earlier in its
    /// own lane* by more than `lateness`: so it depends on the input alone, not on how it was cut
    /// or read. The two streams together are the input. The lateness is a [`Lateness`] or a
    /// [`Duration`](std::time::Duration).
    ///
    /// Of an input in no order nothing is known before its end:
    /// [`Lateness::unbounded`](crate::Lateness::unbounded) makes no record late, and windows leave at
    /// the end.
    ///
    /// A record that leaps ahead of its lane by more than ten years is a *bad record*, treated as
    /// its source says. The first record of a lane is compared with the wall clock: it is bad if it
    /// is more than ten years ahead, or more than 50 years behind. So neither one record of the
    /// year 9999 makes all others late, nor one without a time, which reads as 1970, makes all
    /// others leap. A lane in which there has been no good record yet has not begun.
    ///
    /// Other data, and examples whose times are small numbers, want another bound:
    /// `Lateness::secs(30).leap(Leap::years(300))` in the pipeline, or
    /// [`Job::max_leap`](crate::Job::max_leap) for a job, which overrides it. If it is more than 50
    /// years, the first record may be as far behind the wall clock, too; `Leap::ANY` takes
    /// everything. A clock that is driven by hand knows no date, so with it no record is too old.
    ///
    /// ```
    /// use stream_core::{EventTime, Job, Lateness, Mode, io};
    /// use stream_core::io::SourceExt;
    ///
    /// let at = |second: &i64| EventTime::secs(*second);
    /// let (sink, rows) = io::collect::<i64>();
    /// let job = Job::new("timed", move |graph| {
    ///     let seconds = graph.input::<i64>("seconds");
    ///     graph.output("timed", seconds.event_time(at, Lateness::secs(30)).0);
    /// });
    /// let seconds = io::vec(vec![0_i64, 1_700_000_000, 1_700_000_001]);
    /// let report = job
    ///     .source("seconds", seconds.skip_bad_records())
    ///     .sink("timed", sink)
    ///     .run(Mode::Batch)?;
    /// assert_eq!(rows.take(), [1_700_000_000, 1_700_000_001]);
    /// assert_eq!(report.counts.bad, 1);
    /// # Ok::<(), stream_core::Error>(())
    /// ```
    pub fn event_time(
        self,
        f: impl Fn(&T) -> EventTime + 'static,
        lateness: impl Into<TimeBounds>,
    ) -> (Timed<T>, Stream<T>)
    where
        K: KnowsLane,
    {
        let (timed, late) = event_time(self.port, f, lateness.into());
        (Stream::from_port(timed), Stream::from_port(late))
    }
}

fn event_time<T: 'static>(
    input: Port<(), T>,
    f: impl Fn(&T) -> EventTime + 'static,
    bounds: TimeBounds,
) -> (Port<EventTime, T>, Port<(), T>) {
    let graph = input.graph().clone();
    let mut spec = stage(KIND, vec![input.spec()])
        .with("lateness", bounds.lateness)
        .keeps::<LaneName, EventTime>();
    if let Some(leap) = bounds.leap {
        spec = spec.with("leap", leap);
    }
    let divide = move |from: &mut Segment,
                       on_time: &mut Segment,
                       behind: &mut Segment,
                       state: &mut Dividing<'_>| {
        let records = from.records::<((), T)>();
        let mut made = Vec::with_capacity(records.len());
        let mut late = Vec::new();
        let mut high = state.high;
        for ((), record) in records.drain(..) {
            let time = f(&record);
            let Some(seen) = high else {
                match state.first.judge(time) {
                    Some(bad) => (state.bad)(bad),
                    None => {
                        high = Some(time);
                        made.push((time, record));
                    }
                }
                continue;
            };
            if is_beyond(time, state.leap, seen) {
                (state.bad)(leaps(time, state.leap, seen));
            } else if time < state.lateness.earliest(seen) {
                state.late.note(state.place, time, seen);
                late.push(((), record));
            } else {
                high = Some(seen.max(time));
                made.push((time, record));
            }
        }
        state.high = high;
        on_time.set_count(made.len());
        if !made.is_empty() {
            *on_time.records::<(EventTime, T)>() = made;
        }
        if !late.is_empty() {
            behind.set_count(late.len());
            *behind.records() = late;
        }
    };
    let render = AssignTime {
        input: input.spec(),
        divide: Box::new(divide),
        bounds,
    };
    let node = graph.push(spec, Some(Box::new(render)));
    (graph.port(node, 0), graph.port(node, 1))
}

/// The loop over the records of one segment: what is on time, and what is behind.
type Divide = dyn Fn(&mut Segment, &mut Segment, &mut Segment, &mut Dividing<'_>);

/// What that loop knows and finds out of the segment's lane.
struct Dividing<'a> {
    high: Option<EventTime>,
    lateness: Lateness,
    leap: Leap,
    first: First<'a>,
    late: &'a mut LateNotes,
    /// What gives the place that the records come from its name.
    place: &'a dyn Fn() -> String,
    bad: &'a mut dyn FnMut(BadRecord),
}

/// What is told in the end of records that are late.
struct LateNotes {
    examples: Examples,
    /// How far the furthest is behind, in microseconds.
    furthest: u64,
}

impl LateNotes {
    #[inline]
    fn note(&mut self, place: &dyn Fn() -> String, time: EventTime, high: EventTime) {
        let behind = high.minus(time.as_micros()).as_micros();
        self.furthest = self.furthest.max(behind.unsigned_abs());
        self.examples.offer(|| {
            let behind = Lateness::micros(behind.unsigned_abs());
            format!("{time} in `{}`, {behind} behind", place())
        });
    }
}

/// What the first record of a lane is compared with.
struct First<'a> {
    leap: Leap,
    clock: &'a Clock,
}

impl First<'_> {
    /// Says what is wrong with a time as the first of a lane, if anything is.
    fn judge(&self, time: EventTime) -> Option<BadRecord> {
        let wall = self.clock.wall();
        if is_beyond(time, self.leap, wall) {
            return Some(leaps(time, self.leap, wall));
        }
        let age = AGE_MAX.max(self.leap);
        let is_old = self.clock.knows_the_date() && is_beyond(wall, age, time);
        is_old.then(|| too_old(time, age, wall))
    }
}

struct AssignTime {
    input: PortSpec,
    divide: Box<Divide>,
    bounds: TimeBounds,
}

impl Render for AssignTime {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let (mut builder, guard) = context.operator(node);
        let flow = context.take(self.input);
        let mut input = context.input(&mut builder, flow);
        let (mut timed, timed_edge) = context.output(&mut builder, node, 0);
        let (mut late, late_edge) = context.output(&mut builder, node, 1);
        let late_read = context.is_read(node, 1);
        let local = context.local.clone();
        let mut highs = LaneState::new(&local.checkpoints, context.id(node), local.index);
        if let Err(problem) = highs.restore(&local.checkpoints) {
            local.abort.fail(Error::State(problem));
        }
        let mut times = LaneTimes {
            divide: self.divide,
            lateness: self.bounds.lateness,
            leap: local.leap.or(self.bounds.leap).unwrap_or(Leap::DEFAULT),
            highs,
            local: local.clone(),
            seen: local.counter(context.id(node), "seen"),
            timed: local.counter(context.id(node), "timed"),
            late: local.counter(context.id(node), "late"),
            furthest: local.counter(context.id(node), "furthest"),
            notes: LateNotes {
                examples: local.counters.examples(context.id(node), "late"),
                furthest: 0,
            },
        };
        builder.build(move |_| {
            move |frontiers| {
                let _entered = guard.enter();
                let (mut timed, mut late) = (timed.activate(), late.activate());
                input.for_each(|capability, segment| {
                    let (mut on_time, mut behind) = times.divide(epoch_of(capability), segment);
                    local.note_progress(on_time.lane, on_time.progress.max(segment.progress));
                    timed.send(capability, &mut on_time);
                    if let Some(mut end) = times.end_of(segment) {
                        timed.send(capability, &mut end);
                    }
                    if late_read {
                        late.send(capability, &mut behind);
                    }
                });
                let frontier = frontiers.iter().map(least).min().unwrap_or(FOREVER);
                if let Err(problem) = times.highs.passed(frontier) {
                    local.abort.fail(Error::Engine(problem));
                }
            }
        });
        context.put(node, 0, Flow::Edge(timed_edge));
        context.put(node, 1, Flow::Edge(late_edge));
    }
}

/// The event times of the lanes that pass one worker.
struct LaneTimes {
    divide: Box<Divide>,
    lateness: Lateness,
    leap: Leap,
    /// The highest event time of each lane.
    highs: LaneState<EventTime>,
    local: Rc<Local>,
    /// All records that came, and those of them that are on time.
    seen: Counter,
    timed: Counter,
    late: Counter,
    furthest: Counter,
    notes: LateNotes,
}

impl LaneTimes {
    /// Where the lane of a segment ends with it: what says so, behind what the lane promised before. Those that
    /// may be followed by other lanes count that promise.
    fn end_of(&self, segment: &Segment) -> Option<Segment> {
        let ends = segment.progress == Progress::End;
        ends.then(|| Segment::new(segment.lane, Progress::End))
    }

    /// Divides a segment into the records that are on time and those that are late.
    fn divide(&mut self, epoch: u64, segment: &mut Segment) -> (Segment, Segment) {
        let lane = segment.lane;
        let mut behind = Segment::new(lane, segment.progress);
        let mut on_time = Segment::new(lane, segment.progress);
        let local = &self.local;
        self.seen.add(segment.count());
        let mut state = Dividing {
            high: self.highs.get(lane.name).copied(),
            lateness: self.lateness,
            leap: self.leap,
            first: First {
                leap: self.leap,
                clock: &local.clock,
            },
            late: &mut self.notes,
            place: &|| local.place_of(lane),
            bad: &mut |record| local.bad_record(epoch, lane, record),
        };
        (self.divide)(segment, &mut on_time, &mut behind, &mut state);
        let high = state.high;
        self.timed.add(on_time.count());
        if behind.count() > 0 {
            self.late.add(behind.count());
            self.furthest.raise(self.notes.furthest);
        }
        if let Some(high) = high {
            self.highs.set(epoch, lane.name, high);
        }
        on_time.progress = match high {
            Some(high) if !self.lateness.is_unbounded() => {
                Progress::At(self.lateness.earliest(high))
            }
            _ => Progress::Open,
        };
        (on_time, behind)
    }
}

/// Whether a time lies more than a length ahead of another.
#[inline]
fn is_beyond(time: EventTime, length: Leap, other: EventTime) -> bool {
    length < Leap::ANY && time.minus(length.as_micros()) > other
}

fn leaps(time: EventTime, leap: Leap, seen: EventTime) -> BadRecord {
    let leap = leap.in_words();
    BadRecord {
        reason: format!("its event time {time} leaps more than {leap} ahead of {seen}"),
        hint: Some("is the unit right (milliseconds read as seconds)? else drop such records by `filter` before `event_time`, or allow more by `Job::max_leap`".into()),
        ..BadRecord::default()
    }
}

fn too_old(time: EventTime, age: Leap, wall: EventTime) -> BadRecord {
    let age = age.in_words();
    BadRecord {
        reason: format!(
            "its event time {time} lies more than {age} behind the wall clock, {wall}, and no \
             record of its lane came before it"
        ),
        hint: Some("is the time missing, or its unit wrong (seconds read as milliseconds)? if the data is so old, say so: `Job::max_leap(Leap::ANY)`".into()),
        ..BadRecord::default()
    }
}
