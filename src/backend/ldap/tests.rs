//! The backend against scripted servers.
