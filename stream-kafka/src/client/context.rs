//! What a client tells of itself while it runs: its log, its errors.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::explain;

/// How long the same kind of line is kept back after one was told.
const QUIET: Duration = Duration::from_secs(30);

/// How long the other addresses of a cluster have to answer where one cannot.
const OTHERS_WAIT: Duration = Duration::from_secs(5);

/// For how long an error is told as the last one.
const RECENT: Duration = Duration::from_secs(60);

/// How many kinds of lines are told apart.
const KINDS_MAX: usize = 64;

/// Hears what a client tells. Clones are the same listener.
#[derive(Clone, Default)]
pub(crate) struct Context(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    /// The error that was told last, with when that was.
    error: Option<(Instant, String)>,
    /// When an error was told last that does not pass by itself.
    hopeless: Option<Instant>,
    /// By kind of line: when one was told last, and how many were kept back since.
    kinds: Vec<(String, Instant, u64)>,
}

impl Context {
    /// The error that the client has told last, if it did since then.
    pub(crate) fn error_since(&self, time: Instant) -> Option<String> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, error) = heard.error.as_ref()?;
        (*told >= time).then(|| error.clone())
    }

    /// The error that the client has told last, if that is not long ago.
    pub(crate) fn recent_error(&self) -> Option<String> {
        Instant::now()
            .checked_sub(RECENT)
            .and_then(|time| self.error_since(time))
    }

    /// Whether an error that lasts was told since then, by the only address of a cluster, or for so long that
    /// another one would have answered.
    pub(crate) fn is_hopeless(&self, since: Instant, bootstrap: &str) -> bool {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_lasted = heard.hopeless.is_some_and(|told| told >= since);
        has_lasted && (!bootstrap.contains(',') || since.elapsed() >= OTHERS_WAIT)
    }

    fn note_error(&self, error: &str, lasts: bool) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        heard.error = Some((now, error.to_owned()));
        if lasts {
            heard.hopeless = Some(now);
        }
    }

    /// Whether a line of this kind is to be told now, and how many were kept back before it.
    fn admit(&self, kind: &str, now: Instant) -> Option<u64> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, told, kept)) = heard.kinds.iter_mut().find(|(known, ..)| known == kind) {
            if now.duration_since(*told) < QUIET {
                *kept += 1;
                return None;
            }
            *told = now;
            return Some(std::mem::take(kept));
        }
        if heard.kinds.len() < KINDS_MAX {
            heard.kinds.push((kind.to_owned(), now, 0));
        }
        Some(0)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context")
    }
}

impl ClientContext for Context {
    /// Tells warnings and errors on standard error, each kind once in a while; an error that a client
    /// cannot get over comes to the job as its own.
    fn log(&self, level: RDKafkaLogLevel, kind: &str, line: &str) {
        if kind == "FAIL" && matches!(level, RDKafkaLogLevel::Warning | RDKafkaLogLevel::Info) {
            // A broker that hangs up may not like how it is spoken to, and is not told of otherwise: it is
            // logged as information, or as a warning where several requests were under way.
            let told = line.split_once("]: ").map_or(line, |(_, told)| told);
            self.note_error(told, false);
        }
        // Of the last the library tells only that it tries again; where it gives up, that is an error.
        let is_noise = matches!(kind, "CONFWARN" | "GETPID");
        if level as i32 > RDKafkaLogLevel::Warning as i32 || is_noise {
            return;
        }
        if let Some(kept) = self.admit(kind, Instant::now()) {
            let kept = match kept {
                0 => String::new(),
                kept => format!(" ({kept} more like this before)"),
            };
            eprintln!("kafka: {line}{kept}");
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // The first says nothing of an error, the second only that others have been told.
            Some(RDKafkaErrorCode::PartitionEOF | RDKafkaErrorCode::AllBrokersDown) => {}
            code => {
                // A connection that broke in the middle of it says nothing of a password.
                let is_broken = reason.contains("Broker transport failure");
                let lasts = code.is_some_and(explain::is_lasting) && !is_broken;
                self.note_error(reason, lasts);
            }
        }
    }
}

impl ConsumerContext for Context {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_one_address_is_not_hopeless_where_there_are_others() {
        let (context, start) = (Context::default(), Instant::now());
        context.note_error("no such host", true);
        assert!(context.is_hopeless(start, "a:9092"));
        assert!(!context.is_hopeless(start, "a:9092,b:9092"));
        let long_ago = start - OTHERS_WAIT;
        assert!(context.is_hopeless(long_ago, "a:9092,b:9092"));
    }

    #[test]
    fn a_broker_that_hangs_up_is_heard_however_it_is_logged() {
        let line = "[thrd:a:9092/bootstrap]: a:9092/bootstrap: Disconnected";
        for level in [RDKafkaLogLevel::Info, RDKafkaLogLevel::Warning] {
            let (context, start) = (Context::default(), Instant::now());
            context.log(level, "FAIL", line);
            let told = context.error_since(start);
            assert_eq!(told.as_deref(), Some("a:9092/bootstrap: Disconnected"));
        }
    }

    #[test]
    fn a_kind_of_line_is_told_once_in_a_while() {
        let context = Context::default();
        let start = Instant::now();
        assert_eq!(context.admit("FAIL", start), Some(0));
        assert_eq!(context.admit("FAIL", start + QUIET / 2), None);
        assert_eq!(context.admit("FAIL", start + QUIET / 2), None);
        assert_eq!(context.admit("TIMEOUT", start + QUIET / 2), Some(0));
        assert_eq!(context.admit("FAIL", start + QUIET), Some(2));
    }
}
