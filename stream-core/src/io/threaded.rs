//! Readers whose waiting is done on a thread of their own.
//!
//! ```text
//! thread: wait, fetch raw pieces ──► bounded queue ──► worker: decode records as they are asked for
//! ```
//!
//! The thread does what may block (opening, decompressing, the network) and the worker what needs
//! its time to be counted (decoding). The queue's bound holds the thread back. Dropping the reader
//! ends the thread at the next piece that it sends.

use std::sync::mpsc::{SendError, TryRecvError};
use std::thread;

use super::source::{Chunk, Position, ReadStatus, Reader, Waker};
use super::wake::{Inbox, WakingSender, queue};
use crate::error::Problem;

/// How many pieces may wait between a thread and its worker.
const PIECES_MAX: usize = 4;

/// Turns raw pieces into records, on the worker.
pub trait Decoder<T> {
    /// What the thread hands over.
    type Raw: Send + 'static;

    /// Takes the next piece, after all records of the one before have been taken out.
    ///
    /// # Errors
    /// When the partition cannot be read any further.
    fn feed(&mut self, raw: Self::Raw) -> Result<(), Problem>;

    /// Appends at most `max` records; fewer when the piece is used up, or the chunk
    /// [is full](Chunk::is_full).
    ///
    /// # Errors
    /// When the partition cannot be read any further.
    fn decode(&mut self, max: usize, into: &mut Chunk<T>) -> Result<(), Problem>;

    /// The position of the record that comes next.
    fn position(&self) -> Result<Position, Problem>;

    /// Called when the thread has sent everything and it has been decoded.
    ///
    /// # Errors
    /// When something is missing.
    fn finish(&mut self) -> Result<(), Problem> {
        Ok(())
    }
}

/// Where the thread puts its pieces.
#[derive(Debug)]
pub struct Feed<R>(WakingSender<Message<R>>);

#[derive(Debug)]
enum Message<R> {
    Piece(R),
    End(Result<(), Problem>),
}

/// Why a thread stops before its end.
#[derive(Debug)]
pub enum Halt {
    /// The reader has been dropped.
    Gone,
    /// The partition cannot be read any further.
    Failed(Problem),
}

impl From<Problem> for Halt {
    fn from(problem: Problem) -> Self {
        Halt::Failed(problem)
    }
}

impl<R> Feed<R> {
    /// Hands a piece to the worker; waits while the queue is full.
    ///
    /// # Errors
    /// [`Halt::Gone`] when the reader has been dropped.
    pub fn send(&self, piece: R) -> Result<(), Halt> {
        self.0
            .send(Message::Piece(piece))
            .map_err(|SendError(_)| Halt::Gone)
    }
}

/// Makes a reader that decodes what `work` sends from a thread of that name.
///
/// # Errors
/// When the system gives no thread.
pub fn reader<T: 'static, D: Decoder<T> + 'static>(
    name: &str,
    waker: Waker,
    decoder: D,
    work: impl FnOnce(&Feed<D::Raw>) -> Result<(), Halt> + Send + 'static,
) -> Result<Box<dyn Reader<T>>, Problem> {
    let (sender, inbox) = queue(PIECES_MAX);
    inbox.wake_by(waker);
    let run = move || {
        let feed = Feed(sender);
        let end = match work(&feed) {
            Ok(()) => Ok(()),
            Err(Halt::Failed(problem)) => Err(problem),
            Err(Halt::Gone) => return,
        };
        feed.0.send(Message::End(end)).unwrap_or_default(); // else the reader has gone
    };
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|error| Problem::new("cannot start a reading thread").because(error))?;
    Ok(Box::new(Threaded { inbox, decoder }))
}

struct Threaded<D, R> {
    inbox: Inbox<Message<R>>,
    decoder: D,
}

impl<T, D: Decoder<T>> Reader<T> for Threaded<D, D::Raw> {
    /// Takes at most as many pieces as the queue holds, so that many pieces without a
    /// record give the worker its turn in between.
    fn read(&mut self, max: usize, into: &mut Chunk<T>) -> Result<ReadStatus, Problem> {
        let full = into.len() + max;
        for _ in 0..PIECES_MAX {
            self.decoder.decode(full - into.len(), into)?;
            // What is left of the piece comes with the next read: it must not be fed over.
            if into.len() == full || into.is_full() {
                break;
            }
            match self.inbox.receiver.try_recv() {
                Ok(Message::Piece(raw)) => self.decoder.feed(raw)?,
                Ok(Message::End(Ok(()))) => {
                    self.decoder.finish()?;
                    return Ok(ReadStatus::Ended);
                }
                Ok(Message::End(Err(problem))) => return Err(problem),
                Err(TryRecvError::Empty) => return Ok(ReadStatus::Waiting),
                Err(TryRecvError::Disconnected) => {
                    return Err(Problem::new("the reading thread has panicked"));
                }
            }
        }
        Ok(ReadStatus::More)
    }

    fn position(&self) -> Result<Position, Problem> {
        self.decoder.position()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::testing::contract;

    /// Decodes a piece `n` into the records `0..n`.
    #[derive(Default)]
    struct Count {
        next: u64,
        end: u64,
        position: u64,
    }

    impl Decoder<u64> for Count {
        type Raw = u64;

        fn feed(&mut self, raw: u64) -> Result<(), Problem> {
            (self.next, self.end) = (0, raw);
            Ok(())
        }

        fn decode(&mut self, max: usize, into: &mut Chunk<u64>) -> Result<(), Problem> {
            let end = self.end.min(self.next + max as u64);
            into.extend(self.next..end);
            self.position += end - self.next;
            self.next = end;
            Ok(())
        }

        fn position(&self) -> Result<Position, Problem> {
            Position::of(&self.position)
        }
    }

    fn read_to_end(
        mut reader: Box<dyn Reader<u64>>,
        woken: &std::sync::mpsc::Receiver<()>,
    ) -> String {
        let mut chunk = Chunk::default();
        loop {
            match reader.read(3, &mut chunk) {
                Ok(ReadStatus::Waiting) => woken.recv_timeout(contract::WAIT_MAX).unwrap(),
                Ok(ReadStatus::Ended) => return format!("{:?}", chunk.records),
                Ok(_) => {}
                Err(problem) => return problem.to_string(),
            }
        }
    }

    #[test]
    fn dropping_the_reader_ends_the_thread() {
        let (ended, end) = channel();
        let work = move |feed: &Feed<u64>| {
            let result = (0..).try_for_each(|_| feed.send(1));
            ended.send(matches!(result, Err(Halt::Gone))).unwrap();
            result
        };
        drop(reader("endless", Waker::new(|| ()), Count::default(), work).unwrap());
        assert_eq!(end.recv_timeout(Duration::from_secs(10)), Ok(true));
    }

    #[test]
    fn a_thread_that_fails_or_panics_ends_the_reading_with_a_problem() {
        let open = |work: fn(&Feed<u64>) -> Result<(), Halt>| {
            let (wake, woken) = channel();
            let waker = Waker::new(move || wake.send(()).unwrap_or_default());
            read_to_end(
                reader("doomed", waker, Count::default(), work).unwrap(),
                &woken,
            )
        };
        assert_eq!(open(|feed| feed.send(2)), "[((), 0), ((), 1)]");
        assert_eq!(open(|_| Err(Problem::new("no disk").into())), "no disk");
        assert_eq!(
            open(|_| panic!("on purpose")),
            "the reading thread has panicked"
        );
    }
}
