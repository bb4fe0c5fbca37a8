//! `approx_count_distinct`: how many different values there are, about.
//!
//! A HyperLogLog sketch of Apache DataSketches. Its registers depend on the set of values alone, in whatever order and in
//! whatever parts they came; so does the composite estimate, which is why that is told and not the finer one, which
//! depends on the order. What is put in is the library's own hash, which stays as it is.

use std::hash::Hash;
use std::marker::PhantomData;

use datasketches::hll::{HllSketch, HllType, HllUnion};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Aggregate;
use crate::graph::Class;
use crate::state::hash::hash_of;

/// There are 2 to this power registers.
const LG_REGISTERS: u8 = 12;

/// What can be told apart by its hash: all that is [`Hash`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be hashed",
    label = "`approx_count_distinct` tells values apart by their hash",
    note = "of a floating-point number take the bits: `|record| record.price.to_bits()`",
    note = "for a type of your own: `#[derive(Hash)]`"
)]
pub trait Hashed: Hash {}

#[diagnostic::do_not_recommend]
impl<V: Hash> Hashed for V {}

/// About how many different values a closure says of the records: a HyperLogLog sketch with 4,096 registers. The relative
/// standard error is 1.6 % (1.04 ÷ √4096); up to some hundred values it is mostly 0.
///
/// What is kept does not grow with the values: four bytes a value of the first 384, and 4 KiB behind that. The number is the
/// same in every mode, for it depends on the set of the values alone. The exact one is
/// [`count_distinct`](super::count_distinct()).
///
/// ```
/// use stream_core::ops::aggregate::{approx_count_distinct, count};
/// use stream_core::prelude::*;
///
/// /// How many clicks, and of about how many users: page, user.
/// #[pipeline]
/// fn visitors(clicks: Stream<(u32, u64)>) -> Table<u32, (u64, u64)> {
///     let pages = clicks.key_by(|click| click.0);
///     let visitors = pages.aggregate((count(), approx_count_distinct(|click: &(u32, u64)| click.1)));
///     visitors
/// }
///
/// let clicks: Vec<(u32, u64)> = (0..30_000).map(|n| (7, n % 10_000)).collect();
/// let rows = visitors::test().clicks(clicks).rows().visitors;
/// let (clicks, users) = rows[0].value;
/// assert_eq!(clicks, 30_000);
/// assert!((9_500..10_500).contains(&users), "{users}");
/// ```
pub fn approx_count_distinct<T, V: Hashed + 'static>(
    of: impl Fn(&T) -> V + 'static,
) -> impl Aggregate<T, Value = u64> {
    ApproxCountDistinct {
        of,
        values: PhantomData,
    }
}

struct ApproxCountDistinct<F, V> {
    of: F,
    values: PhantomData<fn() -> V>,
}

impl<T, V: Hashed + 'static, F: Fn(&T) -> V + 'static> Aggregate<T> for ApproxCountDistinct<F, V> {
    const CLASS: Class = Class::Exact;
    type State = Sketch;
    type Value = u64;

    fn start(&self, record: &T) -> Sketch {
        let mut sketch = Sketch::empty();
        self.add(&mut sketch, record);
        sketch
    }

    #[inline]
    fn add(&self, sketch: &mut Sketch, record: &T) {
        sketch.0.update(hash_of(&(self.of)(record)));
    }

    fn merge(&self, sketch: &mut Sketch, later: Sketch) {
        sketch.merge(&later);
    }

    fn finish(&self, sketch: &Sketch) -> u64 {
        sketch.estimate()
    }
}

/// Where the bytes of a sketch say in which form it is.
const MODE: usize = 7;
/// That form which has all registers,
const REGISTERS: u8 = 2;
/// which stand behind so many bytes.
const PREAMBLE: usize = 40;

/// A sketch, written as its bytes; an empty one as none.
#[derive(Clone)]
pub(super) struct Sketch(HllSketch);

impl Sketch {
    fn empty() -> Self {
        let sketch = HllSketch::new(LG_REGISTERS, HllType::Hll8);
        Sketch(sketch.expect("so many registers are allowed"))
    }

    fn merge(&mut self, other: &Sketch) {
        let mut union = HllUnion::new(LG_REGISTERS).expect("so many registers are allowed");
        union.update(&self.0);
        union.update(&other.0);
        self.0 = union.to_sketch(HllType::Hll8);
    }

    fn estimate(&self) -> u64 {
        self.0.composite_estimate().round() as u64
    }
}

impl Serialize for Sketch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = match self.0.is_empty() {
            true => Vec::new(),
            false => self.0.serialize(),
        };
        bytes.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sketch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        if bytes.is_empty() {
            return Ok(Sketch::empty());
        }
        let sketch = HllSketch::deserialize(&bytes).map_err(D::Error::custom)?;
        let is_ours = sketch.lg_config_k() == LG_REGISTERS && sketch.target_type() == HllType::Hll8;
        // The crate believes what stands in a register.
        let registers = bytes
            .get(PREAMBLE..)
            .filter(|_| bytes[MODE] & 3 == REGISTERS);
        let are_sound = registers.is_none_or(|registers| registers.iter().all(|rank| *rank < 64));
        match is_ours && are_sound {
            true => Ok(Sketch(sketch)),
            false => Err(D::Error::custom("a sketch with other registers")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    fn sketch_of(values: &[u64]) -> Sketch {
        let mut sketch = Sketch::empty();
        for value in values {
            sketch.0.update(hash_of(value));
        }
        sketch
    }

    /// Values in any order, in any parts that are merged in any order, some of which were written and read meanwhile.
    fn in_parts(rng: &mut fastrand::Rng, values: &[u64]) -> Sketch {
        let mut values = values.to_vec();
        rng.shuffle(&mut values);
        let again = rng.usize(0..=values.len());
        let twice = values[..again].to_vec();
        values.extend(twice);
        let mut parts = Vec::new();
        let mut rest = &values[..];
        while !rest.is_empty() {
            let (part, others) = rest.split_at(rng.usize(1..=rest.len()));
            parts.push(sketch_of(part));
            rest = others;
        }
        while parts.len() > 1 {
            let part = parts.swap_remove(rng.usize(0..parts.len()));
            let other = rng.usize(0..parts.len());
            parts[other].merge(&part);
            if rng.bool() {
                let bytes = codec::encode(&parts[other]).unwrap();
                parts[other] = codec::decode(&bytes).unwrap();
            }
        }
        parts.pop().unwrap_or_else(Sketch::empty)
    }

    #[test]
    fn the_number_depends_on_the_set_alone() {
        let mut rng = fastrand::Rng::with_seed(7);
        // Around 8, 24, … 384 the crate goes over to another form.
        let sizes = [
            0, 1, 7, 8, 9, 23, 24, 25, 50, 191, 192, 193, 383, 384, 385, 400, 3_000, 60_000,
        ];
        for size in sizes {
            let values: Vec<u64> = (0..size).map(|_| rng.u64(..)).collect();
            let expected = sketch_of(&values).0.composite_estimate().to_bits();
            for _ in 0..20 {
                let sketch = in_parts(&mut rng, &values);
                let estimate = sketch.0.composite_estimate().to_bits();
                assert_eq!(estimate, expected, "{size}");
            }
        }
    }

    #[test]
    fn the_number_is_near() {
        let mut errors = Vec::new();
        for seed in 0..40 {
            let mut rng = fastrand::Rng::with_seed(seed);
            for (size, most) in [(10, 0.0), (300, 0.01), (5_000, 0.08), (200_000, 0.08)] {
                let values: Vec<u64> = (0..size).map(|_| rng.u64(..)).collect();
                let error = sketch_of(&values).estimate() as f64 / size as f64 - 1.0;
                assert!(error.abs() <= most, "{size}: {error}");
                if size == 200_000 {
                    errors.push(error * error);
                }
            }
        }
        let deviation = (errors.iter().sum::<f64>() / errors.len() as f64).sqrt();
        assert!((0.008..0.025).contains(&deviation), "{deviation}");
    }

    #[test]
    fn what_is_no_sketch_is_not_read() {
        for bytes in [&b"nonsense"[..], &[1], &[255; 5_000]] {
            let text = codec::encode(&bytes.to_vec()).unwrap();
            assert!(codec::decode::<Sketch>(&text).is_err());
        }
        let many: Vec<u64> = (0..5_000).collect();
        let mut bytes = sketch_of(&many).0.serialize();
        assert_eq!(bytes.len(), PREAMBLE + (1 << LG_REGISTERS));
        bytes[PREAMBLE + 7] = 64;
        let bytes = codec::encode(&bytes).unwrap();
        assert!(codec::decode::<Sketch>(&bytes).is_err());
        let other = HllSketch::new(10, HllType::Hll8).unwrap().serialize();
        let bytes = codec::encode(&other).unwrap();
        assert!(codec::decode::<Sketch>(&bytes).is_err());
    }
}
