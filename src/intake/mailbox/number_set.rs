//! A set of message numbers as ranges: a hundred thousand neighbours take as much memory as two.

use std::num::NonZeroU32;

use rangemap::RangeInclusiveSet;

/// The number of a message in its inbox: for IMAP the UID.
pub type Number = NonZeroU32;

/// A set of message numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberSet(RangeInclusiveSet<u32>);

impl NumberSet {
    /// Adds a number.
    pub fn insert(&mut self, number: Number) {
        self.insert_range(number, number);
    }

    /// Adds the numbers from `first` to `last`; none if they stand the other way round.
    pub fn insert_range(&mut self, first: Number, last: Number) {
        if first <= last {
            self.0.insert(first.get()..=last.get());
        }
    }

    /// Takes a number out.
    pub fn remove(&mut self, number: Number) {
        self.0.remove(number.get()..=number.get());
    }

    /// Takes out all below `limit`.
    pub fn remove_below(&mut self, limit: Number) {
        self.0.remove(0..=limit.get() - 1);
    }

    /// Takes out `limit` and all above.
    pub fn remove_from(&mut self, limit: Number) {
        self.0.remove(limit.get()..=u32::MAX);
    }

    /// Whether a number is in it.
    pub fn contains(&self, number: Number) -> bool {
        self.0.contains(&number.get())
    }

    /// The lowest.
    pub fn first(&self) -> Option<Number> {
        self.0.first().and_then(|range| Number::new(*range.start()))
    }

    /// The highest.
    pub fn last(&self) -> Option<Number> {
        self.0.last().and_then(|range| Number::new(*range.end()))
    }

    /// How many; it looks at each range.
    pub fn len(&self) -> usize {
        self.0.iter().map(|range| (range.end() - range.start()) as usize + 1).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Number> {
        self.0.iter().cloned().flatten().filter_map(Number::new)
    }

    /// The ranges, in order: their first and their last number.
    pub fn ranges(&self) -> impl Iterator<Item = (Number, Number)> {
        self.0.iter().filter_map(|range| Some((Number::new(*range.start())?, Number::new(*range.end())?)))
    }

    /// Those from `first` to `last` that are not in it.
    pub fn gaps(&self, first: Number, last: Number) -> Self {
        if first > last {
            return Self::default();
        }
        Self(self.0.gaps(&(first.get()..=last.get())).collect())
    }
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
