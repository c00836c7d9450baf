//! How many sessions each login has at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Sessions by login. Bounded by the sessions that there are.
#[derive(Debug, Default)]
pub struct Sessions {
    open: Mutex<HashMap<Arc<str>, u32>>,
}

/// A session that is counted, until it is dropped.
#[derive(Debug)]
pub struct Place {
    sessions: Arc<Sessions>,
    login: Arc<str>,
}

impl Sessions {
    /// Counts one more session of `login`; `None` if it has `most` of them.
    pub fn enter(self: &Arc<Self>, login: &Arc<str>, most: u32) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(Arc::clone(login)).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { sessions: Arc::clone(self), login: Arc::clone(login) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.sessions.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.login) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.login);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_free_when_its_session_ends() {
        let sessions = Arc::new(Sessions::default());
        let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
        let first = sessions.enter(&alice, 2).unwrap();
        let _second = sessions.enter(&alice, 2).unwrap();
        assert!(sessions.enter(&alice, 2).is_none());
        assert!(sessions.enter(&bob, 2).is_some());
        drop(first);
        assert!(sessions.enter(&alice, 2).is_some());
    }

    #[test]
    fn nothing_stays_behind() {
        let sessions = Arc::new(Sessions::default());
        let alice: Arc<str> = "alice".into();
        drop(sessions.enter(&alice, 1));
        assert!(sessions.open.lock().unwrap().is_empty());
    }
}
