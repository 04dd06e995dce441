//! What the rooms' tests share.

pub mod http_server;
