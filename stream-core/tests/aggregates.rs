//! Each aggregate gives the same in every mode, for a table and for both kinds of windows, and it is what
//! sorting and loops from scratch say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use stream_core::graph::{Class, Record};
use stream_core::ops::aggregate::{
    Aggregate, ExactSum, approx_count_distinct, average, collect, count, count_distinct, distinct,
    first, latest, max, max_by, min, min_by, reduce, sum, top,
};
use stream_core::prelude::*;
use stream_core::run::BatchCut;
use stream_core::testing::{Input, ModeCheck, RecoveryCheck};

/// A sale as far as the tests care: shop, second, pieces, price, article. Many are equal in part or in all.
type Sale = (u8, i64, i64, f64, String);

fn sales(seed: u64, many: usize) -> Vec<Sale> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut now = -300;
    let mut sale = |_| {
        now += rng.i64(0..3);
        let pieces = match rng.u8(0..12) {
            0 => i64::MIN,
            1 => i64::MAX,
            _ => rng.i64(-3..4),
        };
        let price = match rng.u8(0..20) {
            0 => 1e16,
            1 => -1e16,
            2 => 1.0,
            3 => 0.1 * rng.f64(),
            4 => f64::MAX,
            5 => -f64::MAX,
            6 => f64::from_bits(1),
            7 => 0.0,
            8 => -0.0,
            9 => f64::NAN,
            _ => f64::from(rng.i8(-3..4)) / 2.0,
        };
        let article = ["", "a", "b", "ab"][rng.usize(0..4)];
        (
            rng.u8(0..5),
            now - rng.i64(0..6),
            pieces,
            price,
            article.into(),
        )
    };
    (0..many).map(&mut sale).collect()
}

fn second(sale: &Sale) -> EventTime {
    EventTime::secs(sale.1)
}

const LATENESS: i64 = 10; // no sale is late

fn timed(sales: Stream<Sale>) -> Timed<Sale> {
    let (timed, late) = sales.event_time(second, Lateness::secs(LATENESS as u64));
    late.discard();
    timed
}

const SIZE: i64 = 25;
const GAP: i64 = 3;

/// The sales of each shop, and those of each shop in each window and in each session.
type Groups = BTreeMap<(u8, i64, i64), Vec<Sale>>;

fn by_window(sales: &[Sale]) -> Groups {
    let mut groups = Groups::new();
    for sale in sales {
        let start = sale.1.div_euclid(SIZE) * SIZE;
        let group = groups.entry((sale.0, start, start + SIZE)).or_default();
        group.push(sale.clone());
    }
    groups
}

fn by_session(sales: &[Sale]) -> Groups {
    let mut sales = sales.to_vec();
    sales.sort_by_key(|sale| (sale.0, sale.1));
    let mut groups = Groups::new();
    for session in sales.chunk_by(|a, b| a.0 == b.0 && b.1 - a.1 < GAP) {
        let end = session[session.len() - 1].1 + GAP;
        groups.insert((session[0].0, session[0].1, end), session.to_vec());
    }
    groups
}

fn windowed<V>(groups: Groups, value: impl Fn(&[Sale]) -> V) -> Vec<Windowed<u8, V>> {
    let row = |((key, start, end), sales): (_, Vec<Sale>)| Windowed {
        key,
        start: EventTime::secs(start),
        end: EventTime::secs(end),
        value: value(&sales),
    };
    groups.into_iter().map(row).collect()
}

/// Checks an aggregate for a table, tumbling windows and sessions, and that to merge is to add.
fn check<V, G>(
    aggregate: impl Fn() -> G + Copy + Send + Sync + 'static,
    oracle: impl Fn(&[Sale]) -> V + Copy + 'static,
) where
    V: Record + Debug + Sync,
    G: Aggregate<Sale, Value = V>,
{
    for (seed, many, seeds) in [(1, 250, 10), (2, 30, 10), (3, 1, 2)] {
        let input = sales(seed, many);
        check_merge(seed, &aggregate(), &input, &oracle);
        ModeCheck::new(input)
            .seeds(seeds)
            .oracle(move |partitions| {
                let all = partitions.concat();
                let mut shops: BTreeMap<u8, Vec<Sale>> = BTreeMap::new();
                for sale in &all {
                    shops.entry(sale.0).or_default().push(sale.clone());
                }
                let entry = |(key, sales): (u8, Vec<Sale>)| Entry {
                    key,
                    value: oracle(&sales),
                };
                (
                    shops.into_iter().map(entry).collect(),
                    windowed(by_window(&all), oracle),
                    windowed(by_session(&all), oracle),
                )
            })
            .run(move |sales: Stream<Sale>| {
                let table = sales.clone().key_by(|sale| sale.0).aggregate(aggregate());
                let shops = timed(sales).key_by(|sale| sale.0);
                let windows = shops.clone().tumbling(Size::secs(SIZE as u64));
                let sessions = shops.session(Gap::secs(GAP as u64));
                (
                    table,
                    windows.aggregate(aggregate()),
                    sessions.aggregate(aggregate()),
                )
            });
    }
}

/// Divides records at random, adds them up apart, by reference or by value, and merges.
fn check_merge<V: Record + Debug, G: Aggregate<Sale, Value = V>>(
    seed: u64,
    aggregate: &G,
    sales: &[Sale],
    oracle: &impl Fn(&[Sale]) -> V,
) {
    let mut rng = fastrand::Rng::with_seed(seed);
    for round in 0..20 {
        let many = rng.usize(0..=sales.len());
        let mut sales = sales.to_vec();
        rng.shuffle(&mut sales);
        sales.truncate(many);
        let mut states: Vec<G::State> = Vec::new();
        for sale in &sales {
            let state = rng.usize(0..5);
            match states.get_mut(state) {
                None => states.push(aggregate.start(sale)),
                Some(state) if rng.bool() => aggregate.add(state, sale),
                Some(state) => {
                    let before = state.clone();
                    let is_news = match rng.bool() {
                        true => aggregate.update(state, sale),
                        false => aggregate.update_owned(state, sale.clone()),
                    };
                    if !is_news {
                        let states = [&before, state].map(encoded);
                        assert_eq!(states[0], states[1], "seed {seed}, round {round}");
                    }
                }
            }
        }
        rng.shuffle(&mut states);
        let merged = states.into_iter().reduce(|mut state, later| {
            aggregate.merge(&mut state, later);
            state
        });
        if let Some(merged) = merged {
            let [told, expected] = [aggregate.finish(&merged), oracle(&sales)];
            let [told, expected] = [told, expected].map(|value| format!("{value:?}"));
            assert_eq!(told, expected, "seed {seed}, round {round}");
        }
    }
}

/// A number as a sign and a whole number of 2⁻¹⁰⁷⁴, in digits to the base 10⁹, the lowest first.
#[derive(Clone)]
struct Whole {
    is_negative: bool,
    digits: Vec<u64>,
}

const BASE: u64 = 1_000_000_000;

fn trim(mut digits: Vec<u64>) -> Vec<u64> {
    while digits.last() == Some(&0) {
        digits.pop();
    }
    digits
}

fn carried(digits: Vec<u64>) -> Vec<u64> {
    let mut carry = 0;
    let mut carried = Vec::new();
    for digit in digits {
        carried.push((digit + carry) % BASE);
        carry = (digit + carry) / BASE;
    }
    while carry > 0 {
        carried.push(carry % BASE);
        carry /= BASE;
    }
    trim(carried)
}

fn less(a: &[u64], b: &[u64]) -> bool {
    a.len()
        .cmp(&b.len())
        .then_with(|| a.iter().rev().cmp(b.iter().rev()))
        .is_lt()
}

fn minus(a: &[u64], b: &[u64]) -> Vec<u64> {
    let mut borrow = 0;
    let mut left = Vec::new();
    for (place, digit) in a.iter().enumerate() {
        let taken = b.get(place).copied().unwrap_or(0) + borrow;
        borrow = u64::from(*digit < taken);
        left.push(digit + borrow * BASE - taken);
    }
    trim(left)
}

fn plus(a: &[u64], b: &[u64]) -> Vec<u64> {
    let digit = |digits: &[u64], place| digits.get(place).copied().unwrap_or(0);
    carried(
        (0..a.len().max(b.len()))
            .map(|place| digit(a, place) + digit(b, place))
            .collect(),
    )
}

fn times(digits: &[u64], factor: u64) -> Vec<u64> {
    let (mut carry, mut product) = (0, Vec::new());
    for digit in digits.iter().chain(&[0; 4]) {
        let sum = u128::from(*digit) * u128::from(factor) + carry;
        product.push((sum % u128::from(BASE)) as u64);
        carry = sum / u128::from(BASE);
    }
    trim(product)
}

impl Whole {
    /// A finite number, from its bits.
    fn of(number: f64) -> Self {
        let bits = number.to_bits();
        let (field, fraction) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
        let (mut units, mut doublings) = (fraction, 0);
        if field > 0 {
            (units, doublings) = (fraction + (1 << 52), field - 1);
        }
        let mut digits = trim(vec![units % BASE, units / BASE]);
        digits = carried(digits);
        while doublings > 0 {
            let step = doublings.min(20);
            digits = times(&digits, 1 << step);
            doublings -= step;
        }
        Whole {
            is_negative: number < 0.0,
            digits,
        }
    }

    fn add(&self, other: &Whole) -> Whole {
        if self.is_negative == other.is_negative {
            let digits = plus(&self.digits, &other.digits);
            return Whole {
                digits,
                ..self.clone()
            };
        }
        match less(&self.digits, &other.digits) {
            true => Whole {
                digits: minus(&other.digits, &self.digits),
                ..other.clone()
            },
            false => Whole {
                digits: minus(&self.digits, &other.digits),
                ..self.clone()
            },
        }
    }
}

fn exact(numbers: &[f64]) -> Whole {
    let zero = Whole::of(0.0);
    numbers.iter().fold(zero, |sum, number| {
        let number = Whole::of(*number);
        match (sum.digits.is_empty(), number.digits.is_empty()) {
            (true, _) => number,
            (_, true) => sum,
            _ => sum.add(&number),
        }
    })
}

/// The nearest by bisection of all floats, which are in the order of their bits.
fn nearest(numbers: &[f64], count: u64) -> f64 {
    let infinite: BTreeSet<i8> = numbers
        .iter()
        .filter(|number| number.is_infinite())
        .map(|number| number.signum() as i8)
        .collect();
    if numbers.iter().any(|number| number.is_nan()) || infinite.len() == 2 {
        return f64::NAN;
    }
    if let Some(sign) = infinite.first() {
        return f64::INFINITY * f64::from(*sign);
    }
    let sum = exact(numbers);
    let two_sums = times(&sum.digits, 2);
    // The first float so that the middle between it and the next one is not below.
    let is_low = |bits: u64| {
        let number = f64::from_bits(bits);
        let middle = match number == f64::MAX {
            true => plus(
                &times(&Whole::of(f64::MAX).digits, 2),
                &Whole::of(2_f64.powi(970)).digits,
            ),
            false => plus(
                &Whole::of(number).digits,
                &Whole::of(number.next_up()).digits,
            ),
        };
        let middle = times(&middle, count);
        less(&middle, &two_sums) || (middle == two_sums && bits % 2 == 1)
    };
    let (mut low, mut high) = (0, f64::INFINITY.to_bits());
    while low < high {
        let middle = low + (high - low) / 2;
        match is_low(middle) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    match sum.is_negative {
        true => -f64::from_bits(low),
        false => f64::from_bits(low),
    }
}

const UNITS: f64 = (1_u64 << 40) as f64;

/// A price that is a whole number of 2⁻⁴⁰, so that an `i128` holds the sum of any such.
fn coarse(sale: &Sale) -> f64 {
    match sale.3.is_finite() && sale.3.abs() < 1e17 {
        true => (sale.3 * UNITS).round() / UNITS,
        false => 0.5,
    }
}

fn units(sales: &[Sale]) -> i128 {
    let units = |sale: &Sale| (coarse(sale) * UNITS) as i128;
    sales.iter().map(units).sum()
}

/// The nearest float to a quotient. The compiler rounds well, and whether something is left over is told by a
/// last bit that no rounding keeps.
fn divided(sum: i128, count: usize) -> f64 {
    let shift = sum
        .unsigned_abs()
        .leading_zeros()
        .saturating_sub(2)
        .min(120);
    let dividend = sum.unsigned_abs() << shift;
    let is_more = !dividend.is_multiple_of(count as u128);
    let quotient = (dividend / count as u128) | u128::from(is_more);
    let quotient = quotient as f64 / 2_f64.powi(shift as i32);
    if sum < 0 { -quotient } else { quotient }
}

fn encoded<T: serde::Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard()).expect("plain data")
}

/// Sorts by the definition: what is not equal to itself comes last, the rest by key, then by encoding.
fn sorted<K: PartialOrd>(sales: &[Sale], key: impl Fn(&Sale) -> K, greatest: bool) -> Vec<Sale> {
    let mut sales = sales.to_vec();
    sales.sort_by_key(encoded);
    if greatest {
        sales.reverse();
    }
    let (mut sales, rest): (Vec<_>, Vec<_>) =
        sales.into_iter().partition(|sale| key(sale) == key(sale));
    sales.sort_by(|a, b| match greatest {
        false => key(a).partial_cmp(&key(b)).expect("they are defined"),
        true => key(b).partial_cmp(&key(a)).expect("they are defined"),
    });
    sales.extend(rest);
    sales
}

fn least_price(sales: &[Sale], greatest: bool) -> f64 {
    let is_first = |a: f64, b: f64| match (a == b, greatest) {
        (true, false) => a.to_le_bytes() < b.to_le_bytes(),
        (true, true) => a.to_le_bytes() > b.to_le_bytes(),
        (false, false) => a < b,
        (false, true) => a > b,
    };
    let prices = sales.iter().map(|sale| sale.3);
    let mut prices = prices.filter(|price| !price.is_nan());
    let Some(mut first) = prices.next() else {
        return f64::NAN;
    };
    for price in prices {
        if is_first(price, first) {
            first = price;
        }
    }
    first
}

fn whole(sales: &[Sale]) -> i128 {
    sales.iter().map(|sale| i128::from(sale.2)).sum()
}

#[test]
fn counts_and_sums_and_averages() {
    check(
        || {
            (
                count(),
                sum(|sale: &Sale| sale.2),
                sum(|sale: &Sale| sale.0),
                average(|sale: &Sale| sale.2),
                sum(coarse),
                average(coarse),
                sum(|sale: &Sale| sale.4.len() as f32 / 2.0),
                average(|sale: &Sale| sale.2 as u64 | 1 << 63),
            )
        },
        |sales| {
            let letters: usize = sales.iter().map(|sale| sale.4.len()).sum();
            let large = sales.iter().map(|sale| i128::from(sale.2 as u64 | 1 << 63));
            (
                sales.len() as u64,
                whole(sales),
                sales.iter().map(|sale| i128::from(sale.0)).sum::<i128>(),
                divided(whole(sales), sales.len()),
                units(sales) as f64 / UNITS,
                divided(units(sales), sales.len()) / UNITS,
                letters as f64 / 2.0,
                divided(large.sum(), sales.len()),
            )
        },
    );
}

#[test]
fn least_and_greatest_values() {
    check(
        || {
            (
                min(|sale: &Sale| sale.2),
                max(|sale: &Sale| sale.2),
                min(|sale: &Sale| sale.3),
                max(|sale: &Sale| sale.3),
                min(|sale: &Sale| sale.4.clone()),
                max(|sale: &Sale| (sale.4.clone(), sale.1)),
            )
        },
        |sales| {
            (
                sales.iter().map(|sale| sale.2).min().unwrap(),
                sales.iter().map(|sale| sale.2).max().unwrap(),
                least_price(sales, false),
                least_price(sales, true),
                sales.iter().map(|sale| sale.4.clone()).min().unwrap(),
                sales
                    .iter()
                    .map(|sale| (sale.4.clone(), sale.1))
                    .max()
                    .unwrap(),
            )
        },
    );
}

#[test]
fn records_that_come_first_in_an_order() {
    check(
        || {
            (
                min_by(|sale: &Sale| sale.2),
                max_by(|sale: &Sale| sale.2),
                min_by(|sale: &Sale| sale.3),
                max_by(|sale: &Sale| sale.3),
                first(second),
                latest(second),
            )
        },
        |sales| {
            (
                sorted(sales, |sale| sale.2, false)[0].clone(),
                sorted(sales, |sale| sale.2, true)[0].clone(),
                sorted(sales, |sale| sale.3, false)[0].clone(),
                sorted(sales, |sale| sale.3, true)[0].clone(),
                sorted(sales, |sale| sale.1, false)[0].clone(),
                sorted(sales, |sale| sale.1, true)[0].clone(),
            )
        },
    );
}

#[test]
fn one_aggregate_alone_takes_records_by_value() {
    check(
        || latest(second),
        |sales| sorted(sales, |sale| sale.1, true)[0].clone(),
    );
    check(
        || top(2, second),
        |sales| sorted(sales, |sale| sale.1, true)[..sales.len().min(2)].to_vec(),
    );
}

#[test]
fn the_first_of_all() {
    let oracle = |sales: &[Sale], n: usize| {
        let mut sales = sorted(sales, |sale| sale.3, true);
        sales.truncate(n);
        sales
    };
    check(
        || {
            (
                top(0, |sale: &Sale| sale.3),
                top(1, |sale: &Sale| sale.3),
                top(4, |sale: &Sale| sale.3),
                top(1_000, |sale: &Sale| sale.3),
            )
        },
        move |sales| {
            (
                oracle(sales, 0),
                oracle(sales, 1),
                oracle(sales, 4),
                oracle(sales, 1_000),
            )
        },
    );
}

#[test]
fn sets() {
    let values = |sales: &[Sale]| {
        let mut values: Vec<_> = sales.iter().map(|sale| (sale.4.clone(), sale.2)).collect();
        values.sort();
        values
    };
    check(
        || {
            (
                distinct(|sale: &Sale| (sale.4.clone(), sale.2)),
                count_distinct(|sale: &Sale| (sale.4.clone(), sale.2)),
                // Of so few it is exact.
                approx_count_distinct(|sale: &Sale| (sale.4.clone(), sale.2)),
                collect(|sale: &Sale| (sale.4.clone(), sale.2)),
            )
        },
        move |sales| {
            let all = values(sales);
            let mut once = all.clone();
            once.dedup();
            let set: BTreeSet<_> = once.iter().cloned().collect();
            (set, once.len() as u64, once.len() as u64, all)
        },
    );
}

#[test]
fn what_two_records_become() {
    let join = |a: Sale, b: Sale| {
        let article = a.4.max(b.4);
        (a.0.min(b.0), a.1.max(b.1), a.2 ^ b.2, 0.5, article)
    };
    check(
        move || (reduce(join), count()),
        move |sales| {
            let mut joined = sales[0].clone();
            for sale in &sales[1..] {
                joined = join(joined, sale.clone());
            }
            (joined, sales.len() as u64)
        },
    );
}

/// The short forms are the aggregates.
#[test]
fn methods_of_keyed_streams() {
    type Shops<V> = Vec<Entry<u8, V>>;
    fn shops<V>(partitions: &[Vec<Sale>], value: impl Fn(&[Sale]) -> V) -> Shops<V> {
        let mut shops: BTreeMap<u8, Vec<Sale>> = BTreeMap::new();
        for sale in partitions.concat() {
            shops.entry(sale.0).or_default().push(sale);
        }
        let entry = |(key, sales): (u8, Vec<Sale>)| Entry {
            key,
            value: value(&sales),
        };
        shops.into_iter().map(entry).collect()
    }
    let by_shop = |sales: &Stream<Sale>| sales.clone().key_by(|sale| sale.0);
    ModeCheck::new(sales(21, 200))
        .oracle(|partitions| {
            (
                shops(partitions, whole),
                shops(partitions, |sales| {
                    divided(units(sales), sales.len()) / UNITS
                }),
                shops(partitions, |sales| least_price(sales, false)),
                shops(partitions, |sales| least_price(sales, true)),
            )
        })
        .run(move |sales: Stream<Sale>| {
            (
                by_shop(&sales).sum(|sale| sale.2),
                by_shop(&sales).average(coarse),
                by_shop(&sales).min(|sale| sale.3),
                by_shop(&sales).max(|sale| sale.3),
            )
        });
    ModeCheck::new(sales(22, 200))
        .oracle(|partitions| {
            let order = |greatest| move |sales: &[Sale]| sorted(sales, |sale| sale.2, greatest);
            let time = |greatest| move |sales: &[Sale]| sorted(sales, |sale| sale.1, greatest);
            (
                shops(partitions, |sales| order(false)(sales)[0].clone()),
                shops(partitions, |sales| order(true)(sales)[0].clone()),
                shops(partitions, |sales| time(false)(sales)[0].clone()),
                shops(partitions, |sales| time(true)(sales)[0].clone()),
            )
        })
        .run(move |sales: Stream<Sale>| {
            (
                by_shop(&sales).min_by(|sale| sale.2),
                by_shop(&sales).max_by(|sale| sale.2),
                by_shop(&sales).first(second),
                by_shop(&sales).latest(second),
            )
        });
    ModeCheck::new(sales(23, 200))
        .oracle(|partitions| {
            let articles = |sales: &[Sale]| -> BTreeSet<String> {
                sales.iter().map(|sale| sale.4.clone()).collect()
            };
            (
                shops(partitions, |sales| {
                    sorted(sales, |sale| sale.2, true)[..3].to_vec()
                }),
                shops(partitions, articles),
                shops(partitions, |sales| articles(sales).len() as u64),
                shops(partitions, |sales| {
                    let (mut shop, mut last) = (0, i64::MIN);
                    for sale in sales {
                        (shop, last) = (sale.0, last.max(sale.1));
                    }
                    (shop, last, 0, 0.0, String::new())
                }),
            )
        })
        .run(move |sales: Stream<Sale>| {
            (
                by_shop(&sales).top(3, |sale| sale.2),
                by_shop(&sales).distinct(|sale| sale.4.clone()),
                by_shop(&sales).count_distinct(|sale| sale.4.clone()),
                by_shop(&sales).reduce(|a, b| (a.0, a.1.max(b.1), 0, 0.0, String::new())),
            )
        });
}

/// Infinities, NaN, numbers of all sizes: the sum in every mode is that of the definition.
#[test]
fn sums_of_any_numbers_in_every_mode() {
    let mut rng = fastrand::Rng::with_seed(31);
    let records: Vec<(u8, f64)> = (0..60)
        .map(|n| match n % 12 {
            0 => (0, f64::NAN),
            1 => (1, f64::INFINITY),
            2 => (2, f64::NEG_INFINITY),
            3 => (3, [f64::INFINITY, f64::NEG_INFINITY][rng.usize(0..2)]),
            4 => (4, [f64::MAX, -f64::MAX][rng.usize(0..2)]),
            5 => (5, [f64::MAX, f64::MAX][rng.usize(0..2)]),
            n => (n % 7, any_finite(&mut rng)),
        })
        .collect();
    ModeCheck::new(records)
        .oracle(|partitions| {
            let mut keys: BTreeMap<u8, Vec<f64>> = BTreeMap::new();
            for (key, number) in partitions.concat() {
                keys.entry(key).or_default().push(number);
            }
            let row = |(key, numbers): (u8, Vec<f64>)| Entry {
                key,
                value: (
                    nearest(&numbers, 1),
                    nearest(&numbers, numbers.len() as u64),
                ),
            };
            keys.into_iter().map(row).collect()
        })
        .run(|records: Stream<(u8, f64)>| {
            let of = |record: &(u8, f64)| record.1;
            records
                .key_by(|record| record.0)
                .aggregate((sum(of), average(of)))
        });
}

fn any_finite(rng: &mut fastrand::Rng) -> f64 {
    let number = f64::from_bits(rng.u64(..));
    if number.is_finite() { number } else { 1.5 }
}

fn summed(numbers: &[f64]) -> ExactSum {
    let mut sum = ExactSum::default();
    numbers.iter().for_each(|number| sum.add(*number));
    sum
}

#[test]
fn sums_are_exact() {
    let cases: [(&[f64], f64); 12] = [
        (&[1e16, 1.0, -1e16], 1.0),
        (&[0.1; 10], 1.0),
        (&[f64::MAX, f64::MAX, -f64::MAX], f64::MAX),
        (&[f64::MAX, f64::MAX], f64::INFINITY),
        (&[-f64::MAX, -f64::MAX], f64::NEG_INFINITY),
        (&[f64::from_bits(1), f64::from_bits(1)], f64::from_bits(2)),
        (&[f64::MAX, f64::from_bits(1), -f64::MAX], f64::from_bits(1)),
        (&[f64::INFINITY, 1.0, f64::MAX], f64::INFINITY),
        (&[f64::NEG_INFINITY, f64::MAX], f64::NEG_INFINITY),
        (&[9_007_199_254_740_992.0, 1.0], 9_007_199_254_740_992.0),
        (
            &[9_007_199_254_740_992.0, 1.0, f64::from_bits(1)],
            9_007_199_254_740_994.0,
        ),
        (&[9_007_199_254_740_994.0, 1.0], 9_007_199_254_740_996.0),
    ];
    for (numbers, expected) in cases {
        assert_eq!(summed(numbers).total(), expected, "{numbers:?}");
    }
    for numbers in [&[f64::NAN, 1.0][..], &[f64::INFINITY, f64::NEG_INFINITY]] {
        assert!(summed(numbers).total().is_nan());
        assert!(summed(numbers).mean(2).is_nan());
    }
    assert_eq!(summed(&[]).total().to_bits(), 0);
    assert_eq!(summed(&[-0.0, -1.0, 1.0]).total().to_bits(), 0);
    assert!(ExactSum::default().mean(0).is_nan());
    assert_eq!(summed(&[f64::from_bits(3)]).mean(2), f64::from_bits(2));
    assert_eq!(summed(&[f64::from_bits(5)]).mean(2), f64::from_bits(2));
    assert_eq!(summed(&[f64::MAX, f64::MAX]).mean(2), f64::MAX);
}

/// Numbers of all bits, of like sizes, and that cancel each other but for little, in two orders, at once and
/// in parts, against whole numbers in another base.
#[test]
fn sums_are_the_nearest_to_exact_ones_in_any_order() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut numbers: Vec<f64> = (0..rng.usize(1..12))
            .map(|_| match seed % 4 {
                0 => any_finite(&mut rng),
                1 => f64::from_bits(rng.u64(..1 << 54)) * [1.0, -1.0][rng.usize(0..2)],
                2 => (rng.f64() - 0.5) * 2_f64.powi(rng.i32(-60..60)),
                _ => f64::from(rng.i32(..)) * [1e300, 1e-300, 1.0][rng.usize(0..3)],
            })
            .collect();
        if rng.bool() {
            let opposite: Vec<_> = numbers.iter().skip(1).map(|number| -number).collect();
            numbers.extend(opposite);
        }
        let expected = nearest(&numbers, 1);
        let size = rng.u32(2..64);
        let count = rng.u64(1..1 << size);
        let mean = nearest(&numbers, count);
        for _ in 0..5 {
            rng.shuffle(&mut numbers);
            let at_once = summed(&numbers);
            let (left, right) = numbers.split_at(rng.usize(0..=numbers.len()));
            let mut in_parts = summed(left);
            in_parts.merge(&summed(right));
            for sum in [at_once, in_parts] {
                assert_eq!(
                    sum.total().to_bits(),
                    expected.to_bits(),
                    "seed {seed}: {numbers:?}"
                );
                assert_eq!(
                    sum.mean(count).to_bits(),
                    mean.to_bits(),
                    "seed {seed}: {count}"
                );
            }
        }
    }
}

#[test]
fn many_keys_and_numbers_are_summed_as_whole_numbers() {
    let mut rng = fastrand::Rng::with_seed(5);
    let cents: Vec<i64> = (0..200_000).map(|_| rng.i64(-1 << 50..1 << 50)).collect();
    let sum = summed(
        &cents
            .iter()
            .map(|cent| *cent as f64 / 64.0)
            .collect::<Vec<_>>(),
    );
    let expected: i128 = cents.iter().map(|cent| i128::from(*cent)).sum();
    assert_eq!(sum.total(), expected as f64 / 64.0);
    assert_eq!(sum.mean(200_000), divided(expected, 200_000) / 64.0);
}

#[test]
fn five_aggregates_through_crashes() {
    let sales = sales(41, 90);
    let steps = RecoveryCheck::new(Input::new(sales))
        .seeds(60)
        .run(|sales: Stream<Sale>| {
            let all = || {
                (
                    sum(|sale: &Sale| sale.3),
                    average(|sale: &Sale| sale.2),
                    latest(second),
                    top(3, |sale: &Sale| sale.3),
                    distinct(|sale: &Sale| sale.4.clone()),
                )
            };
            let by_shop = sales.clone().key_by(|sale| sale.0);
            let table = by_shop.clone().aggregate(all());
            // What says nothing of most records.
            let seldom = by_shop
                .clone()
                .max(|sale| sale.2)
                .join(by_shop.top(2, |sale| sale.2));
            let shops = timed(sales).key_by(|sale| sale.0);
            let windows = shops.clone().tumbling(Size::secs(10)).aggregate(all());
            let sessions = shops.session(Gap::secs(3)).aggregate(all());
            (table.changes(), seldom.changes(), windows, sessions)
        });
    assert!(steps.contains_key("went back"), "{steps:?}");
}

fn classes(
    build: impl Fn(Keyed<u8, u64>) -> Table<u8, u64> + Send + Sync + 'static,
) -> Vec<(String, Class)> {
    let job = Job::new("job", move |graph| {
        let numbers = graph.input::<u64>("numbers").key_by(|_| 0);
        graph.output("out", build(numbers).changes());
    });
    let graph = job
        .source("numbers", io::vec(vec![1_u64]))
        .sink::<Change<u8, u64>>("out", io::discard())
        .explain()
        .expect("it is a job");
    let stages = graph
        .nodes
        .iter()
        .filter(|node| node.fingerprint().is_some());
    stages.map(|node| (node.id.clone(), node.class)).collect()
}

#[test]
fn stages_are_called_as_their_methods_and_have_the_weakest_class() {
    let class = |name: &str, class| vec![(format!("job/{name}"), class)];
    assert_eq!(
        classes(|numbers| numbers.max(|n| *n)),
        class("max", Class::Exact)
    );
    assert_eq!(
        classes(|numbers| numbers.count_distinct(|n| *n)),
        class("count_distinct", Class::Exact)
    );
    assert_eq!(
        classes(|numbers| numbers.approx_count_distinct(|n| *n)),
        class("approx_count_distinct", Class::Exact)
    );
    assert_eq!(
        classes(|numbers| numbers.reduce(|a, b| a + b)),
        class("reduce", Class::ExactIfOrderFree)
    );
    let both = |numbers: Keyed<u8, u64>| {
        let both = numbers.aggregate((reduce(|a, b| a + b), count()));
        both.map_values(|both| both.0)
    };
    assert_eq!(classes(both), class("aggregate", Class::ExactIfOrderFree));
    let both = |numbers: Keyed<u8, u64>| {
        let both = numbers.aggregate((max(|n: &u64| *n), count()));
        both.map_values(|both| both.0)
    };
    assert_eq!(classes(both), class("aggregate", Class::Exact));
}

/// What a table of these numbers, all of one key, says in batches of so many.
fn said<G: Aggregate<i64>>(
    aggregate: impl Fn() -> G + Send + Sync + 'static,
    batch: u64,
    ttl: bool,
) -> Vec<G::Value>
where
    G::Value: Send,
{
    let (sink, changes) = io::collect::<Change<(), G::Value>>();
    let job = Job::new("job", move |graph: &Graph| {
        let numbers = graph.input::<i64>("numbers");
        let table = match ttl {
            false => numbers.key_by(|_| ()).aggregate(aggregate()),
            true => {
                let (timed, late) = numbers.event_time(|_| EventTime::secs(0), Lateness::secs(0));
                late.discard();
                timed
                    .key_by(|_| ())
                    .ttl(Gap::secs(1))
                    .aggregate(aggregate())
            }
        };
        graph.output("out", table.changes());
    });
    job.max_leap(Leap::ANY)
        .source("numbers", io::vec(vec![3_i64, 1, 3, 5, 5, 4]))
        .sink("out", sink)
        .run(batches(batch))
        .expect("nothing is wrong with the numbers");
    let changes = changes.take().into_iter();
    changes.filter_map(|change| change.value).collect()
}

fn batches(records: u64) -> Mode {
    Mode::MicroBatch(BatchCut {
        records: Some(records),
        ..BatchCut::default()
    })
}

#[test]
fn a_table_says_nothing_of_a_key_that_is_as_it_was() {
    for ttl in [false, true] {
        assert_eq!(said(count, 1, ttl), [1, 2, 3, 4, 5, 6]);
        let zero = || sum(|n: &i64| n - n);
        assert_eq!(said(zero, 1, ttl), [0; 6], "each record is a change");
        let greatest = || max(|n: &i64| *n);
        assert_eq!(said(greatest, 1, ttl), [3, 5]);
        assert_eq!(said(greatest, 2, ttl), [3, 5]);
        assert_eq!(said(|| min(|n: &i64| *n), 1, ttl), [3, 1]);
        let both = || (min(|n: &i64| *n), max(|n: &i64| *n));
        assert_eq!(said(both, 1, ttl), [(3, 3), (1, 3), (1, 5)]);
        assert_eq!(said(both, 2, ttl), [(1, 3), (1, 5)]);
        let counted = || (max(|n: &i64| *n), count());
        assert_eq!(said(counted, 1, ttl).len(), 6);
        assert_eq!(said(|| max_by(|n: &i64| n % 3), 1, ttl), [3, 1, 5]);
        assert_eq!(said(|| min_by(|n: &i64| n % 3), 1, ttl), [3]);
        let two = [vec![3], vec![3, 1], vec![3, 3], vec![5, 3], vec![5, 5]];
        assert_eq!(said(|| top(2, |n: &i64| *n), 1, ttl), two);
        assert_eq!(said(|| count_distinct(|n: &i64| *n), 1, ttl), [1, 2, 3, 4]);
        let sets = [vec![3], vec![1, 3], vec![1, 3, 5], vec![1, 3, 4, 5]];
        let sets = sets.map(BTreeSet::from_iter);
        assert_eq!(said(|| distinct(|n: &i64| *n), 1, ttl), sets);
    }
}

/// So many keys that their rows are divided, and asked for ahead.
#[test]
fn a_large_table_says_what_has_changed_and_nothing_else() {
    const KEYS: u64 = 100_000;
    const BATCH: usize = 50_000;
    let mut rng = fastrand::Rng::with_seed(9);
    let numbers: Vec<(u64, u8)> = (0..300_000)
        .map(|_| (rng.u64(0..KEYS), rng.u8(..)))
        .collect();
    for (mode, batch) in [(Mode::PerRecord, 1), (batches(BATCH as u64), BATCH)] {
        let (mut greatest, mut expected) = (BTreeMap::new(), Vec::new());
        for batch in numbers.chunks(batch) {
            let before: BTreeMap<_, _> = batch
                .iter()
                .map(|(key, _)| (*key, greatest.get(key).copied()))
                .collect();
            for (key, number) in batch {
                let greatest = greatest.entry(*key).or_insert(*number);
                *greatest = (*greatest).max(*number);
            }
            let changed = before
                .into_iter()
                .map(|(key, before)| (key, before, greatest[&key]))
                .filter(|(_, before, now)| *before != Some(*now));
            expected.extend(changed.map(|(key, _, now)| (key, Some(now))));
        }
        let (sink, changes) = io::collect::<Change<u64, u8>>();
        let job = Job::new("job", |graph: &Graph| {
            let numbers = graph.input::<(u64, u8)>("numbers").key_by(|n| n.0);
            graph.output("out", numbers.max(|n| n.1).changes());
        });
        job.source("numbers", io::vec(numbers.clone()))
            .sink("out", sink)
            .run(mode)
            .unwrap();
        let changes = changes.take().into_iter();
        let mut changes: Vec<_> = changes.map(|change| (change.key, change.value)).collect();
        changes.sort_unstable();
        expected.sort_unstable();
        assert!(
            changes == expected,
            "{} of {}",
            changes.len(),
            expected.len()
        );
    }
}
