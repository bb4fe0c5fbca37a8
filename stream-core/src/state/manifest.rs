//! What the entry of a checkpoint says: how far the inputs were read, what the sinks had staged, and
//! where the parts of the state lie.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::checkpoint::{Bytes, Part, PartitionEnd, Parts, Snapshot, Stored};
use super::fingerprint::Fingerprint;
use crate::error::Problem;
use crate::io::Position;

/// What a checkpoint is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) number: u64,
    pub(crate) generation: u64,
    pub(crate) at: String,
    pub(crate) epoch: u64,
    /// Whether the job stopped or ended there.
    pub(crate) is_last: bool,
    /// Whether all input has been read.
    pub(crate) is_finished: bool,
    pub(crate) shards: usize,
    pub(crate) stages: BTreeMap<String, Fingerprint>,
    pub(crate) partitions: Vec<Read>,
    /// By sink: what its slots have staged.
    pub(crate) staged: BTreeMap<String, Vec<Slot>>,
    pub(crate) parts: Vec<Kept>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) input: String,
    pub(crate) partition: String,
    pub(crate) position: Hex,
    pub(crate) ended: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) stage: String,
    pub(crate) part: String,
    #[serde(flatten)]
    pub(crate) stored: Stored,
}

/// What a slot of a sink has staged.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Slot {
    /// A little.
    Here(Hex),
    /// Much.
    Stored(Stored),
}

/// Bytes as text, two digits each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl From<Hex> for String {
    fn from(hex: Hex) -> Self {
        hex.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for Hex {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let pairs = text.as_bytes().chunks(2).map(|pair| {
            let digits = std::str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.len() == 2);
            digits.and_then(|pair| u8::from_str_radix(pair, 16).ok())
        });
        let bytes: Option<Vec<u8>> = pairs.collect();
        bytes
            .map(Hex)
            .ok_or("bytes are told by two hexadecimal digits each")
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Shard(number) => write!(f, "shard-{number}"),
            Part::Common => f.write_str("common"),
            Part::Worker(number) => write!(f, "worker-{number}"),
        }
    }
}

impl FromStr for Part {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let numbered = |prefix: &str| text.strip_prefix(prefix)?.parse().ok();
        match (numbered("shard-"), numbered("worker-")) {
            (Some(number), _) => Ok(Part::Shard(number)),
            (_, Some(number)) => Ok(Part::Worker(number)),
            _ if text == "common" => Ok(Part::Common),
            _ => Err(Problem::new(format!("`{text}` is no part of state"))),
        }
    }
}

impl Manifest {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The checkpoint that a job starts from. Its parts are read when they are asked for; what was staged
    /// is read at once.
    pub(crate) fn snapshot(
        &self,
        read: impl Fn(&Stored) -> Result<Vec<u8>, Problem>,
    ) -> Result<Snapshot, Problem> {
        let mut snapshot = Snapshot {
            number: self.number,
            epoch: self.epoch,
            is_last: self.is_last,
            fingerprints: self.stages.clone(),
            ..Snapshot::default()
        };
        for read in &self.partitions {
            let key = (read.input.clone(), read.partition.clone());
            let position = Position::from_bytes(read.position.0.clone());
            let ended = read.ended;
            let end = PartitionEnd { position, ended };
            snapshot.partitions.insert(key, end);
        }
        for (sink, slots) in &self.staged {
            let slots = slots.iter().map(|slot| match slot {
                Slot::Here(bytes) => Ok(bytes.0.clone()),
                Slot::Stored(stored) => read(stored),
            });
            let slots: Result<_, Problem> = slots.collect();
            snapshot.staged.insert(sink.clone(), slots?);
        }
        snapshot.parts = self.parts()?;
        Ok(snapshot)
    }

    /// Where its parts are.
    pub(crate) fn parts(&self) -> Result<Parts, Problem> {
        let parts = self.parts.iter().map(|kept| {
            let key = (kept.stage.clone(), kept.part.parse()?);
            Ok((key, Bytes::Stored(kept.stored.clone())))
        });
        parts.collect()
    }

    /// The objects that it needs.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &str> {
        let parts = self.parts.iter().map(|kept| &kept.stored);
        let staged = self
            .staged
            .values()
            .flatten()
            .filter_map(|slot| match slot {
                Slot::Here(_) => None,
                Slot::Stored(stored) => Some(stored),
            });
        parts.chain(staged).map(|stored| stored.object.as_str())
    }

    /// The stages that it has anything of.
    pub(crate) fn stages_with_state(&self) -> impl Iterator<Item = &str> {
        let with_parts = self.parts.iter().map(|kept| kept.stage.as_str());
        self.stages.keys().map(String::as_str).chain(with_parts)
    }

    /// Checks that it has anything of a stage.
    pub(crate) fn expect_stage(&self, stage: &str) -> Result<(), Problem> {
        let kept: BTreeSet<_> = self.stages_with_state().collect();
        if kept.contains(stage) {
            return Ok(());
        }
        let what = format!(
            "checkpoint {} has no state of a stage `{stage}`",
            self.number
        );
        let last = |id: &str| id.rsplit('/').next().map(str::to_owned);
        let near = kept.iter().find(|id| last(id) == last(stage));
        let near = near.map_or_else(String::new, |id| format!("did you mean `{id}`? "));
        let kept: Vec<_> = kept.iter().map(|id| format!("`{id}`")).collect();
        Err(Problem::new(what).hint(match &kept[..] {
            [] => "it has no state of any stage".to_owned(),
            kept => format!("{near}it has that of {}", kept.join(", ")),
        }))
    }

    /// How many bytes the state of the stages has, or of one of them.
    #[cfg(all(feature = "cli", feature = "state"))]
    pub(crate) fn bytes(&self, stage: Option<&str>) -> u64 {
        let parts = self.parts.iter();
        let parts = parts.filter(|kept| stage.is_none_or(|stage| kept.stage == stage));
        parts.map(|kept| kept.stored.bytes).sum()
    }
}
