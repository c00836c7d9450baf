//! Server side of each SASL mechanism, as a state machine without I/O.
