//! An operator alone, without a job around it: cut everywhere, saved and restored everywhere.
//!
//! A case is some lanes of records, drawn by proptest. In what order the lanes come together, where the
//! input is cut, and where the operator is saved and a new one restored is not part of the question, so each
//! way must give the same. There are few records, so all cuts are tried.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};

use proptest::collection::vec;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::modes::seeds;
use crate::Problem;
use crate::graph::Record;
use crate::observe::Counters;
use crate::ops::KeyedOperator;
use crate::ops::keyed::{Emit, Logic, Saves};
use crate::ops::operator::in_order::Order;
use crate::ops::operator::logic::{Counts, Own};
use crate::time::{EventTime, Lateness};

/// How many lanes there are at most, and how many records a lane has.
const LANES_MAX: usize = 3;
const RECORDS_MAX: usize = 8;
/// How many cases are tried for each of the seeds that the environment names.
const CASES: u32 = 64;
/// How many seeds are tried where the variable `STREAM_SEEDS` says nothing.
const SEEDS: u64 = 2;

/// Checks that a [`KeyedOperator`] gives the same however its input is cut: with every boundary between two
/// slices, saved and restored at every boundary, however its lanes are interleaved, with lanes that end early,
/// with records that are late and such that were overtaken.
///
/// It asks for the feature `proptest`, and draws records by a strategy of that crate. An input that shows a
/// difference is made smaller and printed as a test, to be pasted, with records as `Debug` writes them: `In` and
/// `Out` must be `Debug`, and a `String` in a record is to be completed by `.into()`. The environment variable
/// `STREAM_SEEDS=100` tries more, and `STREAM_SEED=7` only that seed.
///
/// An [`Operator`](crate::ops::Operator) has no state to save and no time, so nothing is to be tried of it alone:
/// [`check_modes`](super::check_modes) finds out whether it keeps something behind the library's back.
///
/// ```
/// use proptest::prelude::*;
/// use stream_core::prelude::*;
/// use stream_core::testing::OperatorCheck;
///
/// /// Numbers the records of each key.
/// struct Number;
///
/// impl KeyedOperator for Number {
///     type Key = u8;
///     type In = (u8, i64);
///     type State = u64;
///     type Out = ((u8, i64), u64);
///
///     fn record(&self, _: &u8, record: (u8, i64), next: &mut u64, cx: &mut Cx<Self::Out>) {
///         *next += 1;
///         cx.emit((record, *next));
///     }
/// }
///
/// let check = || OperatorCheck::new(|| Number, |record| record.0, |record| EventTime::secs(record.1));
/// check().in_order().run((0..3_u8, 0..30_i64));
/// // Without `in_order` it depends on the order in which records come. What is printed can be pasted.
/// let told = std::panic::catch_unwind(|| check().run((0..3_u8, 0..30_i64))).unwrap_err();
/// let told = told.downcast_ref::<String>().unwrap();
/// assert!(told.contains("check().example(vec![vec!["), "{told}");
/// ```
#[must_use = "a check does nothing before it is run"]
pub struct OperatorCheck<O: KeyedOperator> {
    make: Box<dyn Fn() -> O>,
    key: Box<dyn Fn(&O::In) -> O::Key>,
    at: Box<dyn Fn(&O::In) -> EventTime>,
    lateness: Lateness,
    is_in_order: bool,
    oracle: Option<Oracle<O>>,
}

type Oracle<O> = Box<
    dyn Fn(
        &BTreeMap<<O as KeyedOperator>::Key, Vec<<O as KeyedOperator>::In>>,
    ) -> Vec<<O as KeyedOperator>::Out>,
>;

impl<O: KeyedOperator> Debug for OperatorCheck<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorCheck")
            .field("lateness", &self.lateness)
            .field("is_in_order", &self.is_in_order)
            .finish_non_exhaustive()
    }
}

impl<O> OperatorCheck<O>
where
    O: KeyedOperator<In: Debug, Out: Debug>,
{
    /// A check of what `make` makes, on records that have this key and this event time.
    pub fn new(
        make: impl Fn() -> O + 'static,
        key: impl Fn(&O::In) -> O::Key + 'static,
        at: impl Fn(&O::In) -> EventTime + 'static,
    ) -> Self {
        OperatorCheck {
            make: Box::new(make),
            key: Box::new(key),
            at: Box::new(at),
            lateness: Lateness::secs(10),
            is_in_order: false,
            oracle: None,
        }
    }

    /// How late a record may be; 10 s unless told.
    pub fn lateness(mut self, lateness: Lateness) -> Self {
        self.lateness = lateness;
        self
    }

    /// Applies it behind [`in_order`](crate::graph::Keyed::in_order).
    pub fn in_order(mut self) -> Self {
        self.is_in_order = true;
        self
    }

    /// Compares with what the closure makes of the records that are on time, too: by key, in the order of event
    /// time, those of one time as `in_order` orders them.
    pub fn oracle(
        mut self,
        oracle: impl Fn(&BTreeMap<O::Key, Vec<O::In>>) -> Vec<O::Out> + 'static,
    ) -> Self {
        self.oracle = Some(Box::new(oracle));
        self
    }

    /// Runs the check with records that are drawn.
    ///
    /// # Panics
    /// When two ways give different rows, with the smallest input that shows it.
    pub fn run(self, records: impl Strategy<Value = O::In> + Clone) {
        let lanes = vec(vec(records, 0..=RECORDS_MAX), 1..=LANES_MAX);
        for seed in seeds(SEEDS) {
            let config = Config {
                cases: CASES,
                failure_persistence: None,
                ..Config::default()
            };
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&seed.to_le_bytes());
            let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
            let mut runner = TestRunner::new_with_rng(config, rng);
            let check = |lanes: Vec<_>| self.check(&lanes).map_err(TestCaseError::fail);
            match runner.run(&lanes, check) {
                Ok(()) => {}
                Err(TestError::Fail(reason, lanes)) => {
                    panic!("seed {seed}: {reason}\n{}", pasted(&lanes))
                }
                Err(TestError::Abort(reason)) => panic!("seed {seed}: no records: {reason}"),
            }
        }
    }

    /// Runs the check with these lanes.
    ///
    /// # Panics
    /// When two ways give different rows.
    pub fn example(self, lanes: Vec<Vec<O::In>>) {
        if let Err(told) = self.check(&lanes) {
            panic!("{told}");
        }
    }

    fn check(&self, lanes: &[Vec<O::In>]) -> Result<(), String> {
        let ways = ways(lanes.iter().map(Vec::len).collect());
        let first = self.rows(lanes, &ways[0])?;
        if let Some(oracle) = &self.oracle {
            let expected = sorted(oracle(&self.on_time(lanes)));
            same(["the oracle", &ways[0].told()], [&expected, &first])?;
        }
        for way in &ways[1..] {
            let rows = self.rows(lanes, way)?;
            same([&ways[0].told(), &way.told()], [&first, &rows])
                .map_err(|told| told + self.advice(way))?;
        }
        self.check_overtaken(lanes)
    }

    /// What to look at when a way gives something else than those before it. Each way with restores stands
    /// behind the same one without.
    fn advice(&self, way: &Way) -> &'static str {
        if way.restores.contains(&true) {
            "\nit keeps something that is not saved with its state: in `self`, or in a field that serde skips"
        } else if self.is_in_order {
            "\nit asks for something else than records, timers and its state: for what is in `self`, a clock, a \
             random number, the watermark"
        } else {
            "\nif the order of records and timers matters to it: `.in_order()` in this check, and in front of it \
             in pipelines"
        }
    }

    /// A lane that joins last may be overtaken. What it gives then depends on when it joins, but not on
    /// whether the operator was restored on the way.
    fn check_overtaken(&self, lanes: &[Vec<O::In>]) -> Result<(), String> {
        let lengths: Vec<_> = lanes.iter().map(Vec::len).collect();
        let records = lengths.iter().sum();
        let arrivals = Arrivals::LaneByLane.of(&lengths);
        let way = |restores| Way {
            arrivals: arrivals.clone(),
            cuts: vec![true; records],
            restores,
            joins_late: true,
            of: Arrivals::LaneByLane,
        };
        let never = way(vec![false; records]);
        let always = way(vec![true; records]);
        let rows = [self.rows(lanes, &never)?, self.rows(lanes, &always)?];
        same([&never.told(), &always.told()], [&rows[0], &rows[1]])
            .map_err(|told| told + self.advice(&always))
    }

    /// The records that are on time, by key.
    fn on_time(&self, lanes: &[Vec<O::In>]) -> BTreeMap<O::Key, Vec<O::In>> {
        let mut by_key = BTreeMap::<_, Vec<_>>::new();
        for lane in lanes {
            let mut high = EventTime::MIN;
            for record in lane {
                let time = (self.at)(record);
                if time >= self.lateness.earliest(high) {
                    let records = by_key.entry((self.key)(record)).or_default();
                    records.push((time, record.clone()));
                }
                high = high.max(time);
            }
        }
        let in_order = |mut records: Vec<(EventTime, O::In)>| {
            records.sort_by_cached_key(|(time, record)| (*time, crate::codec::encode(record).ok()));
            records.into_iter().map(|(_, record)| record).collect()
        };
        let keys = by_key.into_iter();
        keys.map(|(key, records)| (key, in_order(records)))
            .collect()
    }

    /// What the operator gives of the lanes in one way.
    fn rows(&self, lanes: &[Vec<O::In>], way: &Way) -> Result<Vec<String>, String> {
        let failed = |problem: Problem| format!("the state cannot be kept: {problem}");
        let mut driven = Driven::new(self);
        let mut next = vec![0; lanes.len()];
        let mut highs = vec![None; lanes.len()];
        let mut slice = Vec::new();
        for (place, lane) in way.arrivals.iter().enumerate() {
            let record = &lanes[*lane][next[*lane]];
            next[*lane] += 1;
            let time = (self.at)(record);
            let high = highs[*lane].get_or_insert(time);
            if time >= self.lateness.earliest(*high) {
                slice.push((time, (self.key)(record), record.clone()));
            }
            *high = time.max(*high);
            if !way.cuts[place] {
                continue;
            }
            driven.take(std::mem::take(&mut slice));
            if way.restores[place] {
                driven.restore(self).map_err(failed)?;
            }
            // A lane that has said nothing holds all others, but for one that joins late.
            let open = highs.iter().zip(&next).zip(lanes);
            let open = open.filter(|((high, next), lane)| match way.joins_late {
                true => high.is_some(),
                false => **next < lane.len(),
            });
            let promised = open.map(|((high, _), _)| {
                high.map_or(EventTime::MIN, |high| self.lateness.earliest(high))
            });
            if let Some(watermark) = promised.min() {
                driven.advance(watermark);
            }
            if way.restores[place] {
                driven.restore(self).map_err(failed)?;
            }
        }
        driven.take(slice);
        let last = highs.into_iter().flatten();
        if let Some(last) = last.map(|high| self.lateness.earliest(high)).max() {
            driven.advance(last);
        }
        driven.advance(EventTime::MAX);
        Ok(sorted(driven.rows))
    }
}

/// In which order the records of the lanes come.
#[derive(Clone, Copy)]
enum Arrivals {
    InTurns,
    LaneByLane,
    LastLaneFirst,
}

impl Arrivals {
    /// The lane of each record, in the order of arrival.
    fn of(self, lengths: &[usize]) -> Vec<usize> {
        let lanes = 0..lengths.len();
        let each = |lane| std::iter::repeat_n(lane, lengths[lane]);
        match self {
            Arrivals::LaneByLane => lanes.flat_map(each).collect(),
            Arrivals::LastLaneFirst => lanes.rev().flat_map(each).collect(),
            Arrivals::InTurns => {
                let longest = lengths.iter().copied().max().unwrap_or(0);
                let turn = |n| lanes.clone().filter(move |lane| n < lengths[*lane]);
                (0..longest).flat_map(turn).collect()
            }
        }
    }
}

/// How the records of a case come to the operator.
struct Way {
    of: Arrivals,
    arrivals: Vec<usize>,
    /// By record: whether a slice ends behind it, and whether the operator is restored there.
    cuts: Vec<bool>,
    restores: Vec<bool>,
    joins_late: bool,
}

impl Way {
    fn told(&self) -> String {
        let mut told = String::from(match self.of {
            Arrivals::InTurns => "lanes in turns",
            Arrivals::LaneByLane => "one lane after the other",
            Arrivals::LastLaneFirst => "the last lane first",
        });
        let places = |marks: &[bool]| {
            let marked = marks
                .iter()
                .enumerate()
                .filter(|(_, is_marked)| **is_marked);
            let marked: Vec<_> = marked.map(|(place, _)| (place + 1).to_string()).collect();
            match marked.len() {
                0 => "nowhere".to_owned(),
                all if all == marks.len() => "everywhere".to_owned(),
                _ => format!("behind record {}", marked.join(", ")),
            }
        };
        let (cuts, restores) = (places(&self.cuts), places(&self.restores));
        let _ = write!(told, ", cut {cuts}, restored {restores}");
        if self.joins_late {
            told += ", lanes join late";
        }
        told
    }
}

/// Cut behind each record first, the others in the same order cut at one place or nowhere, then in other orders.
fn ways(lengths: Vec<usize>) -> Vec<Way> {
    let records: usize = lengths.iter().sum();
    let mut ways = Vec::new();
    for of in [
        Arrivals::InTurns,
        Arrivals::LaneByLane,
        Arrivals::LastLaneFirst,
    ] {
        let arrivals = of.of(&lengths);
        let mut add = |cuts: Vec<bool>, restores: Vec<bool>| {
            ways.push(Way {
                of,
                arrivals: arrivals.clone(),
                cuts,
                restores,
                joins_late: false,
            });
        };
        let (all, none) = (vec![true; records], vec![false; records]);
        add(all.clone(), none.clone());
        add(all.clone(), all);
        add(none.clone(), none.clone());
        for place in 0..records {
            let only: Vec<_> = (0..records).map(|other| other == place).collect();
            add(only.clone(), none.clone());
            add(only.clone(), only);
        }
    }
    ways
}

/// An operator that is driven by hand, behind `in_order` or not.
struct Driven<O: KeyedOperator> {
    order: Option<Alone<Own<Order<O::Key, O::In>>>>,
    operator: Alone<Own<O>>,
    rows: Vec<O::Out>,
}

impl<O: KeyedOperator> Driven<O> {
    fn new(check: &OperatorCheck<O>) -> Self {
        let order = check.is_in_order;
        Driven {
            order: order.then(|| Alone::new(own(Order::new(), false))),
            operator: Alone::new(own((check.make)(), order)),
            rows: Vec::new(),
        }
    }

    fn take(&mut self, records: Vec<(EventTime, O::Key, O::In)>) {
        let records = match &mut self.order {
            Some(order) => in_parts(order.fold(records)),
            None => records,
        };
        self.emit(|operator| operator.fold(records));
    }

    fn advance(&mut self, watermark: EventTime) {
        if let Some(order) = &mut self.order {
            let records = in_parts(order.advance(watermark));
            self.emit(|operator| operator.fold(records));
        }
        self.emit(|operator| operator.advance(watermark));
    }

    fn emit(&mut self, work: impl FnOnce(&mut Alone<Own<O>>) -> Vec<(EventTime, O::Out)>) {
        let made = work(&mut self.operator);
        self.rows.extend(made.into_iter().map(|(_, row)| row));
    }

    fn restore(&mut self, check: &OperatorCheck<O>) -> Result<(), Problem> {
        if let Some(order) = &mut self.order {
            order.restore(own(Order::new(), false))?;
        }
        let new = own((check.make)(), check.is_in_order);
        self.operator.restore(new)
    }
}

fn own<O: KeyedOperator>(operator: O, is_in_order: bool) -> Own<O> {
    let counters = Counters::default();
    let counts = Counts {
        keys: counters.counter("operator", "keys"),
        overtaken: counters.counter("operator", "overtaken"),
    };
    Own::new(operator, is_in_order, counts)
}

fn in_parts<Q, T>(ordered: Vec<(EventTime, (Q, T))>) -> Vec<(EventTime, Q, T)> {
    let parts = |(time, (key, record))| (time, key, record);
    ordered.into_iter().map(parts).collect()
}

/// A logic with its state.
struct Alone<L: Logic> {
    logic: L,
    state: L::State,
    watermark: EventTime,
}

impl<L: Saves<Record: Record>> Alone<L> {
    fn new(logic: L) -> Self {
        Alone {
            state: logic.empty(),
            logic,
            watermark: EventTime::MIN,
        }
    }

    fn fold(&mut self, records: Vec<L::Record>) -> Vec<(L::Stamp, L::Out)> {
        let mut emit = nothing();
        self.logic
            .fold_all(&mut self.state, records.into_iter(), &mut emit);
        emit.records
    }

    fn advance(&mut self, watermark: EventTime) -> Vec<(L::Stamp, L::Out)> {
        self.watermark = self.watermark.max(watermark);
        self.logic.begin_advance(self.watermark);
        let mut all = Vec::new();
        loop {
            let mut emit = nothing();
            let has_more = self.logic.advance(&mut self.state, &mut emit);
            all.append(&mut emit.records);
            if !has_more {
                return all;
            }
        }
    }

    /// Saves the state, and gives it to another logic.
    fn restore(&mut self, logic: L) -> Result<(), Problem> {
        let mut shards = Vec::new();
        self.logic.begin_save(&mut self.state, true);
        let write = &mut |_, bytes| {
            shards.push(bytes);
            Ok(())
        };
        while self.logic.save(&mut self.state, write)? {}
        let watermark = self.watermark;
        *self = Alone::new(logic);
        self.watermark = watermark;
        self.logic.begin_advance(watermark);
        let mut load = |bytes: Vec<u8>| self.logic.load(&mut self.state, &bytes);
        shards.into_iter().try_for_each(&mut load)
    }
}

fn nothing<L: Logic>() -> Emit<L> {
    Emit {
        records: Vec::new(),
        overtaken: Vec::new(),
        wants_overtaken: false,
    }
}

fn sorted(rows: Vec<impl Debug>) -> Vec<String> {
    let mut rows: Vec<_> = rows.iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

fn same(names: [&str; 2], rows: [&Vec<String>; 2]) -> Result<(), String> {
    if rows[0] == rows[1] {
        return Ok(());
    }
    let mut told = String::from("the operator does not give the same in every way");
    for (name, rows) in names.iter().zip(rows) {
        let _ = write!(told, "\n  {name}:");
        for row in rows {
            let _ = write!(told, "\n    {row}");
        }
    }
    Err(told)
}

/// The lanes as a test, to be pasted.
fn pasted(lanes: &[Vec<impl Debug>]) -> String {
    let lanes: Vec<_> = lanes.iter().map(|lane| format!("vec!{lane:?}")).collect();
    format!(
        "the smallest input that shows it, as a test, where `check()` makes this check:\n\n\
         #[test]\nfn gives_the_same_in_every_way() {{\n    check().example(vec![{}]);\n}}\n",
        lanes.join(", ")
    )
}
