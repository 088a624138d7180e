//! Who was refused or had to give way, summed up: strangers may knock as often as they like, and a line each would fill the
//! log.

use std::collections::BTreeMap;
use std::fmt;

use handfast_core::{PeerId, Refusal};
use tracing::info;

/// Why somebody has no place here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// It was not let in.
    Refused(Refusal),
    /// A newcomer got its place.
    Evicted,
}

/// Tells of the first one for a reason at once, and of those that follow in one line an interval.
#[derive(Debug, Default)]
pub(crate) struct Refusals(BTreeMap<Why, Sum>);

/// Those for one reason of whom no line has told.
#[derive(Debug, Default)]
struct Sum {
    count: u64,
    callers: Callers,
}

impl Refusals {
    /// `id`, at the address `place`, has no place here.
    pub(crate) fn note(&mut self, id: PeerId, place: String, reason: Why) {
        if let Some(sum) = self.0.get_mut(&reason) {
            sum.add(id, place);
            return;
        }
        let mut first = Sum::default();
        first.add(id, place);
        first.tell(reason);
        self.0.insert(reason, Sum::default());
    }

    /// An interval is over: a line for each reason.
    pub(crate) fn summarise(&mut self) {
        // After a quiet interval the next one is told of at once again.
        self.0.retain(|_, sum| sum.count > 0);
        for (reason, sum) in &mut self.0 {
            std::mem::take(sum).tell(*reason);
        }
    }
}

#[cfg(test)]
impl Refusals {
    /// Those for a reason of whom no line has told.
    pub(crate) fn waiting(&self, why: Why) -> Option<String> {
        self.0.get(&why).map(|sum| sum.callers.to_string())
    }
}

impl Sum {
    fn add(&mut self, id: PeerId, place: String) {
        self.count += 1;
        let Callers(callers) = &mut self.callers;
        if callers.len() < MOST_CALLERS || callers.contains_key(&id) {
            callers.insert(id, place);
        }
    }

    fn tell(&self, reason: Why) {
        let (count, callers) = (self.count, &self.callers);
        match reason {
            Why::Refused(reason) => info!(count, %reason, %callers, "refused"),
            Why::Evicted => info!(count, %callers, "evicted"),
        }
    }
}

/// Where each of them called from last, as it can stand in a list of peers.
#[derive(Debug, Default)]
struct Callers(BTreeMap<PeerId, String>);

/// With spaces between, or in the alternate form as a list in JSON.
impl fmt::Display for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(callers) = self;
        let list: Vec<_> = callers.iter().map(|(id, place)| format!("{id}@{place}")).collect();
        if f.alternate() {
            write!(f, "{}", serde_json::Value::from(list))
        } else {
            f.write_str(&list.join(" "))
        }
    }
}

/// A line names no more: keys cost nothing.
const MOST_CALLERS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::Identity;

    fn id(number: u8) -> PeerId {
        Identity::from_seed([number; 32]).id()
    }

    #[test]
    fn repetitions_are_one_sum_and_a_flood_of_keys_needs_no_memory() {
        let mut refusals = Refusals::default();
        let note = |refusals: &mut Refusals, number| {
            let why = Why::Refused(Refusal::NotAdmitted);
            refusals.note(id(number), format!("192.0.2.1:{number}"), why);
        };
        note(&mut refusals, 1);
        let waiting = |refusals: &Refusals| {
            let sum = refusals.0.get(&Why::Refused(Refusal::NotAdmitted));
            sum.map(|sum| (sum.count, sum.callers.0.len()))
        };
        assert_eq!(waiting(&refusals), Some((0, 0)), "the first was told of at once");
        for number in 0..=255 {
            note(&mut refusals, number);
        }
        assert_eq!(waiting(&refusals), Some((256, MOST_CALLERS)));
        refusals.note(id(1), String::new(), Why::Evicted);
        refusals.summarise();
        assert_eq!(waiting(&refusals), Some((0, 0)));
        refusals.summarise();
        assert_eq!(waiting(&refusals), None, "a quiet interval");
    }

    #[test]
    fn callers_are_written_as_a_list_of_peers_has_them() {
        let callers = Callers(BTreeMap::from([(id(1), "192.0.2.1:7".to_owned())]));
        assert_eq!(callers.to_string(), format!("{}@192.0.2.1:7", id(1)));
        assert_eq!(format!("{callers:#}"), format!("[\"{}@192.0.2.1:7\"]", id(1)));
    }
}
