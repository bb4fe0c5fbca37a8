//! Event time: clicks that are late are dropped, and watermarks complete what is kept by key.
//!
//! Each input on each worker is a lane. It promises every worker that none of its clicks will be older than its
//! highest time less the lateness; the watermark is the least promise of all lanes.

use std::collections::BTreeMap;

use timely::container::PushInto;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::{Rows, follow, least};
use crate::overhead::data::Click;

/// What a worker keeps of the clicks of its users.
pub(crate) trait InTime: Default + 'static {
    type Out: Clone + 'static;

    const LATENESS_SECS: u64;

    /// Takes in a click of an input.
    fn add(&mut self, input: usize, click: Click, emit: impl FnMut(Self::Out));

    /// Does what is to be done now that no click on time will be older than the watermark.
    fn complete(&mut self, watermark: i64, emit: impl FnMut(Self::Out));
}

/// What a lane promises a worker: the worker, the lane, and the least time of its clicks.
type Promise = (u64, usize, i64);

pub(crate) fn in_time<'s, L: InTime, const N: usize>(
    clicks: [StreamVec<'s, u64, Click>; N],
) -> StreamVec<'s, u64, L::Out> {
    let scope = clicks[0].scope();
    let lateness = L::LATENESS_SECS as i64 * 1_000_000;
    let mut lane = N * scope.index();
    let inputs = clicks.map(|clicks| {
        lane += 1;
        on_time(clicks, lane - 1, lateness)
    });
    let mut builder = OperatorBuilder::new("InTime".to_owned(), scope);
    let mut inputs = inputs.map(|(clicks, promises)| {
        let by_user = Exchange::new(|click: &Click| click.user);
        let by_worker = Exchange::new(|promise: &Promise| promise.0);
        (
            builder.new_input(clicks, by_user),
            builder.new_input(promises, by_worker),
        )
    });
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, Rows<L::Out>>::from(output);
    builder.build(move |mut held| {
        let mut held = held.pop();
        let mut kept = L::default();
        let mut promised: BTreeMap<u64, Vec<(usize, i64)>> = BTreeMap::new();
        let mut lanes = vec![i64::MIN; N * scope.peers()];
        move |frontiers| {
            let mut output = output.activate();
            for (_, promises) in &mut inputs {
                promises.for_each(|capability, promises| {
                    let epoch = *capability.least().expect("every slice has an epoch");
                    let heard = promises.drain(..).map(|(_, lane, time)| (lane, time));
                    promised.entry(epoch).or_default().extend(heard);
                });
            }
            let reached = frontiers.iter().map(least).min().unwrap_or(u64::MAX);
            while let Some(first) = promised
                .first_entry()
                .filter(|first| *first.key() < reached)
            {
                for (lane, time) in first.remove() {
                    lanes[lane] = lanes[lane].max(time);
                }
            }
            let watermark = match reached {
                u64::MAX => i64::MAX,
                _ => lanes.iter().copied().min().unwrap_or(i64::MIN),
            };
            if let Some(held) = &held {
                let mut session = output.session(held);
                kept.complete(watermark, |row| session.give(row));
            }
            follow(&mut held, reached);
            for (number, (clicks, _)) in inputs.iter_mut().enumerate() {
                clicks.for_each(|capability, clicks| {
                    let mut session = output.session(&capability);
                    for click in clicks.drain(..) {
                        kept.add(number, click, |row| session.give(row));
                    }
                });
            }
        }
    });
    stream
}

/// Drops the clicks that are late, and tells every worker how far the lane has come.
fn on_time<'s>(
    clicks: StreamVec<'s, u64, Click>,
    lane: usize,
    lateness: i64,
) -> (StreamVec<'s, u64, Click>, StreamVec<'s, u64, Promise>) {
    let scope = clicks.scope();
    let mut builder = OperatorBuilder::new("OnTime".to_owned(), scope);
    let mut clicks = builder.new_input(clicks, Pipeline);
    let (output, on_time) = builder.new_output();
    let (promises, promised) = builder.new_output();
    let mut output = OutputBuilder::<_, Rows<Click>>::from(output);
    let mut promises = OutputBuilder::<_, Rows<Promise>>::from(promises);
    let peers = scope.peers() as u64;
    builder.build(move |_| {
        let mut high = i64::MIN + lateness;
        move |_| {
            let (mut output, mut promises) = (output.activate(), promises.activate());
            clicks.for_each(|capability, clicks| {
                let mut session = output.session(&capability);
                let builder = session.builder();
                for click in clicks.drain(..) {
                    if click.at >= high - lateness {
                        high = high.max(click.at);
                        builder.push_into(click);
                    }
                }
                session.extract_and_send();
                let all = (0..peers).map(|peer| (peer, lane, high - lateness));
                promises.session(&capability).give_iterator(all);
            });
        }
    });
    (on_time, promised)
}
