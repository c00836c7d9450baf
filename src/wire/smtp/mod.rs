//! SMTP as bytes: lines, commands, replies, capabilities, content.
