//! Our pipelines, and operators as a user writes them.

use std::time::Duration;

use smallvec::SmallVec;
use stream_core::graph::{Graph, Keyed, OnTime, Table};
use stream_core::ops::{Cx, KeyedOperator, Windowed, aggregate};
use stream_core::{EventTime, Gap, Lateness, Size};

use super::data::{
    Click, GAP_MINS, GROUPS, JOIN_SECS, LATENESS_SECS, Pair, TICK_LATENESS_SECS, TOP, WINDOW_SECS,
    WITHIN_SECS, rank,
};
use super::stages::*;

/// Eight stages as one chain.
pub(super) fn fused(graph: &Graph) {
    let numbers = graph.input::<u64>("in").fuse(|chain| {
        let chain = chain.map(scale).filter(most).map(shift).filter(many);
        chain.map(fold).filter(some).map(spread).map(turn)
    });
    graph.output("out", numbers);
}

/// The same stages, each by a method of its own.
pub(super) fn chained(graph: &Graph) {
    let numbers = graph.input::<u64>("in");
    let numbers = numbers.map(scale).filter(most).map(shift).filter(many);
    let numbers = numbers.map(fold).filter(some).map(spread).map(turn);
    graph.output("out", numbers);
}

pub(super) fn count(graph: &Graph) {
    graph.output("out", counts(graph, "in").changes());
}

fn counts(graph: &Graph, port: &str) -> Table<u64, u64> {
    graph.input::<u64>(port).key_by(|key| *key).count()
}

/// A table joined with another by the operator for tables of one key.
pub(super) fn table_join(graph: &Graph) {
    let joined = counts(graph, "left").join(counts(graph, "right"));
    graph.output("out", joined.changes());
}

/// The same by a relation. It leads back to a table by a group a key, of which each has one row.
pub(super) fn relation_join(graph: &Graph) {
    let [left, right] = ["left", "right"].map(|port| counts(graph, port).rows());
    let by_key = left.join(right).group_by(|(key, _)| *key);
    let joined = by_key.sum(|(_, (left, right))| (left << 32) | right);
    graph.output("out", joined.changes());
}

pub(super) fn top(graph: &Graph) {
    let top = by_key(graph).top(TOP, |pair| pair.1);
    graph.output("out", top.changes());
}

pub(super) fn six(graph: &Graph) {
    let six = by_key(graph).aggregate((
        aggregate::count(),
        aggregate::sum(|pair: &Pair| pair.1),
        aggregate::min(|pair: &Pair| pair.1),
        aggregate::max(|pair: &Pair| pair.1),
        aggregate::average(|pair: &Pair| pair.1),
        aggregate::max_by(rank),
    ));
    graph.output("out", six.changes());
}

/// Of each group of keys the mean of their greatest values.
pub(super) fn means(graph: &Graph) {
    let greatest = by_key(graph).max(|pair| pair.1);
    let groups = greatest.group_by(|key, _| key % GROUPS);
    let means = groups.average(|(_, greatest)| *greatest);
    graph.output("out", means.changes());
}

fn by_key(graph: &Graph) -> Keyed<u64, Pair> {
    graph.input::<Pair>("in").key_by(|pair| pair.0)
}

pub(super) fn sessions(graph: &Graph) {
    let sessions = visits(graph).session(Gap::mins(GAP_MINS));
    graph.output("out", sessions.count());
}

/// The clicks of a day that are on time, by user.
fn visits(graph: &Graph) -> Keyed<u64, Click, OnTime> {
    by_user(graph, "in", LATENESS_SECS)
}

fn by_user(graph: &Graph, port: &str, lateness_secs: u64) -> Keyed<u64, Click, OnTime> {
    let clicks = graph.input::<Click>(port);
    let lateness = Lateness::secs(lateness_secs);
    let (timed, _) = clicks.event_time(|click| EventTime::micros(click.at), lateness);
    timed.key_by(|click| click.user)
}

fn ticks(graph: &Graph, port: &str) -> Keyed<u64, Click, OnTime> {
    by_user(graph, port, TICK_LATENESS_SECS)
}

pub(super) fn sliding(graph: &Graph) {
    let windows = ticks(graph, "in").sliding(Size::secs(WINDOW_SECS), Size::secs(1));
    graph.output("out", windows.count());
}

pub(super) fn dedup(graph: &Graph) {
    let kept = ticks(graph, "in").dedup(Gap::secs(WITHIN_SECS));
    graph.output("out", kept);
}

pub(super) fn interval_join(graph: &Graph) {
    let [left, right] = ["left", "right"].map(|port| ticks(graph, port));
    let reach = Gap::secs(JOIN_SECS);
    graph.output("out", left.interval_join(right, reach, reach));
}

/// Counts the clicks of each user so far.
pub(super) fn scan(graph: &Graph) {
    let counts = visits(graph).scan(u64::default, |count, _| {
        *count += 1;
        *count
    });
    graph.output("out", counts);
}

/// The same by an operator of a user's own.
pub(super) fn own_scan(graph: &Graph) {
    graph.output("out", visits(graph).apply(Counting));
}

struct Counting;

impl KeyedOperator for Counting {
    type Key = u64;
    type In = Click;
    type State = u64;
    type Out = (u64, u64);

    fn record(&self, user: &u64, _: Click, count: &mut u64, cx: &mut Cx<(u64, u64)>) {
        *count += 1;
        cx.emit((*user, *count));
    }
}

/// Sessions by an operator of a user's own.
pub(super) fn own_sessions(graph: &Graph) {
    let gap = Duration::from_secs(60 * GAP_MINS);
    let sessions = visits(graph).apply(Sessions { gap });
    graph.output("out", sessions);
}

struct Sessions {
    gap: Duration,
}

/// The first click of a session, the last, and how many there are.
type Open = (EventTime, EventTime, u64);

impl KeyedOperator for Sessions {
    type Key = u64;
    type In = Click;
    type State = SmallVec<[Open; 1]>;
    type Out = Windowed<u64, u64>;

    fn record(&self, _: &u64, _: Click, open: &mut Self::State, cx: &mut Cx<Self::Out>) {
        let (mut first, mut last, mut count) = (cx.time(), cx.time(), 1);
        if let [session] = &mut open[..]
            && first < session.1 + self.gap
            && session.0 < last + self.gap
        {
            *session = (session.0.min(first), session.1.max(last), session.2 + 1);
            return; // its timer is set anew when it falls due
        }
        open.retain(|session| {
            let meets = first < session.1 + self.gap && session.0 < last + self.gap;
            if meets {
                first = first.min(session.0);
                last = last.max(session.1);
                count += session.2;
            }
            !meets
        });
        open.push((first, last, count));
        cx.set_timer(last + self.gap);
    }

    fn timer(&self, user: &u64, at: EventTime, open: &mut Self::State, cx: &mut Cx<Self::Out>) {
        open.retain(|&mut (first, last, count)| {
            let end = last + self.gap;
            if end > at {
                cx.set_timer(end);
                return true;
            }
            let (key, start, value) = (*user, first, count);
            cx.emit(Windowed {
                key,
                start,
                end,
                value,
            });
            false
        });
    }

    fn end(&self, user: &u64, open: &mut Self::State, cx: &mut Cx<Self::Out>) {
        for (start, last, value) in open.drain(..) {
            let (key, end) = (*user, last + self.gap);
            cx.emit(Windowed {
                key,
                start,
                end,
                value,
            });
        }
    }
}
