//! Files that wait for their turn, where there may be more than are to be read at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::error::Problem;
use crate::io::lock;
use crate::io::source::{Chunk, Position, ReadStatus, Reader, Waker};

/// How many files may still be begun, and who waits for that.
#[derive(Debug)]
pub(super) struct Turns(Mutex<Waiting>);

#[derive(Debug)]
struct Waiting {
    free: usize,
    /// By their numbers, in the order in which they came.
    wakers: BTreeMap<u64, Waker>,
    next: u64,
}

impl Turns {
    pub(super) fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Turns(Mutex::new(Waiting {
            free: at_once,
            wakers: BTreeMap::new(),
            next: 0,
        })))
    }

    /// Makes a reader that is opened by `begin` once it has its turn, which it gives back when it is dropped.
    pub(super) fn reader<T: 'static>(
        self: &Arc<Self>,
        from: Position,
        waker: Waker,
        begin: impl FnOnce() -> Result<Box<dyn Reader<T>>, Problem> + 'static,
    ) -> Box<dyn Reader<T>> {
        let mut waiting = lock(&self.0);
        let number = waiting.next;
        waiting.next += 1;
        waiting.wakers.insert(number, waker);
        Box::new(InTurn {
            turn: Turn {
                turns: self.clone(),
                number,
                is_taken: false,
            },
            from,
            begin: Some(Box::new(begin)),
            reader: None,
        })
    }
}

impl Waiting {
    /// Wakes the first that waits, if there is a turn for it.
    fn wake_first(&self) {
        if let (true, Some((_, waker))) = (self.free > 0, self.wakers.first_key_value()) {
            waker.wake();
        }
    }
}

struct Turn {
    turns: Arc<Turns>,
    number: u64,
    is_taken: bool,
}

impl Turn {
    /// Takes the turn, if there is one.
    fn take(&mut self) -> bool {
        let mut waiting = lock(&self.turns.0);
        if waiting.free > 0 {
            waiting.free -= 1;
            waiting.wakers.remove(&self.number);
            self.is_taken = true;
            waiting.wake_first();
        }
        self.is_taken
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut waiting = lock(&self.turns.0);
        waiting.wakers.remove(&self.number);
        waiting.free += usize::from(self.is_taken);
        waiting.wake_first();
    }
}

type Begin<T> = Box<dyn FnOnce() -> Result<Box<dyn Reader<T>>, Problem>>;

struct InTurn<T> {
    turn: Turn,
    from: Position,
    /// `None` once it has begun.
    begin: Option<Begin<T>>,
    reader: Option<Box<dyn Reader<T>>>,
}

impl<T> Reader<T> for InTurn<T> {
    fn read(&mut self, max: usize, into: &mut Chunk<T>) -> Result<ReadStatus, Problem> {
        if let Some(begin) = self.begin.take_if(|_| self.turn.take()) {
            self.reader = Some(begin()?);
        }
        match &mut self.reader {
            Some(reader) => reader.read(max, into),
            None => Ok(ReadStatus::Waiting),
        }
    }

    fn position(&self) -> Result<Position, Problem> {
        match &self.reader {
            Some(reader) => reader.position(),
            None => Ok(self.from.clone()),
        }
    }
}
