//! Channels between a job and the program around it: [`channel()`] in, [`to_channel()`] out.

use std::fmt;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use super::lock;
use super::sink::{Commit, Sink, SinkInfo, Slot, Watch, Wish, Writer};
use super::source::{
    Boundedness, Chunk, Opening, Position, ReadStatus, Reader, Source, SourceInfo,
};
use super::wake::{Inbox, WakingSender, queue};
use crate::error::Problem;

/// Makes a source that gives what the program sends, in one partition. At most `capacity` records
/// wait (at least one); then [`Sender::send`] waits.
///
/// The source ends when every sender has been dropped. It can be read by one job, once.
///
/// ```
/// use stream_core::io::channel;
///
/// let make = || {
///     let (sender, source) = channel(2);
///     std::thread::spawn(move || ["a", "b", "c"].map(|record| sender.send(record)));
///     source
/// };
/// stream_core::testing::contract::source(make, &[vec!["a", "b", "c"]]);
/// ```
pub fn channel<T: Send + 'static>(capacity: usize) -> (Sender<T>, ChannelSource<T>) {
    let (sender, inbox) = queue(capacity);
    (Sender(sender), ChannelSource(Mutex::new(Some(inbox))))
}

/// Sends records into a job; made by [`channel()`].
pub struct Sender<T>(WakingSender<T>);

impl<T> Sender<T> {
    /// Sends a record; waits while the channel is full.
    ///
    /// # Errors
    /// When the job has ended, or was never started and has been dropped.
    pub fn send(&self, record: T) -> Result<(), Problem> {
        let closed = |_| Problem::closed("the job that reads the channel has ended");
        self.0.send(record).map_err(closed)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

/// The source that [`channel()`] makes.
pub struct ChannelSource<T>(Mutex<Option<Inbox<T>>>);

impl<T> fmt::Debug for ChannelSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelSource")
    }
}

impl<T: Send + 'static> Source<T> for ChannelSource<T> {
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "channel",
            detail: String::new(),
            boundedness: Boundedness::UntilClosed,
            repeatable: false,
        }
    }

    fn partitions(&self) -> Result<Vec<String>, Problem> {
        Ok(vec!["0".into()])
    }

    fn open(&self, _: usize, opening: Opening) -> Result<Box<dyn Reader<T>>, Problem> {
        let Some(inbox) = lock(&self.0).take() else {
            let problem = Problem::new("the channel has been opened before");
            return Err(problem.detail("what was read from it is gone").hint(
                "make a channel for each run, or use a `MemoryLog`, which can be read again",
            ));
        };
        inbox.wake_by(opening.waker);
        Ok(Box::new(ChannelReader {
            inbox,
            read: opening.from.read()?,
        }))
    }
}

struct ChannelReader<T> {
    inbox: Inbox<T>,
    /// How many records have been read.
    read: u64,
}

impl<T> Reader<T> for ChannelReader<T> {
    fn read(&mut self, max: usize, into: &mut Chunk<T>) -> Result<ReadStatus, Problem> {
        for _ in 0..max {
            match self.inbox.receiver.try_recv() {
                Ok(record) => into.push(record),
                Err(TryRecvError::Empty) => return Ok(ReadStatus::Waiting),
                Err(TryRecvError::Disconnected) => return Ok(ReadStatus::Ended),
            }
            self.read += 1;
        }
        Ok(ReadStatus::More)
    }

    fn position(&self) -> Result<Position, Problem> {
        Position::of(&self.read)
    }
}

/// Makes a sink that sends to the program, and the receiver. At most `capacity` records wait (at
/// least one); then the job waits, so receive on another thread than the one that runs the job.
///
/// Records are seen before the job has succeeded. The receiver ends with the job; dropping it ends
/// the job.
///
/// **Waiting for a job before its receiver is read waits forever**, once the channel is full: `run`
/// and [`Handle::wait`](crate::run::Handle::wait) return when the rows are written. A job that is asked to
/// stop waits on for a reader that takes rows, and fails when none is taken for five seconds.
///
/// ```
/// use stream_core::io::{Sink, Slot, to_channel};
///
/// let (sink, receiver) = to_channel(8);
/// let mut writer = sink.open(Slot::new(0, 1))?;
/// writer.write(&mut vec!["a", "b"])?;
/// drop((writer, sink));
/// assert_eq!(receiver.iter().collect::<Vec<_>>(), ["a", "b"]);
/// # Ok::<(), stream_core::Problem>(())
/// ```
pub fn to_channel<T: Send + 'static>(capacity: usize) -> (ChannelSink<T>, Receiver<T>) {
    let (sender, receiver) = sync_channel(capacity.max(1));
    (ChannelSink(Mutex::new(Some(sender))), receiver)
}

/// The sink that [`to_channel()`] makes.
pub struct ChannelSink<T>(Mutex<Option<SyncSender<T>>>);

impl<T> fmt::Debug for ChannelSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelSink")
    }
}

impl<T: Send + 'static> Sink<T> for ChannelSink<T> {
    fn info(&self) -> SinkInfo {
        SinkInfo {
            kind: "channel",
            detail: String::new(),
            atomic: false,
        }
    }

    fn open(&self, _: Slot) -> Result<Box<dyn Writer<T>>, Problem> {
        match &*lock(&self.0) {
            Some(sender) => Ok(Box::new(ChannelWriter {
                sender: sender.clone(),
                job: None,
            })),
            None => Err(Problem::new("the channel has been written by a job before")
                .hint("make a channel for each run")),
        }
    }

    fn commit(&self, commit: &Commit) -> Result<(), Problem> {
        if commit.is_last {
            *lock(&self.0) = None;
        }
        Ok(())
    }

    fn abort(&self) {
        *lock(&self.0) = None;
    }
}

struct ChannelWriter<T> {
    sender: SyncSender<T>,
    /// What tells how the job stands; nothing where there is none.
    job: Option<Watch>,
}

/// How often a writer whose channel is full gives up its core before it sleeps, for a reader that is
/// as fast as it.
const YIELDS: u32 = 100;
/// How long it sleeps first between two looks, a little longer each time, and at most.
const NAP: Duration = Duration::from_micros(20);
const NAP_MAX: Duration = Duration::from_millis(1);
/// How long it waits for a reader that takes nothing, once the job is to stop.
const PATIENCE: Duration = Duration::from_secs(5);

impl<T> ChannelWriter<T> {
    /// Sends a record; waits while the channel is full, but not for a reader that a job which is to
    /// end has lost.
    fn send(&self, mut record: T) -> Result<(), Problem> {
        let closed = || Problem::closed("the receiver of the channel has been dropped");
        let Some(job) = &self.job else {
            return self.sender.send(record).map_err(|_| closed());
        };
        let (mut looks, mut waited) = (0, Duration::ZERO);
        loop {
            record = match self.sender.try_send(record) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(closed()),
                Err(TrySendError::Full(record)) => record,
            };
            match job.wish() {
                Wish::Abandon => return Err(Problem::new("the job has failed")),
                Wish::Stop if waited >= PATIENCE => return Err(never_taken()),
                Wish::Stop | Wish::GoOn if looks < YIELDS => thread::yield_now(),
                wish => {
                    let nap = NAP_MAX.min(NAP.saturating_mul(looks - YIELDS));
                    thread::sleep(nap);
                    if wish == Wish::Stop {
                        waited += nap;
                    }
                }
            }
            looks = looks.saturating_add(1);
        }
    }
}

#[cold]
fn never_taken() -> Problem {
    Problem::new("nobody takes the rows out of the channel")
        .detail(format!(
            "it is full, and its receiver has taken none for {PATIENCE:?} since the job was asked to stop"
        ))
        .hint("read the receiver to its end before `wait`, or on another thread; or drop it")
}

impl<T> Writer<T> for ChannelWriter<T> {
    fn watch(&mut self, job: Watch) {
        self.job = Some(job);
    }

    fn write(&mut self, records: &mut Vec<T>) -> Result<(), Problem> {
        records.drain(..).try_for_each(|record| self.send(record))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::testing::contract;

    #[test]
    fn the_source_keeps_the_contract_of_sources() {
        let make = || {
            let (sender, source) = channel(3);
            let second = sender.clone();
            thread::spawn(move || {
                (0..100).try_for_each(|record| sender.send(record)).ok();
                drop(second);
            });
            source
        };
        contract::source(make, &[(0..100).collect()]);
    }

    #[test]
    fn the_sink_keeps_the_contract_of_sinks() {
        let make = || {
            let (sink, receiver) = to_channel(1_000);
            let mut seen = Vec::new();
            (sink, move || {
                seen.extend(receiver.try_iter());
                seen.clone()
            })
        };
        contract::sink(make, &(0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_channel_opened_twice_is_a_problem_with_a_remedy() {
        let (_sender, source) = channel::<u8>(1);
        drop(source.open(0, contract::opening()).unwrap());
        let problem = source
            .open(0, contract::opening())
            .err()
            .unwrap()
            .to_string();
        let expected = "the channel has been opened before: what was read from it is gone (hint: \
                        make a channel for each run, or use a `MemoryLog`, which can be read again)";
        assert_eq!(problem, expected);
    }

    #[test]
    fn sending_fails_when_the_job_has_gone() {
        let (sender, source) = channel(1);
        drop(source.open(0, contract::opening()).unwrap());
        let problem = sender.send("lost").unwrap_err();
        assert!(problem.is_closed());
        assert_eq!(
            problem.to_string(),
            "the job that reads the channel has ended"
        );
    }

    #[test]
    fn writing_fails_as_closed_when_the_receiver_has_gone() {
        let (sink, receiver) = to_channel(1);
        let mut writer = sink.open(Slot::new(0, 1)).unwrap();
        drop(receiver);
        assert!(writer.write(&mut vec![1]).unwrap_err().is_closed());
    }
}
