//! The digest of an output: whether two runs gave the same rows, without keeping them.
//!
//! *Definition.* Let the consolidated content of an output be a multiset of rows: of a stream or a
//! table's final content every row; of changes the last one of each key, unless that says that the
//! key is gone. Its digest is the sum, modulo 2¹²⁸, of the 128-bit hashes (XXH3) of the rows'
//! canonical text, each weighted by how often the row is there; beside it stands the number of rows.
//!
//! A sum does not depend on the order of the rows. Unlike an exclusive or, it does not lose a row
//! that comes twice; and the count catches what a sum of 2¹²⁸ equal rows would lose.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use xxhash_rust::xxh3::xxh3_128;

use crate::engine::tap::{Row, Tap, TapWriter, Told};
use crate::error::Problem;

/// The digest of a multiset of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Digest(u128);

impl Digest {
    fn add(&mut self, row: &str) {
        self.merge(Digest(xxh3_128(row.as_bytes())));
    }

    fn merge(&mut self, other: Digest) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What one run wrote to one output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// How many rows.
    pub(super) rows: u64,
    /// Their digest; `None` where nothing can tell the rows.
    pub(super) digest: Option<Digest>,
}

/// Rows, and how often each is there.
pub(super) type Rows = BTreeMap<String, u64>;

/// Digests every output of a run, and keeps its rows if told to.
#[derive(Clone, Default)]
pub(super) struct DigestTap {
    keeps_rows: bool,
    outputs: Arc<Mutex<BTreeMap<String, Output>>>,
}

#[derive(Default)]
struct Output {
    content: Content,
    rows: Rows,
}

impl DigestTap {
    /// A tap that also keeps the rows, in memory.
    pub(super) fn keeping_rows() -> Self {
        DigestTap {
            keeps_rows: true,
            outputs: Arc::default(),
        }
    }

    /// What the run wrote, by output; to be asked when it has ended.
    pub(super) fn contents(&self) -> BTreeMap<String, Content> {
        let outputs = self.outputs();
        let content = |(port, output): (&String, &Output)| (port.clone(), output.content.clone());
        outputs.iter().map(content).collect()
    }

    /// The rows of one output, if they were kept.
    pub(super) fn take_rows(&self, port: &str) -> Rows {
        let mut outputs = self.outputs();
        let output = outputs.get_mut(port);
        output
            .map(|output| mem::take(&mut output.rows))
            .unwrap_or_default()
    }

    fn outputs(&self) -> MutexGuard<'_, BTreeMap<String, Output>> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tap for DigestTap {
    fn open(&self, port: &str, told: Told) -> Box<dyn TapWriter> {
        Box::new(DigestWriter {
            port: port.to_owned(),
            told,
            tap: self.clone(),
            output: Output::default(),
            latest: HashMap::new(),
        })
    }
}

/// Digests one output on one worker.
struct DigestWriter {
    port: String,
    told: Told,
    tap: DigestTap,
    output: Output,
    /// By key: the last change, unless it says that the key is gone. A key lives on one worker.
    latest: HashMap<String, String>,
}

impl Output {
    fn add(&mut self, row: &str, keeps_rows: bool) {
        self.content.rows += 1;
        self.content.digest.get_or_insert_default().add(row);
        if keeps_rows {
            *self.rows.entry(row.to_owned()).or_default() += 1;
        }
    }
}

impl TapWriter for DigestWriter {
    fn take(&mut self, row: &Row<'_>) -> Result<(), Problem> {
        match self.told {
            Told::Nothing => self.output.content.rows += 1,
            Told::Rows => self.output.add(row.text, self.tap.keeps_rows),
            Told::Changes if row.is_gone => {
                self.latest.remove(row.key);
            }
            Told::Changes => {
                self.latest.insert(row.key.to_owned(), row.text.to_owned());
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        for row in mem::take(&mut self.latest).into_values() {
            self.output.add(&row, self.tap.keeps_rows);
        }
        let mut outputs = self.tap.outputs();
        let all = outputs.entry(self.port.clone()).or_default();
        let Output { content, rows } = mem::take(&mut self.output);
        all.content.rows += content.rows;
        if self.told != Told::Nothing {
            let digest = all.content.digest.get_or_insert_default();
            digest.merge(content.digest.unwrap_or_default());
        }
        for (row, count) in rows {
            *all.rows.entry(row).or_default() += count;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: &[&str]) -> Digest {
        let mut digest = Digest::default();
        rows.iter().for_each(|row| digest.add(row));
        digest
    }

    #[test]
    fn the_order_of_rows_does_not_count() {
        assert_eq!(digest(&["a", "b", "c"]), digest(&["c", "a", "b"]));
    }

    #[test]
    fn duplicates_do_not_cancel() {
        let digests = [&[][..], &["a"], &["a", "a"], &["b", "b"], &["a", "a", "a"]].map(digest);
        for (index, one) in digests.iter().enumerate() {
            assert!(
                !digests[index + 1..].contains(one),
                "{index} in {digests:?}"
            );
        }
    }

    #[test]
    fn the_digest_is_what_it_was() {
        let told = digest(&["{\"user\":1}", "{\"user\":2}"]).to_string();
        assert_eq!(told, "d217b32edfcc084bc38e35ae83a0bd0e");
    }
}
