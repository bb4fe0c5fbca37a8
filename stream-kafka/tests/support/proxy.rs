//! A proxy in front of a broker, which lets the network between a client and it fail.
//!
//! It passes bytes on and knows nothing of Kafka but the key of a request. As brokers tell clients where
//! to connect, a proxy has an effect only in front of one that advertises the proxy's address:
//! `Cluster::behind_proxy`.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const CHUNK_BYTES_MAX: u64 = 64 << 10;
/// How often a hanging connection looks whether it may go on.
const LOOK: Duration = Duration::from_millis(5);
const CAUGHT_WAIT_MAX: Duration = Duration::from_secs(20);

/// A proxy that listens until it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    target: Mutex<String>,
    /// The two ends of every open connection.
    connections: Mutex<HashMap<u64, [TcpStream; 2]>>,
    caught: Mutex<Caught>,
    ended: AtomicBool,
    refuses: AtomicBool,
    hangs: AtomicBool,
    delay_ms: AtomicU64,
    /// Zero is no limit.
    bytes_per_second: AtomicU64,
}

/// A request to catch, and what became of it.
#[derive(Default)]
struct Caught {
    wanted: Option<(Wanted, Catch)>,
    is_caught: bool,
    /// How many were ever held back, and how many of them go on.
    held: u32,
    released: u32,
}

/// Which request is caught.
struct Wanted {
    key: i16,
    /// Whose, by the id that a client sends; anybody's if empty.
    client: String,
}

impl Wanted {
    /// Whether these bytes begin with such a request: its size, its key, its version, a number, and the
    /// client's id behind its length.
    fn is(&self, bytes: &[u8]) -> bool {
        let key = bytes.get(4..6) == Some(&self.key.to_be_bytes());
        let client = bytes.get(14..).unwrap_or_default();
        key && client.starts_with(self.client.as_bytes())
    }
}

/// What to do with a request that is caught.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Catch {
    /// It is held back, and so is what comes behind it, until it is released.
    Hold,
    /// The broker gets it, and its answer is lost with the connection.
    LoseAnswer,
}

impl Proxy {
    /// Listens at a free port, in front of an address.
    pub(crate) fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let proxy = Self {
            address,
            state: Arc::clone(&state),
        };
        proxy.forward_to(target);
        thread::spawn(move || state.accept(&listener));
        proxy
    }

    /// Connects later clients to another address.
    pub(crate) fn forward_to(&self, target: &str) {
        target.clone_into(&mut self.state.target.lock().unwrap());
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the connections that are open now. Clients may connect again.
    pub(crate) fn drop_connections(&self) {
        for ends in self.state.connections.lock().unwrap().values() {
            close(ends);
        }
    }

    /// Closes new connections as soon as they are made, or no longer.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::Relaxed);
    }

    /// Leaves all connections open and silent, as a network does that loses everything, or no longer.
    /// New ones are accepted, and are silent too. What was sent in the meantime arrives afterwards.
    pub(crate) fn hang(&self, hangs: bool) {
        self.state.hangs.store(hangs, Ordering::Relaxed);
    }

    /// Catches the next request with this key of Kafka's protocol; only this one.
    pub(crate) fn catch(&self, key: i16, catch: Catch) {
        self.catch_of("", key, catch);
    }

    /// The same of one client, by its `client.id`.
    pub(crate) fn catch_of(&self, client: &str, key: i16, catch: Catch) {
        let client = client.to_owned();
        let mut caught = self.state.caught.lock().unwrap();
        caught.wanted = Some((Wanted { key, client }, catch));
        caught.is_caught = false;
    }

    /// Waits until the request is caught.
    pub(crate) fn await_caught(&self) {
        let deadline = Instant::now() + CAUGHT_WAIT_MAX;
        while !self.state.caught.lock().unwrap().is_caught {
            assert!(Instant::now() < deadline, "no such request came");
            thread::sleep(LOOK);
        }
    }

    /// Lets all requests go on that are held back.
    pub(crate) fn release(&self) {
        let mut caught = self.state.caught.lock().unwrap();
        caught.released = caught.held;
    }

    /// Lets the one go on that has been held back for longest.
    pub(crate) fn release_first(&self) {
        self.state.caught.lock().unwrap().released += 1;
    }

    /// Passes on everything again, at once.
    pub(crate) fn pass_all(&self) {
        self.state.caught.lock().unwrap().wanted = None;
        self.release();
        self.refuse(false);
        self.hang(false);
        self.delay(Duration::ZERO);
        self.throttle(0);
    }

    /// Closes the clients' ends of the connections that are open now, while what is under way to the
    /// broker arrives.
    pub(crate) fn drop_clients(&self) {
        for [client, _] in self.state.connections.lock().unwrap().values() {
            let _ = client.shutdown(Shutdown::Write); // it may be closed already
        }
    }

    /// Holds back what arrives, in both directions: each piece of at most 64 KiB waits so long.
    pub(crate) fn delay(&self, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap();
        self.state.delay_ms.store(delay_ms, Ordering::Relaxed);
    }

    /// Limits each direction of each connection. Zero is no limit.
    pub(crate) fn throttle(&self, bytes_per_second: u64) {
        self.state
            .bytes_per_second
            .store(bytes_per_second, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        self.drop_connections();
        // Wakes the thread that accepts, so that it sees the end.
        drop(TcpStream::connect(self.address));
    }
}

impl State {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for (id, client) in (0..).zip(listener.incoming()) {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            let Ok(client) = client else { continue };
            if !self.refuses.load(Ordering::Relaxed) {
                self.connect(id, client);
            }
        }
    }

    /// Connects a client to the target. One that cannot be connected is closed.
    fn connect(self: &Arc<Self>, id: u64, client: TcpStream) {
        let target = self.target.lock().unwrap().clone();
        let Ok(server) = TcpStream::connect(target) else {
            return;
        };
        let copies = [client.try_clone().unwrap(), server.try_clone().unwrap()];
        self.connections.lock().unwrap().insert(id, copies);
        let (other_client, other_server) =
            (client.try_clone().unwrap(), server.try_clone().unwrap());
        let loses_answers = Arc::new(AtomicBool::new(false));
        for (from, to, is_request) in [(client, server, true), (other_server, other_client, false)]
        {
            let (state, loses_answers) = (Arc::clone(self), Arc::clone(&loses_answers));
            thread::spawn(move || {
                state.pass_on(from, to, is_request, &loses_answers);
                if let Some(ends) = state.connections.lock().unwrap().remove(&id) {
                    close(&ends);
                }
            });
        }
    }

    /// Passes on what arrives, until either end closes.
    fn pass_on(
        &self,
        mut from: TcpStream,
        mut to: TcpStream,
        is_request: bool,
        loses_answers: &AtomicBool,
    ) {
        let mut chunk = vec![0; usize::try_from(CHUNK_BYTES_MAX).unwrap()];
        let mut requests = Requests::default();
        loop {
            let size = piece(self.bytes_per_second.load(Ordering::Relaxed));
            let Ok(read @ 1..) = from.read(&mut chunk[..size]) else {
                return;
            };
            thread::sleep(Duration::from_millis(self.delay_ms.load(Ordering::Relaxed)));
            thread::sleep(self.throttled(read));
            while self.hangs.load(Ordering::Relaxed) && !self.ended.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
            }
            if !is_request && loses_answers.load(Ordering::Relaxed) {
                return;
            }
            let mut done = 0;
            if is_request {
                for start in requests.starts(&chunk[..read]) {
                    if to.write_all(&chunk[done..start]).is_err() {
                        return;
                    }
                    done = start;
                    self.catch_in(&chunk[start..read], loses_answers);
                }
            }
            if to.write_all(&chunk[done..read]).is_err() {
                return;
            }
        }
    }

    /// Catches the request that these bytes begin with, if it is wanted.
    fn catch_in(&self, bytes: &[u8], loses_answers: &AtomicBool) {
        let mut caught = self.caught.lock().unwrap();
        let wanted = caught.wanted.take_if(|(wanted, _)| wanted.is(bytes));
        let Some((_, catch)) = wanted else { return };
        caught.is_caught = true;
        match catch {
            Catch::LoseAnswer => loses_answers.store(true, Ordering::Relaxed),
            Catch::Hold => {
                let number = caught.held;
                caught.held += 1;
                while caught.released <= number && !self.ended.load(Ordering::Relaxed) {
                    drop(caught);
                    thread::sleep(LOOK);
                    caught = self.caught.lock().unwrap();
                }
            }
        }
    }

    /// How long so many bytes take.
    fn throttled(&self, bytes: usize) -> Duration {
        let bytes_per_second = self.bytes_per_second.load(Ordering::Relaxed);
        let bytes = u64::try_from(bytes).unwrap();
        Duration::from_millis(
            (bytes * 1_000)
                .checked_div(bytes_per_second)
                .unwrap_or_default(),
        )
    }
}

/// Finds where requests begin, each behind its size in four bytes.
#[derive(Default)]
struct Requests {
    /// How much of the one that is under way is still to come.
    left: usize,
    /// The first bytes of the size of the next one.
    size: Vec<u8>,
}

impl Requests {
    /// Where requests begin in what comes next. One of which the size is cut is passed over.
    fn starts(&mut self, bytes: &[u8]) -> Vec<usize> {
        let (mut starts, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len() - at);
                self.left -= passed;
                at += passed;
                continue;
            }
            let is_cut = !self.size.is_empty();
            let start = at;
            let more = (4 - self.size.len()).min(bytes.len() - at);
            self.size.extend_from_slice(&bytes[at..at + more]);
            at += more;
            if let Ok(size) = <[u8; 4]>::try_from(self.size.as_slice()) {
                self.left = usize::try_from(u32::from_be_bytes(size)).unwrap();
                self.size.clear();
                starts.extend((!is_cut).then_some(start));
            }
        }
        starts
    }
}

/// How much is passed on at once: ten pieces a second, so that a slow connection does not stand still.
fn piece(bytes_per_second: u64) -> usize {
    let bytes = match bytes_per_second {
        0 => CHUNK_BYTES_MAX,
        limit => (limit / 10).clamp(1, CHUNK_BYTES_MAX),
    };
    usize::try_from(bytes).unwrap()
}

/// Closes both ends, for all copies of them. An end may have been closed by its peer.
fn close(ends: &[TcpStream; 2]) {
    for end in ends {
        let _ = end.shutdown(Shutdown::Both);
    }
}
