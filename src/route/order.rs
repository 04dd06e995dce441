//! In which order the sources of all mailboxes are looked at.
//!
//! Every mailbox has a list of its own. Where the lists are the same, as they mostly are, the order is that list. Where
//! they differ, each mailbox still gets its sources in its own order, and wherever two lists leave open which source is
//! first, it is the one that stands first in the default list. So a mailbox that looks at References alone does not
//! take a message whose envelope names another mailbox.

use crate::config::AddressSource;

/// One source, looked at for the mailboxes whose list has come to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// The source.
    pub source: AddressSource,
    /// For each list whether its mailboxes take part.
    lists: Vec<bool>,
}

impl Stage {
    /// Whether mailboxes of this list take part.
    pub fn admits(&self, list: usize) -> bool {
        self.lists.get(list).copied().unwrap_or(false)
    }
}

/// A list in which each source stands once: at its second place it could find nothing new.
pub(super) fn without_repeats(sources: &[AddressSource]) -> Vec<AddressSource> {
    let mut list: Vec<AddressSource> = Vec::with_capacity(sources.len());
    for source in sources {
        if !list.contains(source) {
            list.push(*source);
        }
    }
    list
}

/// Merges the lists.
pub(super) fn stages(lists: &[Vec<AddressSource>]) -> Vec<Stage> {
    let mut next = vec![0; lists.len()];
    let mut stages = Vec::new();
    let head = |next: &[usize], list: usize| lists[list].get(next[list]).copied();
    loop {
        let heads: Vec<_> = (0..lists.len()).map(|list| head(&next, list)).collect();
        let Some(source) = AddressSource::ALL.into_iter().find(|source| heads.contains(&Some(*source))) else {
            return stages;
        };
        let lists: Vec<bool> = heads.iter().map(|head| *head == Some(source)).collect();
        for (place, takes_part) in next.iter_mut().zip(&lists) {
            *place += usize::from(*takes_part);
        }
        stages.push(Stage { source, lists });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AddressSource::{Cc, Envelope, References, To};

    #[test]
    fn lists_are_merged_so_that_each_keeps_its_own_order() {
        type Row<'a> = (&'a str, &'a [&'a [AddressSource]], &'a [(AddressSource, &'a [usize])]);
        let rows: &[Row<'_>] = &[
            ("one list is its own order", &[&[To, Envelope, Cc]], &[(To, &[0]), (Envelope, &[0]), (Cc, &[0])]),
            (
                "a short list waits for its source",
                &[&[References], &[Envelope, To, References]],
                &[(Envelope, &[1]), (To, &[1]), (References, &[0, 1])],
            ),
            (
                "opposite orders: the default order decides, and a source is looked at twice",
                &[&[To, Envelope], &[Envelope, To]],
                &[(Envelope, &[1]), (To, &[0, 1]), (Envelope, &[0])],
            ),
        ];
        for (name, lists, wanted) in rows {
            let lists: Vec<_> = lists.iter().map(|list| list.to_vec()).collect();
            let found: Vec<_> = stages(&lists)
                .into_iter()
                .map(|stage| (stage.source, (0..lists.len()).filter(|&list| stage.admits(list)).collect::<Vec<_>>()))
                .collect();
            let wanted: Vec<_> = wanted.iter().map(|(source, lists)| (*source, lists.to_vec())).collect();
            assert_eq!(found, wanted, "{name}");
        }
    }
}
