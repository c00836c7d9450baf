//! Which local processes may ask at a socket: by the uid that the kernel vouches for.

/// Whose requests are answered; those of others are refused without asking anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guests {
    /// Whoever can connect: the mode of the socket and of its directory decide.
    Everybody,
    /// Processes with one of these effective uids. Root is not implied.
    Only(Vec<u32>),
}

impl Guests {
    /// True if a process of `uid` may ask; `None` is one that the kernel does not name.
    #[must_use]
    pub fn include(&self, uid: Option<u32>) -> bool {
        match self {
            Self::Everybody => true,
            Self::Only(uids) => uid.is_some_and(|uid| uids.contains(&uid)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_takes_those_on_it_and_nobody_without_a_uid() {
        let mail = Guests::Only(vec![89, 101]);
        assert!(mail.include(Some(101)));
        for uid in [Some(0), Some(1000), None] {
            assert!(!mail.include(uid), "{uid:?}");
            assert!(Guests::Everybody.include(uid), "{uid:?}");
        }
        assert!(!Guests::Only(Vec::new()).include(Some(0)), "an empty list is nobody");
    }
}
