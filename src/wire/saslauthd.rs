//! The saslauthd request and reply.
