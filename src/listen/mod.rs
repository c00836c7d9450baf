//! Accepting connections: permit before accept, sorted accept errors, drain on stop.
