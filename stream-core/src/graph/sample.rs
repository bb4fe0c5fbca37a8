//! `sample`: a share of the keys, the same in every run.
//!
//! A key is kept when its hash lies below the fraction of all hashes. The hash is the frozen one by which
//! state is found, spread once more, so that which keys are kept says nothing about which worker owns them.

use std::hash::Hash;

use super::fuse::{Chain, Filter, Then};
use super::handles::{Kind, Stream};
use super::node::stage;
use crate::error::Problem;
use crate::state::hash::{hash_of, mix};

impl<T: 'static, K: Kind> Stream<T, K> {
    /// Keeps the records of a share of all keys: of each key all of them or none. `fraction` is that share,
    /// from 0 (no key) to 1 (every key); any other number is refused when the job starts.
    ///
    /// Which keys are kept depends on the key and the fraction alone: it is the same in every mode, every run
    /// and every job, and what a fraction keeps a greater one keeps, too. The share of the keys that are kept
    /// is near the fraction where there are many, as if each were drawn at random; the share of the records
    /// may be another, if keys have not equally many. For a share of the records let each be a key of its
    /// own, by what tells it from all others.
    ///
    /// ```
    /// # stream_core::testing::doc(|numbers| {
    /// let of_some_keys = numbers.sample(0.5, |n| n / 10);
    /// # of_some_keys }, [1, 2, 13, 14, 25, 36], [1, 2, 25]);
    /// ```
    pub fn sample<Q: Hash>(self, fraction: f64, key: impl Fn(&T) -> Q + 'static) -> Stream<T, K> {
        self.fuse(|chain| chain.sample(fraction, key))
    }
}

impl<T: 'static, K: Kind, P, O: 'static> Chain<T, K, P, O> {
    /// As [`Stream::sample`].
    pub fn sample<Q: Hash, F>(
        self,
        fraction: f64,
        key: F,
    ) -> Chain<T, K, Then<P, Filter<impl Fn(&O) -> bool + 'static>>, O>
    where
        F: Fn(&O) -> Q + 'static,
    {
        if !(0.0..=1.0).contains(&fraction) {
            self.graph().problem(
                Problem::new(format!("`sample` is given the fraction {fraction}"))
                    .detail("it is a share of the keys, from 0 (none) to 1 (all)")
                    .hint("of one key in a hundred: `.sample(0.01, |record| …)`"),
            );
        }
        let spec = stage("sample", vec![self.last()]).with("fraction", fraction);
        let bound = bound(fraction);
        let is_kept = move |record: &O| is_below(bound, &key(record));
        self.then_stage(spec, Filter(is_kept))
    }
}

/// So much of all hashes; that of 1 is above every one.
fn bound(fraction: f64) -> u128 {
    const HASHES: f64 = 18_446_744_073_709_551_616.0; // 2^64
    (fraction * HASHES) as u128
}

#[inline]
fn is_below<Q: Hash + ?Sized>(bound: u128, key: &Q) -> bool {
    u128::from(mix(hash_of(key))) < bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::hash::shard_of;

    /// Frozen, as the hash is: a sample that goes on from kept state is of the keys that it was of.
    #[test]
    fn the_keys_of_a_sample_are_what_they_were() {
        let kept = |fraction, keys| -> Vec<u64> {
            let keys = 0..keys;
            keys.filter(|key| is_below(bound(fraction), key)).collect()
        };
        assert_eq!(kept(0.1, 40), [0, 8, 33]);
        assert_eq!(kept(0.5, 12), [0, 2, 5, 8, 10]);
        let texts = ["Wien", "Graz", "Linz", "user_0464"];
        let kept = texts.map(|text| is_below(bound(0.5), text));
        assert_eq!(kept, [false, false, true, true]);
    }

    #[test]
    fn nothing_is_below_0_and_everything_below_1() {
        assert_eq!(bound(0.0), 0);
        assert_eq!(bound(1.0), u128::from(u64::MAX) + 1);
        assert_eq!(bound(0.25), 1 << 62);
    }

    #[test]
    fn a_sample_has_its_share_of_keys_of_every_shard() {
        for stride in [1_u64, 2, 256, 4_096, 1 << 20] {
            for fraction in [0.01, 0.1, 0.5] {
                let keys = (0..200_000).map(|n| n * stride);
                let kept = keys.filter(|key| is_below(bound(fraction), key));
                let mut shards = [0_u32; 4];
                kept.for_each(|key| shards[shard_of(hash_of(&key), 4)] += 1);
                let wanted = 50_000.0 * fraction;
                for count in shards {
                    let off = (f64::from(count) / wanted - 1.0).abs();
                    assert!(off < 0.15, "{fraction} of stride {stride}: {shards:?}");
                }
            }
        }
    }
}
