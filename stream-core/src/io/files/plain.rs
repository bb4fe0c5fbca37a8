//! Rows of CSV without quotes: their fields are parts of the piece, found in one pass.
//!
//! A delimiter, a line end and a quote are looked for together, in blocks of bytes at a time: what
//! a compiler turns into a few instructions for a whole block needs no instruction set by name. A
//! quote ends the pass: such a row is for a parser, which knows what quotes mean.

/// How many bytes are looked at together.
const BLOCK: usize = 32;

/// Splits the row at the head of these bytes, and appends where each of its fields ends. Gives the
/// row's length with its line end, or `None` if the row has quotes.
///
/// A row ends with `\n`, `\r` or the bytes; the `\n` of a `\r\n` is part of its row.
#[inline]
pub(super) fn split(bytes: &[u8], delimiter: u8, ends: &mut Vec<usize>) -> Option<usize> {
    let mut start = 0;
    while start < bytes.len() {
        let mut marks = marks_at(bytes, start, delimiter);
        while marks != 0 {
            let place = start + marks.trailing_zeros() as usize;
            marks &= marks - 1;
            match bytes.get(place) {
                Some(b'"') => return None,
                Some(b'\n') => {
                    ends.push(place);
                    return Some(place + 1);
                }
                Some(b'\r') => {
                    ends.push(place);
                    let is_pair = bytes.get(place + 1) == Some(&b'\n');
                    return Some(place + 1 + usize::from(is_pair));
                }
                Some(_) => ends.push(place),
                None => break, // behind the last byte, where a delimiter may be of zeros
            }
        }
        start += BLOCK;
    }
    ends.push(bytes.len());
    Some(bytes.len())
}

/// Finds what may end a field in the block that starts here: bit `n` stands for its byte `n`.
#[inline]
fn marks_at(bytes: &[u8], start: usize, delimiter: u8) -> u32 {
    let rest = &bytes[start..];
    match rest.first_chunk() {
        Some(block) => marks(block, delimiter),
        None => {
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            marks(&block, delimiter)
        }
    }
}

#[inline]
fn marks(block: &[u8; BLOCK], delimiter: u8) -> u32 {
    let mut is_mark = [0; BLOCK];
    for (mark, byte) in is_mark.iter_mut().zip(block) {
        *mark = u8::from(*byte == delimiter)
            | u8::from(*byte == b'\n')
            | u8::from(*byte == b'\r')
            | u8::from(*byte == b'"');
    }
    let (words, _) = is_mark.as_chunks::<8>();
    let bits = words.iter().rev().map(|word| gather(*word));
    bits.fold(0, |marks, bits| marks << 8 | u32::from(bits))
}

/// Puts the lowest bit of each byte into one byte: the multiplication moves that of byte `n` to
/// bit `56 + n`, and all else below or out.
#[inline]
fn gather(bytes: [u8; 8]) -> u8 {
    (u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_a_look_at_each_byte_would() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2000 {
            let delimiter = random.choice([b',', 0, 0xFF, b'a']).unwrap_or_default();
            let length = random.usize(..100);
            let byte = |random: &mut fastrand::Rng| match random.u8(..40) {
                0..3 => delimiter,
                3 => b"\r\n\""[random.usize(..3)],
                _ => random.u8(..),
            };
            let bytes: Vec<u8> = (0..length).map(|_| byte(&mut random)).collect();
            let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
            let end = bytes.iter().position(is_end).unwrap_or(length);
            let expected = (!bytes[..end].contains(&b'"')).then(|| {
                let inner = (0..end).filter(|place| bytes[*place] == delimiter);
                let ends: Vec<usize> = inner.chain([end]).collect();
                let is_pair = bytes[end..].starts_with(b"\r\n");
                (ends, length.min(end + 1 + usize::from(is_pair)))
            });
            let mut ends = Vec::new();
            let found = split(&bytes, delimiter, &mut ends);
            assert_eq!(found.map(|row| (ends, row)), expected, "{bytes:?}");
        }
    }
}
