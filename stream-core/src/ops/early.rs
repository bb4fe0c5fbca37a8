//! Early results of windows: what each has come to so far, until it is complete.
//!
//! Definition. The changes of a table whose keys are the keys and starts of windows, and whose values are what the
//! windows would give if they were complete now. The last change of each is what the window gives. A row is not
//! taken back when its window is complete: it is final then, and nothing of it is kept.
//!
//! How many changes there are depends on the mode, as with all changes: per record all that a slice changes is told at
//! once; in micro-batches what a batch changes, when it closes; in batch mode a window is told when it is complete.
//!
//! The windows of a key are rows of their own, so a record of sliding windows changes as many as it lies in: what is
//! told of each needs its own value.

use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::aggregate::{Aggregate, Folded};
use super::calendar::CalendarWindows;
use super::expiry::{self, Expire, Out, Row, Told};
use super::session::SessionWindows;
use super::sessions_of_key::{Session, Sessions};
use super::sliding::SlidingWindows;
use super::tumbling::TumblingWindows;
use super::window::{Assign, Disjoint, Fold, Functions, Windowed, Windows, begin_of, counting};
use crate::graph::context::Context;
use crate::graph::fuse::{Step, through};
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Change, Changes, Class, Key, NodeSpec, PortSpec, Record};
use crate::time::EventTime;

/// Windows of which early results are told; made by [`Windows::early`].
#[derive(Clone, Debug)]
pub struct Early<W>(W);

/// Early results.
#[expect(
    private_bounds,
    reason = "how windows are assigned is the engine's own"
)]
impl<Q: 'static, T: 'static, W: Assign> Windows<Q, T, W> {
    /// Tells what each window has come to so far, and not only what it gives when it is complete: the changes of a
    /// table by key and start of the window. The last change of each is what the window gives without `early`; in
    /// batch mode there is no other.
    ///
    /// Per record all windows that a slice of the input has changed are told at once, in micro-batches those that a
    /// batch has changed, when it closes. A complete window is not taken back, and nothing of it is kept; so what
    /// reads the changes keeps the rows for as long as it wants them.
    ///
    /// ```
    /// use stream_core::prelude::*;
    ///
    /// /// What each shop has sold today, so far.
    /// #[pipeline]
    /// fn today(sales: Stream<(i64, u32, i64)>) -> Changes<(u32, EventTime), Windowed<u32, i64>> {
    ///     let (timed, late) = sales.event_time(|sale| EventTime::secs(sale.0 * 3_600), Lateness::hours(1));
    ///     late.discard();
    ///     let days = timed.key_by(|sale| sale.1).tumbling(Size::days(1));
    ///     let today = days.early().fold(|| 0, |sum, sale| *sum += sale.2);
    ///     today
    /// }
    ///
    /// let sales = [(8, 7, 20), (9, 7, 5), (30, 7, 1)];
    /// let rows = today::test().sales(sales).rows().today; // the last change of each
    /// let sums: Vec<i64> = rows.into_iter().map(|row| row.value.unwrap().value).collect();
    /// assert_eq!(sums, [25, 1]);
    /// ```
    pub fn early(self) -> Windows<Q, T, Early<W>> {
        Windows {
            input: self.input,
            assign: Early(self.assign),
        }
    }
}

/// Windows that are known for a moment, whatever else there is.
trait Live: Assign {
    /// About how long a window is, in microseconds.
    fn length(&self) -> i64;

    /// How far the starts of windows lie apart that have moments in common.
    fn apart(&self) -> i64 {
        i64::MAX
    }

    /// Hands a record over for each window that a moment lies in, with its start and its end.
    fn divide<R: Clone>(
        &self,
        time: EventTime,
        record: R,
        next: &mut impl FnMut((EventTime, EventTime), R),
    );
}

impl Live for TumblingWindows {
    fn length(&self) -> i64 {
        self.size
    }

    #[inline]
    fn divide<R: Clone>(
        &self,
        time: EventTime,
        record: R,
        next: &mut impl FnMut((EventTime, EventTime), R),
    ) {
        next(self.around(time), record);
    }
}

impl Live for CalendarWindows {
    /// An hour: a shorter one is a rarity.
    fn length(&self) -> i64 {
        3_600_000_000
    }

    #[inline]
    fn divide<R: Clone>(
        &self,
        time: EventTime,
        record: R,
        next: &mut impl FnMut((EventTime, EventTime), R),
    ) {
        next(self.around(time), record);
    }
}

impl Live for SlidingWindows {
    fn length(&self) -> i64 {
        self.size
    }

    fn apart(&self) -> i64 {
        self.step
    }

    #[inline]
    fn divide<R: Clone>(
        &self,
        time: EventTime,
        record: R,
        next: &mut impl FnMut((EventTime, EventTime), R),
    ) {
        let mut start = begin_of(time, self.step, self.offset);
        // A window may end behind the end of time.
        while time.as_micros().abs_diff(start.as_micros()) < self.size.unsigned_abs() {
            next((start, start.plus(self.size)), record.clone());
            let before = start.minus(self.step);
            if before == start {
                break; // the beginning of time
            }
            start = before;
        }
    }
}

#[expect(
    private_bounds,
    reason = "how windows are assigned is the engine's own"
)]
impl<Q: Key, T: Record, W: Live> Windows<Q, T, Early<W>> {
    /// Counts the records of each window.
    pub fn count(self) -> Changes<(Q, EventTime), Windowed<Q, u64>> {
        self.render(Class::Exact, "count", |_| (), counting(), |count| *count)
    }

    /// Folds the records of each window into one value, as `fold` does without `early`.
    pub fn fold<A: Record>(
        self,
        init: impl Fn() -> A + 'static,
        step: impl Fn(&mut A, T) + 'static,
    ) -> Changes<(Q, EventTime), Windowed<Q, A>> {
        let merge = |_: &mut A, _: A| unreachable!("these windows never meet");
        let functions = Functions { init, step, merge };
        let class = Class::ExactIfOrderFree;
        self.render(class, "fold", |record| record, functions, A::clone)
    }

    /// Makes one value of the records of each window, by an [`Aggregate`] or a tuple of them.
    pub fn aggregate<G: Aggregate<T>>(
        self,
        aggregate: G,
    ) -> Changes<(Q, EventTime), Windowed<Q, G::Value>> {
        let aggregate = Rc::new(aggregate);
        let fold = Folded(aggregate.clone());
        let value = move |state: &G::State| aggregate.finish(state);
        self.render(G::CLASS, "aggregate", |record| record, fold, value)
    }

    fn render<P: Record, A: Record, V: Record>(
        self,
        class: Class,
        name: &str,
        project: impl Fn(T) -> P + 'static,
        fold: impl Fold<P, A>,
        value: impl Fn(&A) -> V + 'static,
    ) -> Changes<(Q, EventTime), Windowed<Q, V>> {
        let Windows { input, assign } = self;
        let graph = input.graph().clone();
        let spec = describe(&assign.0, vec![input.spec()], name)
            .class(class)
            .keeps::<(Q, EventTime), Row<(EventTime, A)>>();
        let apart = assign.0.apart();
        let render = Divided {
            input,
            windows: assign.0,
            project,
            expire: Panes {
                apart,
                fold,
                value,
                records: PhantomData::<fn(Q, P) -> A>,
            },
        };
        Changes {
            port: graph.add(spec, Box::new(render)),
        }
    }
}

/// What a stage of early results says of itself.
fn describe<W: Assign>(windows: &W, inputs: Vec<PortSpec>, fold: &str) -> NodeSpec {
    let spec = stage("early", inputs).with("windows", W::KIND);
    windows.describe(spec).with("fold", fold).exchanged()
}

struct Divided<Q, T, W, J, E> {
    input: Port<EventTime, (Q, T)>,
    windows: W,
    project: J,
    expire: E,
}

/// A record for a window: the key and the start, the end, and what is folded.
type Part<Q, P> = ((Q, EventTime), (EventTime, P));

impl<Q, T, W, J, E, P> Render for Divided<Q, T, W, J, E>
where
    Q: Key,
    T: Record,
    W: Live,
    J: Fn(T) -> P + 'static,
    E: Expire<At = EventTime, Key = (Q, EventTime), In = (EventTime, P)>,
    P: Record,
{
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = context.take(self.input.spec());
        let length = self.windows.length();
        let divide = Divide {
            windows: self.windows,
            project: self.project,
        };
        let flow = through::<EventTime, (Q, T), _>(flow, divide, context.id(node));
        let record = |at, (key, record): Part<Q, P>| (at, key, record);
        expiry::render(context, node, flow, record, length, self.expire);
    }
}

/// Gives a record to each of its windows.
struct Divide<W, J> {
    windows: W,
    project: J,
}

impl<Q, T, W, J, P> Step<(Q, T), EventTime> for Divide<W, J>
where
    Q: Key,
    T: Record,
    W: Live,
    J: Fn(T) -> P + 'static,
    P: Record,
{
    type Out = Part<Q, P>;
    const EXPANDS: bool = true;

    #[inline]
    fn step(&self, time: EventTime, (key, record): (Q, T), next: &mut impl FnMut(Part<Q, P>)) {
        let record = (key, (self.project)(record));
        self.windows
            .divide(time, record, &mut |(start, end), (key, record)| {
                next(((key, start), (end, record)));
            });
    }
}

/// Windows as rows of their own.
struct Panes<F, V, R> {
    /// How far the starts of windows lie apart that have moments in common.
    apart: i64,
    fold: F,
    value: V,
    records: PhantomData<R>,
}

impl<Q, P, A, F, V, O> Expire for Panes<F, V, fn(Q, P) -> A>
where
    Q: Key,
    P: Record,
    A: Record,
    F: Fold<P, A>,
    V: Fn(&A) -> O + 'static,
    O: Record,
{
    type At = EventTime;
    type Key = (Q, EventTime);
    type In = (EventTime, P);
    /// The end of the window, and its value.
    type State = (EventTime, A);
    type Stamp = ();
    type Out = Coming<Q, O>;

    const IS_TABLE: bool = true;

    #[inline]
    fn times(&self, at: EventTime, (end, _): &(EventTime, P)) -> (EventTime, EventTime) {
        (at, *end)
    }

    /// A record is overtaken if all of its windows are complete, so it is counted by the last of them.
    fn counts(&self, at: EventTime, (_, start): &Self::Key) -> bool {
        at.as_micros().abs_diff(start.as_micros()) < self.apart.unsigned_abs()
    }

    fn start(
        &self,
        _: &Self::Key,
        _: EventTime,
        (end, record): (EventTime, P),
        _: &mut Out<Self>,
    ) -> Self::State {
        (end, self.fold.start(record))
    }

    #[inline]
    fn extend(
        &self,
        _: &Self::Key,
        (_, value): &mut Self::State,
        _: EventTime,
        (_, record): (EventTime, P),
        _: &mut Out<Self>,
    ) -> bool {
        self.fold.extend(value, record)
    }

    fn tell(&self, (key, start): &Self::Key, (end, value): &mut Self::State, out: &mut Out<Self>) {
        let window = Windowed {
            key: key.clone(),
            start: *start,
            end: *end,
            value: (self.value)(value),
        };
        out.push(((), told(window)));
    }

    fn tell_last(&self, key: &Self::Key, state: &mut Self::State, told: Told, out: &mut Out<Self>) {
        if told != Told::All {
            self.tell(key, state, out);
        }
    }
}

/// What is told of a window.
type Coming<Q, V> = Change<(Q, EventTime), Windowed<Q, V>>;

/// What a window has come to.
fn told<Q: Key, V>(window: Windowed<Q, V>) -> Coming<Q, V> {
    Change {
        key: (window.key.clone(), window.start),
        value: Some(window),
    }
}

/// Early results of sessions: one that is joined with an earlier one is taken back, for its start is another then.
impl<Q: Key, T: Record> Windows<Q, T, Early<SessionWindows>> {
    /// Counts the records of each session.
    pub fn count(self) -> Changes<(Q, EventTime), Windowed<Q, u64>> {
        self.render(Class::Exact, "count", |_| (), counting(), |count| *count)
    }

    /// Folds the records of each session into one value, as `fold` does without `early`.
    pub fn fold<A: Record>(
        self,
        init: impl Fn() -> A + 'static,
        step: impl Fn(&mut A, T) + 'static,
        merge: impl Fn(&mut A, A) + 'static,
    ) -> Changes<(Q, EventTime), Windowed<Q, A>> {
        let functions = Functions { init, step, merge };
        let class = Class::ExactIfOrderFree;
        self.render(class, "fold", |record| record, functions, A::clone)
    }

    /// Makes one value of the records of each session, by an [`Aggregate`] or a tuple of them.
    pub fn aggregate<G: Aggregate<T>>(
        self,
        aggregate: G,
    ) -> Changes<(Q, EventTime), Windowed<Q, G::Value>> {
        let aggregate = Rc::new(aggregate);
        let fold = Folded(aggregate.clone());
        let value = move |state: &G::State| aggregate.finish(state);
        self.render(G::CLASS, "aggregate", |record| record, fold, value)
    }

    fn render<P: Record, A: Record, V: Record>(
        self,
        class: Class,
        name: &str,
        project: impl Fn(T) -> P + 'static,
        fold: impl Fold<P, A>,
        value: impl Fn(&A) -> V + 'static,
    ) -> Changes<(Q, EventTime), Windowed<Q, V>> {
        let Windows { input, assign } = self;
        let graph = input.graph().clone();
        let spec = describe(&assign.0, vec![input.spec()], name)
            .class(class)
            .keeps::<Q, Row<Running<A>>>();
        let gap = assign.0.gap;
        let expire = LiveSessions {
            gap,
            fold,
            value,
            records: PhantomData::<fn(Q, P) -> A>,
        };
        let render = expiry::Rendering {
            input,
            project,
            length: gap,
            expire,
        };
        Changes {
            port: graph.add(spec, Box::new(render)),
        }
    }
}

/// The sessions of a key that may still grow. Each has what was told of it beside its value.
#[derive(Clone, Serialize, Deserialize)]
struct Running<A> {
    sessions: Sessions<(Told, A)>,
    /// The starts of those that were told and have been joined with others, which is to be told.
    joined: Vec<EventTime>,
}

struct LiveSessions<F, V, R> {
    gap: i64,
    fold: F,
    value: V,
    records: PhantomData<R>,
}

impl<F, V, R> LiveSessions<F, V, R> {
    /// The moments that lie less than a gap from this one.
    fn reach(&self, time: EventTime) -> RangeInclusive<EventTime> {
        time.minus(self.gap - 1)..=time.plus(self.gap - 1)
    }

    /// Takes back what was told of a session that was joined with another.
    fn taken_back<Q: Key, O>(&self, key: &Q, start: EventTime) -> ((), Coming<Q, O>) {
        let key = (key.clone(), start);
        ((), Change { key, value: None })
    }

    /// What a session has come to.
    fn of<Q: Key, A, O>(&self, key: &Q, session: &Session<(Told, A)>) -> ((), Coming<Q, O>)
    where
        V: Fn(&A) -> O,
    {
        let window = Windowed {
            key: key.clone(),
            start: session.first,
            end: session.last.plus(self.gap),
            value: (self.value)(&session.value.1),
        };
        ((), told(window))
    }
}

impl<Q, P, A, F, V, O> Expire for LiveSessions<F, V, fn(Q, P) -> A>
where
    Q: Key,
    P: Record,
    A: Record,
    F: Fold<P, A>,
    V: Fn(&A) -> O + 'static,
    O: Record,
{
    type At = EventTime;
    type Key = Q;
    type In = P;
    type State = Running<A>;
    type Stamp = ();
    type Out = Coming<Q, O>;

    const IS_TABLE: bool = true;
    const BEGINS_ANEW: bool = false;

    #[inline]
    fn times(&self, at: EventTime, _: &P) -> (EventTime, EventTime) {
        (at, at.plus(self.gap))
    }

    /// Only a session does that is not complete. One that is may still be there, until a record of its key comes.
    fn takes_in(&self, running: &Running<A>, at: EventTime, watermark: EventTime) -> bool {
        let (first, last) = self.reach(at).into_inner();
        let open = watermark.minus(self.gap - 1);
        running.sessions.find(&(first.max(open)..=last)).is_some()
    }

    fn start(&self, _: &Q, at: EventTime, record: P, _: &mut Out<Self>) -> Running<A> {
        Running {
            sessions: Sessions::One(self.session(at, record)),
            joined: Vec::new(),
        }
    }

    fn extend(
        &self,
        _: &Q,
        Running { sessions, joined }: &mut Running<A>,
        at: EventTime,
        record: P,
        _: &mut Out<Self>,
    ) -> bool {
        let reach = self.reach(at);
        let Some(mut session) = sessions.take(&reach) else {
            sessions.insert(self.session(at, record));
            return true;
        };
        if session.value.0 != Told::Nothing && at < session.first {
            joined.push(session.first);
            session.value.0 = Told::Nothing;
        }
        while let Some(later) = sessions.take(&reach) {
            let (told, value) = later.value;
            if told != Told::Nothing {
                joined.push(later.first);
            }
            self.fold.merge(&mut session.value.1, value);
            session.last = later.last;
        }
        session.stretch(at);
        session.value.0 = session.value.0.changed();
        self.fold.extend(&mut session.value.1, record);
        sessions.insert(session);
        true
    }

    /// Tells of the sessions that are complete, and forgets them.
    fn pass(&self, key: &Q, running: &mut Running<A>, watermark: EventTime, out: &mut Out<Self>) {
        let is_complete = |session: &Session<_>| session.last.plus(self.gap) <= watermark;
        let mut has_any = false;
        while let Some(session) = running.sessions.pop_first_if(is_complete) {
            has_any = true;
            if session.value.0 != Told::All {
                out.push(self.of(key, &session));
            }
        }
        if has_any {
            running.sessions.shrink();
        }
    }

    fn tell(&self, key: &Q, running: &mut Running<A>, out: &mut Out<Self>) {
        let joined = running.joined.drain(..);
        out.extend(joined.map(|start| self.taken_back(key, start)));
        running.sessions.for_each(|session| {
            if std::mem::replace(&mut session.value.0, Told::All) != Told::All {
                out.push(self.of(key, session));
            }
        });
    }

    fn tell_all(&self, key: &Q, running: &mut Running<A>, out: &mut Out<Self>) {
        // A checkpoint from before may be written meanwhile, so they stay, to be taken back once more.
        let joined = running.joined.iter();
        out.extend(joined.map(|start| self.taken_back(key, *start)));
        running.sessions.for_each(|session| {
            session.value.0 = Told::Before;
            out.push(self.of(key, session));
        });
    }

    fn tell_last(&self, key: &Q, running: &mut Running<A>, _: Told, out: &mut Out<Self>) {
        self.tell(key, running, out);
    }
}

impl<P: Record, A: Record, F: Fold<P, A>, V, Q> LiveSessions<F, V, fn(Q, P) -> A> {
    /// A session of one record. It has no timer: its key has.
    fn session(&self, at: EventTime, record: P) -> Session<(Told, A)> {
        Session {
            first: at,
            last: at,
            timer: at,
            value: (Told::Nothing, self.fold.start(record)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::operator::logic::Counts;
    use super::*;
    use crate::engine::Emission;
    use crate::observe::Counters;
    use crate::ops::expiry::tests::{Run, Step, drive};
    use crate::ops::keyed::{Emit, Logic, Saves};
    use crate::state::WriteShard;

    /// Sessions that are counted, behind a silence of five.
    fn sessions()
    -> impl Expire<At = EventTime, Key = u8, In = (), Stamp = (), Out = Coming<u8, u64>> {
        LiveSessions {
            gap: 5,
            fold: counting(),
            value: |count: &u64| *count,
            records: PhantomData::<fn(u8, ()) -> u64>,
        }
    }

    /// A session that is complete stands in the row of its key as long as a later one is open. An overtaken record
    /// that lies by it is overtaken all the same.
    #[test]
    fn a_session_that_is_complete_takes_in_nothing() {
        for emission in [Emission::AtOnce, Emission::BatchClose, Emission::End] {
            let counters = Counters::default();
            let counts = Counts::of(&counters, "early");
            let mut logic = expiry::logic(sessions(), emission, counts, 5);
            let mut state = logic.empty();
            let mut emit = Emit::new(false);
            let record = |time| (EventTime::micros(time), 7_u8, ());
            logic.fold_all(&mut state, [0, 20].map(record).into_iter(), &mut emit);
            logic.begin_advance(EventTime::micros(10));
            while logic.advance(&mut state, &mut emit) {}
            logic.fold_all(&mut state, [2, 22].map(record).into_iter(), &mut emit);
            while logic.close(&mut state, &mut emit) {}
            if emission == Emission::End {
                while logic.emit_all(&mut state, &mut emit) {}
            }
            let rows = emit.records.into_iter().map(|((), row)| {
                let window = row.value.map(|window| window.value);
                (row.key.1.as_micros(), window)
            });
            let last: BTreeMap<_, _> = rows.collect();
            let expected = [(0, Some(1)), (20, Some(2))];
            assert_eq!(
                last.into_iter().collect::<Vec<_>>(),
                expected,
                "{emission:?}"
            );
            assert_eq!(counters.total("overtaken"), 1, "{emission:?}");
        }
    }

    /// What is told of all sessions belongs behind a checkpoint that is still being written. What stands in that still
    /// takes back the session that was told and has been joined with another.
    #[test]
    fn a_session_that_was_joined_is_taken_back_after_a_crash_in_the_midst_of_the_end() {
        let logic = |emission| {
            let counters = Counters::default();
            let counts = Counts::of(&counters, "early");
            expiry::logic(sessions(), emission, counts, 5)
        };
        let mut emit = Emit::new(false);
        let record = |time| (EventTime::micros(time), 7_u8, ());
        let save = |logic: &mut dyn FnMut(WriteShard<'_>) -> bool| {
            let mut saved = Vec::new();
            while logic(&mut |_, bytes| {
                saved.push(bytes);
                Ok(())
            }) {}
            saved
        };
        // Record by record a session is told, and the job goes on in batch mode.
        let mut first = logic(Emission::AtOnce);
        let mut state = first.empty();
        first.fold_all(&mut state, [20].map(record).into_iter(), &mut emit);
        first.begin_save(&mut state, true);
        let saved = save(&mut |write| first.save(&mut state, write).unwrap());
        let mut second = logic(Emission::End);
        let mut state = second.empty();
        saved
            .iter()
            .for_each(|bytes| second.load(&mut state, bytes).unwrap());
        second.fold_all(&mut state, [18].map(record).into_iter(), &mut emit);
        second.begin_save(&mut state, true);
        emit.records.clear();
        while second.emit_all(&mut state, &mut emit) {}
        let told = |emit: &Emit<_>| {
            let rows = emit.records.iter();
            let row = |((), row): &((), Coming<u8, u64>)| {
                let count = row.value.as_ref().map(|window| window.value);
                (row.key.1.as_micros(), count)
            };
            rows.map(row).collect::<Vec<_>>()
        };
        let expected = [(20, None), (18, Some(2))];
        assert_eq!(told(&emit), expected);
        // It crashes before that is through.
        let saved = save(&mut |write| second.save(&mut state, write).unwrap());
        let mut third = logic(Emission::End);
        let mut state = third.empty();
        saved
            .iter()
            .for_each(|bytes| third.load(&mut state, bytes).unwrap());
        emit.records.clear();
        while third.emit_all(&mut state, &mut emit) {}
        assert_eq!(told(&emit), expected);
    }

    type Runs = Vec<Run<(EventTime, u8, ())>>;

    /// Runs of records of three keys, with the watermark behind them, and the times of each key in order.
    fn runs(rng: &mut fastrand::Rng) -> (Runs, BTreeMap<u8, Vec<i64>>) {
        let (mut highest, mut times) = (0, BTreeMap::<u8, Vec<i64>>::new());
        let runs = (0..rng.usize(1..20)).map(|_| {
            let mut steps = Vec::new();
            for _ in 0..rng.usize(0..8) {
                let most = [3, 3, 3, 3, 30][rng.usize(0..5)];
                let time: i64 = highest + rng.i64(-6..=most);
                highest = highest.max(time);
                let key = rng.u8(0..3);
                times.entry(key).or_default().push(time);
                steps.push(Step::Take((EventTime::micros(time), key, ())));
                if rng.bool() {
                    steps.push(Step::Pass(EventTime::micros(highest - 6)));
                }
            }
            steps
        });
        let mut runs: Vec<_> = runs.collect();
        if let Some(last) = runs.last_mut() {
            last.push(Step::Pass(EventTime::micros(highest - 6)));
        }
        times.values_mut().for_each(|times| times.sort_unstable());
        (runs, times)
    }

    #[test]
    fn sessions_come_to_the_same_through_crashes_and_other_modes() {
        for seed in 0..3_000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (runs, times) = runs(&mut rng);
            let told = drive(&mut rng, sessions, &runs).into_values();
            let told: Vec<_> = told
                .map(|window| {
                    (
                        window.key,
                        window.start.as_micros(),
                        window.end.as_micros(),
                        window.value,
                    )
                })
                .collect();
            let session = |key: u8, times: &[i64]| {
                (
                    key,
                    times[0],
                    times[times.len() - 1] + 5,
                    times.len() as u64,
                )
            };
            let expected: Vec<_> = times
                .iter()
                .flat_map(|(key, times)| {
                    let sessions = times.chunk_by(|a, b| b - a < 5);
                    sessions.map(|times| session(*key, times))
                })
                .collect();
            assert_eq!(told, expected, "seed {seed}");
        }
    }

    #[test]
    fn panes_come_to_the_same_through_crashes_and_other_modes() {
        for seed in 0..3_000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (runs, times) = runs(&mut rng);
            let step = |step| match step {
                Step::Take((at, key, ())) => {
                    let start = begin_of(at, 7, 0);
                    Step::Take((at, (key, start), (start.plus(7), ())))
                }
                Step::Pass(watermark) => Step::Pass(watermark),
            };
            let runs: Vec<Vec<_>> = runs
                .into_iter()
                .map(|run| run.into_iter().map(step).collect())
                .collect();
            let make = || Panes {
                apart: i64::MAX,
                fold: counting(),
                value: |count: &u64| *count,
                records: PhantomData::<fn(u8, ()) -> u64>,
            };
            let told = drive(&mut rng, make, &runs);
            let told: Vec<_> = told
                .into_iter()
                .map(|((key, start), window)| (key, start.as_micros(), window.value))
                .collect();
            let expected: Vec<_> = times
                .iter()
                .flat_map(|(key, times)| {
                    let panes = times.chunk_by(|a, b| a.div_euclid(7) == b.div_euclid(7));
                    panes.map(|times| (*key, times[0].div_euclid(7) * 7, times.len() as u64))
                })
                .collect();
            assert_eq!(told, expected, "seed {seed}");
        }
    }

    /// A record of sliding windows is overtaken once, if all of its windows are complete, and not by each that is.
    #[test]
    fn a_record_of_sliding_windows_is_overtaken_once_if_all_are_complete() {
        let windows = SlidingWindows {
            size: 10,
            step: 2,
            offset: 0,
        };
        let counters = Counters::default();
        let counts = Counts::of(&counters, "early");
        let panes = Panes {
            apart: 2,
            fold: counting(),
            value: |count: &u64| *count,
            records: PhantomData::<fn(u8, ()) -> u64>,
        };
        let mut logic = expiry::logic(panes, Emission::AtOnce, counts, 10);
        let mut state = logic.empty();
        let mut emit = Emit::new(false);
        let mut take = |watermark, time| {
            logic.begin_advance(EventTime::micros(watermark));
            while logic.advance(&mut state, &mut emit) {}
            let at = EventTime::micros(time);
            let mut parts = Vec::new();
            windows.divide(at, (), &mut |(start, end), ()| {
                parts.push((at, (7_u8, start), (end, ())));
            });
            logic.fold_all(&mut state, parts.into_iter(), &mut emit);
            counters.total("overtaken")
        };
        // It lies in [12, 22) and in four before that.
        assert_eq!(take(10, 13), 0);
        assert_eq!(take(17, 13), 0);
        assert_eq!(take(21, 13), 0);
        assert_eq!(take(22, 13), 1);
    }
}
