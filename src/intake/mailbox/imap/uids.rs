//! UIDs as commands name them: a set of ranges (RFC 3501 section 9, `sequence-set`).

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use imap_codec::imap_types::core::Vec1;
use imap_codec::imap_types::sequence::{SeqOrUid, Sequence, SequenceSet};

use crate::intake::mailbox::number_set::NumberSet;

/// The number of a message in a folder (RFC 3501 section 2.3.1.1).
pub type Uid = NonZeroU32;

/// The highest UID that is taken for one. imap-codec writes a range that ends above it with `*`, which means another thing.
pub(super) const HIGHEST: u32 = u32::MAX - 2;

/// The UIDs as a command names them, neighbours as one range. `None` for no UID: there is no empty set in IMAP.
pub(super) fn sequence_set(uids: &BTreeSet<Uid>) -> Option<SequenceSet> {
    ranges(&uids.iter().copied().collect())
}

/// The same.
pub(super) fn ranges(uids: &NumberSet) -> Option<SequenceSet> {
    let value = SeqOrUid::Value;
    let sequences = uids.ranges().map(|(start, end)| match start == end {
        true => Sequence::Single(value(start)),
        false => Sequence::Range(value(start), value(end)),
    });
    Vec1::try_from(sequences.collect::<Vec<_>>()).ok().map(SequenceSet)
}

/// `start:*`
///
/// It names the last message of the folder also where its UID is below `start` (RFC 3501 section 6.4.8): whoever asks
/// must look at the answer.
pub(super) fn from(start: Uid) -> SequenceSet {
    SequenceSet(Vec1::from(Sequence::Range(SeqOrUid::Value(start), SeqOrUid::Asterisk)))
}

/// One UID.
pub(super) fn one(uid: Uid) -> SequenceSet {
    SequenceSet(Vec1::from(Sequence::Single(SeqOrUid::Value(uid))))
}

#[cfg(test)]
mod tests {
    use imap_codec::encode::Encoder;
    use imap_codec::imap_types::command::{Command, CommandBody};
    use proptest::prelude::*;

    use super::*;

    fn written(set: SequenceSet) -> String {
        let command = Command::new("A", CommandBody::ExpungeUid { sequence_set: set }).expect("command");
        let text = String::from_utf8(imap_codec::CommandCodec::default().encode(&command).dump()).expect("text");
        text.trim_end().rsplit(' ').next().expect("set").to_owned()
    }

    fn set(uids: impl IntoIterator<Item = u32>) -> BTreeSet<Uid> {
        uids.into_iter().filter_map(Uid::new).collect()
    }

    #[test]
    fn neighbours_are_one_range() {
        let rows: &[(&[u32], Option<&str>)] = &[
            (&[], None),
            (&[7], Some("7")),
            (&[1, 2, 3], Some("1:3")),
            (&[9, 1, 3, 2, 7], Some("1:3,7,9")),
            (&[HIGHEST, HIGHEST - 1], Some("4294967292:4294967293")),
        ];
        for (uids, expected) in rows {
            assert_eq!(sequence_set(&set(uids.iter().copied())).map(written).as_deref(), *expected, "{uids:?}");
        }
        assert_eq!(written(from(Uid::MIN)), "1:*");
        assert_eq!(written(one(Uid::MIN)), "1");
    }

    proptest! {
        /// What goes out is what was meant, to the last UID: it may be what is deleted.
        #[test]
        fn the_set_that_is_written_is_the_set_that_was_meant(
            uids in proptest::collection::btree_set(prop_oneof![1..60_u32, 1..=HIGHEST, HIGHEST - 5..=HIGHEST], 1..50),
        ) {
            let text = sequence_set(&set(uids.iter().copied())).map(written).expect("a set");
            let mut read = BTreeSet::new();
            for element in text.split(',') {
                let (start, end) = element.split_once(':').unwrap_or((element, element));
                let (start, end) = (start.parse::<u32>().expect("number"), end.parse::<u32>().expect("number"));
                prop_assert!(end - start < 100);
                read.extend(start..=end);
            }
            prop_assert_eq!(read, uids);
        }
    }
}
