//! Windows: what all kinds of them have in common.
//!
//! A window is half open, `[start, end)`. It is complete when the watermark has reached its end,
//! for then no record that is on time can fall into it; it is emitted then, once, in every mode. What
//! is complete leaves in pieces, and each window is removed as it leaves.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;

use super::keyed::{self, Emit, Logic, Saves};
use super::operator::{Feed, Overtaken};
use crate::engine::Emission;
use crate::graph::context::Context;
use crate::graph::node::{Port, Render, stage};
use crate::graph::{Class, Graph, Handle, Key, NodeSpec, PortSpec, Record, Stream, Timed};
use crate::observe::Counter;
use crate::time::{EventTime, Size};

/// The result of a window: its key, its bounds, its value.
///
/// Its event time is the last microsecond of the window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Windowed<Q, V> {
    /// The key.
    pub key: Q,
    /// The first moment of the window.
    pub start: EventTime,
    /// The first moment after the window.
    pub end: EventTime,
    /// What was made of its records.
    pub value: V,
}

/// Records by key and window, to be counted or folded.
///
/// The third parameter says which windows: [`TumblingWindows`](super::TumblingWindows),
/// [`SlidingWindows`](super::SlidingWindows), [`CalendarWindows`](super::CalendarWindows) or
/// [`SessionWindows`](super::SessionWindows).
///
/// ```
/// use stream_core::ops::{TumblingWindows, Windows};
/// use stream_core::prelude::*;
///
/// #[pipeline]
/// fn highest(windows: Windows<u8, u64, TumblingWindows>) -> Timed<u64> {
///     let highest = windows.fold(|| 0, |highest, n| *highest = n.max(*highest));
///     highest.map(|window| window.value)
/// }
///
/// #[pipeline]
/// fn highest_by_ten(numbers: Stream<u64>) -> Timed<u64> {
///     let (timed, late) = numbers.event_time(|n| EventTime::secs(*n as i64), Lateness::secs(9));
///     late.discard();
///     let tens = timed.key_by(|_| 0).tumbling(Size::secs(10));
///     highest(tens)
/// }
///
/// assert_eq!(highest_by_ten::test().numbers([1, 8, 4, 12]).rows().output, [8, 12]);
/// ```
#[must_use = "windows that nobody folds compute nothing"]
pub struct Windows<Q, T, W> {
    pub(super) input: Port<EventTime, (Q, T)>,
    pub(super) assign: W,
}

impl<Q, T, W: fmt::Debug> fmt::Debug for Windows<Q, T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Windows")
            .field(&self.input)
            .field(&self.assign)
            .finish()
    }
}

impl<Q: Clone + 'static, T: Clone + 'static, W: Clone> Clone for Windows<Q, T, W> {
    fn clone(&self) -> Self {
        Windows {
            input: self.input.clone_edge(),
            assign: self.assign.clone(),
        }
    }
}

impl<Q: Key, T: Record, W: Clone> Windows<Q, T, W> {
    /// A second handle to the same windows.
    #[doc(hidden)]
    pub fn again(&self) -> Self {
        self.clone()
    }
}

impl<Q, T, W> Handle for Windows<Q, T, W> {
    fn graph(&self) -> &Graph {
        self.input.graph()
    }
}

#[expect(
    private_bounds,
    reason = "how windows are assigned is the engine's own"
)]
impl<Q: 'static, T: 'static, W: Assign> Windows<Q, T, W> {
    pub(super) fn new(input: Port<EventTime, (Q, T)>, assign: W) -> Self {
        Windows { input, assign }
    }

    /// The same records in other windows.
    pub(super) fn with(self, change: impl FnOnce(W) -> W) -> Self {
        let assign = change(self.assign);
        Windows { assign, ..self }
    }

    pub(super) fn counted(self) -> Timed<Windowed<Q, u64>>
    where
        Q: Key,
        T: Record,
    {
        self.render(Class::Exact, "count", |_| (), counting()).0
    }

    pub(super) fn folded<A: Record>(
        self,
        functions: impl Fold<T, A, Value = A>,
    ) -> (Timed<Windowed<Q, A>>, Overtaken<Q, T>)
    where
        Q: Key,
        T: Record,
    {
        self.render(Class::ExactIfOrderFree, "fold", |record| record, functions)
    }

    pub(super) fn render<P: Record, A: Record, V: 'static>(
        self,
        class: Class,
        fold: &str,
        project: impl Fn(T) -> P + 'static,
        functions: impl Fold<P, A, Value = V>,
    ) -> Emitted<Q, P, V>
    where
        Q: Key,
        T: Record,
    {
        let Windows { input, assign } = self;
        let rendering = Rendering {
            inputs: vec![input.spec()],
            class,
            fold,
        };
        rendering.push(input, assign, project, functions)
    }
}

/// What a stage of windows says of itself.
pub(super) struct Rendering<'a> {
    pub(super) inputs: Vec<PortSpec>,
    pub(super) class: Class,
    /// What is made of the records of a window.
    pub(super) fold: &'a str,
}

/// The windows that are emitted, and the records that were overtaken.
type Emitted<Q, P, V> = (Timed<Windowed<Q, V>>, Overtaken<Q, P>);

impl Rendering<'_> {
    /// Adds the stage.
    pub(super) fn push<Q: Key, T: Record, P: Record, A: Record, V: 'static>(
        self,
        input: impl Feed<(Q, T)>,
        assign: impl Assign,
        project: impl Fn(T) -> P + 'static,
        functions: impl Fold<P, A, Value = V>,
    ) -> Emitted<Q, P, V> {
        let graph = input.graph().clone();
        let spec = assign
            .describe(stage(kind_of(&assign), self.inputs))
            .with("fold", self.fold)
            .class(self.class)
            .hands_over(handed_over_by(self.fold))
            .keeps::<Q, A>()
            .exchanged();
        let step = WindowStep {
            input,
            assign,
            project,
            functions,
            records: PhantomData,
        };
        let node = graph.push(spec, Some(Box::new(step)));
        (
            Stream::from_port(graph.port(node, 0)),
            Stream::from_port(graph.port(node, 1)),
        )
    }
}

/// The method that hands over what is overtaken. `count` sends no records to the worker of their key.
fn handed_over_by(fold: &str) -> String {
    match fold {
        "count" => "aggregate_with_overtaken(count())".to_owned(),
        fold => format!("{fold}_with_overtaken"),
    }
}

fn kind_of<W: Assign>(_: &W) -> &'static str {
    W::KIND
}

/// What is made of the records of a window.
pub(crate) trait Fold<P, A>: 'static {
    /// What is emitted of it.
    type Value: 'static;
    fn start(&self, record: P) -> A;
    /// Takes in another record, and tells whether the value is another one now.
    fn extend(&self, value: &mut A, record: P) -> bool;
    fn merge(&self, value: &mut A, later: A);
    fn finish(&self, value: A) -> Self::Value;

    /// Emits what is made of a window that is complete. Where that is more than enough for once a part of it is
    /// taken out of the window, and the rest given back.
    #[inline]
    fn emit<Q: Key>(
        &self,
        window: Windowed<Q, A>,
        out: &mut Vec<(EventTime, Windowed<Q, Self::Value>)>,
    ) -> Option<Windowed<Q, A>> {
        let Windowed {
            key,
            start,
            end,
            value,
        } = window;
        let value = self.finish(value);
        let row = Windowed {
            key,
            start,
            end,
            value,
        };
        out.push((end.minus(1), row));
        None
    }

    /// The same with all of it at once.
    #[inline]
    fn emit_whole<Q: Key>(
        &self,
        window: Windowed<Q, A>,
        out: &mut Vec<(EventTime, Windowed<Q, Self::Value>)>,
    ) {
        let mut left = self.emit(window, out);
        while let Some(window) = left {
            left = self.emit(window, out);
        }
    }
}

/// The closures that a user gives.
pub(super) struct Functions<I, F, M> {
    pub(super) init: I,
    pub(super) step: F,
    pub(super) merge: M,
}

impl<P, A, I, F, M> Fold<P, A> for Functions<I, F, M>
where
    I: Fn() -> A + 'static,
    F: Fn(&mut A, P) + 'static,
    M: Fn(&mut A, A) + 'static,
    A: 'static,
{
    type Value = A;

    #[inline]
    fn start(&self, record: P) -> A {
        let mut value = (self.init)();
        (self.step)(&mut value, record);
        value
    }

    #[inline]
    fn extend(&self, value: &mut A, record: P) -> bool {
        (self.step)(value, record);
        true
    }

    fn merge(&self, value: &mut A, later: A) {
        (self.merge)(value, later);
    }

    #[inline]
    fn finish(&self, value: A) -> A {
        value
    }
}

pub(super) fn counting() -> impl Fold<(), u64, Value = u64> {
    Functions {
        init: || 0,
        step: |count: &mut u64, ()| *count += 1,
        merge: |count: &mut u64, other| *count += other,
    }
}

/// How a record finds its window.
pub(crate) trait Assign: Clone + 'static {
    const KIND: &'static str;
    type Logic<Q: Key, P: Record, A: Record, F: Fold<P, A>>: Saves<Record = (EventTime, Q, P), Stamp = EventTime, Out = Windowed<Q, F::Value>>;
    /// Says which windows they are, by settings of the stage.
    fn describe(&self, spec: NodeSpec) -> NodeSpec;
    fn logic<Q: Key, P: Record, A: Record, F: Fold<P, A>>(
        self,
        fold: F,
        counts: Counts,
    ) -> Self::Logic<Q, P, A, F>;
}

/// Windows that never meet: each moment lies in one.
pub(crate) trait Disjoint: Assign {
    /// The window that a moment lies in: its start, and its end.
    fn around(&self, time: EventTime) -> (EventTime, EventTime);
}

/// Where the piece of time begins that holds a moment, if pieces of one length begin at `n·length + offset`
/// for every integer n. The offset is less than the length.
#[inline]
pub(super) fn begin_of(time: EventTime, length: i64, offset: i64) -> EventTime {
    let past = time.as_micros().rem_euclid(length) - offset;
    time.minus(if past < 0 { past + length } else { past })
}

/// An offset as a setting: none where it is 0, as in what was kept before there were any.
pub(super) fn with_offset(spec: NodeSpec, offset: i64) -> NodeSpec {
    match offset {
        0 => spec,
        offset => spec.with("offset", Size::micros(offset.unsigned_abs())),
    }
}

/// What windows count for the report.
pub(crate) struct Counts {
    /// Windows that are open.
    pub(crate) open: Counter,
    /// Records that came after their window had been emitted.
    pub(crate) overtaken: Counter,
}

/// How far every kind of windows has come, and what it counts: the rules that all have in common.
pub(crate) struct Frame {
    pub(super) watermark: EventTime,
    pub(super) counts: Counts,
}

impl Frame {
    pub(super) fn new(counts: Counts) -> Self {
        Frame {
            watermark: EventTime::MIN,
            counts,
        }
    }

    /// Whether a window with this end takes in nothing more that is on time.
    #[inline]
    pub(super) fn is_complete(&self, end: EventTime) -> bool {
        end <= self.watermark
    }

    /// Sets a record aside whose window is complete.
    #[cold]
    pub(super) fn overtaken<L: Logic>(&self, record: L::Record, emit: &mut Emit<L>) {
        self.counts.overtaken.add(1);
        if emit.wants_overtaken {
            emit.overtaken.push(((), record));
        }
    }
}

struct WindowStep<I, T, W, J, F, P, A> {
    input: I,
    assign: W,
    project: J,
    functions: F,
    records: PhantomData<fn(T, P) -> A>,
}

impl<I, Q, T, W, J, F, P, A> Render for WindowStep<I, (Q, T), W, J, F, P, A>
where
    I: Feed<(Q, T)>,
    Q: Key,
    T: Record,
    P: Record,
    A: Record,
    W: Assign,
    J: Fn(T) -> P + 'static,
    F: Fold<P, A>,
{
    fn render<'s>(self: Box<Self>, node: usize, context: &mut Context<'s>) {
        let flow = self.input.take(node, context);
        let id = context.id(node);
        let counts = Counts {
            open: context.local.counter(id, "open"),
            overtaken: context.local.counter(id, "overtaken"),
        };
        let logic = self.assign.logic::<Q, P, A, F>(self.functions, counts);
        let project = self.project;
        let to_record = move |time: EventTime, (key, record): (Q, T)| (time, key, project(record));
        keyed::render(context, node, flow, to_record, Emission::AtOnce, logic);
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::SessionWindows;
    use super::super::tumbling::TumblingWindows;
    use super::*;
    use crate::observe::Counters;

    #[test]
    fn pieces_of_time_begin_at_the_offset_before_1970_too_and_at_the_ends_of_time() {
        for (length, offset) in [(7, 0), (7, 3), (1, 0), (10, 9)] {
            for time in -40..40_i64 {
                let begin = begin_of(EventTime::micros(time), length, offset);
                let expected = (time - offset).div_euclid(length) * length + offset;
                assert_eq!(begin.as_micros(), expected, "{length} {offset} {time}");
            }
        }
        let last = begin_of(EventTime::MAX, i64::MAX, i64::MAX - 1);
        assert_eq!(last, EventTime::micros(i64::MAX - 1));
        assert_eq!(begin_of(EventTime::MIN, 10, 9), EventTime::MIN);
        assert_eq!(begin_of(EventTime::MIN, i64::MAX, 5), EventTime::MIN);
    }

    /// Counts records at these seconds, all of one key, with a watermark that another lane has
    /// moved to 100 s meanwhile. Gives the seconds that were overtaken, and how many are counted.
    fn overtaken<W: Assign>(assign: W, seconds: &[i64]) -> (Vec<i64>, u64) {
        let counters = Counters::default();
        let counter = |name| counters.counter("window", name);
        let counts = Counts {
            open: counter("open"),
            overtaken: counter("overtaken"),
        };
        let fold = counting();
        let mut logic = assign.logic::<u8, (), u64, _>(fold, counts);
        let mut shard = logic.empty();
        let mut emit = Emit::new(true);
        logic.begin_advance(EventTime::secs(100));
        for second in seconds {
            let record = (EventTime::secs(*second), 7, ());
            logic.fold_all(&mut shard, [record].into_iter(), &mut emit);
        }
        let seconds = emit
            .overtaken
            .iter()
            .map(|(_, (time, ..))| time.as_millis() / 1_000);
        (seconds.collect(), counters.total("overtaken"))
    }

    #[test]
    fn a_record_whose_tumbling_window_is_out_is_overtaken() {
        let windows = TumblingWindows {
            size: 10_000_000,
            offset: 0,
        };
        assert_eq!(
            overtaken(windows, &[89, 99, 100, 85]),
            (vec![89, 99, 85], 3)
        );
    }

    #[test]
    fn a_record_whose_session_is_out_is_overtaken_unless_an_open_one_takes_it_in() {
        let windows = SessionWindows { gap: 10_000_000 };
        // 90 + 10 is the watermark; 91 opens a session, which then takes in 85 but not 70.
        assert_eq!(overtaken(windows, &[90, 91, 85, 70]), (vec![90, 70], 2));
    }

    type Click = (EventTime, u16, ());
    type Out = Windowed<u16, u64>;

    fn logic<W: Assign>(assign: W) -> impl Saves<Record = Click, Stamp = EventTime, Out = Out> {
        let counters = Counters::default();
        let counts = Counts {
            open: counters.counter("window", "open"),
            overtaken: counters.counter("window", "overtaken"),
        };
        let fold = counting();
        assign.logic::<u16, (), u64, _>(fold, counts)
    }

    fn nothing<L: Logic>() -> Emit<L> {
        Emit::new(true)
    }

    /// What a logic emits of clicks that come in pieces, with a watermark behind each that no later
    /// click is before. It is asked for one piece only, and now and then is saved and restored
    /// before it goes on.
    fn in_pieces<W: Assign>(seed: u64, assign: W, pieces: &[Vec<Click>]) -> Vec<Out> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut running = logic(assign.clone());
        let (mut state, mut rows) = (running.empty(), Vec::new());
        let mut watermark = EventTime::MIN;
        let mut advance = |running: &mut _, state: &mut _, watermark| {
            let mut emit = nothing();
            let more = Logic::advance(running, state, &mut emit);
            assert!(emit.records.len() <= keyed::FULL, "seed {seed}");
            if more {
                assert!(Logic::due(running) <= watermark, "seed {seed}: due");
            }
            let on_time = |row: &Out| row.end <= watermark;
            assert!(emit.records.iter().all(|(_, row)| on_time(row)));
            rows.extend(emit.records.into_iter().map(|(_, row)| row));
            more
        };
        for (n, piece) in pieces.iter().enumerate() {
            let mut emit = nothing();
            for click in piece {
                running.fold_all(&mut state, [*click].into_iter(), &mut emit);
            }
            assert!(emit.overtaken.is_empty(), "seed {seed}");
            let later = pieces[n + 1..].iter().flatten();
            let least = later.map(|click| click.0).min();
            watermark = least.unwrap_or(EventTime::MAX).max(watermark);
            let due = running.due();
            running.begin_advance(watermark);
            if watermark >= due {
                advance(&mut running, &mut state, watermark);
            }
            if rng.u8(0..3) == 0 {
                let mut shards = Vec::new();
                let write = &mut |_, bytes| {
                    shards.push(bytes);
                    Ok(())
                };
                running.begin_save(&mut state, true);
                while running.save(&mut state, write).unwrap() {}
                running = logic(assign.clone());
                state = running.empty();
                running.begin_advance(watermark);
                for bytes in shards {
                    running.load(&mut state, &bytes).unwrap();
                }
            }
        }
        while advance(&mut running, &mut state, watermark) {}
        rows.sort();
        rows
    }

    /// A run in which saves are under way while records come, and windows are emitted and removed.
    struct Run<L: Logic> {
        logic: L,
        state: L::State,
        watermark: EventTime,
        rows: Vec<Out>,
    }

    impl<L: Saves<Record = Click, Stamp = EventTime, Out = Out>> Run<L> {
        fn new(logic: L, rows: Vec<Out>) -> Self {
            Run {
                state: logic.empty(),
                logic,
                watermark: EventTime::MIN,
                rows,
            }
        }

        fn fold(&mut self, piece: &[Click]) {
            let mut emit = nothing();
            let (logic, state) = (&mut self.logic, &mut self.state);
            logic.save_before_change(state, piece).unwrap();
            logic.fold_all(state, piece.iter().copied(), &mut emit);
            assert!(emit.overtaken.is_empty());
        }

        fn advance(&mut self) -> bool {
            let mut emit = nothing();
            let more = self.logic.advance(&mut self.state, &mut emit);
            self.rows
                .extend(emit.records.into_iter().map(|(_, row)| row));
            more
        }

        /// Takes in the pieces from one on, each with the watermark behind it.
        fn finish(mut self, pieces: &[(&[Click], EventTime)]) -> Vec<Out> {
            for (piece, watermark) in pieces {
                self.fold(piece);
                self.logic.begin_advance(*watermark);
                if *watermark >= self.logic.due() {
                    self.advance();
                }
            }
            while self.advance() {}
            self.rows.sort();
            self.rows
        }
    }

    /// Saves piece by piece while clicks come, and goes on from each save. Tells how many pieces there were
    /// between which something was emitted.
    fn saves_while_changing<W: Assign>(
        seed: u64,
        assign: W,
        clicks: &[Click],
        expected: &[Out],
    ) -> usize {
        let mut rng = fastrand::Rng::with_seed(seed);
        let pieces: Vec<&[Click]> = clicks.chunks(rng.usize(20..400)).collect();
        let mut watermarks = vec![EventTime::MAX];
        for piece in pieces[1..].iter().rev() {
            let least = piece.iter().map(|click| click.0).min().unwrap();
            watermarks.push(least.min(watermarks[watermarks.len() - 1]));
        }
        let pieces: Vec<_> = pieces
            .into_iter()
            .zip(watermarks.into_iter().rev())
            .collect();
        let mut run = Run::new(logic(assign.clone()), Vec::new());
        let (mut saving, mut emitted) = (None, 0);
        for (n, (piece, watermark)) in pieces.iter().enumerate() {
            run.fold(piece);
            run.watermark = *watermark;
            run.logic.begin_advance(*watermark);
            let before = run.rows.len();
            if *watermark >= run.logic.due() {
                run.advance();
            }
            if saving.is_some() && run.rows.len() > before {
                emitted += 1;
            }
            if saving.is_none() && rng.bool() {
                run.logic.begin_save(&mut run.state, true);
                saving = Some((n, run.watermark, run.rows.clone(), Vec::new()));
            }
            let Some((begun, watermark, rows, shards)) = &mut saving else {
                continue;
            };
            let write = &mut |shard, bytes| {
                shards.push((shard, bytes));
                Ok(())
            };
            let mut has_more = true;
            for _ in 0..rng.usize(0..3) {
                has_more = has_more && run.logic.save(&mut run.state, write).unwrap();
            }
            if has_more {
                continue;
            }
            let shard_numbers: std::collections::BTreeSet<_> =
                shards.iter().map(|(shard, _)| *shard).collect();
            assert_eq!(
                shard_numbers.len(),
                shards.len(),
                "seed {seed}: a shard twice"
            );
            let mut again = Run::new(logic(assign.clone()), std::mem::take(rows));
            again.logic.begin_advance(*watermark);
            for (_, bytes) in shards {
                again.logic.load(&mut again.state, bytes).unwrap();
            }
            let rows = again.finish(&pieces[*begun + 1..]);
            assert!(
                rows == expected,
                "seed {seed}: from a save at piece {begun}"
            );
            saving = None;
        }
        let rows = run.finish(&[]);
        assert!(rows == expected, "seed {seed}");
        emitted
    }

    #[test]
    fn a_save_in_pieces_writes_the_windows_that_were_open_when_it_began() {
        let mut emitted = [0; 2];
        for seed in 0..40 {
            let keys = [3, 400, 3_000][seed as usize % 3];
            let step = [2, 9][seed as usize / 3 % 2];
            let begin = [-3_000, i64::MIN, i64::MAX - 30_000][seed as usize / 6 % 3];
            let clicks: Vec<Click> = pieces(seed, begin, keys, 6_000, step).concat();
            let size = [50, 1_000, 9_000][seed as usize / 2 % 3];
            if begin == -3_000 {
                let offset = size / 3 * (seed as i64 % 2);
                let windows = TumblingWindows { size, offset };
                let expected = tumbling_oracle(windows, clicks.iter().copied());
                emitted[0] += saves_while_changing(seed, windows, &clicks, &expected);
            }
            let expected = session_oracle(size / 5, clicks.iter().copied());
            let windows = SessionWindows { gap: size / 5 };
            emitted[1] += saves_while_changing(seed, windows, &clicks, &expected);
        }
        assert!(
            emitted.iter().all(|n| *n > 20),
            "{emitted:?} emissions during a save"
        );
    }

    /// Clicks in the order of time but for some disorder, cut at random.
    fn pieces(seed: u64, begin: i64, keys: u16, many: usize, step: i64) -> Vec<Vec<Click>> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut now, mut pieces) = (begin, vec![Vec::new()]);
        for _ in 0..many {
            now = now.saturating_add(rng.i64(0..=step));
            let time = EventTime::micros(now.saturating_sub(rng.i64(0..=step * 8)));
            let click = (time, rng.u16(0..keys), ());
            pieces.last_mut().unwrap().push(click);
            if rng.usize(0..many / 8) == 0 {
                pieces.push(Vec::new());
            }
        }
        pieces
    }

    fn tumbling_oracle(windows: TumblingWindows, clicks: impl Iterator<Item = Click>) -> Vec<Out> {
        let TumblingWindows { size, offset } = windows;
        let mut windows = std::collections::BTreeMap::new();
        for (time, key, ()) in clicks {
            let start = (time.as_micros() - offset).div_euclid(size) * size + offset;
            *windows.entry((key, start)).or_insert(0) += 1;
        }
        let row = |((key, start), value)| Windowed {
            key,
            start: EventTime::micros(start),
            end: EventTime::micros(start + size),
            value,
        };
        windows.into_iter().map(row).collect()
    }

    fn session_oracle(gap: i64, clicks: impl Iterator<Item = Click>) -> Vec<Out> {
        let mut clicks: Vec<_> = clicks.map(|(time, key, ())| (key, time)).collect();
        clicks.sort();
        let near = |a: &(u16, EventTime), b: &(u16, EventTime)| {
            a.0 == b.0 && i128::from(b.1.as_micros()) - i128::from(a.1.as_micros()) < gap.into()
        };
        let row = |session: &[(u16, EventTime)]| Windowed {
            key: session[0].0,
            start: session[0].1,
            end: session[session.len() - 1].1.plus(gap),
            value: session.len() as u64,
        };
        clicks.chunk_by(near).map(row).collect()
    }

    #[test]
    fn tumbling_windows_leave_once_in_whatever_pieces() {
        for seed in 0..20 {
            let (size, keys) = (
                [50, 20_000][seed as usize % 2],
                [40, 30_000][seed as usize % 2],
            );
            let pieces = pieces(seed, -3_000, keys, 25_000, 2);
            let offset = size / 3 * (seed as i64 / 2 % 2);
            let windows = TumblingWindows { size, offset };
            let expected = tumbling_oracle(windows, pieces.iter().flatten().copied());
            let rows = in_pieces(seed, windows, &pieces);
            assert!(rows == expected, "seed {seed}");
        }
    }

    #[test]
    fn sessions_leave_once_in_whatever_pieces() {
        for seed in 0..30 {
            let keys = [1, 40, 30_000][seed as usize % 3];
            let (gap, step) = (
                [3, 20, 9_000][seed as usize % 3],
                [9, 2, 2][seed as usize % 3],
            );
            let begin = [-3_000, i64::MIN, i64::MAX - 9_000][seed as usize / 3 % 3];
            let pieces = pieces(seed, begin, keys, 15_000, step);
            let expected = session_oracle(gap, pieces.iter().flatten().copied());
            let rows = in_pieces(seed, SessionWindows { gap }, &pieces);
            assert!(rows == expected, "seed {seed}");
        }
    }

    /// Searched from end to end, this would take minutes.
    #[test]
    fn a_key_may_have_a_hundred_thousand_open_sessions() {
        let mut clicks: Vec<Click> = (0..100_000)
            .map(|n| (EventTime::micros(n * 20), 7, ()))
            .collect();
        fastrand::Rng::with_seed(1).shuffle(&mut clicks);
        let expected = session_oracle(10, clicks.iter().copied());
        let rows = in_pieces(1, SessionWindows { gap: 10 }, &[clicks]);
        assert!(rows == expected);
    }
}
