//! Sessions of a shop's visitors: clicks of one user, less than half an hour apart.

use serde::{Deserialize, Serialize};
use stream_core::prelude::*;

/// One row of `examples/data/clicks`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Click {
    /// Who.
    pub user_id: String,
    /// What: `home`, `product_view`, `purchase` …
    pub event: String,
    /// When, by the shop's clock.
    pub timestamp: EventTime,
    /// The session that the data itself gives; only tests look at it.
    pub session_id: String,
}

/// What is known of a session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Session {
    /// Who.
    pub user: String,
    /// The first click.
    pub start: EventTime,
    /// Half an hour after the last click.
    pub end: EventTime,
    /// How many clicks.
    pub clicks: u64,
    /// How many of them were a purchase.
    pub purchases: u64,
}

/// What a session is folded into: clicks and purchases.
type Tally = (u64, u64);

/// Reads clicks and gives the sessions, and the clicks that came too late to count.
#[pipeline]
pub fn sessions(clicks: Stream<Click>, gap: Gap) -> (Timed<Session>, Stream<Click>) {
    let (timed, late) = clicks.event_time(|click| click.timestamp, Lateness::secs(30));
    let sessions = timed
        .key_by(|click| click.user_id.clone())
        .session(gap)
        .fold(Tally::default, add, merge)
        .map(
            |Windowed {
                 key: user,
                 start,
                 end,
                 value: (clicks, purchases),
             }| Session {
                user,
                start,
                end,
                clicks,
                purchases,
            },
        );
    (sessions, late)
}

fn add((clicks, purchases): &mut Tally, click: Click) {
    *clicks += 1;
    *purchases += u64::from(click.event == "purchase");
}

fn merge((clicks, purchases): &mut Tally, later: Tally) {
    *clicks += later.0;
    *purchases += later.1;
}
