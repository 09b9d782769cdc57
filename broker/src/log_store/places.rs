//! Which directory a log belongs in: a decision without files.

/// What the metadata say of where a replica's log lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing: never assigned, or by a version that did not say it.
    Nothing,
    /// In this directory, which is in use.
    At(usize),
    /// In one that is offline, or none of ours.
    Elsewhere,
}

/// What is known when a log is to be opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// The directories in use in which there is a log of this name.
    pub(super) found: &'a [usize],
    pub(super) told: Told,
    /// Whether the partition was made just now, so that it cannot have a log anywhere.
    pub(super) is_new: bool,
    /// Whether there are directories that cannot be looked into.
    pub(super) has_offline: bool,
}

/// Where the log is, or is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// There it is. Others of its name are leftovers.
    Found(usize),
    /// A new one is to be made, there or, without a number, in a directory of choice.
    New(Option<usize>),
    /// It may lie in a directory that cannot be looked into: a new one would be empty.
    OutOfReach,
    /// It is in several, and nobody says which counts.
    Ambiguous,
}

/// Decides where a log is.
pub(super) fn place(known: Known<'_>) -> Place {
    match (known.found, known.told) {
        ([one], _) => Place::Found(*one),
        ([_, ..], Told::At(told)) if known.found.contains(&told) => Place::Found(told),
        ([_, ..], _) => Place::Ambiguous,
        ([], Told::At(told)) if known.is_new => Place::New(Some(told)),
        ([], _) if known.is_new => Place::New(None),
        ([], Told::Elsewhere) => Place::OutOfReach,
        // It may have been about to move from a directory that has failed since to the one that the metadata name.
        ([], _) if known.has_offline => Place::OutOfReach,
        ([], Told::At(told)) => Place::New(Some(told)),
        ([], Told::Nothing) => Place::New(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(found: &[usize], told: Told, is_new: bool, has_offline: bool) -> Place {
        place(Known {
            found,
            told,
            is_new,
            has_offline,
        })
    }

    #[test]
    fn a_log_is_where_it_is_found_whatever_the_metadata_say() {
        for told in [Told::Nothing, Told::At(0), Told::At(1), Told::Elsewhere] {
            assert_eq!(at(&[1], told, false, true), Place::Found(1), "{told:?}");
        }
    }

    #[test]
    fn of_two_logs_the_metadatas_counts_and_without_one_neither() {
        assert_eq!(at(&[0, 1], Told::At(1), false, false), Place::Found(1));
        assert_eq!(at(&[0, 1], Told::At(2), false, false), Place::Ambiguous);
        assert_eq!(at(&[0, 1], Told::Nothing, false, false), Place::Ambiguous);
        assert_eq!(at(&[0, 1], Told::Elsewhere, false, true), Place::Ambiguous);
    }

    #[test]
    fn a_log_that_may_lie_in_an_offline_directory_is_never_made_anew() {
        assert_eq!(at(&[], Told::Elsewhere, false, true), Place::OutOfReach);
        // The directory was taken out of log.dirs.
        assert_eq!(at(&[], Told::Elsewhere, false, false), Place::OutOfReach);
        assert_eq!(at(&[], Told::Nothing, false, true), Place::OutOfReach);
        assert_eq!(at(&[], Told::At(0), false, true), Place::OutOfReach);
    }

    #[test]
    fn a_new_partition_goes_where_it_is_told_or_where_there_is_a_disk() {
        assert_eq!(at(&[], Told::At(1), true, true), Place::New(Some(1)));
        assert_eq!(at(&[], Told::Nothing, true, true), Place::New(None));
        assert_eq!(at(&[], Told::Elsewhere, true, true), Place::New(None));
        // Made just before the process was killed.
        assert_eq!(at(&[], Told::At(1), false, false), Place::New(Some(1)));
    }
}
