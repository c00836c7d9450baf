//! Other daemons that can verify, as the gate is given them.
