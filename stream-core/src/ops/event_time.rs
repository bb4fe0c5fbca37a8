//! `event_time`: reads event times, tells late records apart, and makes the lanes' watermarks.
//!
//! Definition. Let h be the highest event time seen earlier in a record's own lane. The record is
//! *late* when its event time is less than h − lateness. After each segment the lane promises
//! h − lateness: no record behind it that is on time will be older. h is state: it is part of a
//! snapshot, by lane, so lateness is the same after a restart.

use std::rc::Rc;

use crate::error::Error;
use crate::graph::node::{Port, Render, stage};
use crate::graph::render::{Context, Flow, Segment, SegmentOutput, epoch_of};
use crate::io::BadRecord;
use crate::observe::Counter;
use crate::run::worker::{Local, least};
use crate::state::snapshot::LaneState;
use crate::time::epoch::FOREVER;
use crate::time::lane::{Lane, Progress};
use crate::time::{EventTime, Lateness};

/// A record further ahead of its lane than this is bad, not early: ten years.
const LEAP_MICROS: i64 = 3_653 * 86_400 * 1_000_000;

pub(crate) fn event_time<T: 'static>(
    input: Port<(), T>,
    f: impl Fn(&T) -> EventTime + 'static,
    lateness: Lateness,
) -> (Port<EventTime, T>, Port<(), T>) {
    let graph = input.graph().clone();
    let spec = stage("event_time", vec![input.spec()])
        .with("lateness", lateness)
        .keeps::<Lane, EventTime>();
    let node = graph.push(spec, Some(Box::new(AssignTime { input, f, lateness })));
    (graph.port(node, 0), graph.port(node, 1))
}

struct AssignTime<T, F> {
    input: Port<(), T>,
    f: F,
    lateness: Lateness,
}

impl<T: 'static, F: Fn(&T) -> EventTime + 'static> Render for AssignTime<T, F> {
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let (mut builder, guard) = context.operator(node);
        let mut pull = context.take(&self.input).open(&mut builder);
        let (timed, timed_edge) = builder.new_output();
        let (late, late_edge) = builder.new_output();
        let (mut timed, mut late) = (SegmentOutput::from(timed), SegmentOutput::from(late));
        let late_read = context.is_read(node, 1);
        let local = context.local.clone();
        let highs = LaneState::restore(&local.snapshots, context.id(node), local.index);
        let highs = highs.unwrap_or_else(|problem| {
            local.abort.fail(Error::Engine(problem));
            LaneState::new(&local.snapshots, context.id(node), local.index)
        });
        let mut times = LaneTimes {
            f: self.f,
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
                    timed
                        .session_with_builder(capability)
                        .give_container(&mut on_time);
                    if late_read {
                        late.session_with_builder(capability)
                            .give_container(&mut behind);
                    }
                });
                let frontier = frontiers.iter().map(least).min().unwrap_or(FOREVER);
                if let Err(problem) = times.highs.passed(frontier) {
                    local.abort.fail(Error::Engine(problem));
                }
            }
        });
        context.put(node, 0, Flow::<EventTime, T>::Edge(timed_edge));
        context.put(node, 1, Flow::<(), T>::Edge(late_edge));
    }
}

/// The event times of the lanes that pass one worker.
struct LaneTimes<F> {
    f: F,
    lateness: i64,
    /// The highest event time of each lane.
    highs: LaneState<EventTime>,
    local: Rc<Local>,
    late: Counter,
}

impl<F> LaneTimes<F> {
    /// Divides a segment into the records that are on time and those that are late.
    fn divide<T>(
        &mut self,
        epoch: u64,
        segment: &mut Segment<(), T>,
    ) -> (Segment<EventTime, T>, Segment<(), T>)
    where
        F: Fn(&T) -> EventTime,
    {
        let lane = segment.lane;
        let mut behind = Segment::new(lane, segment.progress, Vec::new());
        let mut on_time = Vec::with_capacity(segment.records.len());
        let mut high = self.highs.get(lane).copied();
        for ((), record) in segment.records.drain(..) {
            let time = (self.f)(&record);
            let seen = high.unwrap_or_else(|| time.min(self.local.clock.wall()));
            if time.minus(LEAP_MICROS) > seen {
                self.local.bad_record(lane, leap(time, seen));
            } else if time < seen.minus(self.lateness) {
                behind.records.push(((), record));
            } else {
                high = Some(high.map_or(time, |high| high.max(time)));
                on_time.push((time, record));
            }
        }
        self.late.add(behind.records.len());
        if let Some(high) = high {
            self.highs.set(epoch, lane, high);
        }
        let promised = high.map_or(Progress::Open, |high| {
            Progress::At(high.minus(self.lateness))
        });
        let progress = if segment.progress == Progress::End {
            Progress::End
        } else {
            promised
        };
        (Segment::new(lane, progress, on_time), behind)
    }
}

fn leap(time: EventTime, seen: EventTime) -> BadRecord {
    BadRecord {
        reason: format!("its event time {time} leaps more than ten years ahead of {seen}"),
        hint: Some("is the unit right (milliseconds read as seconds)? else drop such records by `filter` before `event_time`".into()),
        ..BadRecord::default()
    }
}
