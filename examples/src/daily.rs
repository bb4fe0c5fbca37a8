//! Pipelines of pipelines: one counts, another one uses it twice, each use with settings of its own.

use stream_core::prelude::*;

use crate::sessions::{Click, Session, sessions};

/// Counts sessions by the day on which they end: all, and those of at least so many clicks.
///
/// The clicks that come too late for either go nowhere.
#[pipeline]
pub fn daily(
    clicks: Stream<Click>,
    gap: Gap,
    #[default(10)] busy: u64,
) -> (Timed<Windowed<(), u64>>, Timed<Windowed<(), u64>>) {
    let (ended, late) = sessions(clicks, gap);
    late.discard();
    let long = ended.filter(|session| session.clicks >= busy);
    let all_days = by_day(ended);
    let busy_days = by_day(long);
    (all_days, busy_days)
}

/// Counts sessions by day. It reads a stream with event time, so only other pipelines can call it.
#[pipeline]
fn by_day(ended: Timed<Session>) -> Timed<Windowed<(), u64>> {
    let days = ended.key_by(|_| ()).tumbling(Size::days(1)).count();
    days
}
