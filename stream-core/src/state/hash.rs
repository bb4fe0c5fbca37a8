//! The hash that decides the shard of a key. Frozen: changing it orphans every snapshot, so a
//! fixture test holds it.
//!
//! Multiply-and-fold over 64-bit words, after Wang Yi's wyhash; integers are widened. What
//! the standard library's types hand to a hasher is theirs to choose (a slice of integers is handed
//! over as it lies in memory), so the fixture has such keys, too, and holds on little-endian machines. It keeps no secret: it is
//! no defence against keys chosen to collide.

use std::hash::{Hash, Hasher};

const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
const FOLD: u64 = 0xE703_7ED1_A0B4_28DB;

/// Spreads one number over all bits of another.
#[inline]
pub(crate) const fn mix(word: u64) -> u64 {
    fold(word ^ SEED, FOLD)
}

#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let wide = (a as u128).wrapping_mul(b as u128);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// The hash of a key.
#[inline]
pub(crate) fn hash_of<K: Hash + ?Sized>(key: &K) -> u64 {
    let mut hasher = ShardHasher(SEED);
    key.hash(&mut hasher);
    hasher.finish()
}

/// The shard of a key, by bits that neither the index nor the tag of a hash table reads.
#[inline]
pub(crate) fn shard_of(hash: u64, shards: usize) -> usize {
    ((((hash >> 16) as u32 as u64) * shards as u64) >> 32) as usize
}

struct ShardHasher(u64);

impl ShardHasher {
    #[inline]
    fn word(&mut self, word: u64) {
        self.0 = fold(self.0 ^ word, FOLD);
    }
}

impl Hasher for ShardHasher {
    /// The last word was folded in already; one multiplication a number is enough to spread it.
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.word(u64::from_le_bytes(
                word.try_into().expect("a chunk of eight bytes"),
            ));
        }
        let rest = words.remainder();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
    }

    #[inline]
    fn write_u8(&mut self, n: u8) {
        self.word(u64::from(n));
    }

    #[inline]
    fn write_u16(&mut self, n: u16) {
        self.word(u64::from(n));
    }

    #[inline]
    fn write_u32(&mut self, n: u32) {
        self.word(u64::from(n));
    }

    #[inline]
    fn write_u64(&mut self, n: u64) {
        self.word(n);
    }

    #[inline]
    fn write_u128(&mut self, n: u128) {
        self.word(n as u64);
        self.word((n >> 64) as u64);
    }

    #[inline]
    fn write_usize(&mut self, n: usize) {
        self.word(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_what_it_was() {
        let text = "a key that is longer than two words of eight bytes";
        let hashes = [
            hash_of(&0_u64),
            hash_of(&7_u64),
            hash_of(&7_u8),
            hash_of(&-1_i32),
            hash_of("user_0464"),
            hash_of(&text.to_owned()),
            hash_of(&(3_u32, 'x', true)),
            hash_of(&Some([1_u16, 2])),
            hash_of(&crate::EventTime::secs(1)),
            hash_of(&()),
        ];
        let expected = [
            0x0850f9794d5108b4,
            0x5f4a65edaf4c9626,
            0x5f4a65edaf4c9626,
            0x26f3da37d4b99767,
            0x8beda0908443066c,
            0x68534b325a68499d,
            0xb88e7c96bbcdaea8,
            0xa48804b4dbef739d,
            0x7a61ad410e3430cf,
            0x9e3779b97f4a7c15,
        ];
        assert_eq!(hashes, expected);
    }

    #[test]
    fn the_spread_over_shards_is_even() {
        for stride in [1u64, 2, 256, 4096, 1 << 20] {
            let mut counts = [0u32; 256];
            (0..256_000).for_each(|n| counts[shard_of(hash_of(&(n * stride)), 256)] += 1);
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(
                *least > 800 && *most < 1200,
                "stride {stride}: {least}..{most} of 1000"
            );
        }
    }
}
