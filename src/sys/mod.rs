//! The operating system, safely: names of the host and its users, sockets of
//! local peers, privileges, files that change, the way into the background.
//!
//! Layer 1: names `base` only. The one place beside `backend/pam` where
//! `unsafe` may stand, one operation a block.

pub mod claim;
pub mod detach;
pub mod file_stamp;
pub mod file_watch;
pub mod host;
pub mod limits;
pub mod local_socket;
pub mod password_file;
pub mod privileges;
pub mod shadow;
pub mod sqlite;
pub mod terminal;
pub mod users;
