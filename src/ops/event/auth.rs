//! Authentication outcomes.
