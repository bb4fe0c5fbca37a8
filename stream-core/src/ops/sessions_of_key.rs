//! The open sessions of one key.
//!
//! Sessions do not overlap, so in the order of their first records they are in the order of their
//! last ones, too, and a moment is found by bisection. Nearly always there is one, which stands in
//! its row without an allocation; a few are a sorted vector; many are a tree, where no insertion
//! and no removal moves the others. So an operation costs no more than the logarithm of how many
//! sessions are open.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::slice;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::EventTime;

/// How many sessions a vector may hold.
const FEW: usize = 16;

/// An open session: where its records lie. Its end is a gap after the last of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session<A> {
    pub(super) first: EventTime,
    pub(super) last: EventTime,
    /// When its timer falls due: a gap after one of its records.
    pub(super) timer: EventTime,
    pub(super) value: A,
}

impl<A> Session<A> {
    /// Whether it has anything to do with these moments.
    #[inline]
    pub(super) fn meets(&self, moments: &RangeInclusive<EventTime>) -> bool {
        *moments.start() <= self.last && self.first <= *moments.end()
    }

    #[inline]
    pub(super) fn stretch(&mut self, time: EventTime) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }
}

/// Sessions that do not overlap.
#[derive(Clone, Debug)]
pub(crate) enum Sessions<A> {
    One(Session<A>),
    /// In the order of time.
    Few(Vec<Session<A>>),
    /// By the last moment.
    Many(BTreeMap<EventTime, Session<A>>),
}

impl<A> Sessions<A> {
    /// The first session that meets these moments.
    #[inline]
    pub(super) fn find(&self, moments: &RangeInclusive<EventTime>) -> Option<&Session<A>> {
        let session = match self {
            Sessions::One(session) => session,
            Sessions::Few(sessions) => sessions.get(first_from(sessions, *moments.start()))?,
            Sessions::Many(sessions) => sessions.range(*moments.start()..).next()?.1,
        };
        session.meets(moments).then_some(session)
    }

    /// The same, whose timer may be changed, and its value.
    #[inline]
    pub(super) fn find_mut(
        &mut self,
        moments: &RangeInclusive<EventTime>,
    ) -> Option<&mut Session<A>> {
        let session = match self {
            Sessions::One(session) => session,
            Sessions::Few(sessions) => {
                let first = first_from(sessions, *moments.start());
                sessions.get_mut(first)?
            }
            Sessions::Many(sessions) => sessions.range_mut(*moments.start()..).next()?.1,
        };
        session.meets(moments).then_some(session)
    }

    /// Takes away the first session that meets these moments.
    pub(super) fn take(&mut self, moments: &RangeInclusive<EventTime>) -> Option<Session<A>> {
        let last = self.find(moments)?.last;
        match self {
            Sessions::One(_) => self.pop_first(),
            Sessions::Few(sessions) => Some(sessions.remove(first_from(sessions, last))),
            Sessions::Many(sessions) => sessions.remove(&last),
        }
    }

    /// Takes away the first session of all, if it is so.
    pub(super) fn pop_first_if(
        &mut self,
        is_so: impl FnOnce(&Session<A>) -> bool,
    ) -> Option<Session<A>> {
        let first = match self {
            Sessions::One(session) => Some(&*session),
            Sessions::Few(sessions) => sessions.first(),
            Sessions::Many(sessions) => sessions.first_key_value().map(|(_, session)| session),
        };
        match first.is_some_and(is_so) {
            true => self.pop_first(),
            false => None,
        }
    }

    /// Hands over all sessions, in the order of time. Their times may not be changed.
    pub(super) fn for_each(&mut self, mut each: impl FnMut(&mut Session<A>)) {
        match self {
            Sessions::One(session) => each(session),
            Sessions::Few(sessions) => sessions.iter_mut().for_each(each),
            Sessions::Many(sessions) => sessions.values_mut().for_each(each),
        }
    }

    /// Takes away the first session of all.
    pub(super) fn pop_first(&mut self) -> Option<Session<A>> {
        match self {
            Sessions::One(_) => match std::mem::replace(self, Sessions::Few(Vec::new())) {
                Sessions::One(session) => Some(session),
                _ => None,
            },
            Sessions::Few(sessions) if sessions.is_empty() => None,
            Sessions::Few(sessions) => Some(sessions.remove(0)),
            Sessions::Many(sessions) => sessions.pop_first().map(|(_, session)| session),
        }
    }

    /// Adds a session that overlaps none of the others.
    pub(super) fn insert(&mut self, session: Session<A>) {
        match self {
            Sessions::Few(sessions) if sessions.is_empty() => *self = Sessions::One(session),
            Sessions::Few(sessions) if sessions.len() < FEW => {
                sessions.insert(first_from(sessions, session.last), session);
            }
            Sessions::Many(sessions) => {
                sessions.insert(session.last, session);
            }
            Sessions::One(_) | Sessions::Few(_) => {
                let others = std::mem::replace(self, Sessions::Few(Vec::new()));
                *self = others.into_iter().chain([session]).collect();
            }
        }
    }

    /// Stands in the smallest form again, after sessions have left for good.
    pub(super) fn shrink(&mut self) {
        match self {
            Sessions::Few(sessions) if sessions.len() == 1 => {}
            // At half of what made it a tree, so that it does not change at every turn.
            Sessions::Many(sessions) if sessions.len() <= FEW / 2 => {}
            _ => return,
        }
        let sessions = std::mem::replace(self, Sessions::Few(Vec::new()));
        *self = sessions.into_iter().collect();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Sessions::One(_) => 1,
            Sessions::Few(sessions) => sessions.len(),
            Sessions::Many(sessions) => sessions.len(),
        }
    }

    fn into_iter(mut self) -> impl Iterator<Item = Session<A>> {
        std::iter::from_fn(move || self.pop_first())
    }
}

/// Written as a list, in the order of time.
impl<A: Serialize> Serialize for Sessions<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Sessions::One(session) => slice::from_ref(session).serialize(serializer),
            Sessions::Few(sessions) => sessions.serialize(serializer),
            Sessions::Many(sessions) => serializer.collect_seq(sessions.values()),
        }
    }
}

impl<'de, A: Deserialize<'de>> Deserialize<'de> for Sessions<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sessions = Vec::<Session<A>>::deserialize(deserializer)?;
        Ok(sessions.into_iter().collect())
    }
}

/// Sessions that do not overlap, in whatever order they come.
impl<A> FromIterator<Session<A>> for Sessions<A> {
    fn from_iter<I: IntoIterator<Item = Session<A>>>(sessions: I) -> Self {
        let mut sessions: Vec<_> = sessions.into_iter().collect();
        match sessions.len() {
            0 => Sessions::Few(sessions),
            1 => Sessions::One(sessions.remove(0)),
            2..=FEW => {
                sessions.sort_unstable_by_key(|session| session.last);
                Sessions::Few(sessions)
            }
            _ => Sessions::Many(sessions.into_iter().map(|s| (s.last, s)).collect()),
        }
    }
}

/// Where the first session stands whose last record is not before this moment.
fn first_from<A>(sessions: &[Session<A>], moment: EventTime) -> usize {
    sessions.partition_point(|session| session.last < moment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    fn session(first: i64, last: i64) -> Session<()> {
        Session {
            first: EventTime::micros(first),
            last: EventTime::micros(last),
            timer: EventTime::micros(last),
            value: (),
        }
    }

    /// Moments of one session each, `10 n ..= 10 n + 3`, come and go, and a vector that is searched
    /// from end to end says what is found.
    #[test]
    fn sessions_are_found_as_a_naive_search_says() {
        for seed in 0..100 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut oracle = Vec::new();
            let mut sessions: Sessions<()> = Sessions::Few(Vec::new());
            for step in 0..400 {
                // It grows for a while and then shrinks, through all its forms.
                let at = 10 * rng.i64(-40..40);
                let one = session(at, at + 3);
                if rng.u32(0..400) > step && !oracle.contains(&one) {
                    oracle.push(one.clone());
                    sessions.insert(one);
                }
                let from = rng.i64(-420..420);
                let moments = EventTime::micros(from)..=EventTime::micros(from + rng.i64(0..30));
                oracle.sort_by_key(|one| one.first);
                let position = oracle.iter().position(|one| one.meets(&moments));
                assert_eq!(sessions.find(&moments), position.map(|at| &oracle[at]));
                if rng.u8(0..2) == 0 {
                    let taken = position.map(|at| oracle.remove(at));
                    assert_eq!(sessions.take(&moments), taken, "seed {seed}, step {step}");
                    sessions.shrink();
                }
                assert_eq!(sessions.len(), oracle.len(), "seed {seed}, step {step}");
                let [ours, naive] = [codec::encode(&sessions), codec::encode(&oracle)];
                assert_eq!(ours.unwrap(), naive.unwrap(), "seed {seed}, step {step}");
            }
            assert!(sessions.into_iter().eq(oracle), "seed {seed}");
        }
    }

    /// A cache miss a record is what a fold costs, so a row is to stay small.
    #[test]
    fn one_session_stands_in_its_row() {
        assert_eq!(size_of::<Session<u64>>(), 32);
        assert_eq!(size_of::<Sessions<u64>>(), 40);
    }
}
