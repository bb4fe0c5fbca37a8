//! The eight stateless stages, which both sides call: five maps and three filters on `u64`.

#[inline]
pub(crate) fn scale(n: u64) -> u64 {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[inline]
pub(crate) fn most(n: &u64) -> bool {
    !n.is_multiple_of(16)
}

#[inline]
pub(crate) fn shift(n: u64) -> u64 {
    n ^ (n >> 29)
}

#[inline]
pub(crate) fn many(n: &u64) -> bool {
    n % 8 != 1
}

#[inline]
pub(crate) fn fold(n: u64) -> u64 {
    n.wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

#[inline]
pub(crate) fn some(n: &u64) -> bool {
    n % 4 != 2
}

#[inline]
pub(crate) fn spread(n: u64) -> u64 {
    n ^ (n >> 32)
}

#[inline]
pub(crate) fn turn(n: u64) -> u64 {
    n.rotate_left(7)
}
