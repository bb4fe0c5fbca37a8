//! What all readers of a run share: one client, and what is known of the partitions.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::Offset;
use stream_core::Problem;
use stream_core::io::{Position, Waker};

use super::Settings;
use super::lost::Log;
use super::position::At;
use super::range::{End, Wanted};
use crate::client::{Client, PartitionQueue, Place, Topic, TopicId};
use crate::config::{ClientSettings, Role};

/// How many partitions a client is made for before it is known how many there are.
const PARTITIONS_GUESSED: usize = 4;

/// How many bytes a small record takes while it waits, with what the client library keeps beside it.
const WAITING_RECORD_BYTES: usize = 500;

/// How many bytes one partition may at least keep waiting.
const WAITING_BYTES_MIN: usize = 256 << 10;

/// How many bytes one answer of a broker may have, at least and at most.
const FETCH_BYTES: (usize, usize) = (1 << 20, 50 << 20);

/// How long a look for changes waits for brokers; the next one comes anyway, and the end of a job waits
/// for the last.
const LOOK_WAIT: Duration = Duration::from_secs(2);

/// The group that a client names where nobody has named one; it never joins it.
const NO_GROUP: &str = "stream";

pub(super) struct Connection {
    client: Client,
    settings: Settings,
    parts: Mutex<Vec<Part>>,
}

/// A partition that is read.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) place: Place,
    /// Where to begin, unless there is a checkpoint.
    pub(super) start: i64,
    /// The first offset that is not read.
    pub(super) end: Option<i64>,
    pub(super) topic_id: Option<TopicId>,
    /// The offset that is read next, for those who look on.
    pub(super) next: Arc<AtomicI64>,
}

impl Part {
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.place.topic, self.place.partition)
    }
}

impl Connection {
    /// Connects, finds the partitions, and where each begins and ends.
    pub(super) fn new(settings: &Settings) -> Result<Self, Problem> {
        let wait = settings.cluster.start_wait_max();
        let mut client = connect(settings, PARTITIONS_GUESSED)?;
        let topics = settings.topics.choose(&ask(&client, settings, wait)?)?;
        let count = topics.iter().map(|topic| topic.partitions.len()).sum();
        if count > PARTITIONS_GUESSED {
            client = connect(settings, count)?;
        }
        let connection = Connection {
            client,
            settings: settings.clone(),
            parts: Mutex::default(),
        };
        let parts = connection.describe(&topics, wait, |place| settings.start.of(place))?;
        if parts.is_empty() && settings.end != End::Never {
            let what = format!("no topic matches `{}`", settings.topics);
            return Err(Problem::new(what).hint(
                "a source with an end does not wait for one: check the pattern and the cluster",
            ));
        }
        *connection.parts() = parts;
        Ok(connection)
    }

    /// Finds out of each partition what has to be known before it is read. Each question waits so long for
    /// brokers: one that was the leader of a partition may just be away.
    fn describe(
        &self,
        topics: &[Topic],
        wait: Duration,
        start: impl Fn(&Place) -> Wanted,
    ) -> Result<Vec<Part>, Problem> {
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        let ids = if names.is_empty() {
            Vec::new()
        } else {
            self.client.topic_ids(&names, wait)?
        };
        let mut parts = Vec::new();
        for (topic, id) in topics.iter().zip(ids) {
            let name: Arc<str> = topic.name.as_str().into();
            parts.extend(topic.partitions.iter().map(|partition| Part {
                place: Place {
                    topic: name.clone(),
                    partition: *partition,
                },
                start: 0,
                end: None,
                topic_id: id.filter(|id| *id != (0, 0)),
                next: Arc::default(),
            }));
        }
        let starts = resolve(&self.client, &parts, wait, |place| Some(start(place)))?;
        let end = |place: &Place| self.settings.end.of(place);
        let ends = match (&self.settings.end, self.settings.committed_only) {
            (End::Never, _) => vec![None; parts.len()],
            (_, false) => resolve(&self.client, &parts, wait, end)?,
            (_, true) => resolve(&self.witness()?, &parts, wait, end)?,
        };
        for ((part, start), end) in parts.iter_mut().zip(starts).zip(ends) {
            part.start = start.unwrap_or_default();
            part.next.store(part.start, Ordering::Relaxed);
            part.end = end;
        }
        Ok(parts)
    }

    /// A client that sees where partitions end. One that reads what is committed is told of an end before the
    /// first transaction that is not decided: what a commit has just written would be behind it, for brokers
    /// mark partitions only after they have answered.
    fn witness(&self) -> Result<Client, Problem> {
        let settings = Settings {
            committed_only: false,
            ..self.settings.clone()
        };
        connect(&settings, PARTITIONS_GUESSED)
    }

    fn parts(&self) -> MutexGuard<'_, Vec<Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.parts().iter().map(Part::name).collect()
    }

    pub(super) fn part(&self, number: usize) -> Result<Part, Problem> {
        let part = self.parts().get(number).cloned();
        part.ok_or_else(|| Problem::new(format!("Kafka has no partition of the number {number}")))
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Begins to read a partition.
    pub(super) fn read(
        &self,
        part: &Part,
        from: &At,
        waker: Waker,
    ) -> Result<PartitionQueue, Problem> {
        self.client
            .assign(&part.place, from.offset, from.leader_epoch, waker)
    }

    /// Goes on reading a partition at another offset, after an error of it.
    pub(super) fn read_on(&self, part: &Part, offset: i64) -> Result<(), Problem> {
        self.client.reassign(&part.place, offset)
    }

    pub(super) fn stop_reading(&self, part: &Part) {
        self.client.unassign(&part.place);
    }

    /// How many records of each partition are still to be read, as far as brokers have told.
    pub(super) fn lag(&self) -> Vec<(String, u64)> {
        let parts = self.parts().clone();
        let lag = parts.iter().filter_map(|part| {
            let end = self.client.known_end(&part.place)?;
            let end = part.end.map_or(end, |wanted| wanted.min(end));
            let lag = end.saturating_sub(part.next.load(Ordering::Relaxed));
            Some((part.name(), u64::try_from(lag).unwrap_or(0)))
        });
        lag.collect()
    }

    /// What went wrong last, if that is not long ago.
    pub(super) fn recent_error(&self) -> Option<String> {
        self.client.recent_error()
    }

    /// What the broker holds of a partition now.
    pub(super) fn log(&self, part: &Part) -> Result<Log, Problem> {
        let ends = [Offset::Beginning, Offset::End].map(|offset| (part.place.clone(), offset));
        let wait = self.settings.cluster.start_wait_max();
        let found = self.client.offsets(&ends[..1], wait)?;
        let ends = self.client.offsets(&ends[1..], wait)?;
        Ok(Log {
            first: found[0],
            end: ends[0],
        })
    }

    /// Looks for what has changed since the partitions were found.
    pub(super) fn look(&self) -> Result<Look, Problem> {
        let topics = ask(&self.client, &self.settings, LOOK_WAIT)?;
        let known = self.parts().clone();
        let is_there = |part: &&Part| topics.iter().any(|topic| topic.name == *part.place.topic);
        let (there, gone): (Vec<&Part>, Vec<&Part>) = known.iter().partition(is_there);
        let mut look = Look {
            gone: names(gone).iter().map(|name| (*name).to_owned()).collect(),
            made_anew: self.made_anew(&there)?,
            added: Vec::new(),
        };
        // What cannot be chosen any more is told by what has become of it.
        if look.gone.is_empty() && look.made_anew.is_empty() && self.settings.topics.may_grow() {
            let chosen = self.settings.topics.choose(&topics)?;
            look.added = self.describe(&new_partitions(&chosen, &known), LOOK_WAIT, |_| {
                Wanted::Ask(Offset::Beginning)
            })?;
        }
        Ok(look)
    }

    /// The topics whose names are now those of others.
    fn made_anew(&self, parts: &[&Part]) -> Result<Vec<String>, Problem> {
        let names = names(parts.iter().copied());
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let ids = self.client.topic_ids(&names, LOOK_WAIT)?;
        let is_another = |(name, id): &(&str, Option<TopicId>)| {
            let part = parts.iter().find(|part| *part.place.topic == **name);
            let before = part.and_then(|part| part.topic_id);
            before.is_some() && id.is_some() && before != *id
        };
        let another = names.into_iter().zip(ids).filter(is_another);
        Ok(another.map(|(name, _)| name.to_owned()).collect())
    }

    /// Takes partitions in, and gives their names.
    pub(super) fn add(&self, added: Vec<Part>) -> Vec<String> {
        let names = added.iter().map(Part::name).collect();
        self.parts().extend(added);
        names
    }

    /// Tells the group of the settings how far a checkpoint covers the partitions.
    pub(super) fn tell_group(&self, positions: &[(String, Position)]) {
        if self.settings.group.is_none() {
            return;
        }
        let parts = self.parts();
        let offsets = positions.iter().filter_map(|(name, position)| {
            let part = parts.iter().find(|part| part.name() == *name)?;
            let at: At = position.read().ok()?;
            Some((part.place.clone(), at.offset))
        });
        let offsets: Vec<_> = offsets.collect();
        drop(parts);
        self.client.tell_group(&offsets);
    }
}

/// What has changed since the partitions were found.
#[derive(Default)]
pub(super) struct Look {
    pub(super) added: Vec<Part>,
    pub(super) gone: Vec<String>,
    pub(super) made_anew: Vec<String>,
}

/// Finds the offsets that are wanted, those that have to be asked for in one request.
fn resolve(
    client: &Client,
    parts: &[Part],
    wait: Duration,
    wanted: impl Fn(&Place) -> Option<Wanted>,
) -> Result<Vec<Option<i64>>, Problem> {
    let wanted: Vec<_> = parts.iter().map(|part| wanted(&part.place)).collect();
    let asked = parts
        .iter()
        .zip(&wanted)
        .filter_map(|(part, wanted)| match wanted {
            Some(Wanted::Ask(offset)) => Some((part.place.clone(), *offset)),
            _ => None,
        });
    let asked: Vec<_> = asked.collect();
    let mut answers = client.offsets(&asked, wait)?.into_iter();
    let offsets = wanted.into_iter().map(|wanted| match wanted? {
        Wanted::Known(offset) => Some(offset),
        Wanted::Ask(_) => answers.next(),
    });
    Ok(offsets.collect())
}

/// The topics of partitions, each once.
fn names<'p>(parts: impl IntoIterator<Item = &'p Part>) -> Vec<&'p str> {
    let mut names: Vec<&str> = Vec::new();
    for part in parts {
        if !names.contains(&&*part.place.topic) {
            names.push(&part.place.topic);
        }
    }
    names
}

fn new_partitions(chosen: &[Topic], known: &[Part]) -> Vec<Topic> {
    let is_new = |topic: &str, partition: i32| {
        let mut known = known.iter().map(|part| &part.place);
        !known.any(|place| *place.topic == *topic && place.partition == partition)
    };
    let added = chosen.iter().map(|topic| Topic {
        name: topic.name.clone(),
        partitions: {
            let all = topic.partitions.iter().copied();
            all.filter(|partition| is_new(&topic.name, *partition))
                .collect()
        },
    });
    added.filter(|topic| !topic.partitions.is_empty()).collect()
}

fn ask(client: &Client, settings: &Settings, wait: Duration) -> Result<Vec<Topic>, Problem> {
    client.topics(settings.topics.single(), wait)
}

fn connect(settings: &Settings, partitions: usize) -> Result<Client, Problem> {
    let config = client_config(settings, partitions)?;
    Client::new(&config, settings.cluster.bootstrap())
}

fn client_config(settings: &Settings, partitions: usize) -> Result<ClientSettings, Problem> {
    let profile = settings.cluster.profile_or_default();
    let waiting = (settings.buffer_bytes / partitions.max(1)).max(WAITING_BYTES_MIN);
    let fetched = (settings.buffer_bytes / 2).clamp(FETCH_BYTES.0, FETCH_BYTES.1);
    let mut preferred = profile.consumer();
    preferred.extend([
        // A partition that has as much waiting is not asked for more.
        ("queued.max.messages.kbytes", (waiting >> 10).to_string()),
        (
            "queued.min.messages",
            (waiting / WAITING_RECORD_BYTES).max(1_000).to_string(),
        ),
        ("fetch.max.bytes", fetched.to_string()),
        (
            "fetch.message.max.bytes",
            (waiting / 2).clamp(64 << 10, 1 << 20).to_string(),
        ),
    ]);
    let isolation = if settings.committed_only {
        "read_committed"
    } else {
        "read_uncommitted"
    };
    let needed = [
        (
            "group.id",
            settings
                .group
                .clone()
                .unwrap_or_else(|| NO_GROUP.to_owned()),
        ),
        ("enable.auto.commit", "false".to_owned()),
        ("enable.auto.offset.store", "false".to_owned()),
        ("auto.offset.reset", "error".to_owned()),
        ("enable.partition.eof", "true".to_owned()),
        ("allow.auto.create.topics", "false".to_owned()),
        ("isolation.level", isolation.to_owned()),
    ];
    settings
        .cluster
        .client_config(Role::Consumer, &preferred, &needed)
}
