//! SMTP session outcomes: TLS, AUTH, messages.
