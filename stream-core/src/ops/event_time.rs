//! `event_time`: reads event times, tells late records apart, and makes the lanes' watermarks.
//!
//! Definition. Let h be the highest event time seen earlier in a record's own lane. The record is
//! *late* when its event time is less than h − lateness. After each segment the lane promises
//! h − lateness: no record behind it that is on time will be older. h is state: it is part of a
//! snapshot, by lane, so lateness is the same after a restart.

use std::rc::Rc;

use crate::engine::batch::Segment;
use crate::engine::flow::least;
use crate::engine::flow::{Flow, epoch_of};
use crate::engine::lane::{LaneName, Progress};
use crate::engine::lane_state::LaneState;
use crate::engine::local::Local;
use crate::error::Error;
use crate::graph::context::Context;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Kind, KnowsLane, PortSpec, Stream, Timed};
use crate::io::BadRecord;
use crate::observe::Counter;
use crate::time::epoch::FOREVER;
use crate::time::{EventTime, Lateness};

/// A record further ahead of its lane than this is bad, not early: ten years.
const LEAP_MICROS: i64 = 3_653 * 86_400 * 1_000_000;

impl<T: 'static, K: Kind> Stream<T, K> {
    /// Reads each record's event time, and divides the records that are on time from the late
    /// ones.
    ///
    /// A record is late exactly when it lies behind the highest event time seen *earlier in its
    /// own lane* by more than `lateness`: so it depends on the input alone, not on how it was cut
    /// or read. The two streams together are the input.
    ///
    /// A record that leaps ahead of its lane (for the first one, of the wall clock) by more than
    /// ten years is a bad record, treated as its source says: one record of the year
    /// 9999 does not make all others late.
    pub fn event_time(
        self,
        f: impl Fn(&T) -> EventTime + 'static,
        lateness: Lateness,
    ) -> (Timed<T>, Stream<T>)
    where
        K: KnowsLane,
    {
        let (timed, late) = event_time(self.port, f, lateness);
        (Stream::from_port(timed), Stream::from_port(late))
    }
}

fn event_time<T: 'static>(
    input: Port<(), T>,
    f: impl Fn(&T) -> EventTime + 'static,
    lateness: Lateness,
) -> (Port<EventTime, T>, Port<(), T>) {
    let graph = input.graph().clone();
    let spec = stage("event_time", vec![input.spec()])
        .with("lateness", lateness)
        .keeps::<LaneName, EventTime>();
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
            let seen = high.unwrap_or_else(|| time.min((state.wall)()));
            if time.minus(LEAP_MICROS) > seen {
                (state.bad)(leap(time, seen));
            } else if time < seen.minus(state.lateness) {
                late.push(((), record));
            } else {
                high = Some(high.map_or(time, |high| high.max(time)));
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
        lateness,
    };
    let node = graph.push(spec, Some(Box::new(render)));
    (graph.port(node, 0), graph.port(node, 1))
}

/// The loop over the records of one segment: what is on time, and what is behind.
type Divide = dyn Fn(&mut Segment, &mut Segment, &mut Segment, &mut Dividing<'_>);

/// What that loop knows and finds out of the segment's lane.
struct Dividing<'a> {
    high: Option<EventTime>,
    lateness: i64,
    wall: &'a dyn Fn() -> EventTime,
    bad: &'a mut dyn FnMut(BadRecord),
}

struct AssignTime {
    input: PortSpec,
    divide: Box<Divide>,
    lateness: Lateness,
}

impl Render for AssignTime {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let (mut builder, guard) = context.operator(node);
        let mut pull = context.take(self.input).open(&mut builder);
        let (mut timed, timed_edge) = context.output(&mut builder, node, 0);
        let (mut late, late_edge) = context.output(&mut builder, node, 1);
        let late_read = context.is_read(node, 1);
        let local = context.local.clone();
        let highs = LaneState::restore(&local.snapshots, context.id(node), local.index);
        let highs = highs.unwrap_or_else(|problem| {
            local.abort.fail(Error::Engine(problem));
            LaneState::new(&local.snapshots, context.id(node), local.index)
        });
        let mut times = LaneTimes {
            divide: self.divide,
            lateness: self.lateness.as_micros(),
            highs,
            local: local.clone(),
            late: local.counter(context.id(node), "late"),
        };
        builder.build(move |_| {
            move |frontiers| {
                let _entered = guard.enter();
                let (mut timed, mut late) = (timed.activate(), late.activate());
                pull.pull(&mut |capability, segment| {
                    let (mut on_time, mut behind) = times.divide(epoch_of(capability), segment);
                    local.note_progress(on_time.lane, on_time.progress);
                    timed.send(capability, &mut on_time);
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
    lateness: i64,
    /// The highest event time of each lane.
    highs: LaneState<EventTime>,
    local: Rc<Local>,
    late: Counter,
}

impl LaneTimes {
    /// Divides a segment into the records that are on time and those that are late.
    fn divide(&mut self, epoch: u64, segment: &mut Segment) -> (Segment, Segment) {
        let lane = segment.lane;
        let mut behind = Segment::new(lane, segment.progress);
        let mut on_time = Segment::new(lane, segment.progress);
        let local = &self.local;
        let mut state = Dividing {
            high: self.highs.get(lane.name).copied(),
            lateness: self.lateness,
            wall: &|| local.clock.wall(),
            bad: &mut |record| local.bad_record(lane, record),
        };
        (self.divide)(segment, &mut on_time, &mut behind, &mut state);
        let high = state.high;
        self.late.add(behind.count());
        if let Some(high) = high {
            self.highs.set(epoch, lane.name, high);
        }
        let promised = high.map_or(Progress::Open, |high| {
            Progress::At(high.minus(self.lateness))
        });
        on_time.progress = if segment.progress == Progress::End {
            Progress::End
        } else {
            promised
        };
        (on_time, behind)
    }
}

fn leap(time: EventTime, seen: EventTime) -> BadRecord {
    BadRecord {
        reason: format!("its event time {time} leaps more than ten years ahead of {seen}"),
        hint: Some("is the unit right (milliseconds read as seconds)? else drop such records by `filter` before `event_time`".into()),
        ..BadRecord::default()
    }
}
