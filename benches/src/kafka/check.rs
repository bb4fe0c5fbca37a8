//! Whether what has come out is right: each expected record once, with the right content, and those of
//! one user in the order in which they went in. Records are taken in the order of their receipt; a record
//! that comes again counts as doubled, whatever its place.

use std::error::Error;
use std::fmt;

use super::model::{Input, Plan, Priced, Summed, USERS, Workload};

pub(super) struct Checker {
    workload: Workload,
    plan: Plan,
    /// By number: what the sum of its user is then; for workload K only.
    sums: Vec<u64>,
    /// By number: whether it has come.
    seen: Vec<bool>,
    /// By user: one more than the latest number that has come.
    latest: Vec<u64>,
    faults: Faults,
}

/// How many records are not as they should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) reordered: u64,
    /// With another content than expected, or not expected at all.
    pub(super) wrong: u64,
    /// What the first wrong one looks like.
    example: Option<String>,
}

impl fmt::Display for Faults {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Faults {
            lost,
            doubled,
            reordered,
            wrong,
            example,
        } = self;
        write!(
            to,
            "wrong answers: {lost} lost, {doubled} doubled, {reordered} reordered, {wrong} wrong"
        )?;
        match example {
            Some(example) => write!(to, "; for example {example}"),
            None => Ok(()),
        }
    }
}

impl Error for Faults {}

impl Checker {
    pub(super) fn new(workload: Workload, plan: Plan, records: u64) -> Self {
        let mut totals = vec![0; USERS as usize];
        let mut sum = |seq| {
            let input = Input::new(seq, plan);
            let total: &mut u64 = &mut totals[input.user as usize];
            *total += input.amount;
            *total
        };
        Checker {
            workload,
            plan,
            sums: match workload {
                Workload::K => (0..records).map(&mut sum).collect(),
                Workload::S | Workload::B => Vec::new(),
            },
            seen: vec![false; records as usize],
            latest: vec![0; USERS as usize],
            faults: Faults::default(),
        }
    }

    /// Takes the next record that has come out, and tells when it was due if it is right.
    pub(super) fn take(&mut self, payload: &[u8]) -> Option<i64> {
        let Some(input) = self.match_input(payload) else {
            self.faults.wrong += 1;
            let text = || String::from_utf8_lossy(payload).into_owned();
            self.faults.example.get_or_insert_with(text);
            return None;
        };
        if std::mem::replace(&mut self.seen[input.seq as usize], true) {
            self.faults.doubled += 1;
            return None;
        }
        let latest = &mut self.latest[input.user as usize];
        if input.seq < *latest {
            self.faults.reordered += 1;
        }
        *latest = (*latest).max(input.seq + 1);
        Some(input.due_us)
    }

    /// The input that a record comes from, if it has the content that follows from it.
    fn match_input(&self, payload: &[u8]) -> Option<Input> {
        let input =
            |seq: u64| ((seq as usize) < self.seen.len()).then(|| Input::new(seq, self.plan));
        match self.workload {
            Workload::S => {
                let found: Priced = serde_json::from_slice(payload).ok()?;
                input(found.seq).filter(|input| !input.is_dropped() && found == (*input).into())
            }
            Workload::K => {
                let found: Summed = serde_json::from_slice(payload).ok()?;
                let Input {
                    user, seq, due_us, ..
                } = input(found.seq)?;
                let sum = self.sums[seq as usize];
                input(seq).filter(|_| {
                    found
                        == Summed {
                            user,
                            sum,
                            seq,
                            due_us,
                        }
                })
            }
            Workload::B => {
                let found: Input = serde_json::from_slice(payload).ok()?;
                let is_same = |input: &Input| {
                    serde_json::to_vec(input).is_ok_and(|expected| expected == payload)
                };
                input(found.seq).filter(is_same)
            }
        }
    }

    /// Fails if anything is not as it should be.
    pub(super) fn finish(mut self) -> Result<(), Faults> {
        let is_expected =
            |seq| self.workload != Workload::S || !Input::new(seq, self.plan).is_dropped();
        let lost = (0..)
            .zip(&self.seen)
            .filter(|&(seq, is_seen)| !is_seen && is_expected(seq));
        self.faults.lost = lost.count() as u64;
        match self.faults == Faults::default() {
            true => Ok(()),
            false => Err(self.faults),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS: u64 = 50_000;

    fn plan() -> Plan {
        Plan {
            first_us: 1,
            steady_us: 1_000_000,
            rate: Some(1_000),
        }
    }

    /// What a right program puts out, by an implementation that shares no code with the checker's.
    fn right(workload: Workload) -> Vec<String> {
        let mut sums = std::collections::BTreeMap::<u64, u64>::new();
        let inputs = (0..RECORDS).map(|seq| Input::new(seq, plan()));
        inputs
            .filter_map(|Input { user, amount, at, seq, due_us }| match workload {
                Workload::S if amount.is_multiple_of(10) => None,
                Workload::S => Some(format!(
                    r#"{{"cents":{amount}00,"user":{user},"amount":{amount},"at":{at},"seq":{seq},"due_us":{due_us}}}"#
                )),
                Workload::K => {
                    let sum = sums.entry(user).or_default();
                    *sum += amount;
                    Some(format!(r#"{{"user":{user},"sum":{sum},"seq":{seq},"due_us":{due_us}}}"#))
                }
                Workload::B => Some(format!(
                    r#"{{"user":{user},"amount":{amount},"at":{at},"seq":{seq},"due_us":{due_us}}}"#
                )),
            })
            .collect()
    }

    fn check(workload: Workload, records: &[String]) -> Result<(), Faults> {
        let mut checker = Checker::new(workload, plan(), RECORDS);
        for record in records {
            checker.take(record.as_bytes());
        }
        checker.finish()
    }

    const ALL: [Workload; 3] = [Workload::S, Workload::K, Workload::B];

    #[test]
    fn right_answers_pass() {
        for workload in ALL {
            let records = right(workload);
            assert_eq!(
                records.len() as u64,
                super::super::model::outputs(workload, RECORDS)
            );
            assert_eq!(check(workload, &records), Ok(()));
        }
    }

    #[test]
    fn a_lost_record_is_found_even_the_last() {
        for workload in ALL {
            for at in [0, 17, usize::MAX] {
                let mut records = right(workload);
                records.remove(at.min(records.len() - 1));
                let lost = Faults {
                    lost: 1,
                    ..Faults::default()
                };
                assert_eq!(check(workload, &records), Err(lost));
            }
        }
    }

    #[test]
    fn a_doubled_record_is_found() {
        for workload in ALL {
            let mut records = right(workload);
            records.push(records[100].clone());
            let doubled = Faults {
                doubled: 1,
                ..Faults::default()
            };
            assert_eq!(check(workload, &records), Err(doubled));
        }
    }

    #[test]
    fn order_counts_within_a_user_only() {
        for workload in ALL {
            let mut records = right(workload);
            let user = |text: &str| {
                serde_json::from_str::<serde_json::Value>(text).unwrap()["user"].clone()
            };
            assert_ne!(user(&records[3]), user(&records[4]));
            records.swap(3, 4);
            assert_eq!(check(workload, &records), Ok(()));
            let again = 4
                + (4..)
                    .position(|at| at > 4 && user(&records[at]) == user(&records[4]))
                    .unwrap();
            records.swap(4, again);
            let faults = check(workload, &records).unwrap_err();
            assert!(faults.reordered > 0 && faults.lost == 0 && faults.wrong == 0);
        }
    }

    #[test]
    fn a_wrong_content_is_found() {
        for workload in ALL {
            let mut records = right(workload);
            for wrong in ["nonsense", "", r#"{"seq":5}"#] {
                records[5] = wrong.to_owned();
                let faults = check(workload, &records).unwrap_err();
                assert_eq!((faults.wrong, faults.lost), (1, 1));
            }
        }
        for (workload, from, to) in [
            (Workload::S, "00,\"user\"", "01,\"user\""),
            (Workload::K, "\"sum\":", "\"sum\":1"),
            (Workload::B, "}", " }"),
            (Workload::S, "\"due_us\":", "\"due_us\":1"),
            (Workload::K, "\"seq\":", "\"seq\":90000"),
            (Workload::K, "}", ",\"more\":1}"),
        ] {
            let mut records = right(workload);
            records[20] = records[20].replace(from, to);
            let faults = check(workload, &records).unwrap_err();
            assert_eq!((faults.wrong, faults.lost), (1, 1), "{}", records[20]);
            assert!(faults.to_string().contains(&records[20]));
        }
    }

    #[test]
    fn a_record_that_had_to_be_dropped_is_wrong() {
        let dropped = (0..RECORDS)
            .map(|seq| Input::new(seq, plan()))
            .find(Input::is_dropped)
            .unwrap();
        let mut records = right(Workload::S);
        records.push(serde_json::to_string(&Priced::from(dropped)).unwrap());
        assert_eq!(check(Workload::S, &records).unwrap_err().wrong, 1);
    }
}
