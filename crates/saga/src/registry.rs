//! The definitions that a program has of one saga: the newest for new ones, older ones until their last saga is closed.

use std::collections::BTreeMap;

use crate::definition::Saga;

/// Definitions by version. A row runs under the one that it began with.
pub struct Registry<S: Saga>(BTreeMap<u32, S>);

impl<S: Saga> Registry<S> {
    /// The present definition, which new sagas begin with.
    ///
    /// # Panics
    /// If the definition cannot work ([`Definition::problem`](crate::Definition::problem)): that is a bug which must not start.
    pub fn new(saga: S) -> Self {
        Self(BTreeMap::new()).also(S::VERSION, saga)
    }

    /// An older definition, kept while sagas of it are open. Its stored data must still be readable as `S::Data`;
    /// where it is not, give the older saga a type and a coordinator of its own: they share the table.
    ///
    /// # Panics
    /// As [`Registry::new`].
    #[must_use]
    pub fn also(mut self, version: u32, saga: S) -> Self {
        if let Some(problem) = saga.definition().problem() {
            panic!("saga {} version {version}: {problem}", S::NAME);
        }
        self.0.insert(version, saga);
        self
    }

    /// The definition of `version`, if this program has it.
    pub fn get(&self, version: u32) -> Option<&S> {
        self.0.get(&version)
    }

    /// The versions that this program has, ascending; never empty.
    pub fn versions(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }
}
