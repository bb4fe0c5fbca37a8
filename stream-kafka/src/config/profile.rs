//! What a connection is good at.

/// What a connection is good at: sets of properties that go together. docs/KAFKA.md has what each
/// of them was measured to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A record leaves as soon as it is there. What the modes that go record by record choose.
    LowLatency,
    /// Records wait a few milliseconds for others, and travel together. What batch and micro-batch
    /// choose.
    HighThroughput,
}

impl Profile {
    pub(crate) fn consumer(self) -> Vec<(&'static str, String)> {
        let of = |pairs: &[(&'static str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect()
        };
        // One request to a broker is under way at a time, and it waits so long for partitions that have
        // nothing: the others wait with it.
        match self {
            Profile::LowLatency => of(&[
                ("fetch.min.bytes", "1"),
                ("fetch.wait.max.ms", "50"),
                ("fetch.queue.backoff.ms", "1"),
            ]),
            Profile::HighThroughput => of(&[
                ("fetch.min.bytes", "100000"),
                ("fetch.wait.max.ms", "50"),
                ("fetch.queue.backoff.ms", "5"),
            ]),
        }
    }

    pub(crate) fn producer(self) -> Vec<(&'static str, String)> {
        let linger = match self {
            Profile::LowLatency => "0",
            Profile::HighThroughput => "5",
        };
        vec![("linger.ms", linger.to_owned())]
    }
}
