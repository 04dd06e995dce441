//! A set of message numbers as ranges: a hundred thousand neighbours take as much memory as two.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// The number of a message in its inbox: for IMAP the UID.
pub type Number = NonZeroU32;

/// A set of message numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberSet {
    /// The last number of each range, by its first. They neither meet nor touch each other.
    ranges: BTreeMap<Number, Number>,
    len: usize,
}

impl NumberSet {
    /// Adds a number.
    pub fn insert(&mut self, number: Number) {
        self.insert_range(number, number);
    }

    /// Adds the numbers from `first` to `last`.
    pub fn insert_range(&mut self, first: Number, last: Number) {
        if first > last {
            return;
        }
        let (mut start, mut end) = (first, last);
        // Those that touch it become one with it: from the right to the left, as they stand.
        let behind = last.checked_add(1).unwrap_or(last);
        while let Some((&other, &other_end)) = self.ranges.range(..=behind).next_back() {
            if other_end.checked_add(1).is_some_and(|next| next < first) {
                break;
            }
            self.take_range(other);
            (start, end) = (start.min(other), end.max(other_end));
        }
        self.put_range(start, end);
    }

    /// Takes a number out.
    pub fn remove(&mut self, number: Number) {
        let Some((&start, &end)) = self.ranges.range(..=number).next_back().filter(|(_, end)| **end >= number) else {
            return;
        };
        self.take_range(start);
        if let Some(before) = Number::new(number.get() - 1).filter(|before| *before >= start) {
            self.put_range(start, before);
        }
        if let Some(behind) = number.checked_add(1).filter(|behind| *behind <= end) {
            self.put_range(behind, end);
        }
    }

    /// Takes out all below `limit`.
    pub fn remove_below(&mut self, limit: Number) {
        while let Some((&start, &end)) = self.ranges.first_key_value().filter(|(start, _)| **start < limit) {
            self.take_range(start);
            if end >= limit {
                self.put_range(limit, end);
            }
        }
    }

    /// Takes out `limit` and all above.
    pub fn remove_from(&mut self, limit: Number) {
        while let Some((&start, _)) = self.ranges.last_key_value().filter(|(_, end)| **end >= limit) {
            self.take_range(start);
            if let Some(before) = Number::new(limit.get() - 1).filter(|before| *before >= start) {
                self.put_range(start, before);
            }
        }
    }

    fn put_range(&mut self, start: Number, end: Number) {
        self.ranges.insert(start, end);
        self.len += size(start, end);
    }

    fn take_range(&mut self, start: Number) {
        if let Some(end) = self.ranges.remove(&start) {
            self.len -= size(start, end);
        }
    }

    /// Whether a number is in it.
    pub fn contains(&self, number: Number) -> bool {
        self.ranges.range(..=number).next_back().is_some_and(|(_, end)| *end >= number)
    }

    /// The lowest.
    pub fn first(&self) -> Option<Number> {
        self.ranges.first_key_value().map(|(start, _)| *start)
    }

    /// The highest.
    pub fn last(&self) -> Option<Number> {
        self.ranges.last_key_value().map(|(_, end)| *end)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Number> {
        self.ranges.iter().flat_map(|(start, end)| start.get()..=end.get()).filter_map(Number::new)
    }

    /// The ranges, in order: their first and their last number.
    pub fn ranges(&self) -> impl Iterator<Item = (Number, Number)> {
        self.ranges.iter().map(|(start, end)| (*start, *end))
    }

    /// Those from `first` to `last` that are not in it.
    pub fn gaps(&self, first: Number, last: Number) -> Self {
        let (mut gaps, mut next) = (Self::default(), Some(first));
        for (start, end) in self.ranges().filter(|(_, end)| *end >= first) {
            let Some(from) = next.filter(|from| *from <= last && start <= last) else { break };
            if let Some(before) = Number::new(start.get() - 1) {
                gaps.insert_range(from, before);
            }
            next = end.checked_add(1);
        }
        if let Some(from) = next {
            gaps.insert_range(from, last);
        }
        gaps
    }
}

/// The numbers of a range, both ends included.
fn size(start: Number, end: Number) -> usize {
    (end.get() - start.get()) as usize + 1
}

impl Extend<Number> for NumberSet {
    fn extend<I: IntoIterator<Item = Number>>(&mut self, numbers: I) {
        numbers.into_iter().for_each(|number| self.insert(number));
    }
}

impl FromIterator<Number> for NumberSet {
    fn from_iter<I: IntoIterator<Item = Number>>(numbers: I) -> Self {
        let mut set = Self::default();
        set.extend(numbers);
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn number(value: u32) -> Number {
        Number::new(value).expect("not zero")
    }

    fn values() -> impl Strategy<Value = u32> {
        prop_oneof![1..30_u32, u32::MAX - 10..=u32::MAX]
    }

    #[derive(Clone, Debug)]
    enum Change {
        Insert(u32),
        InsertRange(u32, u32),
        Remove(u32),
        RemoveBelow(u32),
        RemoveFrom(u32),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            values().prop_map(Change::Insert),
            (1..30_u32, 0..6_u32).prop_map(|(from, more)| Change::InsertRange(from, from + more)),
            values().prop_map(Change::Remove),
            (1..30_u32).prop_map(Change::RemoveBelow),
            (1..40_u32).prop_map(Change::RemoveFrom),
        ]
    }

    proptest! {
        #[test]
        fn it_holds_what_a_set_of_numbers_holds(changes in proptest::collection::vec(change(), 0..60)) {
            let (mut set, mut model) = (NumberSet::default(), BTreeSet::new());
            for change in changes {
                match change {
                    Change::Insert(value) => { set.insert(number(value)); model.insert(value); }
                    Change::InsertRange(from, to) => { set.insert_range(number(from), number(to)); model.extend(from..=to); }
                    Change::Remove(value) => { set.remove(number(value)); model.remove(&value); }
                    Change::RemoveFrom(value) => { set.remove_from(number(value)); drop(model.split_off(&value)); }
                    Change::RemoveBelow(value) => { set.remove_below(number(value)); model = model.split_off(&value); }
                }
                prop_assert_eq!(set.iter().map(Number::get).collect::<BTreeSet<_>>(), model.clone());
                prop_assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(set.first().map(Number::get), model.first().copied());
                prop_assert_eq!(set.last().map(Number::get), model.last().copied());
                prop_assert!((1..40).all(|value| set.contains(number(value)) == model.contains(&value)));
                let ranges: Vec<_> = set.ranges().collect();
                prop_assert!(ranges.windows(2).all(|two| two[0].1.get() + 1 < two[1].0.get()), "as few ranges as can be");
                let gaps: Vec<_> = (3..=25).filter(|value| !model.contains(value)).collect();
                prop_assert_eq!(set.gaps(number(3), number(25)).iter().map(Number::get).collect::<Vec<_>>(), gaps);
            }
        }
    }

    #[test]
    fn a_hundred_thousand_neighbours_are_one_range() {
        let mut set: NumberSet = (1..=100_000).filter_map(Number::new).collect();
        assert_eq!((set.len(), set.ranges().count()), (100_000, 1));
        set.remove(number(500));
        assert_eq!((set.len(), set.ranges().count()), (99_999, 2));
        assert_eq!(set.gaps(number(1), number(u32::MAX)).ranges().count(), 2);
    }
}
